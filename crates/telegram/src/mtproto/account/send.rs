//! Sending, with the outcome of each attempt.

use futures::future::join_all;
use grammers_session::types::PeerKind;
use grammers_tl_types as tl;
use platform::{Content, Delivery, MediaKind, Outcome, Refusal, Verdict};

use super::media::Known;
use super::request::{Envelope, Request};
use super::{Account, entities, media};
use crate::media::{Library, media_of, recall, remember};
use crate::mtproto::call::CallError;
use crate::mtproto::peer::PeerId;
use crate::mtproto::problem::{Kind, Problem};

impl Account {
    /// Sends a message once. Its random ids name it at Telegram: send it again with the same ones, and it is not doubled. Files that
    /// this account sent before are named, others are uploaded; what Telegram does not know any more is uploaded anew.
    ///
    /// [`Outcome::Unanswered`] says that no answer came: the same message can safely be tried again on this account,
    /// with the same random ids. A message that an earlier try had sent is [`Outcome::Sent`] without an id.
    pub async fn send(&self, peer: PeerId, delivery: &Delivery, library: &dyn Library) -> Outcome {
        let items = media_of(&delivery.message.content);
        let mut known: Vec<Option<Known>> =
            join_all(items.iter().map(|(kind, item)| recall(library, *kind, item))).await;
        loop {
            let request = match self.prepare(peer, delivery, &known, library).await {
                Ok(request) => request,
                Err(problem) => return outcome(unsent(problem)),
            };
            match request.deliver(self).await {
                Ok(updates) => {
                    if let [(kind, item)] = items[..]
                        && known[0].is_none()
                        && let Some(fresh) = sent_media(&updates)
                    {
                        remember(library, kind, item, fresh).await;
                    }
                    return Outcome::Sent { platform_message_ids: sent_ids(&updates, &request.random_ids()) };
                }
                Err(error) if error.is("RANDOM_ID_DUPLICATE") => {
                    return Outcome::Sent { platform_message_ids: Vec::new() };
                }
                Err(error) if is_stale(&error) && known.iter().any(Option::is_some) => {
                    for ((kind, item), _) in items.iter().zip(&known).filter(|(_, known)| known.is_some()) {
                        library.forget(item.file.id, *kind).await;
                    }
                    known.fill(None);
                }
                Err(error) => return self.refused(peer, error.into()).await,
            }
        }
    }

    /// Everything that can be done before a byte of the message leaves: finding out who it is for, uploading what it carries.
    async fn prepare(
        &self,
        peer: PeerId,
        delivery: &Delivery,
        known: &[Option<Known>],
        library: &dyn Library,
    ) -> Result<Request, Problem> {
        let options = &delivery.message.options;
        if !options.buttons.is_empty() {
            let why = "accounts cannot send buttons: send through a bot";
            return Err(Problem::refused("bad_buttons", why));
        }
        let reply_to = Envelope::reply_to(options)?;
        self.connection.ensure().await?;
        let envelope = Envelope { peer: self.find(peer).await?, reply_to, options };
        let mention = |id| self.input_user(id);
        let first = delivery.random_id_of(0);
        Ok(match &delivery.message.content {
            Content::Text(text) => Request::text(envelope, text, entities::to_tl(&text.text.entities, mention), first),
            Content::Poll(poll) => Request::media(envelope, media::poll(poll), None, Vec::new(), first),
            Content::Location(point) => Request::media(envelope, media::location(point), None, Vec::new(), first),
            Content::Forward(forward) => {
                let from = self.resolve_id(forward.from_chat_id).await?;
                let random_ids = (0..forward.message_ids.len()).map(|part| delivery.random_id_of(part)).collect();
                Request::forward(envelope, self.find(from).await?, forward, random_ids)?
            }
            Content::Album(album) => {
                let mut singles = Vec::with_capacity(album.items.len());
                for (part, item) in album.items.iter().enumerate() {
                    let known = known.get(part).cloned().flatten();
                    let media = self.album_media(&envelope.peer, item.kind, &item.media, known, library).await?;
                    let caption = &item.media.caption;
                    singles.push(tl::enums::InputSingleMedia::from(tl::types::InputSingleMedia {
                        media,
                        random_id: delivery.random_id_of(part),
                        message: caption.text.clone(),
                        entities: Some(entities::to_tl(&caption.entities, mention)),
                    }));
                }
                Request::album(envelope, album, singles)
            }
            content => {
                let Some((kind, item)) = content.as_media() else {
                    return Err(Problem::refused("content_unreadable", "this kind of content cannot be sent"));
                };
                let input = match known.first().cloned().flatten() {
                    Some(known) => known.input(kind, item.spoiler),
                    None => media::uploaded(kind, item, self.upload(&item.file, library).await?),
                };
                let entities = entities::to_tl(&item.caption.entities, mention);
                Request::media(envelope, input, Some(item), entities, first)
            }
        })
    }

    /// What goes into an album has to be known to Telegram as photo or document before.
    async fn album_media(
        &self,
        peer: &tl::enums::InputPeer,
        kind: MediaKind,
        item: &platform::Media,
        known: Option<Known>,
        library: &dyn Library,
    ) -> Result<tl::enums::InputMedia, Problem> {
        if let Some(known) = known {
            return Ok(known.input(kind, item.spoiler));
        }
        let media = media::uploaded(kind, item, self.upload(&item.file, library).await?);
        let request = tl::functions::messages::UploadMedia { business_connection_id: None, peer: peer.clone(), media };
        let told = self.call(&request).await?;
        let known = Known::of(&told)
            .ok_or_else(|| Problem::refused("bad_media", "Telegram made nothing of the file that can be sent"))?;
        remember(library, kind, item, known.clone()).await;
        Ok(known.input(kind, item.spoiler))
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

/// An earlier upload is to blame: Telegram gives references to files for a while only.
fn is_stale(error: &CallError) -> bool {
    matches!(error, CallError::Rpc { name, .. } if name.starts_with("FILE_REFERENCE") || name == "MEDIA_EMPTY")
}

/// The updates in an answer.
fn updates_of(updates: &tl::enums::Updates) -> &[tl::enums::Update] {
    match updates {
        tl::enums::Updates::Updates(updates) => &updates.updates,
        tl::enums::Updates::Combined(updates) => &updates.updates,
        _ => &[],
    }
}

/// The ids that Telegram gave to the parts of the message, in their order. Other updates can come along in the same answer.
fn sent_ids(updates: &tl::enums::Updates, random_ids: &[i64]) -> Vec<i64> {
    if let tl::enums::Updates::UpdateShortSentMessage(sent) = updates {
        return vec![sent.id.into()];
    }
    let id_of = |random_id: &i64| {
        updates_of(updates).iter().find_map(|update| match update {
            tl::enums::Update::MessageId(id) if id.random_id == *random_id => Some(i64::from(id.id)),
            _ => None,
        })
    };
    random_ids.iter().filter_map(id_of).collect()
}

/// What Telegram calls the one medium that was sent.
fn sent_media(updates: &tl::enums::Updates) -> Option<Known> {
    updates_of(updates).iter().find_map(|update| {
        let message = match update {
            tl::enums::Update::NewMessage(new) => &new.message,
            tl::enums::Update::NewChannelMessage(new) => &new.message,
            _ => return None,
        };
        match message {
            tl::enums::Message::Message(message) if message.out || message.post => {
                message.media.as_ref().and_then(Known::of)
            }
            _ => None,
        }
    })
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
    fn the_id_is_that_of_our_message() {
        let other = tl::enums::Update::from(tl::types::UpdateMessageId { id: 1, random_id: 9 });
        let ours = tl::enums::Update::from(tl::types::UpdateMessageId { id: 2, random_id: 7 });
        let updates =
            tl::types::Updates { updates: vec![other, ours], users: Vec::new(), chats: Vec::new(), date: 0, seq: 0 };
        assert_eq!(sent_ids(&updates.into(), &[7]), [2]);
    }
}
