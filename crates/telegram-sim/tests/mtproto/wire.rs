//! A raw connection, to say what no library would say.

use bytes::BytesMut;
use grammers_crypto::{AuthKey, DequeBuffer, decrypt_data_v2, encrypt_data_v2};
use grammers_tl_types::{Deserializable, Serializable};
use telegram_sim::Sim;
use telegram_sim::mtproto::wire::envelope::{Envelope, Message, constructor, contained, is_container, unpacked};
use telegram_sim::mtproto::wire::msg_id::unix_time;
use telegram_sim::mtproto::wire::transport::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::device::PATIENCE;

const RPC_RESULT: u32 = 0xf35c_6d01;

pub struct Raw {
    stream: TcpStream,
    transport: Transport,
    input: BytesMut,
    key: AuthKey,
    pub session: i64,
    pub salt: i64,
    counter: i64,
}

impl Raw {
    /// A connection with a fresh key of data centre 2, whose salt is not known yet.
    pub async fn connect(sim: &Sim) -> Self {
        let key = sim.accounts().new_key(2).unwrap();
        Self::with(sim, key, Transport::Full { sent: 0, received: 0 }).await
    }

    /// As [`Raw::connect`], with the salt.
    pub async fn ready(sim: &Sim) -> Self {
        let mut raw = Self::connect(sim).await;
        raw.find_salt().await;
        raw
    }

    pub async fn with(sim: &Sim, key: [u8; 256], transport: Transport) -> Self {
        let mut stream = TcpStream::connect(sim.mtproto.unwrap()).await.unwrap();
        let tag: &[u8] = match transport {
            Transport::Abridged => &[0xef],
            Transport::Intermediate => &[0xee; 4],
            Transport::Padded => &[0xdd; 4],
            Transport::Full { .. } => &[],
        };
        stream.write_all(tag).await.unwrap();
        let (session, key) = (rand::random(), AuthKey::from_bytes(key));
        Self { stream, transport, input: BytesMut::new(), key, session, salt: 0, counter: 0 }
    }

    /// A message identifier that is right now.
    pub fn msg_id(&mut self) -> i64 {
        self.counter += 4;
        (i64::from(unix_time()) << 32) | self.counter
    }

    pub async fn send(&mut self, msg_id: i64, seq_no: i32, body: Vec<u8>) {
        let message = Message { msg_id, seq_no, body };
        let bytes = Envelope { salt: self.salt, session_id: self.session, message }.to_bytes();
        let mut buffer = DequeBuffer::with_capacity(bytes.len() + 64, 64);
        buffer.extend(bytes);
        encrypt_data_v2(&mut buffer, &self.key);
        self.send_frame(&buffer[..]).await;
    }

    pub async fn send_frame(&mut self, payload: &[u8]) {
        let mut output = BytesMut::new();
        self.transport.encode(payload, &mut output);
        self.stream.write_all(&output).await.unwrap();
    }

    /// Sends an object with the next numbers and returns its identifier.
    pub async fn say(&mut self, seq_no: i32, object: &impl Serializable) -> i64 {
        let msg_id = self.msg_id();
        self.send(msg_id, seq_no, object.to_bytes()).await;
        msg_id
    }

    /// The messages of the next frame; `None` when the server ended the connection.
    pub async fn receive(&mut self) -> Option<Vec<Message>> {
        let mut packet = self.frame().await?;
        let plain = decrypt_data_v2(&mut packet, &self.key).unwrap();
        let envelope = Envelope::parse(plain).unwrap();
        assert_eq!(envelope.session_id, self.session);
        let message = envelope.message;
        Some(if is_container(&message.body) { contained(&message.body).unwrap() } else { vec![message] })
    }

    /// The next frame as it is; `None` when the server ended the connection.
    pub async fn frame(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(frame) = self.transport.decode(&mut self.input).unwrap() {
                return Some(frame);
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
            if read.expect("an answer in time").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// All bytes until the server ends the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.input.to_vec();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await;
        // A reset is an end, too.
        let _ = read.expect("the end in time");
        rest
    }

    /// The next message with this constructor, which is left in front of its body.
    pub async fn expect(&mut self, wanted: u32) -> Message {
        loop {
            let messages = self.receive().await.expect("the connection is open");
            if let Some(found) = messages.into_iter().find(|message| constructor(&message.body) == Some(wanted)) {
                return found;
            }
        }
    }

    /// The result of a request, unpacked.
    pub async fn result(&mut self, request: i64) -> Vec<u8> {
        loop {
            let message = self.expect(RPC_RESULT).await;
            if i64::from_bytes(&message.body[4..]).unwrap() == request {
                return unpacked(message.body[12..].to_vec()).unwrap();
            }
        }
    }

    /// Learns the salt by using a wrong one.
    pub async fn find_salt(&mut self) {
        use grammers_tl_types::{Identifiable, functions, types};
        self.say(0, &functions::Ping { ping_id: 0 }).await;
        let refusal = self.expect(types::BadServerSalt::CONSTRUCTOR_ID).await;
        self.salt = types::BadServerSalt::from_bytes(&refusal.body[4..]).unwrap().new_server_salt;
    }
}
