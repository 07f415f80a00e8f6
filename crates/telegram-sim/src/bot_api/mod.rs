//! The Bot API over HTTP.
//!
//! `request` reads `/bot<token>/<method>` and takes files as they come in; `faults` and `limits` come
//! next; `methods` act on the world; `render` and `reply` make the answer; `webhooks` delivers updates.

mod counters;
mod faults;
mod file_id;
mod limits;
mod markup;
mod methods;
mod render;
mod reply;
mod request;
mod text;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::counters::{Counters, Counts};
pub use self::faults::{ActiveFault, Fault, FaultAction, Faults};
pub use self::limits::{Limiter, Limits};
pub use self::request::token_bot_id;
pub use self::text::{Formatted, parse as parse_text};

use self::reply::{ApiError, HttpAnswer, raw_answer, respond};
use self::request::{Call, Params, read_params, split_file_path, split_path};
use self::webhooks::Webhooks;
use crate::server::serve;
use crate::world::{NewUser, UserId, World};

/// The name by which faults know the download of a file.
const DOWNLOAD: &str = "download";

/// The Bot API server: everything that its connections share.
#[derive(Debug)]
pub struct BotApi {
    world: World,
    faults: Faults,
    limiter: Limiter,
    counters: Counters,
    sessions: methods::Sessions,
    webhooks: Webhooks,
    open_world: AtomicBool,
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection cut on purpose")]
pub struct Cut;

impl BotApi {
    /// A server for this world; webhooks are delivered until `stop`.
    pub(crate) fn new(world: World, limits: Limits, open_world: bool, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            webhooks: Webhooks::new(world.clone(), stop),
            world,
            faults: Faults::default(),
            limiter: Limiter::new(limits),
            counters: Counters::default(),
            sessions: methods::Sessions::default(),
            open_world: AtomicBool::new(open_world),
        })
    }

    /// Scripted faults.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Sending limits.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Request counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether unknown tokens and users are made up when they are first used.
    pub fn open_world(&self) -> bool {
        self.open_world.load(Ordering::Relaxed)
    }

    /// Switches the making up of unknown tokens and users.
    pub fn set_open_world(&self, on: bool) {
        self.open_world.store(on, Ordering::Relaxed);
    }

    /// Forgets faults, counts, sessions and webhooks.
    pub(crate) fn reset(&self) {
        self.faults.clear();
        self.counters.reset();
        self.limiter.set(self.limiter.limits());
        self.sessions.clear();
        self.webhooks.clear();
    }

    /// `user` presses a button with data under a bot's message; false if there is no such message or data.
    pub fn press(&self, user: UserId, uid: u64, data: &str) -> bool {
        self.sessions.press(&self.world, user, uid, data)
    }

    /// The address and the secret of a bot's webhook.
    pub fn webhook(&self, bot: UserId) -> Option<(String, Option<String>)> {
        self.webhooks.get(bot).map(|(webhook, _)| (webhook.url, webhook.secret))
    }

    /// Serves on this listener until `stop`.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let new_service = || {
            let (api, open) = (Arc::clone(&self), Arc::new(self.counters.connection()));
            service_fn(move |request| {
                let (api, open) = (Arc::clone(&api), Arc::clone(&open));
                async move {
                    let answer = api.handle(request).await;
                    drop(open);
                    answer
                }
            })
        };
        serve(listener, stop, new_service).await;
    }

    /// Answers one request, or cuts its connection.
    async fn handle(&self, request: Request<Incoming>) -> Result<HttpAnswer, Cut> {
        if let Some((token, path)) = split_file_path(request.uri().path()) {
            let params: Params = [("file_path".to_owned(), path)].into_iter().collect();
            let _in_flight = self.counters.request(DOWNLOAD);
            return self.counted(Ok(Call { token, method: DOWNLOAD.to_owned(), params })).await;
        }
        let Some((token, method)) = split_path(request.uri().path()) else {
            return Ok(respond(Err(ApiError::new(404, "Not Found"))));
        };
        let _in_flight = self.counters.request(&method);
        let keep = self.world.lock().files().keep_bytes();
        let params = read_params(request, keep).await;
        self.counted(params.map(|params| Call { token, method, params })).await
    }

    async fn counted(&self, call: Result<Call, ApiError>) -> Result<HttpAnswer, Cut> {
        let answer = match call {
            Ok(call) => self.answer(&call).await,
            Err(error) => Ok(respond(Err(error))),
        };
        self.counters.answered(answer.as_ref().ok().map(|answer| answer.status().as_u16()));
        answer
    }

    async fn answer(&self, call: &Call) -> Result<HttpAnswer, Cut> {
        let pause = |ms| tokio::time::sleep(Duration::from_millis(ms));
        match self.faults.hit(call) {
            None => Ok(self.take(call).await),
            Some(FaultAction::Delay { ms }) => {
                pause(ms).await;
                Ok(self.take(call).await)
            }
            Some(FaultAction::HangAfter { ms }) => {
                let answer = self.take(call).await;
                pause(ms).await;
                Ok(answer)
            }
            Some(FaultAction::CutBefore) => Err(Cut),
            Some(FaultAction::CutAfter) => {
                self.take(call).await;
                Err(Cut)
            }
            Some(FaultAction::Error { error_code, description, parameters }) => {
                let error = ApiError::new(error_code, description);
                Ok(respond(Err(parameters.into_iter().fold(error, ApiError::with_parameters))))
            }
            Some(FaultAction::Http { status, body, taken }) => {
                if taken {
                    self.take(call).await;
                }
                let body = if body.is_empty() { format!("<html><body><h1>{status}</h1></body></html>") } else { body };
                Ok(raw_answer(status, "text/html", body))
            }
        }
    }

    /// Lets the request have its effect.
    async fn take(&self, call: &Call) -> HttpAnswer {
        let result = match self.authenticate(&call.token) {
            Ok(_) if call.method == DOWNLOAD => match methods::download(self, &call.params) {
                Some(bytes) => return raw_answer(200, "application/octet-stream", bytes),
                None => Err(ApiError::new(404, "Not Found")),
            },
            Ok(bot) => methods::call(self, bot, call).await,
            Err(error) => Err(error),
        };
        respond(result)
    }

    /// The bot of a token. A malformed token is 404, as at Telegram; an unknown or revoked one 401.
    fn authenticate(&self, token: &str) -> Result<UserId, ApiError> {
        let Some(id) = token_bot_id(token) else { return Err(ApiError::new(404, "Not Found")) };
        let mut state = self.world.lock();
        if let Some(bot) = state.bot_by_token(token) {
            return Ok(bot);
        }
        // A revoked token stays revoked: only bots that were never heard of are made up.
        if self.open_world() && state.user(id).is_none() {
            state.add_bot(Some(token.to_owned()), None);
            return Ok(id);
        }
        Err(ApiError::new(401, "Unauthorized"))
    }

    /// In an open world, makes sure that `user` exists and has started `bot`.
    fn meet(&self, bot: UserId, user: UserId) {
        if self.open_world() && user > 0 {
            let mut state = self.world.lock();
            if state.user(user).is_none() {
                state.add_user(NewUser { id: Some(user), ..NewUser::default() });
            }
            if let Some(person) = state.user_mut(user).filter(|person| !person.is_bot) {
                person.started.insert(bot);
            }
        }
    }
}
