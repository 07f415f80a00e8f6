//! Passwords of two-step verification, from the server's side: <https://core.telegram.org/api/srp>.
//!
//! Checking one costs two exponentiations (some 10 ms); making a verifier costs 100,000 rounds of PBKDF2 as well.

use grammers_tl_types::{enums, types};
use hmac::Hmac;
use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};

use super::handshake::dh;

const ROUNDS: u32 = 100_000;

/// What the server keeps of a password.
#[derive(Clone)]
pub struct Verifier {
    salt1: Vec<u8>,
    salt2: Vec<u8>,
    value: BigUint,
    /// What the person is reminded by.
    pub hint: String,
}

impl Verifier {
    /// Makes the verifier of a password, with fresh salts.
    pub fn new(password: &str, hint: &str) -> Self {
        let salt1 = [&rand::random::<[u8; 8]>()[..], &rand::random::<[u8; 32]>()].concat();
        let salt2 = rand::random::<[u8; 16]>().to_vec();
        let value = dh::power_of_generator(&private_value(password.as_bytes(), &salt1, &salt2));
        Self { salt1, salt2, value, hint: hint.to_owned() }
    }

    /// Takes a verifier that a client made (`account.passwordInputSettings`); `None` if the value is unsafe or the
    /// algorithm is not the present one.
    pub fn from_client(algo: &enums::PasswordKdfAlgo, value: &[u8], hint: &str) -> Option<Self> {
        let enums::PasswordKdfAlgo::Sha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow(algo) = algo else {
            return None;
        };
        let value = BigUint::from_bytes_be(value);
        let same_group = algo.g == dh::GENERATOR && algo.p[..] == dh::PRIME_BYTES[..];
        (same_group && dh::is_safe(&value)).then(|| Self {
            salt1: algo.salt1.clone(),
            salt2: algo.salt2.clone(),
            value,
            hint: hint.to_owned(),
        })
    }

    /// The algorithm, as the API describes it.
    pub fn algo(&self) -> enums::PasswordKdfAlgo {
        algo(self.salt1.clone(), self.salt2.clone())
    }

    /// Starts a check: the server's half of the exchange.
    pub fn challenge(&self) -> Challenge {
        let exponent = dh::random_exponent();
        let multiplier = number(&[&dh::PRIME_BYTES[..], &generator()]);
        let g_b = (multiplier * &self.value + dh::power_of_generator(&exponent)) % &*dh::PRIME;
        Challenge { id: rand::random(), exponent, g_b: dh::padded(&g_b) }
    }

    /// Whether the client's answer to a challenge proves that it knows the password.
    pub fn accepts(&self, challenge: &Challenge, answer: &types::InputCheckPasswordSrp) -> bool {
        let g_a = BigUint::from_bytes_be(&answer.a);
        if !dh::is_safe(&g_a) {
            return false;
        }
        let g_a_bytes = dh::padded(&g_a);
        let scramble = number(&[&g_a_bytes, &challenge.g_b]);
        let base = g_a * dh::power(&self.value, &scramble) % &*dh::PRIME;
        let session = hash(&[&dh::padded(&dh::power(&base, &challenge.exponent))]);
        let (prime, generator) = (hash(&[&dh::PRIME_BYTES[..]]), hash(&[&generator()]));
        let group: [u8; 32] = std::array::from_fn(|i| prime[i] ^ generator[i]);
        let proof = hash(&[&group, &hash(&[&self.salt1]), &hash(&[&self.salt2]), &g_a_bytes, &challenge.g_b, &session]);
        proof[..] == answer.m1[..]
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("hint", &self.hint).finish_non_exhaustive()
    }
}

/// A verifier to be written down, in hex.
#[derive(Serialize, Deserialize)]
pub struct VerifierParts {
    salt1: String,
    salt2: String,
    value: String,
    hint: String,
}

impl From<&Verifier> for VerifierParts {
    fn from(verifier: &Verifier) -> Self {
        Self {
            salt1: hex::encode(&verifier.salt1),
            salt2: hex::encode(&verifier.salt2),
            value: hex::encode(verifier.value.to_bytes_be()),
            hint: verifier.hint.clone(),
        }
    }
}

impl VerifierParts {
    /// The verifier that was written down; `None` if it is no hex.
    pub fn verifier(self) -> Option<Verifier> {
        Some(Verifier {
            salt1: hex::decode(&self.salt1).ok()?,
            salt2: hex::decode(&self.salt2).ok()?,
            value: BigUint::from_bytes_be(&hex::decode(&self.value).ok()?),
            hint: self.hint,
        })
    }
}

/// One check of a password, valid once.
#[derive(Clone)]
pub struct Challenge {
    /// `srp_id`.
    pub id: i64,
    exponent: BigUint,
    /// `srp_B`.
    pub g_b: [u8; 256],
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenge").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The algorithm that a client uses for a new password.
pub fn new_algo() -> enums::PasswordKdfAlgo {
    algo(rand::random::<[u8; 8]>().to_vec(), rand::random::<[u8; 16]>().to_vec())
}

fn algo(salt1: Vec<u8>, salt2: Vec<u8>) -> enums::PasswordKdfAlgo {
    types::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow {
        salt1,
        salt2,
        g: dh::GENERATOR,
        p: dh::PRIME_BYTES.to_vec(),
    }
    .into()
}

fn generator() -> [u8; 256] {
    dh::pad(&dh::GENERATOR.to_be_bytes())
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), Digest::chain_update).finalize().into()
}

fn number(parts: &[&[u8]]) -> BigUint {
    BigUint::from_bytes_be(&hash(parts))
}

fn salted(data: &[u8], salt: &[u8]) -> [u8; 32] {
    hash(&[salt, data, salt])
}

fn private_value(password: &[u8], salt1: &[u8], salt2: &[u8]) -> BigUint {
    let first = salted(&salted(password, salt1), salt2);
    let mut stretched = [0; 64];
    pbkdf2::pbkdf2::<Hmac<Sha512>>(&first, salt1, ROUNDS, &mut stretched).expect("HMAC takes keys of any length");
    BigUint::from_bytes_be(&salted(&stretched, salt2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use grammers_crypto::two_factor_auth::calculate_2fa;

    fn answer(verifier: &Verifier, challenge: &Challenge, password: &str) -> types::InputCheckPasswordSrp {
        let secret = vec![0xa5; 256];
        let (m1, a) = calculate_2fa(
            &verifier.salt1,
            &verifier.salt2,
            &dh::PRIME_BYTES[..],
            &dh::GENERATOR,
            challenge.g_b.to_vec(),
            secret,
            password,
        );
        types::InputCheckPasswordSrp { srp_id: challenge.id, a: a.to_vec(), m1: m1.to_vec() }
    }

    #[test]
    fn only_the_right_password_is_accepted() {
        let verifier = Verifier::new("correct horse", "animal");
        let challenge = verifier.challenge();
        assert!(verifier.accepts(&challenge, &answer(&verifier, &challenge, "correct horse")));
        assert!(!verifier.accepts(&challenge, &answer(&verifier, &challenge, "Correct horse")));
        let other = verifier.challenge();
        assert!(!verifier.accepts(&other, &answer(&verifier, &challenge, "correct horse")));
    }

    #[test]
    fn an_unsafe_answer_is_refused() {
        let verifier = Verifier::new("p", "");
        let challenge = verifier.challenge();
        let answer = types::InputCheckPasswordSrp { srp_id: challenge.id, a: vec![0; 256], m1: vec![0; 32] };
        assert!(!verifier.accepts(&challenge, &answer));
    }
}
