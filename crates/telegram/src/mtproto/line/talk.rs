//! Requests and answers on a connection, encrypted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use grammers_crypto::DequeBuffer;
use grammers_mtproto::MsgId;
use grammers_mtproto::mtp::{BadMessage, Deserialization, Encrypted, Mtp as _};
use grammers_tl_types::{self as tl, Serializable as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::broken::Broken;
use super::pending::{Request, request};
use super::pipe::{self, Pipe};
use crate::mtproto::call::CallError;
use crate::mtproto::incoming::Inbox;

/// How often a sign of life is asked for.
const PING: Duration = Duration::from_mins(1);

/// When the server is to close the connection if no other such question reaches it, in seconds.
const DISCONNECT_AFTER: i32 = 75;

/// How often the server may want a request in another form, with another salt or time.
const MAX_REPEATS: u8 = 5;

/// What is put around a request in a message, in bytes.
const AROUND: usize = 16;

/// An encrypted connection.
pub(super) struct Talk {
    pipe: Pipe,
    mtp: Encrypted,
    waiting: VecDeque<Request>,
    sent: Vec<Sent>,
    inbox: Arc<Inbox>,
}

/// A request that waits for its answer.
struct Sent {
    msg_id: MsgId,
    /// The message that carried it, which is another one when it carried several.
    container: MsgId,
    request: Request,
}

/// Why a question of our own has no answer.
pub(super) enum Failed {
    /// The connection ended.
    Broken(Broken),
    /// The server refused.
    Refused(CallError),
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Failed> for CallError {
    fn from(failed: Failed) -> Self {
        match failed {
            // Only our own question was on the way: nothing that somebody asked for was sent.
            Failed::Broken(broken) => Self::Unreachable(format!("the connection broke: {broken}")),
            Failed::Refused(error) => error,
        }
    }
}

impl Talk {
    pub(super) fn new(pipe: Pipe, mtp: Encrypted, inbox: &Arc<Inbox>) -> Self {
        Self { pipe, mtp, waiting: VecDeque::new(), sent: Vec::new(), inbox: Arc::clone(inbox) }
    }

    /// Asks one question and waits for its answer.
    pub(super) async fn ask(&mut self, body: Vec<u8>) -> Result<Vec<u8>, Failed> {
        let (request, mut waiter) = request(body);
        self.waiting.push_back(request);
        loop {
            self.fill()?;
            self.pipe.step().await?;
            self.receive()?;
            if let Some(answer) = waiter.take() {
                return answer.map_err(Failed::Refused);
            }
        }
    }

    /// Carries requests until nobody can make any more, or the connection breaks.
    pub(super) async fn run(&mut self, requests: &mut mpsc::UnboundedReceiver<Request>) -> Result<(), Broken> {
        let mut next_ping = Instant::now() + PING;
        loop {
            self.fill()?;
            tokio::select! {
                step = self.pipe.step() => {
                    step?;
                    self.receive()?;
                }
                request = requests.recv() => match request {
                    Some(request) => {
                        self.waiting.push_back(request);
                        // What was asked at the same time goes in the same message.
                        while let Ok(request) = requests.try_recv() {
                            self.waiting.push_back(request);
                        }
                    }
                    // What is half written is finished; nothing else is begun.
                    None => return self.pipe.flush().await,
                },
                () = sleep_until(next_ping) => {
                    next_ping = Instant::now() + PING;
                    self.waiting.push_back(ping());
                }
            }
        }
    }

    /// Says to all who wait that the connection has ended.
    pub(super) fn end(&mut self, why: &str) {
        let sent = std::mem::take(&mut self.sent).into_iter().map(|sent| sent.request);
        sent.chain(std::mem::take(&mut self.waiting)).for_each(|request| request.lose(why));
    }

    /// Writes what waits, message by message, until the socket takes no more for now.
    fn fill(&mut self) -> Result<(), Broken> {
        while !self.pipe.is_writing()
            && let Some(first) = self.waiting.front()
        {
            let message = pipe::message(first.body().len() + AROUND);
            let Some(message) = self.pack(message) else { return Ok(()) };
            self.pipe.send(message)?;
        }
        Ok(())
    }

    /// Puts what waits into a message, as far as it fits; `None` when nothing may be sent now.
    fn pack(&mut self, mut message: DequeBuffer<u8>) -> Option<DequeBuffer<u8>> {
        let earlier = self.sent.len();
        while let Some(request) = self.waiting.pop_front() {
            if !request.begin() {
                continue;
            }
            let Some(msg_id) = self.mtp.push(&mut message, request.body()) else {
                request.postpone();
                self.waiting.push_front(request);
                break;
            };
            self.sent.push(Sent { msg_id, container: msg_id, request });
        }
        let container = self.mtp.finalize(&mut message)?;
        self.sent[earlier..].iter_mut().for_each(|sent| sent.container = container);
        Some(message)
    }

    /// Handles the frames that have arrived.
    fn receive(&mut self) -> Result<(), Broken> {
        while let Some(frame) = self.pipe.frame()? {
            for item in self.mtp.deserialize(frame)? {
                self.handle(item);
            }
        }
        if self.sent.is_empty() && self.sent.capacity() > 4 {
            self.sent = Vec::new();
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 4 {
            self.waiting = VecDeque::new();
        }
        Ok(())
    }

    fn handle(&mut self, item: Deserialization) {
        match item {
            Deserialization::Update(update) => self.inbox.told(update),
            Deserialization::OwnUpdate { msg_id, update } => {
                let request = self.sent.iter().find(|sent| sent.msg_id == msg_id);
                self.inbox.caused(&update, request.map(|sent| sent.request.body()));
            }
            Deserialization::RpcResult(result) => self.settle(result.msg_id, Ok(result.body)),
            Deserialization::RpcError(refusal) => {
                let error = CallError::from_rpc(refusal.error.error_code, &refusal.error.error_message);
                self.settle(refusal.msg_id, Err(error));
            }
            Deserialization::Failure(failure) => {
                self.settle(failure.msg_id, Err(CallError::NoAnswer("the answer cannot be read".to_owned())));
            }
            Deserialization::BadMessage(bad) => self.repeat(&bad),
        }
    }

    fn settle(&mut self, msg_id: MsgId, answer: Result<Vec<u8>, CallError>) {
        if let Some(index) = self.sent.iter().position(|sent| sent.msg_id == msg_id) {
            self.sent.swap_remove(index).request.settle(answer);
        }
    }

    /// The server did not look at a message because of its form: what it carried is sent again in the right one, in the same order.
    fn repeat(&mut self, bad: &BadMessage) {
        let is_meant = |sent: &Sent| sent.msg_id == bad.msg_id || sent.container == bad.msg_id;
        let (mut meant, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.sent).into_iter().partition(is_meant);
        self.sent = others;
        meant.sort_unstable_by_key(|sent| sent.msg_id);
        for Sent { mut request, .. } in meant.into_iter().rev() {
            if bad.retryable() && request.repeat() <= MAX_REPEATS {
                self.waiting.push_front(request);
            } else {
                tracing::warn!(why = bad.description(), "a data centre refuses the form of a message");
                request.settle(Err(CallError::NoAnswer(format!("the server refuses its form: {}", bad.description()))));
            }
        }
    }
}

fn ping() -> Request {
    let ping = tl::functions::PingDelayDisconnect { ping_id: rand::random(), disconnect_delay: DISCONNECT_AFTER };
    Request::unasked(ping.to_bytes())
}
