//! A connection against a server that does what the test says.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use grammers_mtproto::mtp::Encrypted;
use grammers_tl_types as tl;
use telegram_sim::mtproto::wire::cipher::AuthKey;
use telegram_sim::mtproto::wire::envelope::{Envelope, Message, contained, is_container, rpc_result};
use telegram_sim::mtproto::wire::msg_id::{Kind, MsgIds};
use telegram_sim::mtproto::wire::transport::Transport;
use tl::{Cursor, Deserializable as _, Identifiable as _, Serializable as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::fuse::Fuse;
use super::pipe::Pipe;
use super::talk::Talk;
use super::{Line, Waiter, carry, request};
use crate::mtproto::call::CallError;
use crate::mtproto::incoming::{Inbox, Incoming, News};

/// Far longer than anything here takes, and shorter than the time between pings, which set going what stands still.
const PATIENCE: Duration = Duration::from_secs(50);

/// Requests that together are more than the buffers of two sockets hold.
const MANY: usize = 20;
const LARGE: usize = 900_000;

/// The other side of a connection.
struct Server {
    stream: TcpStream,
    key: AuthKey,
    transport: Transport,
    input: BytesMut,
    ids: MsgIds,
    session_id: i64,
}

/// A connection, its server, and what the account is told.
async fn connected() -> (Line, Server, Incoming) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let key = AuthKey::random();
    let (inbox, incoming) = Inbox::new();
    let fuse = Arc::new(Fuse::default());
    let mtp = Encrypted::build().compression_threshold(None).finish(*key.bytes());
    let conversation = Talk::new(Pipe::new(stream, &fuse).unwrap(), mtp, &inbox);
    let (requests, asked) = mpsc::unbounded_channel();
    let task = tokio::spawn(carry(conversation, asked, Some(inbox)));
    let transport = Transport::Full { sent: 0, received: 0 };
    let (accepted, _) = listener.accept().await.unwrap();
    let server =
        Server { stream: accepted, key, transport, input: BytesMut::new(), ids: MsgIds::default(), session_id: 0 };
    (Line { dc_id: 2, requests, fuse, task }, server, incoming)
}

impl Server {
    /// The messages of the next frame; none at the end of the connection.
    async fn frame(&mut self) -> Option<(i64, Vec<Message>)> {
        let packet = loop {
            if let Some(packet) = self.transport.decode(&mut self.input).unwrap() {
                break packet;
            }
            // A connection that is reset has ended too.
            if self.stream.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                return None;
            }
        };
        let envelope = Envelope::parse(&self.key.open(&packet).unwrap()).unwrap();
        self.session_id = envelope.session_id;
        let message = envelope.message;
        let messages = if is_container(&message.body) { contained(&message.body).unwrap() } else { vec![message] };
        Some((envelope.salt, messages))
    }

    /// The requests of the next frame, without acknowledgements.
    async fn requests(&mut self) -> Vec<Message> {
        let (_, messages) = self.frame().await.expect("the connection lives");
        messages.into_iter().filter(|message| constructor(message) != tl::types::MsgsAck::CONSTRUCTOR_ID).collect()
    }

    /// So many requests, in whatever frames they come.
    async fn take(&mut self, count: usize) -> Vec<Message> {
        let mut requests = Vec::new();
        while requests.len() < count {
            requests.extend(self.requests().await);
        }
        requests
    }

    /// A frame that carries this.
    fn pack(&mut self, kind: Kind, body: Vec<u8>) -> BytesMut {
        let message = Message { msg_id: self.ids.next(kind), seq_no: 1, body };
        let envelope = Envelope { salt: 0, session_id: self.session_id, message };
        let mut bytes = BytesMut::new();
        self.transport.encode(&self.key.seal(&envelope.to_bytes()), &mut bytes);
        bytes
    }

    async fn send(&mut self, body: Vec<u8>) {
        let bytes = self.pack(Kind::Answer, body);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Answers a request with what it asked.
    async fn echo(&mut self, request: &Message) {
        self.send(rpc_result(request.msg_id, &request.body)).await;
    }
}

fn constructor(message: &Message) -> u32 {
    u32::from_bytes(&message.body).unwrap()
}

/// Asks something that takes so many bytes and is told apart by its first.
fn ask(line: &Line, name: u8, length: usize) -> Waiter {
    let mut body = vec![name; length];
    body[..4].copy_from_slice(&[name, 0, 0, 0]);
    let (request, waiter) = request(body);
    assert!(line.send(request).is_ok(), "the connection takes requests");
    waiter
}

async fn answer(waiter: Waiter) -> u8 {
    waiter.answer(PATIENCE).await.unwrap()[0]
}

#[tokio::test]
async fn many_requests_are_under_way_at_once() {
    let (line, mut server, _) = connected().await;
    let waiters: Vec<_> = (0..200).map(|name| ask(&line, name, 16)).collect();
    let requests = server.take(200).await;
    for (name, request) in (0..).zip(&requests) {
        assert_eq!(request.body[0], name, "they are sent in order");
    }
    for request in requests.iter().rev() {
        server.echo(request).await;
    }
    for (name, waiter) in (0..).zip(waiters) {
        assert_eq!(answer(waiter).await, name);
    }
}

#[tokio::test]
async fn answers_arrive_glued_and_split() {
    let (line, mut server, _) = connected().await;
    let waiters: Vec<_> = (0..6).map(|name| ask(&line, name, 64)).collect();
    let requests = server.take(6).await;
    let mut frames: Vec<_> = Vec::new();
    for request in &requests {
        frames.push(server.pack(Kind::Answer, rpc_result(request.msg_id, &request.body)));
    }
    server.stream.set_nodelay(true).unwrap();
    server.stream.write_all(&frames[..3].concat()).await.unwrap();
    for byte in &frames[3..].concat() {
        server.stream.write_u8(*byte).await.unwrap();
        tokio::task::yield_now().await;
    }
    for (name, waiter) in (0..).zip(waiters) {
        assert_eq!(answer(waiter).await, name);
    }
}

#[tokio::test]
async fn long_requests_and_answers_pass() {
    let (line, mut server, _) = connected().await;
    let waiters: Vec<_> = (1..4).map(|name| ask(&line, name, LARGE)).collect();
    for request in server.take(3).await {
        // Bytes that cannot be made shorter, so that the frame stays long.
        let noise = (0..LARGE / 4).flat_map(|_| rand::random::<[u8; 4]>());
        let body: Vec<u8> = request.body[..4].iter().copied().chain(noise).collect();
        server.send(rpc_result(request.msg_id, &body)).await;
    }
    for (name, waiter) in (1..).zip(waiters) {
        assert_eq!(answer(waiter).await, name);
    }
}

#[tokio::test]
async fn a_frame_that_is_too_long_ends_the_connection() {
    let (line, mut server, mut incoming) = connected().await;
    let waiter = ask(&line, 1, 16);
    server.take(1).await;
    server.stream.write_all(&(16_i32 << 20).to_le_bytes()).await.unwrap();
    let error = waiter.answer(PATIENCE).await.unwrap_err();
    assert!(matches!(&error, CallError::NoAnswer(why) if why.contains("16777216 bytes")), "{error:?}");
    assert!(matches!(incoming.next().await, Some(News::Gap)));
    line.requests.closed().await;
}

#[tokio::test]
async fn another_salt_repeats_what_was_asked() {
    let (line, mut server, _) = connected().await;
    let waiters: Vec<_> = (1..4).map(|name| ask(&line, name, 16)).collect();
    let requests = server.take(3).await;
    for request in &requests {
        let bad = tl::types::BadServerSalt {
            bad_msg_id: request.msg_id,
            bad_msg_seqno: request.seq_no,
            error_code: 48,
            new_server_salt: 77,
        };
        server.send(tl::enums::BadMsgNotification::from(bad).to_bytes()).await;
    }
    // More salts are asked for before anything else.
    let mut repeated = Vec::new();
    while repeated.len() < 3 {
        let (salt, messages) = server.frame().await.unwrap();
        assert_eq!(salt, 77);
        for message in messages {
            match constructor(&message) {
                tl::functions::GetFutureSalts::CONSTRUCTOR_ID => {
                    let salts = (0..2).map(|n| tl::types::FutureSalt {
                        valid_since: n * 1_800,
                        valid_until: i32::MAX,
                        salt: 77 + i64::from(n),
                    });
                    let salts = tl::types::FutureSalts {
                        req_msg_id: message.msg_id,
                        now: 0,
                        salts: tl::RawVec(salts.collect()),
                    };
                    server.send(tl::enums::FutureSalts::from(salts).to_bytes()).await;
                }
                tl::types::MsgsAck::CONSTRUCTOR_ID => {}
                _ => repeated.push(message),
            }
        }
    }
    for request in &repeated {
        server.echo(request).await;
    }
    for (name, waiter) in (1..).zip(waiters) {
        assert_eq!(answer(waiter).await, name);
    }
}

#[tokio::test]
async fn a_form_that_is_never_right_is_given_up() {
    let (line, mut server, _) = connected().await;
    let waiter = ask(&line, 1, 16);
    let refused = async {
        let mut tries = 0;
        while let Some((_, messages)) = server.frame().await {
            tries += 1;
            let bad = tl::types::BadMsgNotification {
                bad_msg_id: messages.last().unwrap().msg_id,
                bad_msg_seqno: 1,
                error_code: 17,
            };
            server.send(tl::enums::BadMsgNotification::from(bad).to_bytes()).await;
        }
        tries
    };
    let given_up = async {
        let error = waiter.answer(PATIENCE).await.unwrap_err();
        line.close(PATIENCE).await;
        error
    };
    let (tries, error) = tokio::join!(refused, given_up);
    assert!(matches!(error, CallError::NoAnswer(_)), "{error:?}");
    assert_eq!(tries, 6);
}

#[tokio::test]
async fn what_telegram_tells_is_told() {
    let (line, mut server, mut incoming) = connected().await;
    let waiter = ask(&line, 1, 16);
    let requests = server.take(1).await;
    let short = tl::types::UpdateShort { update: tl::enums::Update::LoginToken, date: 5 };
    let notice = server.pack(Kind::Notice, tl::enums::Updates::UpdateShort(short.clone()).to_bytes());
    server.stream.write_all(&notice).await.unwrap();
    let own = rpc_result(requests[0].msg_id, &tl::enums::Updates::UpdateShort(short).to_bytes());
    server.send(own).await;
    assert!(matches!(incoming.next().await, Some(News::Told(_))));
    assert!(matches!(incoming.next().await, Some(News::Caused(_))));
    let body = waiter.answer(PATIENCE).await.unwrap();
    assert!(tl::enums::Updates::deserialize(&mut Cursor::from_slice(&body)).is_ok());
}

/// How many requests had no answer, and how many were certainly not sent.
async fn ends(waiters: Vec<Waiter>) -> (usize, usize) {
    let mut ends = (0, 0);
    for waiter in waiters {
        match waiter.answer(PATIENCE).await.unwrap_err() {
            CallError::NoAnswer(_) => ends.0 += 1,
            CallError::Unreachable(_) => ends.1 += 1,
            other => panic!("{other:?}"),
        }
    }
    ends
}

#[tokio::test]
async fn a_break_tells_what_may_have_arrived_from_what_did_not() {
    let (line, mut server, mut incoming) = connected().await;
    let waiters: Vec<_> = (0..MANY).map(|_| ask(&line, 1, LARGE)).collect();
    let seen = server.requests().await.len();
    drop(server);
    let (no_answer, not_sent) = ends(waiters).await;
    assert!(no_answer >= seen && not_sent > 0, "{seen} seen, {no_answer} without answer, {not_sent} not sent");
    assert!(matches!(incoming.next().await, Some(News::Gap)));
}

#[tokio::test]
async fn a_cut_stops_in_the_middle() {
    let (line, mut server, _incoming) = connected().await;
    let waiters: Vec<_> = (0..MANY).map(|_| ask(&line, 1, LARGE)).collect();
    let mut seen = server.requests().await.len();
    line.cut();
    while let Some((_, messages)) = server.frame().await {
        seen += messages.len();
    }
    let (no_answer, not_sent) = ends(waiters).await;
    assert!(no_answer >= seen && not_sent > 0, "{seen} seen, {no_answer} without answer, {not_sent} not sent");
    line.requests.closed().await;
}

#[tokio::test]
async fn an_orderly_end_finishes_what_is_half_written() {
    let (line, mut server, mut incoming) = connected().await;
    let waiters: Vec<_> = (0..MANY).map(|_| ask(&line, 1, LARGE)).collect();
    let mut seen = server.requests().await.len();
    let rest = async {
        while let Some((_, messages)) = server.frame().await {
            seen += messages.len();
        }
        assert!(server.input.is_empty(), "a frame was left unfinished");
        seen
    };
    let ((), seen) = tokio::join!(line.close(PATIENCE), rest);
    let (no_answer, not_sent) = ends(waiters).await;
    assert_eq!((no_answer, not_sent), (seen, MANY - seen));
    // Nobody needs to ask what was missed: the account is let go.
    assert!(tokio::time::timeout(Duration::from_millis(1), incoming.next()).await.is_err());
}
