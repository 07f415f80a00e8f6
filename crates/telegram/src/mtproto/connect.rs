//! A connected session: its owner holds a [`Connection`].

use std::sync::Arc;
use std::time::Duration;

use grammers_tl_types as tl;

use super::call::CallError;
use super::incoming::{Inbox, Incoming};
use super::line;
use super::lines::Lines;
use super::options::{ClientOptions, Server};
use super::problem::Problem;
use super::session::Session;
use super::session_data::SessionData;
use super::test_server;

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
        tokio::time::timeout(patience, Box::pin(line::answers(address))).await.unwrap_or(false)
    }
}

/// The connections of one session. They are made when the first call needs them and end with this value.
pub(super) struct Connection {
    lines: Arc<Lines>,
    incoming: Option<Incoming>,
}

impl Connection {
    /// Prepares the connections; nothing is sent yet.
    pub(super) fn open(options: Arc<ClientOptions>, session: Arc<Session>) -> Self {
        let (inbox, incoming) = Inbox::new();
        Self { lines: Arc::new(Lines::new(session, options, inbox)), incoming: Some(incoming) }
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        self.lines.session()
    }

    /// For those who call as long as the connection lives, and do not keep it alive.
    pub(super) fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    /// The updates as they arrive. There is one receiver: whoever asks second gets none.
    pub(super) fn take_updates(&mut self) -> Option<Incoming> {
        self.incoming.take()
    }

    /// See [`Lines::call`].
    pub(super) async fn call<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        self.lines.call(request).await
    }

    /// See [`Lines::ensure`].
    pub(super) async fn ensure(&self) -> Result<(), CallError> {
        self.lines.ensure().await
    }

    /// See [`Lines::ping`].
    pub(super) async fn ping(&self) -> Result<(), CallError> {
        self.lines.ping().await
    }

    /// See [`Lines::mark_position`].
    pub(super) async fn mark_position(&self) -> Result<(), CallError> {
        self.lines.mark_position().await
    }

    /// See [`Lines::migrate`].
    pub(super) fn migrate(&self, dc_id: i32) {
        self.lines.migrate(dc_id);
    }

    /// See [`Lines::cut`].
    pub(super) fn cut(&self) {
        self.lines.cut();
    }

    /// See [`Lines::close`].
    pub(super) async fn close(&self) {
        self.lines.close().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.lines.abandon();
    }
}
