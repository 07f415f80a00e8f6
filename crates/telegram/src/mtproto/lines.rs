//! The connections of one session, one to each data centre that it needs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grammers_tl_types as tl;
use tl::Deserializable as _;

use super::call::CallError;
use super::incoming::Inbox;
use super::line::{self, Line, Route};
use super::options::{ClientOptions, Timeouts};
use super::session::Session;

/// How long an orderly end may take.
const CLOSE: Duration = Duration::from_secs(1);

/// Makes connections when a call needs them, and replaces those that broke. Nothing is sent twice.
pub(super) struct Lines {
    session: Arc<Session>,
    options: Arc<ClientOptions>,
    inbox: Arc<Inbox>,
    open: Mutex<Open>,
    /// The last call had no answer: whether the connection still works is not known.
    suspect: AtomicBool,
}

#[derive(Default)]
struct Open {
    lines: Vec<Line>,
    /// No more are made.
    is_over: bool,
}

impl Lines {
    pub(super) fn new(session: Arc<Session>, options: Arc<ClientOptions>, inbox: Arc<Inbox>) -> Self {
        Self { session, options, inbox, open: Mutex::default(), suspect: AtomicBool::new(true) }
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Sends a request to the home data centre, once, and waits for its answer. What Telegram keeps elsewhere is asked for there.
    pub(super) async fn call<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        let limit = if self.is_suspect() { self.timeouts().connect } else { self.timeouts().call };
        let home = self.session.home_dc();
        let result = self.call_at(home, request, limit).await;
        let answered = matches!(result, Ok(_) | Err(CallError::Rpc { .. }));
        self.suspect.store(!answered, Ordering::Relaxed);
        match result {
            Err(error) if error.is("FILE_MIGRATE") || error.is("STATS_MIGRATE") => match error.migrate_to() {
                Some(dc_id) if dc_id != home => Box::pin(self.call_elsewhere(home, dc_id, request)).await,
                _ => Err(error),
            },
            result => result,
        }
    }

    /// Makes sure that there is a connection, when that is in doubt. After it, what fails was at least sent.
    pub(super) async fn ensure(&self) -> Result<(), CallError> {
        if !self.is_suspect() {
            return Ok(());
        }
        match self.ping().await {
            Err(CallError::NoAnswer(why)) => Err(CallError::Unreachable(why)),
            result => result,
        }
    }

    /// Asks the server for an answer.
    pub(super) async fn ping(&self) -> Result<(), CallError> {
        self.call(&tl::functions::Ping { ping_id: rand::random() }).await.map(drop)
    }

    /// Takes the position in the updates from which nothing will be missed, when the session has none yet.
    pub(super) async fn mark_position(&self) -> Result<(), CallError> {
        if self.session.has_update_state() {
            return Ok(());
        }
        let tl::enums::updates::State::State(state) = self.call(&tl::functions::updates::GetState {}).await?;
        self.session.set_position(state.pts, state.qts, state.date, state.seq);
        Ok(())
    }

    /// Goes on at another data centre.
    pub(super) fn migrate(&self, dc_id: i32) {
        let mut open = self.lock();
        let former = self.session.home_dc();
        open.lines.retain(|line| {
            let stays = line.dc_id() != former;
            if !stays {
                line.abandon();
            }
            stays
        });
        self.session.set_home_dc(dc_id);
    }

    /// Drops the connections; when this returns, no further byte is written.
    pub(super) fn cut(&self) {
        self.take_all().iter().for_each(Line::cut);
    }

    /// Drops the connections without waiting for their end.
    pub(super) fn abandon(&self) {
        self.take_all().iter().for_each(Line::abandon);
    }

    /// Ends the connections; calls that still wait for an answer get none. When this returns, the last byte was sent.
    pub(super) async fn close(&self) {
        futures::future::join_all(self.take_all().into_iter().map(|line| line.close(CLOSE))).await;
    }

    /// A session is known to its home only; elsewhere it has to be let in first.
    async fn call_elsewhere<R: tl::RemoteCall>(
        &self,
        home: i32,
        dc_id: i32,
        request: &R,
    ) -> Result<R::Return, CallError> {
        let Timeouts { connect, call } = self.timeouts();
        match self.call_at(dc_id, request, connect).await {
            Err(error) if error.is("AUTH_KEY_UNREGISTERED") => {}
            result => return result,
        }
        let export = tl::functions::auth::ExportAuthorization { dc_id };
        let tl::enums::auth::ExportedAuthorization::Authorization(exported) = self.call_at(home, &export, call).await?;
        let import = tl::functions::auth::ImportAuthorization { id: exported.id, bytes: exported.bytes };
        self.call_at(dc_id, &import, call).await?;
        self.call_at(dc_id, request, call).await
    }

    async fn call_at<R: tl::RemoteCall>(
        &self,
        dc_id: i32,
        request: &R,
        limit: Duration,
    ) -> Result<R::Return, CallError> {
        let body = request.to_bytes();
        if body.len() > line::MAX_REQUEST {
            return Err(CallError::from_rpc(400, "INPUT_REQUEST_TOO_LONG"));
        }
        let answer = self.send(dc_id, body)?.answer(limit).await?;
        R::Return::from_bytes(&answer).map_err(|_| CallError::NoAnswer("the answer cannot be read".to_owned()))
    }

    /// Hands a request to the connection to a data centre, and makes one where there is none.
    fn send(&self, dc_id: i32, body: Vec<u8>) -> Result<line::Waiter, CallError> {
        let (mut request, waiter) = line::request(body);
        let mut open = self.lock();
        if open.is_over {
            return Err(CallError::Unreachable("the connection was closed".to_owned()));
        }
        if let Some(line) = open.lines.iter().find(|line| line.dc_id() == dc_id) {
            match line.send(request) {
                Ok(()) => return Ok(waiter),
                Err(refused) => request = refused,
            }
        }
        open.lines.retain(|line| line.dc_id() != dc_id);
        let line = Line::open(Route {
            dc_id,
            is_home: dc_id == self.session.home_dc(),
            options: Arc::clone(&self.options),
            session: Arc::clone(&self.session),
            inbox: Arc::clone(&self.inbox),
        });
        // A new connection takes requests until it is made or failed, which then answers them.
        let _ = line.send(request);
        open.lines.push(line);
        Ok(waiter)
    }

    fn take_all(&self) -> Vec<Line> {
        self.inbox.close();
        let mut open = self.lock();
        open.is_over = true;
        std::mem::take(&mut open.lines)
    }

    fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    fn timeouts(&self) -> Timeouts {
        self.options.timeouts
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
