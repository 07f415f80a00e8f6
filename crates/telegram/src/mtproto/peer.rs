//! Peers: who or what a message can be sent to.

use grammers_session::types::{ChannelKind, PeerAuth, PeerId as GrammersId, PeerInfo, PeerKind as GrammersKind};
use serde::{Deserialize, Serialize};

/// Identifies a user, a group or a channel, in the form of the Bot API: users are positive, basic groups negative,
/// supergroups and channels start with `-100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct PeerId(i64);

/// A number that identifies no peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no chat id: users are positive, groups negative, supergroups and channels start with -100")]
pub struct NoPeerId(pub i64);

impl PeerId {
    /// The number, in the form of the Bot API.
    pub fn get(self) -> i64 {
        self.0
    }

    /// A user.
    pub fn user(id: i64) -> Option<Self> {
        GrammersId::user(id).and_then(Self::from_grammers)
    }

    /// A basic group, by the positive number that MTProto uses.
    pub fn group(id: i64) -> Option<Self> {
        GrammersId::chat(id).and_then(Self::from_grammers)
    }

    /// A supergroup or channel, by the positive number that MTProto uses.
    pub fn channel(id: i64) -> Option<Self> {
        GrammersId::channel(id).and_then(Self::from_grammers)
    }

    pub(super) fn from_grammers(id: GrammersId) -> Option<Self> {
        id.bot_api_dialog_id().map(Self)
    }

    pub(super) fn to_grammers(self) -> GrammersId {
        GrammersId::from_bot_api_dialog_id(self.0).expect("a PeerId holds only numbers that identify peers")
    }

    pub(super) fn kind(self) -> GrammersKind {
        self.to_grammers().kind()
    }

    /// The positive number that MTProto uses within the peer's kind.
    pub fn bare(self) -> i64 {
        self.to_grammers().bare_id().expect("only the unnamed self user has no number")
    }
}

impl TryFrom<i64> for PeerId {
    type Error = NoPeerId;

    fn try_from(id: i64) -> Result<Self, NoPeerId> {
        GrammersId::from_bot_api_dialog_id(id).map(|_| Self(id)).ok_or(NoPeerId(id))
    }
}

impl From<PeerId> for i64 {
    fn from(id: PeerId) -> Self {
        id.0
    }
}

impl std::fmt::Display for PeerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a cached peer is; stored as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", from = "u8")]
enum Class {
    Unknown,
    User,
    Bot,
    Broadcast,
    Supergroup,
    Gigagroup,
    Community,
}

impl From<Class> for u8 {
    fn from(class: Class) -> Self {
        class as Self
    }
}

impl From<u8> for Class {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::User,
            2 => Self::Bot,
            3 => Self::Broadcast,
            4 => Self::Supergroup,
            5 => Self::Gigagroup,
            6 => Self::Community,
            _ => Self::Unknown,
        }
    }
}

/// A peer that the session knows, with the access hash that the server gave to this session. Stored as an array of
/// three: sessions hold many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedPeer(PeerId, Option<i64>, Class);

impl CachedPeer {
    /// The peer.
    pub fn id(self) -> PeerId {
        self.0
    }

    /// A peer of which only the access hash is known.
    pub fn with_hash(id: PeerId, access_hash: i64) -> Self {
        Self(id, Some(access_hash), Class::Unknown)
    }

    pub(super) fn from_grammers(info: &PeerInfo) -> Option<Self> {
        let (id, class) = match info {
            PeerInfo::User { id, bot, .. } => (
                PeerId::user(*id)?,
                match bot {
                    Some(true) => Class::Bot,
                    Some(false) => Class::User,
                    None => Class::Unknown,
                },
            ),
            PeerInfo::Chat { id } => (PeerId::group(*id)?, Class::Unknown),
            PeerInfo::Channel { id, kind, .. } => (
                PeerId::channel(*id)?,
                match kind {
                    Some(ChannelKind::Broadcast) => Class::Broadcast,
                    Some(ChannelKind::Megagroup) => Class::Supergroup,
                    Some(ChannelKind::Gigagroup) => Class::Gigagroup,
                    Some(ChannelKind::Community) => Class::Community,
                    None => Class::Unknown,
                },
            ),
        };
        let hash = match info {
            PeerInfo::Chat { .. } => None,
            other => other.auth().map(PeerAuth::hash),
        };
        Some(Self(id, hash, class))
    }

    /// The access hash, when the server gave one.
    pub(super) fn access_hash(self) -> Option<i64> {
        self.1
    }

    /// Takes over what a newer notice about the same peer knows, and keeps what it does not say.
    pub(super) fn merge(&mut self, newer: Self) -> bool {
        let before = *self;
        self.1 = newer.1.or(self.1);
        if newer.2 != Class::Unknown {
            self.2 = newer.2;
        }
        *self != before
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_have_the_forms_of_the_bot_api() {
        assert_eq!(PeerId::user(7).unwrap().get(), 7);
        assert_eq!(PeerId::group(7).unwrap().get(), -7);
        assert_eq!(PeerId::channel(7).unwrap().get(), -1_000_000_000_007);
        assert_eq!(PeerId::try_from(-1_000_000_000_007).unwrap().bare(), 7);
        assert!(PeerId::try_from(0).is_err());
        assert!(PeerId::try_from(i64::MIN).is_err());
    }

    proptest! {
        #[test]
        fn any_number_is_a_peer_or_a_clear_error(id: i64) {
            match PeerId::try_from(id) {
                Ok(peer) => {
                    prop_assert_eq!(peer.get(), id);
                    prop_assert!(peer.bare() > 0);
                }
                Err(error) => prop_assert!(error.to_string().contains("no chat id")),
            }
        }

        #[test]
        fn cached_peers_survive_json(id in 1..997_852_516_352_i64, hash: Option<i64>, class in 0..7_u8) {
            let peer = CachedPeer(PeerId::channel(id).unwrap(), hash, Class::from(class));
            let json = serde_json::to_string(&peer).unwrap();
            prop_assert_eq!(serde_json::from_str::<CachedPeer>(&json).unwrap(), peer);
        }
    }

    #[test]
    fn a_peer_keeps_its_hash_when_a_newer_notice_has_none() {
        let mut peer = CachedPeer(PeerId::user(1).unwrap(), Some(5), Class::User);
        assert!(!peer.merge(CachedPeer(peer.id(), None, Class::Unknown)));
        assert!(peer.merge(CachedPeer(peer.id(), Some(6), Class::Bot)));
        assert_eq!(peer, CachedPeer(peer.id(), Some(6), Class::Bot));
    }

    #[test]
    fn peers_are_taken_over_from_the_library() {
        let hash = Some(PeerAuth::from_hash(1));
        for (kind, class) in [
            (Some(ChannelKind::Broadcast), Class::Broadcast),
            (Some(ChannelKind::Megagroup), Class::Supergroup),
            (Some(ChannelKind::Gigagroup), Class::Gigagroup),
            (Some(ChannelKind::Community), Class::Community),
            (None, Class::Unknown),
        ] {
            let peer = CachedPeer(PeerId::channel(9).unwrap(), Some(1), class);
            assert_eq!(CachedPeer::from_grammers(&PeerInfo::Channel { id: 9, auth: hash, kind }), Some(peer));
        }
        for (bot, class) in [(Some(true), Class::Bot), (Some(false), Class::User), (None, Class::Unknown)] {
            let peer = CachedPeer(PeerId::user(9).unwrap(), Some(1), class);
            let info = PeerInfo::User { id: 9, auth: hash, bot, is_self: None };
            assert_eq!(CachedPeer::from_grammers(&info), Some(peer));
        }
        let group = CachedPeer(PeerId::group(9).unwrap(), None, Class::Unknown);
        assert_eq!(CachedPeer::from_grammers(&PeerInfo::Chat { id: 9 }), Some(group));
    }
}
