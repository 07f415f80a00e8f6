//! Secrets of webhooks. Telegram repeats the secret with each delivery; only its hash is stored.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use subtle::ConstantTimeEq as _;
use telegram::bots::inbound;
use tokio::{sync::Semaphore, time::Instant};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Characters of a secret: 32 bytes in Base64.
const LENGTH: usize = 43;
/// What was read is believed so long.
const BELIEVED: Duration = Duration::from_secs(5);
/// A wrong secret makes the service look again, but not more often than so.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Questions to the database at the same time: a flood of guesses must not take its connections.
const QUESTIONS: usize = 2;
/// Bots remembered; beyond, the memory starts anew.
const REMEMBERED: usize = 10_000;

type Hash = [u8; 32];

/// A new secret and its hash.
pub fn generate() -> (SecretString, Hash) {
    let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
    let text = URL_SAFE_NO_PAD.encode(*bytes);
    let hash = hash(&text);
    (SecretString::from(text), hash)
}

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// Checks the secrets of deliveries.
pub struct Secrets {
    pool: PgPool,
    known: Mutex<HashMap<Uuid, (Instant, Vec<Hash>)>>,
    questions: Semaphore,
}

impl Secrets {
    /// With the hashes that are stored there.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, known: Mutex::default(), questions: Semaphore::new(QUESTIONS) }
    }

    /// Whether this is the secret of the bot's webhook. What cannot be one costs nothing; an unknown bot is treated like a wrong secret.
    pub async fn are_right(&self, bot_id: Uuid, given: &str) -> Result<bool, sqlx::Error> {
        if given.len() != LENGTH {
            return Ok(false);
        }
        let given = hash(given);
        if let Some((age, known)) = self.remembered(bot_id) {
            let right = is_one_of(&given, &known);
            if age < LOOK_AGAIN || (right && age < BELIEVED) {
                return Ok(right);
            }
        }
        let Ok(_permit) = self.questions.acquire().await else { return Ok(false) };
        // Somebody may have asked meanwhile.
        if let Some((age, known)) = self.remembered(bot_id)
            && age < LOOK_AGAIN
        {
            return Ok(is_one_of(&given, &known));
        }
        let stored = inbound::secret_hashes(&self.pool, bot_id).await?;
        let stored: Vec<Hash> = stored.into_iter().filter_map(|hash| hash.try_into().ok()).collect();
        let right = is_one_of(&given, &stored);
        self.remember(bot_id, stored);
        Ok(right)
    }

    fn remembered(&self, bot_id: Uuid) -> Option<(Duration, Vec<Hash>)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&bot_id).map(|(at, hashes)| (at.elapsed(), hashes.clone()))
    }

    fn remember(&self, bot_id: Uuid, hashes: Vec<Hash>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(bot_id, (Instant::now(), hashes));
    }
}

/// Compares with two hashes in any case, so that the time does not tell how many there are.
fn is_one_of(given: &Hash, known: &[Hash]) -> bool {
    let nothing = hash("");
    let equal = |index: usize| given.ct_eq(known.get(index).unwrap_or(&nothing));
    (equal(0) | equal(1)).into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_secret_has_the_form_that_telegram_takes_and_matches_its_hash_only() {
        let (secret, stored) = generate();
        let text = secret.expose_secret();
        assert_eq!(text.len(), LENGTH);
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        let (_, other) = generate();
        assert!(is_one_of(&hash(text), &[stored]) && is_one_of(&hash(text), &[other, stored]));
        assert!(!is_one_of(&hash(text), &[other]) && !is_one_of(&hash(text), &[]));
    }
}
