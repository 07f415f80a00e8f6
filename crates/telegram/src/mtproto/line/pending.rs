//! One request, and whether a byte of it may have left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::mtproto::call::CallError;

/// The serialised result of a request, or why there is none.
pub(super) type Answer = Result<Vec<u8>, CallError>;

/// It was not written yet.
const WAITING: u8 = 0;
/// From now on a byte of it may leave.
const BEGUN: u8 = 1;
/// Who asked has given up before a byte was written: it is never written.
const WITHDRAWN: u8 = 2;

/// A request on its way to the server.
pub(in crate::mtproto) struct Request {
    body: Vec<u8>,
    /// How often the server had it repeated, because of its form and not of its content.
    repeated: u8,
    stage: Arc<AtomicU8>,
    answer: Option<oneshot::Sender<Answer>>,
}

/// Who waits for the answer. When dropped, the request is withdrawn if it can be.
pub(in crate::mtproto) struct Waiter {
    stage: Arc<AtomicU8>,
    answer: oneshot::Receiver<Answer>,
}

/// A request, and who waits for its answer.
pub(in crate::mtproto) fn request(body: Vec<u8>) -> (Request, Waiter) {
    let (tx, rx) = oneshot::channel();
    let stage = Arc::new(AtomicU8::new(WAITING));
    let request = Request { body, repeated: 0, stage: Arc::clone(&stage), answer: Some(tx) };
    (request, Waiter { stage, answer: rx })
}

impl Request {
    /// One whose answer nobody waits for.
    pub(super) fn unasked(body: Vec<u8>) -> Self {
        Self { body, repeated: 0, stage: Arc::new(AtomicU8::new(WAITING)), answer: None }
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Says that a byte of it may leave from now on; false when it was withdrawn, or given up before it had to be repeated.
    pub(super) fn begin(&self) -> bool {
        if self.repeated > 0 && self.answer.as_ref().is_some_and(oneshot::Sender::is_closed) {
            return false;
        }
        self.stage.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire) != Err(WITHDRAWN)
    }

    /// Takes [`Request::begin`] back: it did not fit into the message.
    pub(super) fn postpone(&self) {
        if self.repeated == 0 {
            self.stage.store(WAITING, Ordering::Release);
        }
    }

    /// Counts that the server wants it once more, in another form.
    pub(super) fn repeat(&mut self) -> u8 {
        self.repeated = self.repeated.saturating_add(1);
        self.repeated
    }

    /// Gives the answer to whoever waits for it.
    pub(super) fn settle(self, answer: Answer) {
        if let Some(waiter) = self.answer {
            // Who waited may have given up.
            let _ = waiter.send(answer);
        }
    }

    /// Says that its connection has ended.
    pub(super) fn lose(self, why: &str) {
        let begun = self.stage.load(Ordering::Acquire) == BEGUN;
        self.settle(Err(lost(begun, why)));
    }
}

impl Waiter {
    /// Waits for the answer, for so long.
    pub(in crate::mtproto) async fn answer(mut self, limit: Duration) -> Answer {
        match tokio::time::timeout(limit, &mut self.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(lost(!self.withdraw(), "the connection was closed")),
            Err(_) if self.withdraw() => Err(lost(false, &format!("no connection within {} s", limit.as_secs()))),
            Err(_) => match self.take() {
                Some(answer) => answer,
                None => Err(lost(true, &format!("no answer within {} s", limit.as_secs()))),
            },
        }
    }

    /// The answer, when it is there.
    pub(super) fn take(&mut self) -> Option<Answer> {
        self.answer.try_recv().ok()
    }

    /// True when no byte of the request was or will be written.
    fn withdraw(&self) -> bool {
        self.stage.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire) != Err(BEGUN)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.withdraw();
    }
}

fn lost(begun: bool, why: &str) -> CallError {
    if begun { CallError::NoAnswer(why.to_owned()) } else { CallError::Unreachable(why.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn what_was_not_begun_is_withdrawn_for_good() {
        let (asked, waiter) = request(vec![]);
        assert!(matches!(waiter.answer(PATIENCE).await, Err(CallError::Unreachable(_))));
        assert!(!asked.begin());
        let (asked, waiter) = request(vec![]);
        drop(waiter);
        assert!(!asked.begin());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_may_have_been_sent() {
        let (asked, waiter) = request(vec![]);
        assert!(asked.begin());
        assert!(matches!(waiter.answer(PATIENCE).await, Err(CallError::NoAnswer(_))));
        let (asked, waiter) = request(vec![]);
        assert!(asked.begin());
        drop(asked);
        assert!(matches!(waiter.answer(PATIENCE).await, Err(CallError::NoAnswer(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_did_not_fit_was_not_begun() {
        let (asked, waiter) = request(vec![]);
        assert!(asked.begin());
        asked.postpone();
        asked.lose("it broke");
        assert_eq!(waiter.answer(PATIENCE).await, Err(CallError::Unreachable("it broke".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeat_that_nobody_waits_for_is_left_out() {
        let (mut asked, waiter) = request(vec![]);
        assert!(asked.begin());
        assert_eq!(asked.repeat(), 1);
        asked.postpone();
        assert!(asked.begin());
        drop(waiter);
        assert!(!asked.begin());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_came_in_time_counts() {
        let (asked, waiter) = request(vec![]);
        assert!(asked.begin());
        asked.settle(Ok(vec![1]));
        assert_eq!(waiter.answer(Duration::ZERO).await, Ok(vec![1]));
    }
}
