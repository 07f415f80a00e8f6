//! One session: the numbers of its messages in both directions, and what was sent and not yet acknowledged.
//!
//! A session lives as long as its connection. A client that comes back with the same session after a cut is told
//! `new_session_created`, as by a server that has forgotten it.

use std::collections::{BTreeSet, VecDeque};

use grammers_tl_types::Serializable;

use super::wire::envelope::{Message, constructor};
use super::wire::msg_id::{Kind, MsgIds};

/// How many messages of the client are remembered, to tell a repeated one.
const REMEMBERED: usize = 512;
/// How many unacknowledged messages are kept to be sent again.
const KEPT: usize = 64;
/// Longer messages are not kept, in bytes.
const KEPT_LENGTH: usize = 64 << 10;
/// The most that goes into one container, in bytes.
const CONTAINER_LENGTH: usize = 512 << 10;
const CONTAINER: u32 = 0x73f1_f8dc;

/// A message of the server that has no number yet.
#[derive(Debug)]
pub struct Outgoing {
    /// Answer or notice.
    pub kind: Kind,
    /// Whether the client has to acknowledge it.
    pub content: bool,
    /// The request that it answers.
    pub answers: Option<i64>,
    /// The serialized object.
    pub body: Vec<u8>,
}

impl Outgoing {
    /// An answer of the protocol itself, such as `pong`.
    pub fn service(object: &impl Serializable) -> Self {
        Self { kind: Kind::Answer, content: false, answers: None, body: object.to_bytes() }
    }

    /// Something that the client has to acknowledge.
    pub fn notice(body: Vec<u8>) -> Self {
        Self { kind: Kind::Notice, content: true, answers: None, body }
    }
}

/// A message that the client has not acknowledged.
#[derive(Debug)]
pub struct Sent {
    /// As it was sent.
    pub message: Message,
    /// The request that it answers.
    pub answers: Option<i64>,
}

/// What is known about a message of the client, for `msgs_state_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Older than anything that is remembered.
    Forgotten,
    /// It never came.
    NotReceived,
    /// Newer than anything that came.
    NotYet,
    /// It came.
    Received,
}

/// What to do with a message of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Look at it.
    Fresh,
    /// It came before.
    Repeated,
    /// Refuse it with this code of `bad_msg_notification`.
    Bad(i32),
}

/// A session on its connection.
#[derive(Debug)]
pub struct Session {
    /// As the client named it.
    pub id: i64,
    ids: MsgIds,
    content_sent: i32,
    received: BTreeSet<i64>,
    forgotten_below: i64,
    newest: Option<(i64, i32)>,
    sent: VecDeque<Sent>,
}

impl Session {
    /// A session that begins.
    pub fn new(id: i64) -> Self {
        Self {
            id,
            ids: MsgIds::default(),
            content_sent: 0,
            received: BTreeSet::new(),
            forgotten_below: 0,
            newest: None,
            sent: VecDeque::new(),
        }
    }

    /// Notes a message of the client and checks its numbers. `content` says whether it has to be acknowledged, if that
    /// is certain.
    pub fn receive(&mut self, msg_id: i64, seq_no: i32, content: Option<bool>) -> Verdict {
        if self.received.contains(&msg_id) {
            return Verdict::Repeated;
        }
        if msg_id < self.forgotten_below {
            return Verdict::Bad(20);
        }
        match (content, seq_no & 1 == 1) {
            (Some(false), true) => return Verdict::Bad(34),
            (Some(true), false) => return Verdict::Bad(35),
            _ => {}
        }
        match self.newest {
            Some((newest, newest_seq)) if msg_id > newest && seq_no < newest_seq => return Verdict::Bad(32),
            Some((newest, newest_seq)) if msg_id < newest && seq_no > newest_seq => return Verdict::Bad(33),
            _ => {}
        }
        if self.newest.is_none_or(|(newest, _)| msg_id > newest) {
            self.newest = Some((msg_id, seq_no));
        }
        self.received.insert(msg_id);
        if self.received.len() > REMEMBERED
            && let Some(oldest) = self.received.pop_first()
        {
            self.forgotten_below = oldest + 1;
        }
        Verdict::Fresh
    }

    /// What is known about a message of the client.
    pub fn known(&self, msg_id: i64) -> Known {
        if self.received.contains(&msg_id) {
            Known::Received
        } else if msg_id < self.forgotten_below {
            Known::Forgotten
        } else if self.newest.is_none_or(|(newest, _)| msg_id > newest) {
            Known::NotYet
        } else {
            Known::NotReceived
        }
    }

    /// The client has these messages.
    pub fn acknowledge(&mut self, msg_ids: &[i64]) {
        self.sent.retain(|sent| !msg_ids.contains(&sent.message.msg_id));
    }

    /// The unacknowledged message with this number.
    pub fn sent(&self, msg_id: i64) -> Option<&Sent> {
        self.sent.iter().find(|sent| sent.message.msg_id == msg_id)
    }

    /// The unacknowledged answer to this request.
    pub fn answer_to(&self, request: i64) -> Option<&Sent> {
        self.sent.iter().find(|sent| sent.answers == Some(request))
    }

    /// Forgets the unacknowledged answer to this request and returns it.
    pub fn drop_answer(&mut self, request: i64) -> Option<Sent> {
        let index = self.sent.iter().position(|sent| sent.answers == Some(request))?;
        self.sent.remove(index)
    }

    /// Numbers the messages and puts them together: one alone as it is, several in containers.
    pub fn pack(&mut self, messages: Vec<Outgoing>) -> Vec<Message> {
        let mut packed = Vec::new();
        let mut group = Vec::new();
        let mut length = 0;
        for outgoing in messages {
            if length + outgoing.body.len() > CONTAINER_LENGTH && !group.is_empty() {
                packed.push(self.close(std::mem::take(&mut group)));
                length = 0;
            }
            length += outgoing.body.len() + 16;
            group.push(self.number(outgoing));
        }
        if !group.is_empty() {
            packed.push(self.close(group));
        }
        packed
    }

    fn number(&mut self, outgoing: Outgoing) -> Message {
        let msg_id = self.ids.next(outgoing.kind);
        let seq_no = self.content_sent * 2 + i32::from(outgoing.content);
        self.content_sent += i32::from(outgoing.content);
        let message = Message { msg_id, seq_no, body: outgoing.body };
        if outgoing.content && message.body.len() <= KEPT_LENGTH {
            // An answer that goes again replaces its older copy.
            self.sent.retain(|sent| outgoing.answers.is_none() || sent.answers != outgoing.answers);
            if self.sent.len() >= KEPT {
                self.sent.pop_front();
            }
            self.sent.push_back(Sent { message: message.clone(), answers: outgoing.answers });
        }
        message
    }

    fn close(&mut self, mut group: Vec<Message>) -> Message {
        if group.len() == 1
            && let Some(single) = group.pop()
        {
            return single;
        }
        let mut body = Vec::with_capacity(group.iter().map(|message| message.body.len() + 16).sum::<usize>() + 8);
        CONTAINER.serialize(&mut body);
        length(group.len()).serialize(&mut body);
        for message in group {
            message.msg_id.serialize(&mut body);
            message.seq_no.serialize(&mut body);
            length(message.body.len()).serialize(&mut body);
            body.extend_from_slice(&message.body);
        }
        debug_assert_eq!(constructor(&body), Some(CONTAINER));
        Message { msg_id: self.ids.next(Kind::Notice), seq_no: self.content_sent * 2, body }
    }
}

fn length(length: usize) -> i32 {
    i32::try_from(length).expect("containers are far shorter than 2 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mtproto::wire::envelope::contained;

    fn notice(length: usize) -> Outgoing {
        Outgoing::notice(vec![1; length])
    }

    #[test]
    fn numbers_of_the_client_are_checked() {
        let mut session = Session::new(1);
        assert_eq!(session.receive(8, 1, Some(true)), Verdict::Fresh);
        assert_eq!(session.receive(8, 1, Some(true)), Verdict::Repeated);
        assert_eq!(session.receive(12, 3, Some(false)), Verdict::Bad(34));
        assert_eq!(session.receive(12, 2, Some(true)), Verdict::Bad(35));
        assert_eq!(session.receive(12, 3, Some(true)), Verdict::Fresh);
        assert_eq!(session.receive(16, 1, Some(true)), Verdict::Bad(32));
        assert_eq!(session.receive(4, 5, Some(true)), Verdict::Bad(33));
        assert_eq!(session.known(8), Known::Received);
        assert_eq!(session.known(4), Known::NotReceived);
        assert_eq!(session.known(20), Known::NotYet);
    }

    #[test]
    fn old_messages_are_forgotten_and_refused() {
        let mut session = Session::new(1);
        for id in 0..=i64::try_from(REMEMBERED).unwrap() {
            assert_eq!(session.receive(id * 4 + 400, 1, None), Verdict::Fresh);
        }
        assert_eq!(session.receive(400, 1, None), Verdict::Bad(20));
        assert_eq!(session.known(400), Known::Forgotten);
    }

    #[test]
    fn one_message_goes_alone_and_several_go_together() {
        let mut session = Session::new(1);
        let alone = session.pack(vec![notice(8)]);
        assert_eq!((alone.len(), alone[0].seq_no), (1, 1));
        let together = session.pack(vec![notice(8), notice(8)]);
        assert_eq!(together.len(), 1);
        let inner = contained(&together[0].body).unwrap();
        assert_eq!(inner.iter().map(|message| message.seq_no).collect::<Vec<_>>(), [3, 5]);
        assert!(inner[0].msg_id < inner[1].msg_id && inner[1].msg_id < together[0].msg_id);
        assert_eq!(together[0].seq_no, 6);
        assert_eq!(session.pack(vec![notice(CONTAINER_LENGTH), notice(8)]).len(), 2);
    }

    #[test]
    fn acknowledged_messages_are_forgotten() {
        let mut session = Session::new(1);
        let answer = Outgoing { kind: Kind::Answer, content: true, answers: Some(44), body: vec![1; 8] };
        let id = session.pack(vec![answer])[0].msg_id;
        assert!(session.sent(id).is_some() && session.answer_to(44).is_some());
        session.acknowledge(&[id]);
        assert!(session.sent(id).is_none() && session.drop_answer(44).is_none());
    }
}
