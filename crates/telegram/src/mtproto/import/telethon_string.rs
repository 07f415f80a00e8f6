//! Telethon's `StringSession`, version 1: the digit 1, then base64 of data centre, address, port and key.

use super::{ImportError, decode, session, take};
use crate::mtproto::auth_key::AuthKey;
use crate::mtproto::session_data::SessionData;

/// The only version that exists.
const VERSION: char = '1';

/// Lengths of the encoded part with an IPv4 and an IPv6 address, without padding.
const LENGTHS: [usize; 2] = [351, 367];

pub(super) fn matches(text: &str) -> bool {
    text.strip_prefix(VERSION).is_some_and(|encoded| LENGTHS.contains(&encoded.trim_end_matches('=').len()))
}

/// Reads what `StringSession.save()` of Telethon 1.x gives.
pub fn telethon_string(text: &str) -> Result<SessionData, ImportError> {
    let text = text.trim();
    let encoded = match text.strip_prefix(VERSION) {
        Some(encoded) if matches(text) => encoded,
        None if text.starts_with(|first: char| first.is_ascii_digit()) => return Err(ImportError::UnknownVersion),
        _ => return Err(ImportError::UnknownString { length: text.chars().count() }),
    };
    let bytes = decode(encoded)?;
    let mut rest = bytes.as_slice();
    let [dc_id] = take(&mut rest)?;
    let address_and_port = rest.len().checked_sub(AuthKey::LEN).ok_or(ImportError::Damaged)?;
    if address_and_port != 4 + 2 && address_and_port != 16 + 2 {
        return Err(ImportError::Damaged);
    }
    session(dc_id.into(), &rest[address_and_port..])
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE;
    use proptest::prelude::*;

    use super::*;

    fn write(dc: u8, address: &[u8], port: u16, key: &[u8]) -> String {
        let bytes = [&[dc], address, &port.to_be_bytes(), key].concat();
        format!("1{}", BASE64_URL_SAFE.encode(bytes))
    }

    proptest! {
        #[test]
        fn strings_with_either_kind_of_address_are_read(
            dc in 1..=5_u8, v6: bool, port: u16, key in prop::collection::vec(1..=255_u8, 256),
        ) {
            let text = write(dc, if v6 { &[1; 16] } else { &[1; 4] }, port, &key);
            prop_assert_eq!(text.len(), if v6 { 369 } else { 353 });
            let data = telethon_string(&text).unwrap();
            prop_assert_eq!(data.home_dc, i32::from(dc));
            prop_assert_eq!(&data.data_centers[&i32::from(dc)].auth_key, &AuthKey::from_slice(&key));
            prop_assert_eq!(telethon_string(&format!(" {}\n", text.trim_end_matches('='))), Ok(data));
        }
    }

    #[test]
    fn the_address_in_the_string_is_not_used() {
        let data = telethon_string(&write(2, &[10, 0, 0, 1], 22, &[3; 256])).unwrap();
        let known = SessionData::default();
        assert_eq!(data.data_centers[&2].ipv4, known.data_centers[&2].ipv4);
    }

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(telethon_string(&write(2, &[1; 4], 443, &[0; 256])), Err(ImportError::NotLoggedIn));
        assert_eq!(telethon_string(&write(9, &[1; 4], 443, &[3; 256])), Err(ImportError::UnknownDataCenter(9)));
        let good = write(2, &[1; 4], 443, &[3; 256]);
        assert_eq!(telethon_string(&good.replacen('1', "2", 1)), Err(ImportError::UnknownVersion));
        assert_eq!(telethon_string(&good.replacen('w', "*", 1)), Err(ImportError::NotBase64));
        assert_eq!(telethon_string(&good[..300]), Err(ImportError::UnknownString { length: 300 }));
    }
}
