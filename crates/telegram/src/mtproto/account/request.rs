//! The requests that send, written out: each kind of content has the one that Telegram wants for it.

use grammers_tl_types as tl;
use platform::{Album, Forward, LinkPreview, Media, Options, TextContent};

use super::Account;
use crate::mtproto::call::CallError;
use crate::mtproto::problem::Problem;

/// What every request says, whatever it sends.
pub(super) struct Envelope<'a> {
    pub peer: tl::enums::InputPeer,
    pub reply_to: Option<tl::enums::InputReplyTo>,
    pub options: &'a Options,
}

impl Envelope<'_> {
    /// What is answered, and the topic of a forum that it is in. A message that answers nothing goes to its topic by answering the
    /// topic's first message, which has its id.
    pub(super) fn reply_to(options: &Options) -> Result<Option<tl::enums::InputReplyTo>, Problem> {
        let topic = options.topic.map(|id| message_id(id, "topic_not_found")).transpose()?;
        let answered = options.reply_to.map(|id| message_id(id, "reply_not_found")).transpose()?;
        Ok(answered.or(topic).map(|reply_to_msg_id| {
            tl::types::InputReplyToMessage {
                reply_to_msg_id,
                top_msg_id: topic,
                reply_to_peer_id: None,
                quote_text: None,
                quote_entities: None,
                quote_offset: None,
                monoforum_peer_id: None,
                todo_item_id: None,
                poll_option: None,
            }
            .into()
        }))
    }
}

/// One of the requests that send.
pub(super) enum Request {
    Message(Box<tl::functions::messages::SendMessage>),
    Media(Box<tl::functions::messages::SendMedia>),
    Album(Box<tl::functions::messages::SendMultiMedia>),
    Forward(Box<tl::functions::messages::ForwardMessages>),
}

impl Request {
    /// A text goes as a plain message, or as one with a link preview of its own.
    pub(super) fn text(
        envelope: Envelope<'_>,
        content: &TextContent,
        entities: Vec<tl::enums::MessageEntity>,
        random_id: i64,
    ) -> Self {
        let preview = content.link_preview.clone().unwrap_or_default();
        let invert_media = preview.show_above_text.unwrap_or_default();
        let no_webpage = preview.is_disabled.unwrap_or_default();
        let text = content.text.text.clone();
        if let Some(page) = webpage(&preview).filter(|_| !no_webpage) {
            return Self::send_media(envelope, page, text, invert_media, entities, random_id);
        }
        let Envelope { peer, reply_to, options } = envelope;
        Self::Message(Box::new(tl::functions::messages::SendMessage {
            no_webpage,
            silent: options.silent,
            background: false,
            clear_draft: false,
            noforwards: options.protected,
            update_stickersets_order: false,
            invert_media,
            allow_paid_floodskip: false,
            peer,
            reply_to,
            message: text,
            random_id,
            reply_markup: None,
            entities: given(entities),
            schedule_date: None,
            schedule_repeat_period: None,
            send_as: None,
            quick_reply_shortcut: None,
            effect: None,
            allow_paid_stars: None,
            suggested_post: None,
            rich_message: None,
        }))
    }

    /// One medium, with what is written below it.
    pub(super) fn media(
        envelope: Envelope<'_>,
        media: tl::enums::InputMedia,
        item: Option<&Media>,
        entities: Vec<tl::enums::MessageEntity>,
        random_id: i64,
    ) -> Self {
        let caption = item.map(|item| item.caption.text.clone()).unwrap_or_default();
        let above = item.is_some_and(|item| item.caption_above);
        Self::send_media(envelope, media, caption, above, entities, random_id)
    }

    fn send_media(
        envelope: Envelope<'_>,
        media: tl::enums::InputMedia,
        message: String,
        invert_media: bool,
        entities: Vec<tl::enums::MessageEntity>,
        random_id: i64,
    ) -> Self {
        let Envelope { peer, reply_to, options } = envelope;
        Self::Media(Box::new(tl::functions::messages::SendMedia {
            silent: options.silent,
            background: false,
            clear_draft: false,
            noforwards: options.protected,
            update_stickersets_order: false,
            invert_media,
            allow_paid_floodskip: false,
            peer,
            reply_to,
            media,
            message,
            random_id,
            reply_markup: None,
            entities: given(entities),
            schedule_date: None,
            schedule_repeat_period: None,
            send_as: None,
            quick_reply_shortcut: None,
            effect: None,
            allow_paid_stars: None,
            suggested_post: None,
        }))
    }

    /// Media that are shown together.
    pub(super) fn album(envelope: Envelope<'_>, album: &Album, multi_media: Vec<tl::enums::InputSingleMedia>) -> Self {
        let Envelope { peer, reply_to, options } = envelope;
        Self::Album(Box::new(tl::functions::messages::SendMultiMedia {
            silent: options.silent,
            background: false,
            clear_draft: false,
            noforwards: options.protected,
            update_stickersets_order: false,
            invert_media: album.items.iter().any(|item| item.media.caption_above),
            allow_paid_floodskip: false,
            peer,
            reply_to,
            multi_media,
            schedule_date: None,
            send_as: None,
            quick_reply_shortcut: None,
            effect: None,
            allow_paid_stars: None,
        }))
    }

    /// Messages that are elsewhere already.
    pub(super) fn forward(
        envelope: Envelope<'_>,
        from_peer: tl::enums::InputPeer,
        forward: &Forward,
        random_id: Vec<i64>,
    ) -> Result<Self, Problem> {
        let Envelope { peer, options, .. } = envelope;
        let ids = forward.message_ids.iter().map(|id| message_id(*id, "message_not_found"));
        Ok(Self::Forward(Box::new(tl::functions::messages::ForwardMessages {
            silent: options.silent,
            background: false,
            with_my_score: false,
            drop_author: forward.as_copy,
            drop_media_captions: false,
            noforwards: options.protected,
            allow_paid_floodskip: false,
            from_ephemeral: false,
            from_peer,
            id: ids.collect::<Result<_, _>>()?,
            random_id,
            to_peer: peer,
            top_msg_id: options.topic.map(|id| message_id(id, "topic_not_found")).transpose()?,
            reply_to: None,
            schedule_date: None,
            schedule_repeat_period: None,
            send_as: None,
            quick_reply_shortcut: None,
            effect: None,
            video_timestamp: None,
            allow_paid_stars: None,
            suggested_post: None,
        })))
    }

    /// Sends it.
    pub(super) async fn deliver(&self, account: &Account) -> Result<tl::enums::Updates, CallError> {
        match self {
            Self::Message(request) => account.call(&**request).await,
            Self::Media(request) => account.call(&**request).await,
            Self::Album(request) => account.call(&**request).await,
            Self::Forward(request) => account.call(&**request).await,
        }
    }

    /// The random ids of its parts, in their order.
    pub(super) fn random_ids(&self) -> Vec<i64> {
        match self {
            Self::Message(request) => vec![request.random_id],
            Self::Media(request) => vec![request.random_id],
            Self::Album(request) => {
                request.multi_media.iter().map(|tl::enums::InputSingleMedia::Media(single)| single.random_id).collect()
            }
            Self::Forward(request) => request.random_id.clone(),
        }
    }
}

fn given(entities: Vec<tl::enums::MessageEntity>) -> Option<Vec<tl::enums::MessageEntity>> {
    Some(entities).filter(|entities| !entities.is_empty())
}

fn webpage(preview: &LinkPreview) -> Option<tl::enums::InputMedia> {
    let page = tl::types::InputMediaWebPage {
        force_large_media: preview.prefer_large_media.unwrap_or_default(),
        force_small_media: preview.prefer_small_media.unwrap_or_default(),
        // A page without a preview does not stop the message.
        optional: true,
        url: preview.url.clone()?,
    };
    Some(page.into())
}

/// Telegram's message ids have 31 bits; `code` is that of an id that cannot be one.
pub(super) fn message_id(id: i64, code: &'static str) -> Result<i32, Problem> {
    let valid = i32::try_from(id).ok().filter(|id| *id > 0);
    valid.ok_or_else(|| Problem::refused(code, format!("{id} is no message id of Telegram")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(options: &Options) -> Envelope<'_> {
        Envelope { peer: tl::enums::InputPeer::PeerSelf, reply_to: None, options }
    }

    #[test]
    fn ids_that_cannot_exist_are_refused() {
        assert_eq!(message_id(7, "message_not_found"), Ok(7));
        for wrong in [0, -1, i64::MAX] {
            assert_eq!(message_id(wrong, "message_not_found").unwrap_err().code, "message_not_found");
        }
    }

    #[test]
    fn a_reply_and_a_topic_go_together() {
        let reply = |reply_to, topic| {
            let options = Options { reply_to, topic, ..Options::default() };
            match Envelope::reply_to(&options).map_err(|problem| problem.code)? {
                Some(tl::enums::InputReplyTo::Message(reply)) => Ok(Some((reply.reply_to_msg_id, reply.top_msg_id))),
                _ => Ok(None),
            }
        };
        assert_eq!(reply(None, None), Ok(None));
        assert_eq!(reply(Some(5), None), Ok(Some((5, None))));
        assert_eq!(reply(None, Some(3)), Ok(Some((3, Some(3)))));
        assert_eq!(reply(Some(5), Some(3)), Ok(Some((5, Some(3)))));
        assert_eq!(reply(Some(i64::MAX), None), Err("reply_not_found"));
        assert_eq!(reply(Some(5), Some(0)), Err("topic_not_found"));
    }

    #[test]
    fn a_preview_of_its_own_makes_the_message_media() {
        let mut content = TextContent::default();
        let options = Options { silent: true, protected: true, ..Options::default() };
        let Request::Message(plain) = Request::text(envelope(&options), &content, Vec::new(), 7) else {
            panic!("a text without a preview is a plain message");
        };
        assert!(plain.silent && plain.noforwards && !plain.no_webpage && plain.random_id == 7);
        content.link_preview = Some(LinkPreview { url: Some("https://a.b".to_owned()), ..LinkPreview::default() });
        let request = Request::text(envelope(&options), &content, Vec::new(), 7);
        assert!(matches!(request, Request::Media(media) if media.random_id == 7));
        content.link_preview = Some(LinkPreview { is_disabled: Some(true), ..LinkPreview::default() });
        let request = Request::text(envelope(&options), &content, Vec::new(), 7);
        assert!(matches!(request, Request::Message(plain) if plain.no_webpage));
    }
}
