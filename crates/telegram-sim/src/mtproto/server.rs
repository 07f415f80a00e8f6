//! Listens, accepts, restarts.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cloud::settings::Settings;
use super::connection::Connection;
use super::core::{Core, Shared, count};
use crate::world::World;

/// The data centres, as at Telegram.
pub const DATA_CENTRES: std::ops::RangeInclusive<i32> = 1..=5;

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether each data centre has a port of its own: `listen` for the first, the following ports (or free ones, if
    /// the port is 0) for the others. Otherwise all share `listen`, and the key tells the data centre.
    pub port_per_dc: bool,
    /// Times and limits.
    pub settings: Settings,
}

impl Options {
    /// All data centres at a free local port.
    pub fn local() -> Self {
        Self { listen: ([127, 0, 0, 1], 0).into(), port_per_dc: false, settings: Settings::default() }
    }
}

/// A running server. It stops when it is dropped.
pub struct Mtproto {
    pub(super) core: Shared,
    running: Mutex<Running>,
    pump: CancellationToken,
}

struct Running {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Mtproto {
    /// Starts a server on this world.
    pub async fn start(world: World, options: Options) -> io::Result<Self> {
        let core = Arc::new(Core::new(world, options.settings.clone()));
        let mut listeners = Vec::new();
        let mut addresses = BTreeMap::new();
        if options.port_per_dc {
            for (offset, dc) in (0..).zip(DATA_CENTRES) {
                let mut address = options.listen;
                if address.port() != 0 {
                    address.set_port(address.port() + offset);
                }
                let listener = TcpListener::bind(address).await?;
                addresses.insert(dc, listener.local_addr()?);
                listeners.push((Some(dc), listener));
            }
        } else {
            let listener = TcpListener::bind(options.listen).await?;
            let address = listener.local_addr()?;
            addresses.extend(DATA_CENTRES.map(|dc| (dc, address)));
            listeners.push((None, listener));
        }
        core.set_addresses(addresses);
        let pump = CancellationToken::new();
        tokio::spawn(pump.clone().run_until_cancelled_owned(deliver(Arc::clone(&core))));
        let running = Mutex::new(serve(&core, listeners));
        Ok(Self { core, running, pump })
    }

    /// Where a data centre listens.
    pub fn address(&self, dc: i32) -> Option<SocketAddr> {
        self.core.addresses().get(&dc).copied()
    }

    /// Cuts all connections, is away for a while, and comes back at the same addresses with its state.
    pub async fn restart(&self, away: Duration) -> io::Result<()> {
        self.stop().await;
        tokio::time::sleep(away).await;
        let addresses = self.core.addresses();
        let shared = addresses.values().collect::<std::collections::BTreeSet<_>>().len() == 1;
        let mut listeners = Vec::new();
        for (dc, address) in addresses {
            if shared && !listeners.is_empty() {
                break;
            }
            listeners.push(((!shared).then_some(dc), TcpListener::bind(address).await?));
        }
        let running = serve(&self.core, listeners);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
        Ok(())
    }

    /// Cuts all connections and closes the addresses; the state stays.
    pub async fn stop(&self) {
        let tasks = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.token.cancel();
            running.tasks.close();
            running.tasks.clone()
        };
        tasks.wait().await;
        self.core.cloud().live.clear();
    }
}

impl Drop for Mtproto {
    fn drop(&mut self) {
        self.pump.cancel();
        self.running.lock().unwrap_or_else(PoisonError::into_inner).token.cancel();
    }
}

fn serve(core: &Shared, listeners: Vec<(Option<i32>, TcpListener)>) -> Running {
    let (token, tasks) = (CancellationToken::new(), TaskTracker::new());
    for (dc, listener) in listeners {
        let accept = accept(Arc::clone(core), dc, listener, token.clone(), tasks.clone());
        tasks.spawn(token.clone().run_until_cancelled_owned(accept));
    }
    Running { token, tasks }
}

async fn accept(core: Shared, dc: Option<i32>, listener: TcpListener, token: CancellationToken, tasks: TaskTracker) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let connection = connect(Arc::clone(&core), dc, stream, remote);
                tasks.spawn(token.clone().run_until_cancelled_owned(connection));
            }
            Err(error) => {
                // Too many open files, most likely: give connections time to end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connect(core: Shared, dc: Option<i32>, stream: TcpStream, remote: SocketAddr) {
    // Small answers must not wait for each other.
    let _ = stream.set_nodelay(true);
    let id = core.stats.accepted.fetch_add(1, Ordering::Relaxed);
    let _open = Open::new(&core);
    let (connection, commands) = Connection::new(Arc::clone(&core), id, dc, remote);
    connection.run(stream, commands).await;
}

/// Counts an open connection, also when its task is cancelled.
struct Open(Shared);

impl Open {
    fn new(core: &Shared) -> Self {
        count(&core.stats.open);
        Self(Arc::clone(core))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.stats.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Brings what happens in the world to the accounts' mailboxes.
async fn deliver(core: Shared) {
    let mut events = core.world.subscribe();
    while !matches!(events.recv().await, Err(RecvError::Closed)) {
        let mut cloud = core.cloud();
        let world = core.world.lock();
        cloud.sync(&world, None);
    }
}
