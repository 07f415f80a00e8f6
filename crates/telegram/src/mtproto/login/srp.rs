//! The answer to the password question: SRP, <https://core.telegram.org/api/srp>. The password does not leave the
//! process.

use std::sync::{Mutex, PoisonError};

use grammers_crypto::two_factor_auth::{calculate_2fa, check_p_and_g};
use grammers_tl_types as tl;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::mtproto::problem::Problem;

/// Length of the numbers in bytes.
const LEN: usize = 256;

/// An answer costs a CPU tens of milliseconds: one at a time, so that many logins at once leave the rest of the
/// service its processors.
static TURN: Semaphore = Semaphore::const_new(1);

/// Primes that were checked already. Checking is most of the cost, and Telegram uses very few.
static CHECKED: Mutex<Vec<(Vec<u8>, i32)>> = Mutex::new(Vec::new());

/// How many of them are remembered.
const REMEMBERED: usize = 16;

/// The question, taken apart.
pub(super) struct Question {
    srp_id: i64,
    salt1: Vec<u8>,
    salt2: Vec<u8>,
    g: i32,
    p: Vec<u8>,
    b: Vec<u8>,
}

impl Question {
    /// `None` when the account has no password, or asks in a way that this program does not know.
    pub(super) fn new(password: &tl::types::account::Password) -> Option<Self> {
        use tl::enums::PasswordKdfAlgo::Sha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow as Known;
        let Some(Known(algo)) = &password.current_algo else { return None };
        Some(Self {
            srp_id: password.srp_id?,
            salt1: algo.salt1.clone(),
            salt2: algo.salt2.clone(),
            g: algo.g,
            p: algo.p.clone(),
            b: password.srp_b.clone()?,
        })
    }

    /// Computes the answer on a blocking thread, in turn.
    pub(super) async fn answer(self, password: SecretString) -> Result<tl::enums::InputCheckPasswordSrp, Problem> {
        let turn = TURN.acquire().await.expect("the semaphore is never closed");
        let work = tokio::task::spawn_blocking(move || {
            let answer = self.compute(&password);
            // Held to here, so that a caller who gives up does not let the next one in too early.
            drop(turn);
            answer
        });
        work.await.unwrap_or_else(|_| Err(distrust("the computation failed")))
    }

    fn compute(self, password: &SecretString) -> Result<tl::enums::InputCheckPasswordSrp, Problem> {
        self.check()?;
        let mut secret = vec![0; LEN];
        rand::fill(&mut secret[..]);
        let (m1, a) =
            calculate_2fa(&self.salt1, &self.salt2, &self.p, &self.g, self.b, secret, password.expose_secret());
        Ok(tl::types::InputCheckPasswordSrp { srp_id: self.srp_id, a: a.to_vec(), m1: m1.to_vec() }.into())
    }

    /// A server that chose weak numbers could learn the password: such numbers are refused.
    fn check(&self) -> Result<(), Problem> {
        if !(2..=7).contains(&self.g) || self.p.len() != LEN || self.b.len() > LEN {
            return Err(distrust("numbers of the wrong size"));
        }
        let mut b = vec![0; LEN - self.b.len()];
        b.extend(&self.b);
        if b.iter().all(|byte| *byte == 0) || b >= self.p {
            return Err(distrust("a number out of range"));
        }
        if is_checked(&self.p, self.g) {
            return Ok(());
        }
        if !check_p_and_g(&self.p, &self.g) {
            return Err(distrust("a number that is not prime"));
        }
        remember(self.p.clone(), self.g);
        Ok(())
    }
}

fn is_checked(p: &[u8], g: i32) -> bool {
    let checked = CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
    checked.iter().any(|(known_p, known_g)| known_p == p && *known_g == g)
}

fn remember(p: Vec<u8>, g: i32) {
    let mut checked = CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
    if checked.len() == REMEMBERED {
        checked.remove(0);
    }
    checked.push((p, g));
}

fn distrust(what: &str) -> Problem {
    Problem::refused("password_check_unsafe", format!("Telegram asked for the password with {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A safe prime of 2048 bits, from RFC 3526, group 14: p % 3 = 2, so that 3 generates the right subgroup.
    const PRIME: &str = "\
        ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd\
        ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
        ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f\
        83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
        e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510\
        15728e5a8aacaa68ffffffffffffffff";

    fn question(p: Vec<u8>, g: i32, b: Vec<u8>) -> Question {
        Question { srp_id: 1, salt1: vec![1], salt2: vec![2], g, p, b }
    }

    fn refusal(question: &Question) -> String {
        question.check().unwrap_err().detail
    }

    #[test]
    fn unsafe_numbers_are_refused() {
        let prime = hex::decode(PRIME).unwrap();
        assert!(refusal(&question(prime.clone(), 8, vec![5])).contains("size"));
        assert!(refusal(&question(vec![0xff; 255], 3, vec![5])).contains("size"));
        assert!(refusal(&question(prime.clone(), 3, vec![1; 257])).contains("size"));
        assert!(refusal(&question(prime.clone(), 3, vec![])).contains("range"));
        assert!(refusal(&question(prime.clone(), 3, prime.clone())).contains("range"));
        let mut composite = prime;
        composite[200] ^= 2;
        assert!(refusal(&question(composite, 3, vec![5])).contains("prime"));
    }

    #[tokio::test]
    async fn an_answer_is_computed_and_the_prime_is_checked_once() {
        let prime = hex::decode(PRIME).unwrap();
        assert!(!is_checked(&prime, 3));
        let answer = question(prime.clone(), 3, vec![5]).answer("secret".into()).await.unwrap();
        let tl::enums::InputCheckPasswordSrp::Srp(answer) = answer else { panic!("{answer:?}") };
        assert_eq!((answer.srp_id, answer.a.len(), answer.m1.len()), (1, 256, 32));
        assert!(is_checked(&prime, 3));
    }
}
