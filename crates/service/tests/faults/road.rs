//! A way of one process to a server, which can be cut or fall silent.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const SOCKET: &str = ".s.PGSQL.5432";

/// What becomes of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It passes.
    Open,
    /// Every connection is ended, and new ones end at once.
    Cut,
    /// Nothing passes and nobody is told. What was held up is lost: as at a firewall that forgets its connections.
    Silent,
}

/// A road, open at first.
pub struct Road {
    state: watch::Sender<State>,
    traffic: JoinHandle<()>,
}

impl Road {
    /// Changes what becomes of the traffic from now on.
    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    fn start(serve: impl FnOnce(watch::Receiver<State>) -> JoinHandle<()>) -> Self {
        let (state, seen) = watch::channel(State::Open);
        Self { state, traffic: serve(seen) }
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        self.traffic.abort();
    }
}

/// A road to the test server of PostgreSQL.
pub struct DatabaseRoad {
    /// The road.
    pub road: Road,
    folder: TempDir,
}

impl DatabaseRoad {
    /// A road to the server of these options.
    pub fn to(options: &PgConnectOptions) -> Self {
        let target = options.get_socket().expect("the test server has a socket").join(SOCKET);
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        Self { road: Road::start(|state| tokio::spawn(by_socket(listener, target.into(), state))), folder }
    }

    /// The same options by way of this road.
    pub fn taken_by(&self, options: PgConnectOptions) -> PgConnectOptions {
        options.socket(self.folder.path())
    }
}

/// A road to a server at an address.
pub struct TelegramRoad {
    /// The road.
    pub road: Road,
    /// Its near end.
    pub address: SocketAddr,
}

impl TelegramRoad {
    /// A road to this address.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { road: Road::start(|state| tokio::spawn(by_address(listener, target, state))), address }
    }
}

async fn by_socket(listener: UnixListener, target: Arc<Path>, state: watch::Receiver<State>) {
    while let Ok((near, _)) = listener.accept().await {
        let target = PathBuf::from(&*target);
        tokio::spawn(carry(near, async move { UnixStream::connect(target).await }, state.clone()));
    }
}

async fn by_address(listener: TcpListener, target: SocketAddr, state: watch::Receiver<State>) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(carry(near, async move { TcpStream::connect(target).await }, state.clone()));
    }
}

/// Carries what passes on one connection, as long as the road is open.
async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    mut near: S,
    far: impl Future<Output = std::io::Result<S>>,
    mut state: watch::Receiver<State>,
) {
    if *state.borrow_and_update() == State::Open {
        let Ok(mut far) = far.await else { return };
        tokio::select! {
            // Either side may hang up at any time.
            _ = copy_bidirectional(&mut near, &mut far) => return,
            closed = state.wait_for(|state| *state != State::Open) => drop(closed),
        }
        // Of a silence, neither side is told before it ends.
        let _ = state.wait_for(|state| *state != State::Silent).await;
        return;
    }
    let _ = state.wait_for(|state| *state != State::Silent).await;
}
