//! What of a session outlives the process: one value that is sealed and stored as a whole.

use std::collections::BTreeMap;
use std::net::{SocketAddrV4, SocketAddrV6};

use grammers_session::SessionData as KnownDefaults;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::auth_key::AuthKey;
use super::peer::CachedPeer;

/// Version of the stored form that this program writes, and the newest that it reads.
const VERSION: u16 = 1;

/// Data centres that exist: 1 to 5.
pub const DATA_CENTERS: std::ops::RangeInclusive<i32> = 1..=5;

/// A session as it is stored. Holds the keys of the account: seal it before it leaves the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionData {
    version: u16,
    /// The data centre at which the account lives.
    pub home_dc: i32,
    /// Addresses and keys by data centre.
    pub data_centers: BTreeMap<i32, DataCenter>,
    /// Who is logged in, when anyone is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<SelfUser>,
    /// Peers with the access hashes that this session was given, least recently learnt first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<CachedPeer>,
    /// Up to where updates were handled.
    #[serde(default)]
    pub updates: UpdateState,
}

/// Address of a data centre and the session's key there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataCenter {
    /// IPv4 address and port.
    pub ipv4: SocketAddrV4,
    /// IPv6 address and port.
    pub ipv6: SocketAddrV6,
    /// The key, when one was agreed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_key: Option<AuthKey>,
}

/// The logged-in user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfUser {
    /// Telegram user id.
    pub id: i64,
    /// Access hash of the user for this session; `None` until the server told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_hash: Option<i64>,
}

/// Position in the streams of updates; see <https://core.telegram.org/api/updates>.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateState {
    /// Position in the common stream; 0 when unknown.
    pub pts: i32,
    /// Position in the secondary stream.
    pub qts: i32,
    /// Date of the last update, Unix time.
    pub date: i32,
    /// Sequence number of the last container of updates.
    pub seq: i32,
    /// Positions in the streams of channels: bare channel id and position.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<i64, i32>,
}

/// How far one stream of updates is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamPosition {
    /// Bare id of the channel or supergroup whose stream it is; 0 for the account's own.
    pub channel_id: i64,
    /// Position in the stream.
    pub pts: i32,
    /// Position in the secondary stream; of the account's own only, like those that follow.
    pub qts: i32,
    /// Date of the last update, Unix time.
    pub date: i32,
    /// Sequence number of the last container of updates.
    pub seq: i32,
}

impl UpdateState {
    /// The streams that differ from an earlier state.
    pub fn moved_since(&self, earlier: &Self) -> Vec<StreamPosition> {
        let own = |state: &Self| (state.pts, state.qts, state.date, state.seq);
        let (pts, qts, date, seq) = own(self);
        let own = (own(self) != own(earlier)).then_some(StreamPosition { channel_id: 0, pts, qts, date, seq });
        let moved = self.channels.iter().filter(|(id, pts)| earlier.channels.get(id) != Some(pts));
        let channels =
            moved.map(|(id, pts)| StreamPosition { channel_id: *id, pts: *pts, ..StreamPosition::default() });
        own.into_iter().chain(channels).collect()
    }

    /// Goes on from positions that were stored beside the session, which are newer.
    pub fn take_up(&mut self, positions: impl IntoIterator<Item = StreamPosition>) {
        for StreamPosition { channel_id, pts, qts, date, seq } in positions {
            if channel_id == 0 {
                (self.pts, self.qts, self.date, self.seq) = (pts, qts, date, seq);
            } else {
                self.channels.insert(channel_id, pts);
            }
        }
    }
}

/// Why stored bytes are not a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionDataError {
    /// The bytes do not decode. They may hold keys, so they are not quoted.
    #[error("the stored session cannot be read: it is damaged or was not written by this program")]
    Malformed,
    /// Written by a newer version of this program.
    #[error("the stored session has version {0}, this program reads up to {VERSION}: run the newer program")]
    TooNew(u16),
}

impl Default for SessionData {
    /// A session that never connected: the addresses of Telegram that are published, no keys, nobody logged in.
    fn default() -> Self {
        let known = KnownDefaults::default();
        let data_centers = known
            .dc_options
            .into_iter()
            .map(|(id, option)| (id, DataCenter { ipv4: option.ipv4, ipv6: option.ipv6, auth_key: None }))
            .collect();
        Self {
            version: VERSION,
            home_dc: known.home_dc,
            data_centers,
            user: None,
            peers: Vec::new(),
            updates: UpdateState::default(),
        }
    }
}

impl SessionData {
    /// A session that another program logged in: its key at its data centre. `None` when there is no such data centre.
    pub fn logged_in(home_dc: i32, auth_key: AuthKey) -> Option<Self> {
        let mut data = Self { home_dc, ..Self::default() };
        data.data_centers.get_mut(&home_dc)?.auth_key = Some(auth_key);
        Some(data)
    }

    /// Names the session without telling its key: a hash of the key at the home data centre.
    pub fn fingerprint(&self) -> Option<Vec<u8>> {
        let key = self.data_centers.get(&self.home_dc)?.auth_key.as_ref()?;
        Some(Sha256::new().chain_update(b"integrations/session/").chain_update(key.expose()).finalize().to_vec())
    }

    /// The form that is sealed: compact JSON, erased from memory when dropped.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(
            serde_json::to_vec(self).expect("a struct of plain fields with string or integer keys serialises"),
        )
    }

    /// The inverse of [`SessionData::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SessionDataError> {
        #[derive(Deserialize)]
        struct Version {
            version: u16,
        }
        let Version { version } = serde_json::from_slice(bytes).map_err(|_| SessionDataError::Malformed)?;
        if version > VERSION {
            return Err(SessionDataError::TooNew(version));
        }
        serde_json::from_slice(bytes).map_err(|_| SessionDataError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_survives_being_stored() {
        let mut data = SessionData::logged_in(4, AuthKey::from([7; 256])).unwrap();
        data.user = Some(SelfUser { id: 42, access_hash: Some(-3) });
        data.updates = UpdateState { pts: 5, qts: 1, date: 9, seq: 2, channels: BTreeMap::from([(1, 2)]) };
        assert_eq!(SessionData::from_bytes(&data.to_bytes()).unwrap(), data);
    }

    #[test]
    fn a_new_session_knows_all_data_centers() {
        let data = SessionData::default();
        assert_eq!(data.data_centers.keys().copied().collect::<Vec<_>>(), DATA_CENTERS.collect::<Vec<_>>());
        assert!(data.data_centers.values().all(|dc| dc.auth_key.is_none()));
    }

    #[test]
    fn an_unknown_data_center_is_refused() {
        assert!(SessionData::logged_in(6, AuthKey::from([7; 256])).is_none());
    }

    #[test]
    fn what_is_no_session_is_refused() {
        assert_eq!(SessionData::from_bytes(b"{}"), Err(SessionDataError::Malformed));
        assert_eq!(SessionData::from_bytes(b"\xff"), Err(SessionDataError::Malformed));
        assert_eq!(SessionData::from_bytes(br#"{"version":2,"shape":"other"}"#), Err(SessionDataError::TooNew(2)));
    }

    #[test]
    fn keys_never_print() {
        let data = SessionData::logged_in(2, AuthKey::from([0xcd; 256])).unwrap();
        assert!(!format!("{data:?}").contains("cd"));
    }
}
