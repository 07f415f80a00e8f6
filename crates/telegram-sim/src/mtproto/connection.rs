//! One TCP connection: reads frames, answers them, and passes pushes on. Idle, it holds no buffers.

mod messages;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::core::{Shared, count};
use super::handshake::{Handshake, Step};
use super::rpc::Link;
use super::session::{Outgoing, Session};
use super::wire::cipher::AuthKey;
use super::wire::envelope::{self, Envelope};
use super::wire::msg_id::{Kind, MsgIds};
use super::wire::transport::Transport;

/// How much is read at once, in bytes.
const CHUNK: usize = 16 << 10;
/// The data centre of a key whose client does not name one.
const DEFAULT_DC: i32 = 2;
/// The transport error for a key that the server does not know.
const UNKNOWN_KEY: i32 = -404;

/// What others tell a connection.
#[derive(Debug)]
pub enum Command {
    /// Send this update.
    Push(Arc<[u8]>),
    /// Send the answer to a request that took its time.
    Answer {
        /// The request.
        request: i64,
        /// The serialized result.
        result: Vec<u8>,
    },
    /// A newer connection speaks for the key; whatever comes here from now on kills the session.
    Supersede,
    /// From now on, read and say nothing (true), or behave again (false).
    Silence(bool),
    /// Cut the connection.
    Close,
}

/// The connection ends, by either side.
struct Closed;

type Flow = Result<(), Closed>;

/// What a connection knows once the first encrypted message came.
struct Peer {
    key: AuthKey,
    session: Session,
    attached: bool,
}

/// One connection.
pub struct Connection {
    core: Shared,
    link: Link,
    /// The data centre of the address that it came to, if each has its own.
    dc: Option<i32>,
    transport: Option<Transport>,
    input: BytesMut,
    output: BytesMut,
    /// Frames that wait for the artificial round trip, with whether they came after a newer connection took over.
    held: VecDeque<(Instant, BytesMut, bool)>,
    handshake: Handshake,
    plain_ids: MsgIds,
    peer: Option<Peer>,
    outgoing: Vec<Outgoing>,
    sender: UnboundedSender<Command>,
    superseded: bool,
    silent: bool,
    disconnect_at: Option<Instant>,
}

impl Connection {
    /// A connection that was accepted at the address of `dc`, or at the one that all data centres share.
    pub fn new(core: Shared, id: u64, dc: Option<i32>, remote: SocketAddr) -> (Self, UnboundedReceiver<Command>) {
        let (sender, commands) = unbounded_channel();
        let connection = Self {
            core,
            link: Link { connection: id, key_id: 0, dc: dc.unwrap_or(DEFAULT_DC), ip: remote.ip() },
            dc,
            transport: None,
            input: BytesMut::new(),
            output: BytesMut::new(),
            held: VecDeque::new(),
            handshake: Handshake::default(),
            plain_ids: MsgIds::default(),
            peer: None,
            outgoing: Vec::new(),
            sender,
            superseded: false,
            silent: false,
            disconnect_at: None,
        };
        (connection, commands)
    }

    /// Serves the connection until either side ends it.
    pub async fn run(mut self, mut stream: TcpStream, mut commands: UnboundedReceiver<Command>) {
        while self.turn(&mut stream, &mut commands).await.is_ok() {}
        // What is ready still goes out, such as the reason for the end.
        let _ = stream.write_all_buf(&mut self.output).await;
        if let Some(peer) = &self.peer {
            self.core.cloud().detach(peer.key.id(), self.link.connection);
        }
    }

    async fn turn(&mut self, stream: &mut TcpStream, commands: &mut UnboundedReceiver<Command>) -> Flow {
        tokio::select! {
            // Commands first: what was asked for before a message came must hold for that message.
            biased;
            Some(command) = commands.recv() => {
                self.command(command, stream).await?;
                while let Ok(command) = commands.try_recv() {
                    self.command(command, stream).await?;
                }
            }
            ready = stream.readable() => {
                ready.map_err(|_| Closed)?;
                self.read(stream).await?;
            }
            () = wake(self.wake_at()) => self.wake().await?,
        }
        self.flush();
        stream.write_all_buf(&mut self.output).await.map_err(|_| Closed)?;
        self.output = BytesMut::new();
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        let held = self.held.front().map(|(due, ..)| *due);
        held.into_iter().chain(self.disconnect_at).min()
    }

    async fn wake(&mut self) -> Flow {
        let now = Instant::now();
        if self.disconnect_at.is_some_and(|at| at <= now) {
            return Err(Closed);
        }
        while self.held.front().is_some_and(|(due, ..)| *due <= now) {
            if let Some((_, frame, late)) = self.held.pop_front() {
                self.frame(&frame, late).await?;
            }
        }
        Ok(())
    }

    /// Takes what the socket holds now, and looks at whole frames.
    async fn read(&mut self, stream: &TcpStream) -> Flow {
        let ended = fill(stream, &mut self.input)?;
        if self.transport.is_none() {
            self.transport = Transport::detect(&mut self.input).map_err(|error| self.refuse(&error))?;
        }
        while let Some(transport) = &mut self.transport {
            let Some(frame) = transport.decode(&mut self.input).map_err(|error| self.refuse(&error))? else { break };
            let latency = self.core.cloud().settings.latency();
            if latency.is_zero() && self.held.is_empty() {
                self.frame(&frame, self.superseded).await?;
            } else {
                self.held.push_back((Instant::now() + latency, frame, self.superseded));
            }
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if ended { Err(Closed) } else { Ok(()) }
    }

    fn refuse(&self, error: &dyn std::error::Error) -> Closed {
        tracing::debug!(connection = self.link.connection, %error, "connection refused");
        Closed
    }

    async fn command(&mut self, command: Command, stream: &TcpStream) -> Flow {
        match command {
            Command::Push(object) => self.outgoing.push(Outgoing::notice(object.to_vec())),
            Command::Answer { request, result } => self.answer(request, &result),
            Command::Supersede => {
                // What was on the way before the newer connection spoke is still taken as before.
                self.read(stream).await?;
                self.superseded = true;
            }
            Command::Silence(silent) => self.silent = silent,
            Command::Close => return Err(Closed),
        }
        Ok(())
    }

    async fn frame(&mut self, frame: &[u8], late: bool) -> Flow {
        if self.silent {
            return Ok(());
        }
        let key_id = frame.first_chunk().map(|id| i64::from_le_bytes(*id)).ok_or(Closed)?;
        if key_id == 0 { self.exchange(frame).await } else { self.encrypted(key_id, frame, late) }
    }

    /// One step of the key exchange, off the event loop.
    async fn exchange(&mut self, frame: &[u8]) -> Flow {
        let body = envelope::parse_plain(frame).ok_or(Closed)?;
        let mut handshake = std::mem::take(&mut self.handshake);
        let core = Arc::clone(&self.core);
        let task = tokio::task::spawn_blocking(move || {
            let step = handshake.step(&body, core.rsa());
            (handshake, step)
        });
        let (handshake, step) = task.await.map_err(|_| Closed)?;
        self.handshake = handshake;
        let answer = match step {
            Ok(Step::Answer(answer)) => answer,
            Ok(Step::Done { answer, key, salt, dc }) => {
                let named = dc.filter(|dc| self.core.has_dc(*dc));
                let dc = self.dc.or(named).unwrap_or(DEFAULT_DC);
                self.core.cloud().add_key(key, dc, Some(salt));
                count(&self.core.stats.handshakes);
                answer
            }
            Err(error) => {
                self.transport_error(UNKNOWN_KEY);
                return Err(self.refuse(&error));
            }
        };
        let packet = envelope::plain(self.plain_ids.next(Kind::Answer), &answer);
        self.send(&packet);
        Ok(())
    }

    fn send(&mut self, packet: &[u8]) {
        if let Some(transport) = &mut self.transport {
            transport.encode(packet, &mut self.output);
        }
    }

    fn transport_error(&mut self, code: i32) {
        if let Some(transport) = &mut self.transport {
            transport.encode_error(code, &mut self.output);
        }
    }

    /// Seals and frames what is waiting.
    fn flush(&mut self) {
        let messages = std::mem::take(&mut self.outgoing);
        if messages.is_empty() || self.silent {
            return;
        }
        let Some(peer) = &mut self.peer else { return };
        let (key, session_id) = (peer.key.clone(), peer.session.id);
        let packed = peer.session.pack(messages);
        let salt = self.salt();
        for message in packed {
            let sealed = key.seal(&Envelope { salt, session_id, message }.to_bytes());
            self.send(&sealed);
        }
    }

    fn salt(&self) -> i64 {
        let cloud = self.core.cloud();
        cloud.keys.get(&self.link.key_id).map_or(0, |key| key.salt(cloud.salt_epoch))
    }
}

/// Reads what the socket holds now; whether the other side ended it.
fn fill(stream: &TcpStream, input: &mut BytesMut) -> Result<bool, Closed> {
    let mut chunk = [0; CHUNK];
    loop {
        match stream.try_read(&mut chunk) {
            Ok(0) => return Ok(true),
            Ok(length) => input.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(_) => return Err(Closed),
        }
    }
}

async fn wake(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
