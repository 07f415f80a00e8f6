//! Pyrogram's session strings: base64, without padding, of a packed record. Three layouts exist, told apart by length.

use super::{ImportError, decode, session, take};
use crate::mtproto::auth_key::AuthKey;
use crate::mtproto::session_data::{SelfUser, SessionData};

/// Lengths of the strings: Pyrogram before 1.2 (32-bit user id), before 2.0 (64-bit), and since 2.0 (with the API id).
const LENGTHS: [usize; 3] = [351, 356, 362];

pub(super) fn matches(text: &str) -> bool {
    LENGTHS.contains(&text.trim_end_matches('=').len())
}

/// Reads what `Client.export_session_string()` of Pyrogram, and of the programs that descend from it, gives.
pub fn pyrogram_string(text: &str) -> Result<SessionData, ImportError> {
    let text = text.trim();
    let unpadded = text.trim_end_matches('=');
    if !matches(text) {
        return Err(ImportError::UnknownString { length: text.chars().count() });
    }
    let bytes = decode(unpadded)?;
    let mut rest = bytes.as_slice();
    let [dc_id] = take(&mut rest)?;
    if unpadded.len() == LENGTHS[2] {
        let _api_id = take::<4>(&mut rest)?;
    }
    let test_servers = flag(&mut rest)?;
    let (key, mut rest) = rest.split_at_checked(AuthKey::LEN).ok_or(ImportError::Damaged)?;
    let user_id = if unpadded.len() == LENGTHS[0] {
        u32::from_be_bytes(take(&mut rest)?).into()
    } else {
        i64::try_from(u64::from_be_bytes(take(&mut rest)?)).map_err(|_| ImportError::Damaged)?
    };
    let bot = flag(&mut rest)?;
    if !rest.is_empty() {
        return Err(ImportError::Damaged);
    }
    let mut data = session(dc_id.into(), key)?;
    if test_servers {
        return Err(ImportError::TestServers);
    }
    if bot {
        return Err(ImportError::Bot);
    }
    data.user = (user_id != 0).then_some(SelfUser { id: user_id, access_hash: None });
    Ok(data)
}

fn flag(bytes: &mut &[u8]) -> Result<bool, ImportError> {
    match take::<1>(bytes)? {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(ImportError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    struct Record {
        dc: u8,
        test: bool,
        key: Vec<u8>,
        user: u64,
        bot: bool,
    }

    impl Default for Record {
        fn default() -> Self {
            Self { dc: 2, test: false, key: vec![5; 256], user: 42, bot: false }
        }
    }

    impl Record {
        /// The string in the layout of that age: 0 the oldest, 2 the newest.
        fn write(&self, layout: usize) -> String {
            let user = match layout {
                0 => u32::try_from(self.user).unwrap().to_be_bytes().to_vec(),
                _ => self.user.to_be_bytes().to_vec(),
            };
            let api_id: &[u8] = if layout == 2 { &[0, 0, 0x30, 0x39] } else { &[] };
            let bytes =
                [&[self.dc], api_id, &[self.test.into()], &self.key, user.as_slice(), &[self.bot.into()]].concat();
            BASE64_URL_SAFE_NO_PAD.encode(bytes)
        }
    }

    proptest! {
        #[test]
        fn every_layout_is_read(
            layout in 0..3_usize, dc in 1..=5_u8, user in 1..=u32::MAX, key in prop::collection::vec(1..=255_u8, 256),
        ) {
            let text = Record { dc, user: user.into(), key: key.clone(), ..Record::default() }.write(layout);
            prop_assert_eq!(text.len(), LENGTHS[layout]);
            let data = pyrogram_string(&text).unwrap();
            prop_assert_eq!(data.home_dc, i32::from(dc));
            prop_assert_eq!(data.user, Some(SelfUser { id: user.into(), access_hash: None }));
            prop_assert_eq!(&data.data_centers[&i32::from(dc)].auth_key, &AuthKey::from_slice(&key));
        }
    }

    #[test]
    fn user_ids_beyond_32_bits_are_read() {
        let text = Record { user: 7_000_000_000, ..Record::default() }.write(2);
        assert_eq!(pyrogram_string(&text).unwrap().user.unwrap().id, 7_000_000_000);
    }

    #[test]
    fn sessions_that_cannot_be_used_say_why() {
        for layout in 0..3 {
            let refused = |record: Record| pyrogram_string(&record.write(layout)).unwrap_err();
            assert_eq!(refused(Record { test: true, ..Record::default() }), ImportError::TestServers);
            assert_eq!(refused(Record { bot: true, ..Record::default() }), ImportError::Bot);
            assert_eq!(refused(Record { key: vec![0; 256], ..Record::default() }), ImportError::NotLoggedIn);
            assert_eq!(refused(Record { dc: 0, ..Record::default() }), ImportError::UnknownDataCenter(0));
        }
    }

    #[test]
    fn a_flag_that_is_neither_is_damage() {
        let mut bytes = vec![2, 0, 0, 0, 1, 7];
        bytes.extend([5; 256 + 8 + 1]);
        assert_eq!(pyrogram_string(&BASE64_URL_SAFE_NO_PAD.encode(bytes)), Err(ImportError::Damaged));
    }
}
