//! MTProto 2.0 encryption from the server's side: the client's messages are opened with x = 0, ours are sealed with x = 8.
//!
//! <https://core.telegram.org/mtproto/description#defining-aes-key-and-initialization-vector>

use grammers_crypto::aes::{ige_decrypt, ige_encrypt};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Where a direction reads the key.
const FROM_CLIENT: usize = 0;
const FROM_SERVER: usize = 8;

/// Length of key identifier and message key before the ciphertext, in bytes.
const HEADER: usize = 24;

/// A permanent authorization key: 2048 bits that client and server share.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthKey {
    bytes: Box<[u8; 256]>,
    id: i64,
}

impl AuthKey {
    /// Takes the bytes of a key; its identifier is the lower 64 bits of their SHA-1.
    pub fn new(bytes: [u8; 256]) -> Self {
        let hash = Sha1::digest(bytes);
        let id = i64::from_le_bytes(*hash.last_chunk().expect("SHA-1 has 20 bytes"));
        Self { bytes: Box::new(bytes), id }
    }

    /// A fresh random key.
    pub fn random() -> Self {
        let mut bytes = [0; 256];
        rand::fill(&mut bytes);
        Self::new(bytes)
    }

    /// The identifier which each encrypted message starts with.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// The 256 bytes of the key.
    pub fn bytes(&self) -> &[u8; 256] {
        &self.bytes
    }

    /// Opens a client's message (key identifier, message key, ciphertext); `None` if its message key does not fit.
    pub fn open(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (header, ciphertext) = packet.split_at_checked(HEADER)?;
        let msg_key: [u8; 16] = header[8..].try_into().ok()?;
        // A padded transport may leave up to 15 bytes behind the last block.
        let mut plain = ciphertext[..ciphertext.len() / 16 * 16].to_vec();
        if plain.is_empty() {
            return None;
        }
        let (key, iv) = self.aes(&msg_key, FROM_CLIENT);
        ige_decrypt(&mut plain, &key, &iv);
        (self.msg_key(&plain, FROM_CLIENT) == msg_key).then_some(plain)
    }

    /// Seals a message of the server with the least padding that the protocol allows (12 bytes or more).
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let padding = 12 + (16 - (plain.len() + 12) % 16) % 16;
        let mut packet = Vec::with_capacity(HEADER + plain.len() + padding);
        packet.extend_from_slice(&self.id.to_le_bytes());
        packet.extend_from_slice(&[0; 16]);
        packet.extend_from_slice(plain);
        packet.extend_from_slice(&rand::random::<[u8; 32]>()[..padding]);
        let msg_key = self.msg_key(&packet[HEADER..], FROM_SERVER);
        packet[8..HEADER].copy_from_slice(&msg_key);
        let (key, iv) = self.aes(&msg_key, FROM_SERVER);
        ige_encrypt(&mut packet[HEADER..], &key, &iv);
        packet
    }

    fn msg_key(&self, plain: &[u8], x: usize) -> [u8; 16] {
        let large = Sha256::new().chain_update(&self.bytes[88 + x..120 + x]).chain_update(plain).finalize();
        *large[8..].first_chunk().expect("SHA-256 has 32 bytes")
    }

    fn aes(&self, msg_key: &[u8; 16], x: usize) -> ([u8; 32], [u8; 32]) {
        let a = Sha256::new().chain_update(msg_key).chain_update(&self.bytes[x..x + 36]).finalize();
        let b = Sha256::new().chain_update(&self.bytes[40 + x..76 + x]).chain_update(msg_key).finalize();
        let mix = |outer: &[u8], inner: &[u8]| {
            let mut out = [0; 32];
            out[..8].copy_from_slice(&outer[..8]);
            out[8..24].copy_from_slice(&inner[8..24]);
            out[24..].copy_from_slice(&outer[24..]);
            out
        };
        (mix(&a, &b), mix(&b, &a))
    }
}

impl std::fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuthKey({:016x})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grammers_crypto::{AuthKey as ClientKey, DequeBuffer, decrypt_data_v2, encrypt_data_v2};

    #[test]
    fn a_clients_message_is_opened() {
        let key = AuthKey::random();
        let client = ClientKey::from_bytes(*key.bytes());
        let plain: Vec<u8> = (0..100).collect();
        let mut buffer = DequeBuffer::with_capacity(256, 64);
        buffer.extend(plain.iter().copied());
        encrypt_data_v2(&mut buffer, &client);
        let opened = key.open(&buffer[..]).unwrap();
        assert_eq!(opened[..plain.len()], plain);
    }

    #[test]
    fn a_message_of_the_server_is_read_by_a_client() {
        let key = AuthKey::random();
        for length in [0, 1, 15, 16, 17, 100, 1000] {
            let plain = vec![42; length];
            let mut packet = key.seal(&plain);
            let read = decrypt_data_v2(&mut packet, &ClientKey::from_bytes(*key.bytes())).unwrap();
            assert_eq!(read[..length], plain);
            assert!(read.len() >= length + 12, "at least 12 bytes of padding");
        }
    }

    #[test]
    fn a_changed_or_short_message_is_refused() {
        let key = AuthKey::random();
        let mut buffer = DequeBuffer::with_capacity(256, 64);
        buffer.extend([1; 64]);
        encrypt_data_v2(&mut buffer, &ClientKey::from_bytes(*key.bytes()));
        let mut packet = buffer[..].to_vec();
        packet[40] ^= 1;
        assert_eq!(key.open(&packet), None);
        assert_eq!(key.open(&packet[..24]), None);
        assert_eq!(key.open(&packet[..10]), None);
    }
}
