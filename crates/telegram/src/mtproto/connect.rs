//! A connection to Telegram: one pool of the client library and the task that drives it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grammers_mtproto::{mtp, transport};
use grammers_mtsender::{ConnectionParams, NoRetries, Sender, SenderPool, SenderPoolFatHandle, ServerAddr};
use grammers_session::updates::UpdatesLike;
use grammers_tl_types as tl;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::call::CallError;
use super::options::{ClientOptions, Server, Timeouts};
use super::problem::Problem;
use super::session::Session;
use super::session_data::SessionData;
use super::test_server;

/// Updates that wait to be handled. When more arrive they are dropped, which leaves a gap that is then asked for.
const UPDATES: NonZeroUsize = NonZeroUsize::new(100).expect("not zero");

/// How long an orderly end may take.
const CLOSE: Duration = Duration::from_secs(1);

impl ClientOptions {
    /// Makes a session ready for use: a new one ([`SessionData::default`]), an imported one, or a stored one.
    ///
    /// With a test server this gets the missing keys from there.
    pub async fn open_session(&self, mut data: SessionData) -> Result<Arc<Session>, Problem> {
        let pinned = match &self.server {
            Server::Telegram => None,
            Server::Test { address, keys_url } => {
                test_server::add_keys(&mut data, keys_url).await?;
                Some(*address)
            }
        };
        Ok(Arc::new(Session::open(data, pinned)))
    }
}

impl Server {
    /// Whether it answers from here, without any account: the first question of an exchange of keys, which goes no further.
    pub async fn answers(&self, patience: Duration) -> bool {
        let address = match self {
            Self::Test { address, .. } => *address,
            Self::Telegram => {
                let data = SessionData::default();
                let Some(home) = data.data_centers.get(&data.home_dc) else { return false };
                home.ipv4.into()
            }
        };
        let ask = async {
            let server = ServerAddr::Tcp { address };
            let mut sender = Sender::connect(transport::Full::new(), mtp::Plain::new(), server).await?;
            sender.invoke(&tl::functions::ReqPqMulti { nonce: rand::random() }).await
        };
        tokio::time::timeout(patience, ask).await.is_ok_and(|answer| answer.is_ok())
    }
}

/// The connections of one session. They are made when the first call needs them and end with this value.
pub(super) struct Connection {
    session: Arc<Session>,
    handle: SenderPoolFatHandle,
    updates: Option<mpsc::Receiver<UpdatesLike>>,
    runner: Mutex<Option<JoinHandle<()>>>,
    timeouts: Timeouts,
    /// The last call had no answer: whether the connection still works is not known.
    suspect: AtomicBool,
}

impl Connection {
    /// Prepares the connections; nothing is sent yet.
    pub(super) async fn open(options: &ClientOptions, session: Arc<Session>) -> Result<Self, Problem> {
        let params = connection_params(options).await?;
        let SenderPool { runner, handle, updates } =
            SenderPool::with_configuration(Arc::clone(&session), options.api_id, params);
        Ok(Self {
            session,
            handle,
            updates: Some(updates),
            runner: Mutex::new(Some(tokio::spawn(runner.run()))),
            timeouts: options.timeouts,
            suspect: AtomicBool::new(true),
        })
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(super) fn handle(&self) -> &SenderPoolFatHandle {
        &self.handle
    }

    /// The updates as they arrive. There is one receiver: whoever asks second gets none.
    pub(super) fn take_updates(&mut self) -> Option<mpsc::Receiver<UpdatesLike>> {
        self.updates.take()
    }

    /// Sends a request to the home data centre, once, and waits for its answer.
    pub(super) async fn call<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        let suspect = self.suspect.load(Ordering::Relaxed);
        let limit = if suspect { self.timeouts.connect } else { self.timeouts.call };
        let answer = self.handle.invoke_in_dc(self.session.home_dc(), request);
        let result = match tokio::time::timeout(limit, answer).await {
            Ok(result) => result.map_err(CallError::from),
            Err(_) => Err(CallError::NoAnswer(format!("no answer within {} s", limit.as_secs()))),
        };
        let answered = matches!(result, Ok(_) | Err(CallError::Rpc { .. }));
        self.suspect.store(!answered, Ordering::Relaxed);
        result
    }

    /// Makes sure that there is a connection, when that is in doubt. After it, what fails was at least sent.
    pub(super) async fn ensure(&self) -> Result<(), CallError> {
        if !self.suspect.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.ping().await {
            Ok(()) => Ok(()),
            Err(CallError::NoAnswer(why)) => Err(CallError::Unreachable(why)),
            Err(error) => Err(error),
        }
    }

    /// Asks the server for an answer.
    pub(super) async fn ping(&self) -> Result<(), CallError> {
        self.call(&tl::functions::Ping { ping_id: rand::random() }).await.map(drop)
    }

    /// Drops the connections without waiting for their end.
    pub(super) fn cut(&self) {
        self.handle.quit();
        if let Some(runner) = self.take_runner() {
            runner.abort();
        }
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
    pub(super) async fn migrate(&self, dc_id: i32) {
        use grammers_session::Session as _;
        self.handle.disconnect_from_dc(self.session.home_dc());
        let Ok(()) = self.session.set_home_dc_id(dc_id).await;
    }

    /// Ends the connections; calls that still wait for an answer get none. When this returns, the last byte was sent.
    pub(super) async fn close(&self) {
        self.handle.quit();
        let Some(mut runner) = self.take_runner() else { return };
        if tokio::time::timeout(CLOSE, &mut runner).await.is_err() {
            runner.abort();
            // The task was told to stop: only its end matters.
            let _ = runner.await;
        }
    }

    fn take_runner(&self) -> Option<JoinHandle<()>> {
        self.runner.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(runner) = self.take_runner() {
            runner.abort();
        }
    }
}

/// Written out in full: the library's default runs another program to learn the name of the operating system.
async fn connection_params(options: &ClientOptions) -> Result<ConnectionParams, Problem> {
    let proxy_url = match &options.proxy {
        None => None,
        Some(proxy) => match proxy.resolve().await {
            Ok(address) => Some(proxy.url(address)),
            Err(error) => return Err(Problem::unreachable(format!("the proxy cannot be found: {error}"))),
        },
    };
    Ok(ConnectionParams {
        device_model: options.device_model.clone(),
        system_version: options.system_version.clone(),
        app_version: options.app_version.clone(),
        system_lang_code: options.lang_code.clone(),
        lang_code: options.lang_code.clone(),
        proxy_url,
        use_ipv6: matches!(options.server, Server::Test { address, .. } if address.is_ipv6()),
        retry_policy: Box::new(NoRetries),
        updates_channel_capacity: UPDATES,
        __non_exhaustive: (),
    })
}
