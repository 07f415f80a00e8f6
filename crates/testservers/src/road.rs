//! A way of one process to a server, which can be cut, fall silent or take its time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::free_ports;

/// The name that PostgreSQL gives to its socket in a folder.
const SOCKET: &str = ".s.PGSQL.5432";
/// How much of a direction is under way at once while the road takes its time.
const UNDER_WAY: usize = 1024;

/// What becomes of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It passes.
    Open,
    /// It passes, each piece so much later, in each direction.
    Slow(Duration),
    /// Every connection is ended, and new ones end at once.
    Cut,
    /// Every connection is ended, and nobody listens: new ones are refused.
    Gone,
    /// Nothing passes and nobody is told. What was held up is lost: as at a firewall that forgets its connections.
    Silent,
}

impl State {
    fn passes(self) -> bool {
        matches!(self, Self::Open | Self::Slow(_))
    }

    fn delay(self) -> Duration {
        if let Self::Slow(delay) = self { delay } else { Duration::ZERO }
    }
}

/// One end of a road.
#[derive(Debug, Clone)]
enum Place {
    /// An address.
    At(SocketAddr),
    /// A socket in the file system.
    Socket(PathBuf),
}

/// A road, open at first.
#[derive(Debug)]
pub struct Road {
    state: watch::Sender<State>,
    listening: watch::Receiver<bool>,
    near: Place,
    /// One share for each connection that is carried, and one of its own.
    carried: Arc<()>,
    traffic: JoinHandle<()>,
    _folder: Option<TempDir>,
}

impl Road {
    /// A road to an address, from an address of its own.
    ///
    /// # Panics
    /// There is no free port.
    pub fn to(target: SocketAddr) -> Self {
        let [port] = free_ports();
        Self::start(Place::At(SocketAddr::from(([127, 0, 0, 1], port))), Place::At(target), None)
    }

    /// A road to the PostgreSQL with its socket in this folder, from a folder of its own.
    ///
    /// # Panics
    /// There is no temporary folder.
    pub fn to_postgres_in(folder: &Path) -> Self {
        let near = tempfile::tempdir().expect("a temporary folder");
        Self::start(Place::Socket(near.path().join(SOCKET)), Place::Socket(folder.join(SOCKET)), Some(near))
    }

    /// Changes what becomes of the traffic from now on.
    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    /// Changes it, and waits until somebody listens again, or nobody does any more.
    ///
    /// # Panics
    /// Somebody else took the port meanwhile.
    pub async fn become_now(&self, state: State) {
        self.set(state);
        let mut listening = self.listening.clone();
        listening.wait_for(|listens| *listens == (state != State::Gone)).await.expect("the road is still there");
    }

    /// How many connections it carries.
    pub fn carried(&self) -> usize {
        Arc::strong_count(&self.carried) - 1
    }

    /// The address of its near end.
    ///
    /// # Panics
    /// It begins at a socket in the file system.
    pub fn address(&self) -> SocketAddr {
        let Place::At(address) = &self.near else { panic!("a road between sockets has no address") };
        *address
    }

    /// The folder with the socket of its near end.
    ///
    /// # Panics
    /// It begins at an address.
    pub fn folder(&self) -> &Path {
        let Place::Socket(socket) = &self.near else { panic!("a road between addresses has no socket") };
        socket.parent().expect("a socket is in a folder")
    }

    fn start(near: Place, target: Place, folder: Option<TempDir>) -> Self {
        let (state, seen) = watch::channel(State::Open);
        let (told, listening) = watch::channel(true);
        // Bound here, so that whoever comes next is let in.
        let listener = Listener::bind(&near);
        let carried = Arc::new(());
        let road = Serving { near: near.clone(), target, carried: Arc::downgrade(&carried) };
        let traffic = tokio::spawn(road.serve(listener, seen, told));
        Self { state, listening, near, carried, traffic, _folder: folder }
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        self.traffic.abort();
    }
}

enum Listener {
    At(TcpListener),
    Socket(UnixListener),
}

/// Both directions of a connection.
type Ends = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

impl Listener {
    fn bind(near: &Place) -> Self {
        match near {
            Place::At(address) => {
                let listener = std::net::TcpListener::bind(address).expect("the port is free");
                listener.set_nonblocking(true).expect("a socket can be");
                Self::At(TcpListener::from_std(listener).expect("there is a runtime"))
            }
            Place::Socket(path) => {
                // One that was closed leaves its file.
                let _ = std::fs::remove_file(path);
                Self::Socket(UnixListener::bind(path).expect("the folder is ours"))
            }
        }
    }

    async fn accept(&self) -> std::io::Result<Ends> {
        match self {
            Self::At(listener) => Ok(of_tcp(listener.accept().await?.0)),
            Self::Socket(listener) => Ok(of_unix(listener.accept().await?.0)),
        }
    }
}

fn of_tcp(stream: TcpStream) -> Ends {
    // What is passed on at once must not wait for more.
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    (Box::new(read), Box::new(write))
}

fn of_unix(stream: UnixStream) -> Ends {
    let (read, write) = stream.into_split();
    (Box::new(read), Box::new(write))
}

async fn connect(target: &Place) -> std::io::Result<Ends> {
    match target {
        Place::At(address) => TcpStream::connect(address).await.map(of_tcp),
        Place::Socket(path) => UnixStream::connect(path).await.map(of_unix),
    }
}

/// What a road needs to let connections in.
struct Serving {
    near: Place,
    target: Place,
    carried: Weak<()>,
}

impl Serving {
    async fn serve(self, first: Listener, mut state: watch::Receiver<State>, listening: watch::Sender<bool>) {
        let mut listener = Some(first);
        loop {
            let is_gone = *state.borrow_and_update() == State::Gone;
            if is_gone {
                listener = None;
                if let Place::Socket(path) = &self.near {
                    let _ = std::fs::remove_file(path);
                }
                listening.send_replace(false);
                if state.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let listener = listener.get_or_insert_with(|| Listener::bind(&self.near));
            listening.send_replace(true);
            tokio::select! {
                changed = state.changed() => if changed.is_err() { return },
                accepted = listener.accept() => if let Ok(ends) = accepted {
                    let (target, state, carried) = (self.target.clone(), state.clone(), self.carried.upgrade());
                    tokio::spawn(async move {
                        carry(ends, target, state).await;
                        drop(carried);
                    });
                },
            }
        }
    }
}

/// Carries what passes on one connection, as long as the road is open.
async fn carry(near: Ends, target: Place, mut state: watch::Receiver<State>) {
    if state.borrow_and_update().passes() {
        let Ok(far) = connect(&target).await else { return };
        let (out, back) = (pass(near.0, far.1, state.clone()), pass(far.0, near.1, state.clone()));
        // The ends are held by what carries them: they are closed when it is dropped.
        let mut ways = Box::pin(async { tokio::join!(out, back) });
        tokio::select! {
            // Both sides have hung up.
            _ = &mut ways => return,
            _ = state.wait_for(|state| !state.passes()) => {}
        }
        if *state.borrow() == State::Silent {
            // Of a silence, neither side is told before it ends.
            let _ = state.wait_for(|state| *state != State::Silent).await;
        }
        return;
    }
    let _ = state.wait_for(|state| *state != State::Silent).await;
    drop(near);
}

/// Passes one direction on, each piece as late as the road was slow when it came.
async fn pass(
    mut from: Box<dyn AsyncRead + Send + Unpin>,
    mut to: Box<dyn AsyncWrite + Send + Unpin>,
    state: watch::Receiver<State>,
) {
    let (pieces, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let read = async move {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let due = Instant::now() + state.borrow().delay();
            if pieces.send((due, piece[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = arriving.recv().await {
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        // The one side has said all: so does this one.
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
