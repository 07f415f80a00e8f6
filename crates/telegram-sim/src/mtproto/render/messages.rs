//! Messages with what they carry.

use grammers_tl_types::{Serializable, enums, types};

use super::{View, entities_to_api, no_flags, peer_of, sparse};
use crate::world::{Body, Button, ButtonAction, ChatKind, Forward, Message, Place, Service};

fn date(seconds: i64) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

impl View<'_> {
    /// A message as the viewer sees it.
    pub fn message(&mut self, known: &Message) -> enums::Message {
        let peer = self.peer(known.place);
        let body = &known.body;
        let is_post = self.is_post(known);
        if let Some(service) = &body.service {
            return self.service(known, service, &peer, is_post);
        }
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
        message.noforwards = self.world.is_protected(known);
        message.pinned = known.pinned;
        message.invert_media = body.caption_above
            || body.link_preview.as_ref().is_some_and(|preview| preview.show_above_text == Some(true));
        if is_post {
            message.views = Some(1);
            message.forwards = Some(0);
        } else {
            self.mention(known.from);
            message.from_id = Some(types::PeerUser { user_id: known.from }.into());
        }
        message.reply_to = reply_header(body);
        message.fwd_from = body.forwarded.map(|origin| self.forward_header(origin));
        message.media = self.attachment(body);
        message.reply_markup = markup(&body.buttons);
        message.entities = entities_to_api(&body.entities);
        message.edit_date = known.edited.map(date);
        message.grouped_id = body.album;
        message.into()
    }

    /// What a chat tells of itself.
    fn service(&mut self, known: &Message, service: &Service, peer: &enums::Peer, is_post: bool) -> enums::Message {
        let action: enums::MessageAction = match service {
            Service::NewTitle(title) => types::MessageActionChatEditTitle { title: title.clone() }.into(),
            Service::NewPhoto(photo) => types::MessageActionChatEditPhoto { photo: self.photo(*photo) }.into(),
            Service::DeletedPhoto => enums::MessageAction::ChatDeletePhoto,
            Service::Pinned(_) => enums::MessageAction::PinMessage,
            Service::TopicCreated(title) => {
                let title = title.clone();
                types::MessageActionTopicCreate {
                    title_missing: false,
                    title,
                    icon_color: 7_322_096,
                    icon_emoji_id: None,
                }
                .into()
            }
        };
        let mut message: types::MessageService =
            sparse(&[no_flags(), known.id.to_bytes(), peer.to_bytes(), date(known.date).to_bytes(), action.to_bytes()]);
        message.out = known.from == self.viewer;
        message.post = is_post;
        message.silent = known.body.silent;
        if !is_post {
            self.mention(known.from);
            message.from_id = Some(types::PeerUser { user_id: known.from }.into());
        }
        if let Service::Pinned(id) = service {
            message.reply_to = reply_header(&Body { reply_to: Some(*id), ..Body::default() });
        }
        message.into()
    }

    fn forward_header(&mut self, origin: Forward) -> enums::MessageFwdHeader {
        let from = origin.channel.or(origin.user);
        let mut header: types::MessageFwdHeader = sparse(&[no_flags(), date(origin.date).to_bytes()]);
        if let Some(from) = from {
            self.mention(from);
            header.from_id = Some(peer_of(self.world, from));
        }
        header.channel_post = origin.channel.map(|_| origin.message_id);
        header.into()
    }

    fn is_post(&self, message: &Message) -> bool {
        matches!(message.place, Place::Chat(id)
            if self.world.chat(id).is_some_and(|chat| chat.kind == ChatKind::Channel))
    }
}

/// What a message answers. In a forum, all messages of a topic answer its first.
fn reply_header(body: &Body) -> Option<enums::MessageReplyHeader> {
    let answered = body.reply_to.or(body.thread)?;
    let mut header: types::MessageReplyHeader = sparse(&[no_flags()]);
    header.reply_to_msg_id = Some(answered);
    header.forum_topic = body.thread.is_some();
    header.reply_to_top_id = body.thread.filter(|_| body.reply_to.is_some());
    Some(header.into())
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
