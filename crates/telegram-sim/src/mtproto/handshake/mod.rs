//! The key exchange, from the server's side: <https://core.telegram.org/mtproto/auth_key>.

pub mod dh;
pub mod rsa;

use std::sync::LazyLock;

use grammers_crypto::aes::{ige_decrypt, ige_encrypt};
use grammers_crypto::{AuthKey as ClientKey, generate_key_data_from_nonce};
use grammers_tl_types::{Cursor, Deserializable, Identifiable, Serializable, enums, functions, types};
use num_bigint::BigUint;
use sha1::{Digest, Sha1};

use self::rsa::RsaKey;
use super::wire::cipher::AuthKey;
use super::wire::envelope::constructor;
use super::wire::msg_id::unix_time;

/// The two primes of the proof of work, the smaller one first.
const FACTORS: (u32, u32) = (0x494C_553B, 0x5391_1073);

/// `p * q`, which the client takes apart as its proof of work.
static PQ: LazyLock<[u8; 8]> = LazyLock::new(|| (u64::from(FACTORS.0) * u64::from(FACTORS.1)).to_be_bytes());

/// Why an exchange ends. The client sees the transport error -404, as with Telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The message does not parse, or is none of the exchange's.
    #[error("not a message of the key exchange")]
    Malformed,
    /// The message belongs to another exchange or another step.
    #[error("the message does not belong to this step")]
    OutOfStep,
    /// The factors of the proof of work are wrong.
    #[error("wrong factors")]
    WrongFactors,
    /// The client encrypted for another RSA key, or wrongly.
    #[error("cannot decrypt with the server's RSA key")]
    Decryption,
    /// `g_b` is out of the safe range.
    #[error("unsafe g_b")]
    UnsafeValue,
}

/// What a step of the exchange yields.
#[derive(Debug)]
pub enum Step {
    /// Send this answer and wait for the next message.
    Answer(Vec<u8>),
    /// Send this answer; the key is agreed.
    Done {
        /// `dh_gen_ok`.
        answer: Vec<u8>,
        /// The new key.
        key: AuthKey,
        /// The first salt of the new key.
        salt: i64,
        /// The data centre that the client named.
        dc: Option<i32>,
    },
}

/// One exchange on one connection.
#[derive(Debug, Default)]
pub struct Handshake {
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Start,
    Factors(Nonces),
    Exchange {
        nonces: Nonces,
        new_nonce: [u8; 32],
        exponent: BigUint,
        dc: Option<i32>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Nonces {
    client: [u8; 16],
    server: [u8; 16],
}

impl Handshake {
    /// Answers the body of one unencrypted message. Takes some 10 ms of CPU in the later steps.
    pub fn step(&mut self, body: &[u8], rsa: &RsaKey) -> Result<Step, HandshakeError> {
        let mut cursor = Cursor::from_slice(body.get(4..).ok_or(HandshakeError::Malformed)?);
        match constructor(body) {
            Some(functions::ReqPqMulti::CONSTRUCTOR_ID | functions::ReqPq::CONSTRUCTOR_ID) => {
                let nonce = parse(&mut cursor)?;
                Ok(Step::Answer(self.begin(nonce, rsa)))
            }
            Some(functions::ReqDhParams::CONSTRUCTOR_ID) => {
                let request = parse(&mut cursor)?;
                self.params(&request, rsa).map(Step::Answer)
            }
            Some(functions::SetClientDhParams::CONSTRUCTOR_ID) => {
                let request = parse(&mut cursor)?;
                self.finish(&request)
            }
            _ => Err(HandshakeError::Malformed),
        }
    }

    fn begin(&mut self, nonce: [u8; 16], rsa: &RsaKey) -> Vec<u8> {
        let nonces = Nonces { client: nonce, server: rand::random() };
        self.stage = Stage::Factors(nonces);
        enums::ResPq::Pq(types::ResPq {
            nonce,
            server_nonce: nonces.server,
            pq: PQ.to_vec(),
            server_public_key_fingerprints: vec![rsa.fingerprint()],
        })
        .to_bytes()
    }

    fn params(&mut self, request: &functions::ReqDhParams, rsa: &RsaKey) -> Result<Vec<u8>, HandshakeError> {
        let Stage::Factors(nonces) = std::mem::take(&mut self.stage) else { return Err(HandshakeError::OutOfStep) };
        if (request.nonce, request.server_nonce) != (nonces.client, nonces.server) {
            return Err(HandshakeError::OutOfStep);
        }
        if request.public_key_fingerprint != rsa.fingerprint() {
            return Err(HandshakeError::Decryption);
        }
        let inner = Inner::decrypt(&request.encrypted_data, rsa)?;
        if inner.nonces != nonces {
            return Err(HandshakeError::OutOfStep);
        }
        let factors = (FACTORS.0.to_be_bytes(), FACTORS.1.to_be_bytes());
        if (&request.p[..], &request.q[..]) != (&factors.0[..], &factors.1[..]) {
            return Err(HandshakeError::WrongFactors);
        }
        let exponent = dh::random_exponent();
        let answer = types::ServerDhInnerData {
            nonce: nonces.client,
            server_nonce: nonces.server,
            g: dh::GENERATOR,
            dh_prime: dh::PRIME_BYTES.to_vec(),
            g_a: dh::padded(&dh::power_of_generator(&exponent)).to_vec(),
            server_time: unix_time(),
        };
        let mut encrypted = with_hash(&enums::ServerDhInnerData::Data(answer).to_bytes());
        let (key, iv) = generate_key_data_from_nonce(&nonces.server, &inner.new_nonce);
        ige_encrypt(&mut encrypted, &key, &iv);
        self.stage = Stage::Exchange { nonces, new_nonce: inner.new_nonce, exponent, dc: inner.dc };
        Ok(enums::ServerDhParams::Ok(types::ServerDhParamsOk {
            nonce: nonces.client,
            server_nonce: nonces.server,
            encrypted_answer: encrypted,
        })
        .to_bytes())
    }

    fn finish(&mut self, request: &functions::SetClientDhParams) -> Result<Step, HandshakeError> {
        let Stage::Exchange { nonces, new_nonce, exponent, dc } = std::mem::take(&mut self.stage) else {
            return Err(HandshakeError::OutOfStep);
        };
        if (request.nonce, request.server_nonce) != (nonces.client, nonces.server) {
            return Err(HandshakeError::OutOfStep);
        }
        let mut data = request.encrypted_data.clone();
        if data.len() < 32 || !data.len().is_multiple_of(16) {
            return Err(HandshakeError::Malformed);
        }
        let (key, iv) = generate_key_data_from_nonce(&nonces.server, &new_nonce);
        ige_decrypt(&mut data, &key, &iv);
        let enums::ClientDhInnerData::Data(inner) = hashed(&data).ok_or(HandshakeError::Decryption)?;
        if (inner.nonce, inner.server_nonce) != (nonces.client, nonces.server) {
            return Err(HandshakeError::OutOfStep);
        }
        let g_b = BigUint::from_bytes_be(&inner.g_b);
        if !dh::is_safe(&g_b) {
            return Err(HandshakeError::UnsafeValue);
        }
        let key = dh::padded(&dh::power(&g_b, &exponent));
        let answer = enums::SetClientDhParamsAnswer::DhGenOk(types::DhGenOk {
            nonce: nonces.client,
            server_nonce: nonces.server,
            new_nonce_hash1: ClientKey::from_bytes(key).calc_new_nonce_hash(&new_nonce, 1),
        });
        let salt = std::array::from_fn(|i| new_nonce[i] ^ nonces.server[i]);
        Ok(Step::Done { answer: answer.to_bytes(), key: AuthKey::new(key), salt: i64::from_le_bytes(salt), dc })
    }
}

/// What the client encrypts for the RSA key, in any of its four forms.
struct Inner {
    nonces: Nonces,
    new_nonce: [u8; 32],
    dc: Option<i32>,
}

impl Inner {
    fn decrypt(encrypted: &[u8], rsa: &RsaKey) -> Result<Self, HandshakeError> {
        let data = rsa.decrypt(encrypted).ok_or(HandshakeError::Decryption)?;
        let inner = enums::PQInnerData::from_bytes(&data).map_err(|_| HandshakeError::Malformed)?;
        let (client, server, new_nonce, dc) = match inner {
            enums::PQInnerData::Data(x) => (x.nonce, x.server_nonce, x.new_nonce, None),
            enums::PQInnerData::Dc(x) => (x.nonce, x.server_nonce, x.new_nonce, Some(x.dc)),
            enums::PQInnerData::Temp(x) => (x.nonce, x.server_nonce, x.new_nonce, None),
            enums::PQInnerData::TempDc(x) => (x.nonce, x.server_nonce, x.new_nonce, Some(x.dc)),
        };
        // Test servers are numbered from 10000, media-only ones negatively.
        let dc = dc.map(|dc| dc.abs() % 10_000);
        Ok(Self { nonces: Nonces { client, server }, new_nonce, dc })
    }
}

fn parse<T: Deserializable>(cursor: &mut Cursor<'_>) -> Result<T, HandshakeError> {
    T::deserialize(cursor).map_err(|_| HandshakeError::Malformed)
}

/// SHA-1, data, and random padding to whole blocks.
fn with_hash(data: &[u8]) -> Vec<u8> {
    let mut out = Sha1::digest(data).to_vec();
    out.extend_from_slice(data);
    let padding = (16 - out.len() % 16) % 16;
    out.extend_from_slice(&rand::random::<[u8; 16]>()[..padding]);
    out
}

/// Reads an object behind its SHA-1; whatever follows it is padding.
fn hashed<T: Deserializable>(data: &[u8]) -> Option<T> {
    let (hash, data) = data.split_at_checked(20)?;
    let mut cursor = Cursor::from_slice(data);
    let object = T::deserialize(&mut cursor).ok()?;
    (Sha1::digest(&data[..cursor.pos()])[..] == *hash).then_some(object)
}
