//! The circuits that a send has to pass: that of its sender, and that of the server that all senders of its kind share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use platform::{Outcome, Refusal, Verdict};

use super::{Circuit, Pass, Rule, Shut};

/// The code of a refusal that says that the platform could not be reached.
const UNREACHABLE: &str = "telegram_unreachable";

/// A sender whose sends fail is left alone by itself; few may be out while it is not known to work.
const SENDER: Rule =
    Rule { failures: 3, first: Duration::from_secs(1), cap: Duration::from_secs(15), unproven: Some(4) };

/// The server is to blame when several senders in a row begin to fail and nobody succeeds. Tried again soon, since everybody waits.
pub const SERVER: Rule =
    Rule { failures: 3, first: Duration::from_secs(1), cap: Duration::from_secs(10), unproven: None };

/// The circuits of one sender.
#[derive(Clone)]
pub struct Gates {
    sender: Arc<Circuit>,
    server: Option<Arc<Circuit>>,
}

/// The permission for one send.
#[must_use]
pub struct Passage {
    sender: Pass,
    server: Option<Pass>,
}

impl Gates {
    /// A circuit for a sender, and that of the server, if it has one in common with others.
    pub fn new(server: Option<Arc<Circuit>>) -> Self {
        Self { sender: Circuit::sender(SENDER), server }
    }

    /// Asks for permission for one send.
    pub fn enter(&self) -> Result<Passage, Shut> {
        let sender = self.sender.enter()?;
        let server = self.server.as_ref().map(Circuit::enter).transpose()?;
        Ok(Passage { sender, server })
    }
}

impl Passage {
    /// The message has files: it takes its time by its nature. Where it was a probe, that the platform answers was asked before.
    pub fn takes_long(&mut self) {
        self.sender.takes_long();
        if let Some(server) = &mut self.server {
            server.takes_long();
        }
    }

    /// It finds out whether sender or server work again.
    pub fn is_probe(&self) -> bool {
        self.sender.is_probe || self.server.as_ref().is_some_and(|server| server.is_probe)
    }

    /// There was no answer.
    pub fn failed(self) {
        let Self { sender, server } = self;
        // A sender counts once: one that fails alone must not stop the others.
        if let Some(server) = server.filter(|server| sender.was_well || server.is_probe) {
            server.failed();
        }
        sender.failed();
    }

    /// What the outcome says of sender and server. Any definite answer of the platform, also a refusal, is that of a platform that works.
    pub fn settle(self, outcome: &Outcome) {
        match outcome {
            Outcome::Refused(Refusal { code: UNREACHABLE, .. })
            | Outcome::Unanswered { .. }
            | Outcome::Unknown { .. } => {
                self.failed();
            }
            // The address leads to something else, or the content could not be read: it says nothing of either.
            Outcome::Refused(Refusal { verdict: Verdict::Retry, .. }) => {}
            Outcome::Sent { .. } | Outcome::Refused(_) => {
                self.sender.worked();
                if let Some(server) = self.server {
                    server.worked();
                }
            }
        }
    }
}

impl Shut {
    /// For timers of tokio.
    pub fn until(self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.until.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn refused(code: &'static str, verdict: Verdict) -> Outcome {
        Outcome::Refused(Refusal { code, description: String::new(), verdict })
    }

    fn fail(gates: &Gates) {
        gates.enter().map(|pass| pass.settle(&Outcome::Unknown { reason: String::new() })).unwrap();
    }

    #[test]
    fn a_sender_that_fails_alone_stops_only_itself() {
        let server = Circuit::upstream("test", SERVER);
        let (bad, good) = (Gates::new(Some(server.clone())), Gates::new(Some(server.clone())));
        (0..3).for_each(|_| fail(&bad));
        assert!(bad.enter().is_err());
        assert_eq!(server.state(), State::Closed);
        good.enter().unwrap().settle(&Outcome::Sent { platform_message_ids: vec![1] });
    }

    #[test]
    fn several_that_fail_stop_all() {
        let server = Circuit::upstream("test", SERVER);
        (0..3).for_each(|_| fail(&Gates::new(Some(server.clone()))));
        assert_eq!(server.state(), State::Open);
        assert!(Gates::new(Some(server)).enter().is_err());
    }

    #[test]
    fn definite_answers_are_those_of_a_platform_that_works() {
        let gates = Gates::new(None);
        for _ in 0..5 {
            fail(&gates);
            gates.enter().unwrap().settle(&refused("chat_not_found", Verdict::Fail));
        }
        for outcome in [refused("not_found", Verdict::Retry), refused("file_unreadable", Verdict::Retry)] {
            (0..5).for_each(|_| gates.enter().unwrap().settle(&outcome));
        }
        for _ in 0..3 {
            gates.enter().unwrap().settle(&refused(UNREACHABLE, Verdict::Retry));
        }
        assert!(gates.enter().is_err());
    }
}
