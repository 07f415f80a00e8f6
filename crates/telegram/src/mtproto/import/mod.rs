//! Sessions that other programs logged in. Nothing leaves the machine here: a parsed session still has to be proven
//! against the server, and the other program must stop using it, or Telegram ends it for both.
//!
//! - [`telethon_string`], [`telethon_file`]: Telethon's `StringSession` and its SQLite file;
//! - [`pyrogram_string`]: Pyrogram's session strings, old and new.
//!
//! Addresses inside imported sessions are ignored on purpose: the service connects to the data centres that it knows,
//! never to where a user's file tells it to.

mod pyrogram;
mod telethon_file;
mod telethon_string;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

pub use pyrogram::pyrogram_string;
pub use telethon_file::telethon_file;
pub use telethon_string::telethon_string;

use super::auth_key::AuthKey;
use super::session_data::SessionData;

/// Why something is not an importable session. Never quotes what it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Neither of the known kinds of strings.
    #[error(
        "this is no session string: Telethon's starts with 1 and has 353 or 369 characters, Pyrogram's has 351, 356 \
         or 362; this one has {length}"
    )]
    UnknownString {
        /// Length of the given string in characters, without surrounding white space.
        length: usize,
    },
    /// A Telethon string of a version that does not exist yet.
    #[error("this session string has a version that is not known: export it again with Telethon 1.x")]
    UnknownVersion,
    /// Not base64.
    #[error("this session string holds characters that do not belong there: copy it again, whole and unchanged")]
    NotBase64,
    /// Decodes to something else than a session.
    #[error("this session is damaged: export it again")]
    Damaged,
    /// Nobody logged in with it.
    #[error("this session was never logged in: log in with the other program first, or connect by QR code or phone")]
    NotLoggedIn,
    /// Telegram has the data centres 1 to 5.
    #[error("this session names data centre {0}, which does not exist: export it again")]
    UnknownDataCenter(i64),
    /// Telegram's own test servers.
    #[error("this session belongs to Telegram's test servers and does not work on the real ones")]
    TestServers,
    /// The session of a bot.
    #[error("this session belongs to a bot: connect the bot by its token instead")]
    Bot,
    /// Not a file that Telethon wrote.
    #[error("this is no session file of Telethon: {0}")]
    NotTelethonFile(&'static str),
}

/// Reads a session string of Telethon or Pyrogram, whichever it is.
pub fn session_string(text: &str) -> Result<SessionData, ImportError> {
    let text = text.trim();
    if telethon_string::matches(text) {
        telethon_string(text)
    } else if pyrogram::matches(text) {
        pyrogram_string(text)
    } else {
        Err(ImportError::UnknownString { length: text.chars().count() })
    }
}

/// Base64 with the alphabet for addresses, with or without padding.
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ENGINE.decode(text).map(Zeroizing::new).map_err(|_| ImportError::NotBase64)
}

fn session(dc_id: i64, key: &[u8]) -> Result<SessionData, ImportError> {
    let key = match key {
        bytes if bytes.len() != AuthKey::LEN => return Err(ImportError::Damaged),
        bytes => AuthKey::from_slice(bytes).ok_or(ImportError::NotLoggedIn)?,
    };
    i32::try_from(dc_id)
        .ok()
        .and_then(|dc| SessionData::logged_in(dc, key))
        .ok_or(ImportError::UnknownDataCenter(dc_id))
}

/// Takes the next `N` bytes off the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], ImportError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(ImportError::Damaged)?;
    *bytes = rest;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_strings_are_refused_by_their_length() {
        let error = session_string(" hello ").unwrap_err();
        assert_eq!(error, ImportError::UnknownString { length: 5 });
        assert!(error.to_string().contains("this one has 5"));
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_not_a_panic(text in ".{0,400}") {
            prop_assert!(session_string(&text).is_err());
            prop_assert!(telethon_string(&text).is_err());
            prop_assert!(pyrogram_string(&text).is_err());
        }

        #[test]
        fn strings_of_the_right_shape_never_panic(text in "1?[A-Za-z0-9_-]{351,368}={0,2}") {
            for parsed in [session_string(&text), telethon_string(&text), pyrogram_string(&text)].into_iter().flatten() {
                prop_assert!((1..=5).contains(&parsed.home_dc));
            }
        }

        #[test]
        fn errors_never_quote_the_session(text in "[A-Za-z0-9_-]{20,400}") {
            if let Err(error) = session_string(&text) {
                prop_assert!(!error.to_string().contains(&text));
            }
        }
    }
}
