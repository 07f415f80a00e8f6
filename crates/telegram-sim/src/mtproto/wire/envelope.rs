//! What is around a message: the unencrypted and the encrypted envelope, containers and gzip.

use std::io::{Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use grammers_tl_types::{Deserializable, Serializable};

/// Constructor of `msg_container`.
const CONTAINER: u32 = 0x73f1_f8dc;
/// Constructor of `gzip_packed`.
const GZIP: u32 = 0x3072_cfa1;
/// Constructor of `rpc_result`.
const RPC_RESULT: u32 = 0xf35c_6d01;

/// The most messages a container may hold.
const MAX_CONTAINED: usize = 1020;
/// The largest object that is unpacked, in bytes.
const MAX_UNPACKED: u64 = 8 << 20;
/// Results of this length or more are compressed, in bytes.
const COMPRESS_FROM: usize = 1024;

/// One message inside the encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its identifier.
    pub msg_id: i64,
    /// Twice the number of content-related messages before it, plus one if it is content-related itself.
    pub seq_no: i32,
    /// The serialized object.
    pub body: Vec<u8>,
}

/// An opened packet of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The salt that the client used.
    pub salt: i64,
    /// The session that it belongs to.
    pub session_id: i64,
    /// Its message.
    pub message: Message,
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    take(bytes).map(i64::from_le_bytes)
}

fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    take(bytes).map(i32::from_le_bytes)
}

fn take_message(bytes: &mut &[u8]) -> Option<Message> {
    let msg_id = take_i64(bytes)?;
    let seq_no = take_i32(bytes)?;
    let length = usize::try_from(take_i32(bytes)?).ok()?;
    let (body, rest) = bytes.split_at_checked(length)?;
    if length % 4 != 0 {
        return None;
    }
    *bytes = rest;
    Some(Message { msg_id, seq_no, body: body.to_vec() })
}

impl Envelope {
    /// Reads an opened packet; `None` if it is malformed or its padding is not 12 to 1024 bytes.
    pub fn parse(mut plain: &[u8]) -> Option<Self> {
        let salt = take_i64(&mut plain)?;
        let session_id = take_i64(&mut plain)?;
        let message = take_message(&mut plain)?;
        (12..=1024).contains(&plain.len()).then_some(Self { salt, session_id, message })
    }

    /// The bytes that are sealed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.message.body.len());
        self.salt.serialize(&mut out);
        self.session_id.serialize(&mut out);
        self.message.msg_id.serialize(&mut out);
        self.message.seq_no.serialize(&mut out);
        length(&self.message.body).serialize(&mut out);
        out.extend_from_slice(&self.message.body);
        out
    }
}

fn length(body: &[u8]) -> i32 {
    i32::try_from(body.len()).expect("messages are far shorter than 2 GiB")
}

/// Reads an unencrypted message (key identifier 0, message identifier, length, body) and returns its body.
pub fn parse_plain(mut packet: &[u8]) -> Option<Vec<u8>> {
    if take_i64(&mut packet)? != 0 {
        return None;
    }
    take_i64(&mut packet)?;
    let length = usize::try_from(take_i32(&mut packet)?).ok()?;
    packet.get(..length).map(<[u8]>::to_vec)
}

/// An unencrypted message of the server.
pub fn plain(msg_id: i64, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(20 + body.len());
    0i64.serialize(&mut out);
    msg_id.serialize(&mut out);
    length(body).serialize(&mut out);
    out.extend_from_slice(body);
    out
}

/// The constructor that a serialized object starts with.
pub fn constructor(body: &[u8]) -> Option<u32> {
    body.first_chunk().map(|id| u32::from_le_bytes(*id))
}

/// Whether a message is a container.
pub fn is_container(body: &[u8]) -> bool {
    constructor(body) == Some(CONTAINER)
}

/// The messages of a container; `None` if it is malformed.
pub fn contained(body: &[u8]) -> Option<Vec<Message>> {
    let mut rest = body.get(4..)?;
    let count = usize::try_from(take_i32(&mut rest)?).ok()?;
    if count > MAX_CONTAINED {
        return None;
    }
    (0..count).map(|_| take_message(&mut rest)).collect()
}

/// Unpacks `gzip_packed`; any other object comes back as it is. `None` if it cannot be unpacked.
pub fn unpacked(body: Vec<u8>) -> Option<Vec<u8>> {
    if constructor(&body) != Some(GZIP) {
        return Some(body);
    }
    let packed = Vec::<u8>::from_bytes(&body[4..]).ok()?;
    let mut out = Vec::new();
    let read = GzDecoder::new(&packed[..]).take(MAX_UNPACKED + 1).read_to_end(&mut out).ok()?;
    (read as u64 <= MAX_UNPACKED).then_some(out)
}

/// `rpc_result` around a serialized object, which is compressed when that makes it shorter.
pub fn rpc_result(req_msg_id: i64, result: &[u8]) -> Vec<u8> {
    let packed = (result.len() >= COMPRESS_FROM).then(|| gzip(result)).flatten();
    let result = packed.as_deref().unwrap_or(result);
    let mut out = Vec::with_capacity(12 + result.len());
    RPC_RESULT.serialize(&mut out);
    req_msg_id.serialize(&mut out);
    out.extend_from_slice(result);
    out
}

fn gzip(object: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(object).ok()?;
    let packed = encoder.finish().ok()?;
    let mut out = GZIP.to_le_bytes().to_vec();
    packed.serialize(&mut out);
    (out.len() < object.len()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(msg_id: i64) -> Message {
        Message { msg_id, seq_no: 1, body: vec![7; 8] }
    }

    #[test]
    fn envelopes_survive_the_way_there_and_back() {
        let envelope = Envelope { salt: -5, session_id: 77, message: message(4) };
        let mut bytes = envelope.to_bytes();
        assert_eq!(Envelope::parse(&bytes), None, "padding is required");
        bytes.extend([0; 12]);
        assert_eq!(Envelope::parse(&bytes), Some(envelope));
        bytes.truncate(30);
        assert_eq!(Envelope::parse(&bytes), None);
    }

    #[test]
    fn containers_are_taken_apart() {
        let mut body = CONTAINER.to_le_bytes().to_vec();
        2i32.serialize(&mut body);
        for id in [4i64, 8] {
            id.serialize(&mut body);
            1i32.serialize(&mut body);
            8i32.serialize(&mut body);
            body.extend([7; 8]);
        }
        assert!(is_container(&body));
        assert_eq!(contained(&body), Some(vec![message(4), message(8)]));
        body.truncate(body.len() - 4);
        assert_eq!(contained(&body), None);
    }

    #[test]
    fn long_results_are_compressed_and_unpacked_again() {
        let object = [1, 2, 3, 4].repeat(1000);
        let result = rpc_result(12, &object);
        assert!(result.len() < 500);
        assert_eq!(unpacked(result[12..].to_vec()), Some(object));
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = gzip(&vec![0; usize::try_from(MAX_UNPACKED).unwrap() + 4]).unwrap();
        assert_eq!(unpacked(bomb), None);
    }
}
