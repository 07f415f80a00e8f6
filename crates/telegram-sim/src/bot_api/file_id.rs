//! Identifiers of files, as bots know them: of one bot and one file, in letters that say nothing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::reply::ApiError;
use crate::world::{FileId, UserId};

/// What real identifiers end with.
const VERSION: u8 = 4;
/// The bot, the file, a hash of both, the version.
const LENGTH: usize = 8 + 8 + 32 + 1;

/// The identifier by which a bot knows a file.
pub fn encode(bot: UserId, file: FileId) -> String {
    let ids = [bot.to_be_bytes(), file.to_be_bytes()].concat();
    let hash = Sha256::digest(&ids);
    BASE64_URL_SAFE_NO_PAD.encode([&ids[..], &hash[..], &[VERSION]].concat())
}

/// The identifier of a file that is the same for all bots, and cannot be used to send it.
pub fn unique(file: FileId) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&b"AgAD"[..], &file.to_be_bytes()].concat())
}

/// The bot and the file in an identifier.
pub fn decode(text: &str) -> Result<(UserId, FileId), ApiError> {
    let wrong = |why: &str| ApiError::bad_request(format_args!("wrong remote file identifier specified: {why}"));
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong("Wrong character in the string"))?;
    let unserialize = || wrong("can't unserialize it. Wrong last symbol");
    if bytes.len() != LENGTH {
        return Err(unserialize());
    }
    let number = |at: usize| bytes[at..].first_chunk::<8>().map(|number| i64::from_be_bytes(*number));
    let (bot, file) = number(0).zip(number(8)).ok_or_else(unserialize)?;
    if encode(bot, file) == text { Ok((bot, file)) } else { Err(unserialize()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_round_trip_and_nothing_else_does() {
        let id = encode(7_000_000_001, 5_000_000_000_001);
        assert_eq!(decode(&id), Ok((7_000_000_001, 5_000_000_000_001)));
        let changed = id.replacen(id.chars().next().unwrap(), "Z", 1);
        for wrong in [changed.as_str(), "not an id", "", &unique(5_000_000_000_001)] {
            assert!(decode(wrong).unwrap_err().description().contains("wrong remote file identifier"), "{wrong}");
        }
    }
}
