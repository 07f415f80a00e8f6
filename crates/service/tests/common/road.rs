//! The way from the service to its database, which can be cut.

use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

const SOCKET: &str = ".s.PGSQL.5432";

/// A socket that leads to another one, as long as it is open.
pub struct Road {
    folder: TempDir,
    target: PathBuf,
    traffic: Option<JoinHandle<()>>,
}

impl Road {
    /// An open road to the server of these options.
    pub fn to(options: &PgConnectOptions) -> Self {
        let target = options.get_socket().expect("the test server has a socket").join(SOCKET);
        let mut road = Self { folder: tempfile::tempdir().expect("a temporary folder"), target, traffic: None };
        road.mend();
        road
    }

    /// The same options by way of this road.
    pub fn taken_by(&self, options: PgConnectOptions) -> PgConnectOptions {
        options.socket(self.folder.path())
    }

    /// Cuts every connection and lets nobody through.
    pub fn cut(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            traffic.abort();
        }
        std::fs::remove_file(self.folder.path().join(SOCKET)).expect("it was open");
    }

    /// Opens the road again.
    pub fn mend(&mut self) {
        let listener = UnixListener::bind(self.folder.path().join(SOCKET)).expect("the folder is ours");
        self.traffic = Some(tokio::spawn(carry(listener, self.target.clone())));
    }
}

async fn carry(listener: UnixListener, target: PathBuf) {
    // Its connections end with it.
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        connections.spawn(connect(near, target.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(mut near: UnixStream, target: impl AsRef<Path>) {
    if let Ok(mut far) = UnixStream::connect(target).await {
        // Either side may hang up at any time.
        let _ = copy_bidirectional(&mut near, &mut far).await;
    }
}
