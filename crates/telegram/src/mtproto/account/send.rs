//! Sending, with the outcome of each attempt.

use grammers_session::types::PeerKind;
use grammers_tl_types as tl;
use platform::{LinkPreview, Options, Outcome, Refusal, TextContent, Verdict};

use super::{Account, entities};
use crate::mtproto::call::CallError;
use crate::mtproto::peer::PeerId;
use crate::mtproto::problem::{Kind, Problem};

impl Account {
    /// Sends a text once. `random_id` names the message at Telegram: send it again with the same one, and it is not
    /// doubled.
    ///
    /// [`Outcome::Unanswered`] says that no answer came: the same message can safely be tried again on this account,
    /// with the same `random_id`. A message that an earlier try had sent is [`Outcome::Sent`] without an id.
    pub async fn send_text(&self, peer: PeerId, content: &TextContent, options: &Options, random_id: i64) -> Outcome {
        match self.prepare(peer, content, options, random_id).await {
            Err(problem) => outcome(unsent(problem)),
            Ok(request) => match self.deliver(&request).await {
                Ok(updates) => Outcome::Sent { platform_message_ids: sent_ids(&updates, random_id) },
                Err(error) if error.is("RANDOM_ID_DUPLICATE") => Outcome::Sent { platform_message_ids: Vec::new() },
                Err(error) => self.refused(peer, error.into()).await,
            },
        }
    }

    /// Everything that can be found out before a byte of the message leaves.
    async fn prepare(
        &self,
        peer: PeerId,
        content: &TextContent,
        options: &Options,
        random_id: i64,
    ) -> Result<Request, Problem> {
        if !options.buttons.is_empty() {
            let why = "accounts cannot send buttons: send through a bot";
            return Err(Problem::refused("bad_buttons", why));
        }
        let reply_to = options.reply_to.map(reply_to).transpose()?;
        self.connection.ensure().await?;
        let peer = self.find(peer).await?;
        let entities = entities::to_tl(&content.text.entities, |id| self.input_user(id));
        Ok(Request::new(content, options, peer, reply_to, entities, random_id))
    }

    async fn deliver(&self, request: &Request) -> Result<tl::enums::Updates, CallError> {
        match request {
            Request::Message(request) => self.call(&**request).await,
            Request::Media(request) => self.call(&**request).await,
        }
    }

    /// A group that became a supergroup goes on there; that is asked for only when the group refused.
    async fn refused(&self, peer: PeerId, problem: Problem) -> Outcome {
        if problem.kind == Kind::Refused
            && peer.kind() == PeerKind::Chat
            && let Ok(Some(tl::enums::Chat::Chat(group))) = self.group(peer.bare()).await
            && let Some(chat_id) = group.migrated_to.as_ref().and_then(supergroup)
        {
            let detail = "the group became a supergroup".to_owned();
            let verdict = Verdict::Migrated { chat_id: chat_id.get() };
            return Outcome::Refused(Refusal { code: "chat_migrated", description: detail, verdict });
        }
        outcome(problem)
    }

    pub(super) fn input_user(&self, id: i64) -> Option<tl::enums::InputUser> {
        match self.input_peer(PeerId::user(id)?)? {
            tl::enums::InputPeer::PeerSelf => Some(tl::enums::InputUser::UserSelf),
            tl::enums::InputPeer::User(user) => {
                Some(tl::types::InputUser { user_id: user.user_id, access_hash: user.access_hash }.into())
            }
            _ => None,
        }
    }
}

/// A text goes as a plain message, or as one with a link preview of its own.
enum Request {
    Message(Box<tl::functions::messages::SendMessage>),
    Media(Box<tl::functions::messages::SendMedia>),
}

impl Request {
    fn new(
        content: &TextContent,
        options: &Options,
        peer: tl::enums::InputPeer,
        reply_to: Option<tl::enums::InputReplyTo>,
        entities: Vec<tl::enums::MessageEntity>,
        random_id: i64,
    ) -> Self {
        let text = content.text.text.clone();
        let preview = content.link_preview.clone().unwrap_or_default();
        let entities = Some(entities).filter(|entities| !entities.is_empty());
        let invert_media = preview.show_above_text.unwrap_or_default();
        let no_webpage = preview.is_disabled.unwrap_or_default();
        match webpage(&preview).filter(|_| !no_webpage) {
            None => Self::Message(Box::new(tl::functions::messages::SendMessage {
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
                entities,
                schedule_date: None,
                schedule_repeat_period: None,
                send_as: None,
                quick_reply_shortcut: None,
                effect: None,
                allow_paid_stars: None,
                suggested_post: None,
                rich_message: None,
            })),
            Some(media) => Self::Media(Box::new(tl::functions::messages::SendMedia {
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
                message: text,
                random_id,
                reply_markup: None,
                entities,
                schedule_date: None,
                schedule_repeat_period: None,
                send_as: None,
                quick_reply_shortcut: None,
                effect: None,
                allow_paid_stars: None,
                suggested_post: None,
            })),
        }
    }
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

fn reply_to(message_id: i64) -> Result<tl::enums::InputReplyTo, Problem> {
    let reply_to_msg_id = i32::try_from(message_id)
        .ok()
        .filter(|id| *id > 0)
        .ok_or_else(|| Problem::refused("reply_not_found", format!("{message_id} is no message id of Telegram")))?;
    Ok(tl::types::InputReplyToMessage {
        reply_to_msg_id,
        top_msg_id: None,
        reply_to_peer_id: None,
        quote_text: None,
        quote_entities: None,
        quote_offset: None,
        monoforum_peer_id: None,
        todo_item_id: None,
        poll_option: None,
    }
    .into())
}

fn supergroup(channel: &tl::enums::InputChannel) -> Option<PeerId> {
    match channel {
        tl::enums::InputChannel::Channel(channel) => PeerId::channel(channel.channel_id),
        _ => None,
    }
}

/// Before the message itself went out, an unanswered question proves that it did not.
fn unsent(problem: Problem) -> Problem {
    match problem.kind {
        Kind::NoAnswer => Problem::unreachable(problem.detail),
        _ => problem,
    }
}

fn outcome(problem: Problem) -> Outcome {
    let barred = problem.barred();
    let Problem { code, detail, kind } = problem;
    let verdict = match kind {
        Kind::Refused => barred.map_or(Verdict::Fail, |gone| Verdict::Barred { gone }),
        Kind::Wait(after, hold) => Verdict::Wait { after, hold },
        Kind::SessionDead | Kind::AccountClosed => Verdict::SenderDead,
        Kind::Unreachable => Verdict::Retry,
        Kind::NoAnswer => return Outcome::Unanswered { reason: detail },
    };
    Outcome::Refused(Refusal { code, description: detail, verdict })
}

/// The id that Telegram gave to the message. Other updates can come along in the same answer.
fn sent_ids(updates: &tl::enums::Updates, random_id: i64) -> Vec<i64> {
    let updates = match updates {
        tl::enums::Updates::UpdateShortSentMessage(sent) => return vec![sent.id.into()],
        tl::enums::Updates::Updates(updates) => &updates.updates,
        tl::enums::Updates::Combined(updates) => &updates.updates,
        _ => return Vec::new(),
    };
    let ours = |update: &tl::enums::Update| match update {
        tl::enums::Update::MessageId(id) if id.random_id == random_id => Some(i64::from(id.id)),
        _ => None,
    };
    updates.iter().filter_map(ours).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use platform::Hold;

    use super::*;

    fn verdict(kind: Kind) -> Option<Verdict> {
        match outcome(Problem { code: "code", detail: "words".to_owned(), kind }) {
            Outcome::Refused(refusal) => Some(refusal.verdict),
            _ => None,
        }
    }

    #[test]
    fn problems_decide_what_happens_to_the_message() {
        let wait = Duration::from_secs(7);
        assert_eq!(verdict(Kind::Refused), Some(Verdict::Fail));
        assert_eq!(verdict(Kind::Wait(wait, Hold::Chat)), Some(Verdict::Wait { after: wait, hold: Hold::Chat }));
        assert_eq!(verdict(Kind::SessionDead), Some(Verdict::SenderDead));
        assert_eq!(verdict(Kind::AccountClosed), Some(Verdict::SenderDead));
        assert_eq!(verdict(Kind::Unreachable), Some(Verdict::Retry));
        assert_eq!(verdict(Kind::NoAnswer), None);
    }

    #[test]
    fn no_answer_before_the_message_left_is_a_proof() {
        let problem = Problem { code: "no_answer", detail: String::new(), kind: Kind::NoAnswer };
        assert_eq!(unsent(problem).kind, Kind::Unreachable);
    }

    #[test]
    fn a_message_id_that_cannot_be_one_is_refused() {
        assert_eq!(reply_to(i64::MAX).unwrap_err().code, "reply_not_found");
        assert_eq!(reply_to(0).unwrap_err().code, "reply_not_found");
        assert!(reply_to(5).is_ok());
    }

    #[test]
    fn a_preview_of_its_own_makes_the_message_media() {
        let peer = tl::enums::InputPeer::PeerSelf;
        let mut content = TextContent::default();
        let options = Options { silent: true, protected: true, ..Options::default() };
        let Request::Message(plain) = Request::new(&content, &options, peer.clone(), None, Vec::new(), 7) else {
            panic!("a text without a preview is a plain message");
        };
        assert!(plain.silent && plain.noforwards && !plain.no_webpage && plain.random_id == 7);
        content.link_preview = Some(LinkPreview { url: Some("https://a.b".to_owned()), ..LinkPreview::default() });
        let request = Request::new(&content, &options, peer.clone(), None, Vec::new(), 7);
        assert!(matches!(request, Request::Media(media) if media.random_id == 7));
        content.link_preview = Some(LinkPreview { is_disabled: Some(true), ..LinkPreview::default() });
        let request = Request::new(&content, &options, peer, None, Vec::new(), 7);
        assert!(matches!(request, Request::Message(plain) if plain.no_webpage));
    }

    #[test]
    fn the_id_is_that_of_our_message() {
        let other = tl::enums::Update::from(tl::types::UpdateMessageId { id: 1, random_id: 9 });
        let ours = tl::enums::Update::from(tl::types::UpdateMessageId { id: 2, random_id: 7 });
        let updates =
            tl::types::Updates { updates: vec![other, ours], users: Vec::new(), chats: Vec::new(), date: 0, seq: 0 };
        assert_eq!(sent_ids(&updates.into(), 7), [2]);
    }
}
