//! Messages with what they carry.

use grammers_tl_types::{Serializable, enums, types};

use super::{View, entities_to_api, no_flags, sparse};
use crate::world::{Button, ButtonAction, ChatKind, Media, Message, Place};

fn date(seconds: i64) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

impl View<'_> {
    /// A message as the viewer sees it.
    pub fn message(&mut self, known: &Message) -> enums::Message {
        let peer = self.peer(known.place);
        let body = &known.body;
        let is_post = self.is_post(known);
        let mut message: types::Message = sparse(&[
            no_flags(),
            no_flags(),
            known.id.to_bytes(),
            peer.to_bytes(),
            date(known.date).to_bytes(),
            body.text.to_bytes(),
        ]);
        message.out = known.from == self.viewer;
        message.post = is_post;
        message.silent = body.silent;
        message.noforwards = body.protected;
        if is_post {
            message.views = Some(1);
            message.forwards = Some(0);
        } else {
            self.mention(known.from);
            message.from_id = Some(types::PeerUser { user_id: known.from }.into());
        }
        message.reply_to = body.reply_to.map(reply_header);
        message.media = body.media.as_ref().map(|media| self.media(media));
        message.reply_markup = markup(&body.buttons);
        message.entities = entities_to_api(&body.entities);
        message.edit_date = known.edited.map(date);
        message.grouped_id = body.album;
        message.into()
    }

    fn is_post(&self, message: &Message) -> bool {
        matches!(message.place, Place::Chat(id)
            if self.world.chat(id).is_some_and(|chat| chat.kind == ChatKind::Channel))
    }

    /// An attached file.
    pub fn media(&self, media: &Media) -> enums::MessageMedia {
        let file = self.cloud.files.get(media.file_id);
        let (access_hash, since, dc_id) = file.map_or((0, 0, 2), |file| (file.access_hash, file.date, file.dc));
        if media.is_photo {
            let size = types::PhotoSize {
                r#type: "x".to_owned(),
                w: 800,
                h: 600,
                size: i32::try_from(media.size).unwrap_or(i32::MAX),
            };
            let photo = types::Photo {
                has_stickers: false,
                id: media.file_id,
                access_hash,
                file_reference: media.file_id.to_le_bytes().to_vec(),
                date: since,
                sizes: vec![size.into()],
                video_sizes: None,
                dc_id,
            };
            let mut object: types::MessageMediaPhoto = sparse(&[no_flags()]);
            object.photo = Some(photo.into());
            return object.into();
        }
        let name = types::DocumentAttributeFilename { file_name: media.name.clone() };
        let document = types::Document {
            id: media.file_id,
            access_hash,
            file_reference: media.file_id.to_le_bytes().to_vec(),
            date: since,
            mime_type: media.mime_type.clone(),
            size: i64::try_from(media.size).unwrap_or(i64::MAX),
            thumbs: None,
            video_thumbs: None,
            dc_id,
            attributes: vec![name.into()],
        };
        let mut object: types::MessageMediaDocument = sparse(&[no_flags()]);
        object.document = Some(document.into());
        object.into()
    }
}

fn reply_header(id: i32) -> enums::MessageReplyHeader {
    let mut header: types::MessageReplyHeader = sparse(&[no_flags()]);
    header.reply_to_msg_id = Some(id);
    header.into()
}

fn markup(rows: &[Vec<Button>]) -> Option<enums::ReplyMarkup> {
    let button = |button: &Button| -> enums::KeyboardInlineButton {
        let r#type = match &button.action {
            ButtonAction::Url(url) => types::InlineButtonTypeUrl { url: url.clone() }.into(),
            ButtonAction::CallbackData(data) => {
                types::InlineButtonTypeCallback { requires_password: false, data: data.clone().into_bytes() }.into()
            }
        };
        types::KeyboardInlineButton { style: None, text: button.text.clone(), r#type }.into()
    };
    let row = |row: &Vec<Button>| -> enums::KeyboardInlineButtonRow {
        types::KeyboardInlineButtonRow { buttons: row.iter().map(button).collect() }.into()
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    (!rows.is_empty()).then(|| types::ReplyInlineMarkup { force_reply: false, rows }.into())
}
