//! AES-256-GCM in two steps: a fresh data key seals the secret, and a key of the keyring, or Vault, wraps the data key.
//! Both are bound to the purpose of the record and to the name of the wrapping key.

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use zeroize::Zeroizing;

use super::SealError;
use super::envelope::{Envelope, VERSION};
use super::keyring::{Key, KeyBytes};

/// Bytes of a nonce. Nonces are random; one wrapping key is good for 2³² records.
const NONCE: usize = 12;

/// What is sealed, so that one part of an envelope can never stand for another.
const DATA_KEY: &str = "data key";
const SECRET: &str = "secret";

/// A key of random bytes from the system.
pub(super) fn random_key() -> Result<KeyBytes, SysError> {
    let mut key = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(key.as_mut_slice())?;
    Ok(key)
}

pub(super) fn seal(key: &Key, purpose: &str, plaintext: &[u8]) -> Result<Envelope, SealError> {
    let data_key = random_key()?;
    let (nonce, wrapped) = encrypt(&key.bytes, &data_key_binding(&key.reference, purpose), data_key.as_slice())?;
    let wrapped = STANDARD.encode([nonce.as_slice(), &wrapped].concat());
    seal_with(key.reference.clone(), wrapped, &data_key, purpose, plaintext)
}

pub(super) fn open(key: &Key, purpose: &str, envelope: &Envelope) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let wrapped = decode(&envelope.dek, "its data key is not base64")?;
    let (nonce, wrapped) = wrapped.split_at_checked(NONCE).ok_or(SealError::Malformed("its data key is too short"))?;
    let refused = || SealError::Refused(purpose.to_owned());
    let binding = data_key_binding(&key.reference, purpose);
    let data_key = decrypt(&key.bytes, &binding, nonce, wrapped).ok_or_else(refused)?;
    let data_key: [u8; 32] = data_key.as_slice().try_into().map_err(|_| refused())?;
    open_with(&Zeroizing::new(data_key), purpose, envelope)
}

/// Seals with a data key that somebody wrapped.
pub(super) fn seal_with(
    reference: String,
    wrapped: String,
    data_key: &KeyBytes,
    purpose: &str,
    plaintext: &[u8],
) -> Result<Envelope, SealError> {
    let (nonce, ct) = encrypt(data_key, &binding(SECRET, &reference, purpose), plaintext)?;
    let (nonce, ct) = (STANDARD.encode(nonce), STANDARD.encode(ct));
    Ok(Envelope { v: VERSION, key: reference, dek: wrapped, nonce, ct })
}

/// Opens with the unwrapped data key.
pub(super) fn open_with(
    data_key: &KeyBytes,
    purpose: &str,
    envelope: &Envelope,
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    if envelope.v != VERSION {
        return Err(SealError::UnsupportedVersion(envelope.v));
    }
    let nonce = decode(&envelope.nonce, "its nonce is not base64")?;
    let ct = decode(&envelope.ct, "its ciphertext is not base64")?;
    let binding = binding(SECRET, &envelope.key, purpose);
    decrypt(data_key, &binding, &nonce, &ct).ok_or_else(|| SealError::Refused(purpose.to_owned()))
}

/// What a data key is bound to, by whoever wraps it. `key` names the wrapping key.
pub(super) fn data_key_binding(key: &str, purpose: &str) -> Vec<u8> {
    binding(DATA_KEY, key, purpose)
}

/// The associated data. A reference holds no line break, so that two different bindings never read the same.
fn binding(part: &str, key: &str, purpose: &str) -> Vec<u8> {
    format!("integrations sealed v{VERSION}\n{part}\n{key}\n{purpose}").into_bytes()
}

fn encrypt(key: &KeyBytes, aad: &[u8], msg: &[u8]) -> Result<([u8; NONCE], Vec<u8>), SealError> {
    let mut nonce = [0; NONCE];
    SysRng.try_fill_bytes(&mut nonce)?;
    let cipher = Aes256Gcm::new((&**key).into());
    let ct = cipher.encrypt(&nonce.into(), Payload { msg, aad }).map_err(|_| SealError::TooLong)?;
    Ok((nonce, ct))
}

fn decrypt(key: &KeyBytes, aad: &[u8], nonce: &[u8], msg: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let nonce = Nonce::try_from(nonce).ok()?;
    let cipher = Aes256Gcm::new((&**key).into());
    cipher.decrypt(&nonce, Payload { msg, aad }).ok().map(Zeroizing::new)
}

fn decode(text: &str, fault: &'static str) -> Result<Vec<u8>, SealError> {
    STANDARD.decode(text).map_err(|_| SealError::Malformed(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(version: u32) -> Key {
        Key { reference: format!("local:{version}"), bytes: random_key().unwrap() }
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_purpose_only() {
        let (one, other) = (key(1), key(1));
        for plaintext in [&b""[..], b"x", &vec![7; 100_000]] {
            let envelope = seal(&one, "bots/1/token", plaintext).unwrap();
            assert_eq!(open(&one, "bots/1/token", &envelope).unwrap().as_slice(), plaintext);
            for (key, purpose) in [(&one, "bots/2/token"), (&other, "bots/1/token"), (&one, "")] {
                assert!(matches!(open(key, purpose, &envelope), Err(SealError::Refused(_))), "{purpose}");
            }
        }
    }

    #[test]
    fn the_name_of_the_key_is_bound_too() {
        let mut key = key(1);
        let mut envelope = seal(&key, "p", b"x").unwrap();
        key.reference = "local:2".into();
        envelope.key = "local:2".into();
        assert!(matches!(open(&key, "p", &envelope), Err(SealError::Refused(_))));
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let key = key(1);
        let envelope = seal(&key, "p", b"secret").unwrap();
        let parts: [fn(&mut Envelope) -> &mut String; 3] = [|e| &mut e.dek, |e| &mut e.nonce, |e| &mut e.ct];
        for part in parts {
            let bytes = STANDARD.decode(part(&mut envelope.clone())).unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let mut envelope = envelope.clone();
                *part(&mut envelope) = STANDARD.encode(changed);
                assert!(matches!(open(&key, "p", &envelope), Err(SealError::Refused(_))), "bit {bit}");
            }
        }
    }

    #[test]
    fn parts_of_another_envelope_and_cut_parts_are_detected() {
        let key = key(1);
        let (first, second) = (seal(&key, "p", b"one").unwrap(), seal(&key, "p", b"two").unwrap());
        let swapped = Envelope { dek: second.dek.clone(), ..first.clone() };
        assert!(matches!(open(&key, "p", &swapped), Err(SealError::Refused(_))));
        for cut in ["", "YQ==", "!"] {
            assert!(open(&key, "p", &Envelope { dek: cut.into(), ..first.clone() }).is_err());
            assert!(open(&key, "p", &Envelope { nonce: cut.into(), ..first.clone() }).is_err());
            assert!(open(&key, "p", &Envelope { ct: cut.into(), ..first.clone() }).is_err());
        }
        assert!(matches!(open(&key, "p", &Envelope { v: 3, ..first }), Err(SealError::UnsupportedVersion(3))));
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let key = key(1);
        let (first, second) = (seal(&key, "p", b"x").unwrap(), seal(&key, "p", b"x").unwrap());
        assert!(first.ct != second.ct && first.nonce != second.nonce && first.dek != second.dek);
    }
}
