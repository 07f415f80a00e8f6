//! The server's RSA key: made at start, published as PEM, used only to read what clients encrypt for it.

use base64::{Engine, engine::general_purpose::STANDARD};
use grammers_crypto::aes::ige_decrypt;
use grammers_tl_types::{Cursor, Deserializable, Serializable, enums};
use num_bigint::BigUint;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::dh::pad;

const EXPONENT: u32 = 65537;

/// A 2048-bit RSA key.
#[derive(Clone)]
pub struct RsaKey {
    modulus: BigUint,
    secret: BigUint,
    fingerprint: i64,
}

impl RsaKey {
    /// Makes a key; takes some tenths of a second.
    ///
    /// # Panics
    /// If the operating system gives no random numbers.
    pub fn generate() -> Self {
        let exponent = BigUint::from(EXPONENT);
        loop {
            let [p, q] = [(); 2].map(|()| glass_pumpkin::prime::new(1024).expect("the system gives random numbers"));
            let modulus = &p * &q;
            let order = (p - 1u8) * (q - 1u8);
            // A product of two 1024-bit primes may have 2047 bits; clients want 2048.
            if modulus.bits() == 2048
                && let Some(secret) = exponent.modinv(&order)
            {
                return Self { fingerprint: fingerprint(&modulus), modulus, secret };
            }
        }
    }

    /// What clients call the key: the lower 64 bits of the SHA-1 of its modulus and exponent as TL strings.
    pub fn fingerprint(&self) -> i64 {
        self.fingerprint
    }

    /// The public key as PKCS#1 PEM, which clients such as Telethon take.
    pub fn public_pem(&self) -> String {
        let numbers = [self.modulus.to_bytes_be(), BigUint::from(EXPONENT).to_bytes_be()];
        let content: Vec<u8> = numbers.iter().flat_map(|number| der_integer(number)).collect();
        let encoded = STANDARD.encode(der(0x30, &content));
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
        format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// Decrypts `encrypted_data` of `req_DH_params`, in the present form (RSA_PAD) or the one before it (SHA-1).
    pub fn decrypt(&self, encrypted: &[u8]) -> Option<Vec<u8>> {
        let value = BigUint::from_bytes_be(encrypted);
        if value >= self.modulus {
            return None;
        }
        let block = pad(&value.modpow(&self.secret, &self.modulus).to_bytes_be());
        unpad(&block).or_else(|| unpad_sha1(&block))
    }

    #[cfg(test)]
    fn encrypt(&self, block: &[u8; 256]) -> Vec<u8> {
        BigUint::from_bytes_be(block).modpow(&BigUint::from(EXPONENT), &self.modulus).to_bytes_be()
    }
}

impl std::fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RsaKey({:016x})", self.fingerprint)
    }
}

fn fingerprint(modulus: &BigUint) -> i64 {
    let mut bytes = modulus.to_bytes_be().to_bytes();
    BigUint::from(EXPONENT).to_bytes_be().serialize(&mut bytes);
    i64::from_le_bytes(*Sha1::digest(&bytes).last_chunk().expect("SHA-1 has 20 bytes"))
}

/// RSA_PAD: a temporary AES key, hidden by the hash of what it encrypts; inside, the reversed data and their hash.
fn unpad(block: &[u8; 256]) -> Option<Vec<u8>> {
    let (hidden, encrypted) = block.split_first_chunk::<32>()?;
    let mask: [u8; 32] = Sha256::digest(encrypted).into();
    let key: [u8; 32] = std::array::from_fn(|i| hidden[i] ^ mask[i]);
    let mut inner = encrypted.to_vec();
    ige_decrypt(&mut inner, &key, &[0; 32]);
    let (data, hash) = inner.split_at(192);
    let data: Vec<u8> = data.iter().rev().copied().collect();
    let expected = Sha256::new().chain_update(key).chain_update(&data).finalize();
    (expected[..] == *hash).then_some(data)
}

/// The older form: a zero byte, SHA-1, data, random padding.
fn unpad_sha1(block: &[u8; 256]) -> Option<Vec<u8>> {
    let (hash, data) = block[1..].split_at(20);
    let mut cursor = Cursor::from_slice(data);
    enums::PQInnerData::deserialize(&mut cursor).ok()?;
    (Sha1::digest(&data[..cursor.pos()])[..] == *hash).then(|| data.to_vec())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = u16::try_from(content.len()).expect("a public key is shorter than 64 KiB");
            out.push(0x82);
            out.extend(length.to_be_bytes());
        }
    }
    out.extend_from_slice(content);
    out
}

fn der_integer(number: &[u8]) -> Vec<u8> {
    // A leading one bit would make it negative.
    let sign = number.first().is_some_and(|first| first & 0x80 != 0).then_some(0);
    let content: Vec<u8> = sign.into_iter().chain(number.iter().copied()).collect();
    der(0x02, &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use grammers_tl_types::types;

    fn inner_data() -> Vec<u8> {
        let inner = types::PQInnerData {
            pq: vec![1; 8],
            p: vec![2; 4],
            q: vec![3; 4],
            nonce: [4; 16],
            server_nonce: [5; 16],
            new_nonce: [6; 32],
        };
        enums::PQInnerData::Data(inner).to_bytes()
    }

    #[test]
    fn both_forms_of_padding_are_read() {
        let key = RsaKey::generate();
        let data = inner_data();

        let client = grammers_crypto::rsa::Key::new(&key.modulus.to_string(), &EXPONENT.to_string()).unwrap();
        let encrypted = grammers_crypto::rsa::encrypt_hashed(&data, &client, &[9; 224]);
        assert_eq!(key.decrypt(&encrypted).unwrap()[..data.len()], data);

        let mut block = [7; 256];
        block[0] = 0;
        block[1..21].copy_from_slice(&Sha1::digest(&data));
        block[21..21 + data.len()].copy_from_slice(&data);
        assert_eq!(key.decrypt(&key.encrypt(&block)).unwrap()[..data.len()], data);

        block[30] ^= 1;
        assert_eq!(key.decrypt(&key.encrypt(&block)), None);
    }

    #[test]
    fn the_pem_has_the_shape_of_a_public_key() {
        let pem = RsaKey::generate().public_pem();
        assert!(pem.starts_with("-----BEGIN RSA PUBLIC KEY-----\nMIIBCgKCAQEA"), "{pem}");
        assert!(pem.ends_with("IDAQAB\n-----END RSA PUBLIC KEY-----\n"), "{pem}");
    }
}
