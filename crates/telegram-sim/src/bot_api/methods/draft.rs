//! What all methods that send have in common: options, checks, and the sending itself.

use std::sync::Arc;

use serde_json::Value;

use super::chat_id;
use crate::bot_api::reply::ApiError;
use crate::bot_api::request::Params;
use crate::bot_api::{BotApi, markup, render};
use crate::world::{
    BOT_DC, Body, Content, MAX_PHOTO, Media, MediaKind, Message, PhotoProblem, Place, State, UserId, Via,
};

/// A message to send, whose files are not stored yet.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) body: Body,
    /// A new file; without it, the body's file is one that was sent before.
    pub(super) upload: Option<Content>,
    pub(super) thumbnail: Option<Content>,
}

impl Draft {
    /// What Telegram's servers find wrong with a new file.
    pub(super) fn check_upload(&self) -> Result<(), ApiError> {
        let (Some(upload), Some(media)) = (&self.upload, &self.body.media) else { return Ok(()) };
        if upload.size == 0 {
            return Err(ApiError::bad_request("file must be non-empty"));
        }
        if media.kind != MediaKind::Photo {
            return Ok(());
        }
        match upload.photo_problem() {
            None => Ok(()),
            Some(PhotoProblem::TooBig) => Err(ApiError::bad_request(format_args!(
                "file of size {} bytes is too big for a photo; the maximum size is {MAX_PHOTO} bytes",
                upload.size
            ))),
            Some(PhotoProblem::NoPicture) => Err(ApiError::bad_request("IMAGE_PROCESS_FAILED")),
            Some(PhotoProblem::Dimensions) => Err(ApiError::bad_request("PHOTO_INVALID_DIMENSIONS")),
        }
    }

    /// Stores the files; what is left is ready to be sent.
    pub(super) fn store(self, state: &mut State) -> Body {
        let Self { mut body, upload, thumbnail } = self;
        if let Some(upload) = upload
            && let Some(mut media) = body.media.take()
        {
            media.thumbnail = thumbnail.filter(|thumbnail| thumbnail.picture.is_some()).map(|thumbnail| {
                let photo = Media { kind: MediaKind::Photo, mime_type: "image/jpeg".to_owned(), ..Media::default() };
                state.files_mut().add(thumbnail, photo, BOT_DC).file_id
            });
            body.media = Some(state.files_mut().add(upload, media, BOT_DC));
        }
        body
    }
}

/// What a message answers: `reply_parameters`, or the older `reply_to_message_id`.
#[derive(Debug, Default)]
struct Reply {
    message_id: Option<i32>,
    may_be_missing: bool,
}

impl Reply {
    fn read(params: &Params) -> Result<Self, ApiError> {
        let Some(reply) = params.json("reply_parameters", "reply parameters")? else {
            return Ok(Self {
                message_id: params.number("reply_to_message_id").filter(|id| *id > 0),
                may_be_missing: params.flag("allow_sending_without_reply"),
            });
        };
        if !reply.is_object() {
            return Err(ApiError::bad_request("reply parameters must be an Object"));
        }
        let id = reply["message_id"].as_i64().and_then(|id| i32::try_from(id).ok());
        let id =
            id.ok_or_else(|| ApiError::bad_request("can't parse reply parameters: Can't find field \"message_id\""))?;
        Ok(Self { message_id: Some(id), may_be_missing: reply["allow_sending_without_reply"] == Value::Bool(true) })
    }
}

/// Sends what `params` say to the chat that they name: all drafts or none.
pub(super) fn deliver(
    api: &BotApi,
    bot: UserId,
    params: &Params,
    drafts: Vec<Draft>,
) -> Result<Vec<Arc<Message>>, ApiError> {
    let reply = Reply::read(params)?;
    let buttons = markup::read_buttons(params)?;
    let chat = chat_id(api, bot, params)?;
    let mut state = api.world.lock();
    let place = Place::seen_by(bot, chat);
    let reply_to = reply.message_id.filter(|id| !reply.may_be_missing || state.messages().get(place, *id).is_some());
    let (mut ready, is_album) = (Vec::new(), drafts.len() > 1);
    for (index, mut draft) in drafts.into_iter().enumerate() {
        draft.body.reply_to = reply_to;
        draft.body.thread = params.number("message_thread_id").filter(|id| *id > 0);
        draft.body.silent = params.flag("disable_notification");
        draft.body.protected = params.flag("protect_content");
        draft.body.buttons.clone_from(&buttons);
        draft.body.via = Via::BotApi;
        state.check(bot, chat, &draft.body)?;
        draft.check_upload().map_err(|error| if is_album { error.of_item(index) } else { error })?;
        ready.push(draft);
    }
    // An album counts once, as far as anybody knows.
    api.limiter.take(bot, chat).map_err(ApiError::too_many_requests)?;
    let bodies = ready.into_iter().map(|draft| draft.store(&mut state)).collect();
    Ok(state.send_all(bot, chat, bodies)?)
}

/// Sends one message; the answer shows it.
pub(super) fn deliver_one(api: &BotApi, bot: UserId, params: &Params, draft: Draft) -> Result<Value, ApiError> {
    let sent = deliver(api, bot, params, vec![draft])?;
    let state = api.world.lock();
    Ok(sent.first().map_or(Value::Null, |message| render::message(&state, bot, message)))
}
