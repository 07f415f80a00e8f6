//! The store of messages, with indexes by place and by text.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

use super::{Message, Place, UserId};

/// All messages in order of arrival. Finding one by place and id, or all with a text, does not scan.
#[derive(Debug)]
pub struct Messages {
    log: VecDeque<Arc<Message>>,
    /// The uid that the next message gets.
    next_uid: u64,
    by_place: HashMap<Place, BTreeMap<i32, u64>>,
    pinned: HashMap<Place, BTreeSet<i32>>,
    /// Hash of the text to uids; the texts themselves are compared on reading.
    by_text: HashMap<u64, Vec<u64>>,
    hasher: RandomState,
    keep: Option<usize>,
}

/// Which messages to find; an empty filter means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Written by this user or bot.
    pub from: Option<UserId>,
    /// In this place.
    pub place: Option<Place>,
    /// In a private chat of this user or bot.
    pub with: Option<UserId>,
    /// With exactly this text.
    pub text: Option<String>,
    /// With this in the text.
    pub contains: Option<String>,
    /// Arrived after the message with this uid.
    pub after: Option<u64>,
    /// Also deleted ones.
    pub deleted: bool,
    /// Also what chats tell of themselves.
    pub service: bool,
}

impl Messages {
    /// An empty store that keeps the newest `keep` messages, or all.
    pub fn new(keep: Option<usize>) -> Self {
        Self {
            log: VecDeque::new(),
            next_uid: 1,
            by_place: HashMap::new(),
            pinned: HashMap::new(),
            by_text: HashMap::new(),
            hasher: RandomState::new(),
            keep,
        }
    }

    /// How many messages ever arrived.
    pub fn arrived(&self) -> u64 {
        self.next_uid - 1
    }

    /// The message with this id in this place, unless it was deleted.
    pub fn get(&self, place: Place, id: i32) -> Option<&Arc<Message>> {
        let uid = *self.by_place.get(&place)?.get(&id)?;
        self.by_uid(uid).filter(|message| !message.deleted)
    }

    /// The message with this number of arrival, deleted or not.
    pub fn by_uid(&self, uid: u64) -> Option<&Arc<Message>> {
        let oldest = self.next_uid - self.log.len() as u64;
        let index = usize::try_from(uid.checked_sub(oldest)?).ok()?;
        self.log.get(index)
    }

    /// The messages of a place that were not deleted, newest first.
    pub fn history(&self, place: Place) -> impl Iterator<Item = &Arc<Message>> {
        let uids = self.by_place.get(&place).into_iter().flat_map(|ids| ids.values().rev());
        uids.filter_map(|uid| self.by_uid(*uid)).filter(|message| !message.deleted)
    }

    /// Every place with a message.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.by_place.keys().copied()
    }

    /// The messages that match, oldest first.
    pub fn find<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = &'a Arc<Message>> + 'a> {
        let candidates: Box<dyn Iterator<Item = &Arc<Message>>> = if let Some(text) = &filter.text {
            let uids = self.by_text.get(&self.hasher.hash_one(text.as_str())).into_iter().flatten();
            Box::new(uids.filter_map(|uid| self.by_uid(*uid)))
        } else if let Some(place) = filter.place {
            let uids = self.by_place.get(&place).into_iter().flat_map(BTreeMap::values);
            Box::new(uids.filter_map(|uid| self.by_uid(*uid)))
        } else {
            let oldest = self.next_uid - self.log.len() as u64;
            let skip = filter.after.map_or(0, |after| (after + 1).saturating_sub(oldest));
            Box::new(self.log.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)))
        };
        Box::new(candidates.filter(move |message| filter.matches(message)))
    }

    /// Stores a message under the next uid, which it is given.
    pub(super) fn push(&mut self, mut message: Message) -> Arc<Message> {
        let uid = self.next_uid;
        self.next_uid += 1;
        message.uid = uid;
        self.by_place.entry(message.place).or_default().insert(message.id, uid);
        self.by_text.entry(self.hasher.hash_one(message.body.text.as_str())).or_default().push(uid);
        let message = Arc::new(message);
        self.log.push_back(Arc::clone(&message));
        while self.keep.is_some_and(|keep| self.log.len() > keep) {
            self.forget_oldest();
        }
        message
    }

    /// Replaces a stored message by an edited or deleted version of it.
    pub(super) fn replace(&mut self, message: Message) -> Option<Arc<Message>> {
        let old = Arc::clone(self.by_uid(message.uid)?);
        if old.body.text != message.body.text {
            self.unindex_text(&old);
            let key = self.hasher.hash_one(message.body.text.as_str());
            self.by_text.entry(key).or_default().push(message.uid);
        }
        self.index_pin(&message);
        let oldest = self.next_uid - self.log.len() as u64;
        let slot = self.log.get_mut(usize::try_from(message.uid - oldest).ok()?)?;
        *slot = Arc::new(message);
        Some(Arc::clone(slot))
    }

    /// Forgets all messages; uids go on.
    pub(super) fn clear(&mut self) {
        self.log.clear();
        self.by_place.clear();
        self.pinned.clear();
        self.by_text.clear();
    }

    /// The pinned messages of a place, newest first.
    pub fn pinned(&self, place: Place) -> impl Iterator<Item = &Arc<Message>> {
        let ids = self.pinned.get(&place).into_iter().flat_map(|ids| ids.iter().rev());
        ids.filter_map(move |id| self.get(place, *id))
    }

    fn index_pin(&mut self, message: &Message) {
        if message.pinned && !message.deleted {
            self.pinned.entry(message.place).or_default().insert(message.id);
        } else if let Some(ids) = self.pinned.get_mut(&message.place) {
            ids.remove(&message.id);
        }
    }

    fn forget_oldest(&mut self) {
        let Some(message) = self.log.pop_front() else { return };
        self.unindex_text(&message);
        if let Some(ids) = self.pinned.get_mut(&message.place) {
            ids.remove(&message.id);
        }
        if let Some(ids) = self.by_place.get_mut(&message.place) {
            ids.remove(&message.id);
            if ids.is_empty() {
                self.by_place.remove(&message.place);
            }
        }
    }

    fn unindex_text(&mut self, message: &Message) {
        let key = self.hasher.hash_one(message.body.text.as_str());
        if let Some(uids) = self.by_text.get_mut(&key) {
            // The oldest is nearly always the first, so this does not walk a long list.
            if let Some(at) = uids.iter().position(|uid| *uid == message.uid) {
                uids.remove(at);
            }
            if uids.is_empty() {
                self.by_text.remove(&key);
            }
        }
    }
}

impl Filter {
    fn matches(&self, message: &Message) -> bool {
        self.from.is_none_or(|from| message.from == from)
            && self.place.is_none_or(|place| message.place == place)
            && self.with.is_none_or(|user| matches!(message.place, Place::Private(a, b) if a == user || b == user))
            && self.text.as_ref().is_none_or(|text| message.body.text == *text)
            && self.contains.as_ref().is_none_or(|part| message.body.text.contains(part.as_str()))
            && self.after.is_none_or(|after| message.uid > after)
            && (self.deleted || !message.deleted)
            && (self.service || message.body.service.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Body;

    fn message(id: i32, text: &str) -> Message {
        Message {
            uid: 0,
            id,
            place: Place::Chat(-5),
            from: 1,
            date: 0,
            arrived_ms: 0,
            edited: None,
            edits: 0,
            pinned: false,
            deleted: false,
            body: Body { text: text.to_owned(), ..Body::default() },
        }
    }

    fn count(messages: &Messages, text: &str) -> usize {
        messages.find(&Filter { text: Some(text.to_owned()), ..Filter::default() }).count()
    }

    #[test]
    fn finds_by_place_id_and_text() {
        let mut messages = Messages::new(None);
        for id in 1..=3 {
            messages.push(message(id, if id == 2 { "other" } else { "same" }));
        }
        assert_eq!(count(&messages, "same"), 2);
        assert_eq!(messages.get(Place::Chat(-5), 2).unwrap().body.text, "other");
        assert!(messages.get(Place::Chat(-6), 2).is_none());
        assert_eq!(messages.history(Place::Chat(-5)).map(|message| message.id).collect::<Vec<_>>(), [3, 2, 1]);
    }

    #[test]
    fn keeps_the_newest_only() {
        let mut messages = Messages::new(Some(2));
        for id in 1..=5 {
            messages.push(message(id, &format!("text {id}")));
        }
        assert_eq!(messages.arrived(), 5);
        assert_eq!(messages.find(&Filter::default()).map(|message| message.uid).collect::<Vec<_>>(), [4, 5]);
        let filter = Filter { after: Some(4), ..Filter::default() };
        assert_eq!(messages.find(&filter).map(|message| message.uid).collect::<Vec<_>>(), [5]);
        assert_eq!(count(&messages, "text 1"), 0);
        assert_eq!(count(&messages, "text 5"), 1);
    }

    #[test]
    fn an_edit_moves_the_text_index() {
        let mut messages = Messages::new(None);
        let stored = messages.push(message(1, "before"));
        let mut edited = (*stored).clone();
        edited.body.text = "after".to_owned();
        messages.replace(edited).unwrap();
        assert_eq!((count(&messages, "before"), count(&messages, "after")), (0, 1));
    }

    #[test]
    fn a_deleted_message_stays_for_the_record() {
        let mut messages = Messages::new(None);
        let stored = messages.push(message(1, "gone"));
        messages.replace(Message { deleted: true, ..(*stored).clone() }).unwrap();
        assert!(messages.get(Place::Chat(-5), 1).is_none());
        assert_eq!(count(&messages, "gone"), 0);
        assert_eq!(messages.find(&Filter { deleted: true, ..Filter::default() }).count(), 1);
    }
}
