//! The session of a connected client: in memory, shared by its connections, exported to be stored.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::{Mutex, MutexGuard, PoisonError};

use grammers_session::types::{ChannelState, UpdatesState};
use tokio::sync::watch;

use super::auth_key::AuthKey;
use super::peer::{CachedPeer, PeerId};
use super::session_data::{DataCenter, SelfUser, SessionData, StreamPosition, UpdateState};

/// How many peers a session remembers. A forgotten one is found again among the dialogs or by its name.
const PEERS: usize = 1_000;

/// Counts what happened to a session. When a number is higher than at the last store, there is something to store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revision {
    /// Changes without which the session cannot go on: keys, the home data centre, who is logged in. Store at once.
    pub keys: u64,
    /// Changes of any kind. Those that are not of keys (such as peers) are stored now and then: losing some only costs
    /// asking the server again. The position in the updates is not counted, since it moves all the time.
    pub all: u64,
}

/// A session in use.
pub struct Session {
    state: Mutex<State>,
    revision: watch::Sender<Revision>,
    /// Of a test server: the one address at which all data centres are, whatever the server advertises.
    pinned: Option<SocketAddr>,
}

struct State {
    data: SessionData,
    /// Up to where updates were received, when that is further than they were handled.
    received: Option<UpdateState>,
    peers: HashMap<PeerId, (CachedPeer, u64)>,
    clock: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Progress,
    Keys,
}

impl Session {
    /// Takes up a stored session. With `pinned`, every data centre is at that address.
    pub(super) fn open(mut data: SessionData, pinned: Option<SocketAddr>) -> Self {
        if let Some(address) = pinned {
            data.data_centers.values_mut().for_each(|dc| pin(dc, address));
        }
        let mut peers = HashMap::new();
        let mut clock = 0;
        for peer in std::mem::take(&mut data.peers) {
            clock += 1;
            peers.insert(peer.id(), (peer, clock));
        }
        Self {
            state: Mutex::new(State { data, received: None, peers, clock }),
            revision: watch::Sender::default(),
            pinned,
        }
    }

    /// The session as it is to be stored, and the revision which that is.
    pub fn export(&self) -> (SessionData, Revision) {
        let state = self.lock();
        let mut data = state.data.clone();
        let mut peers: Vec<_> = state.peers.values().copied().collect();
        let revision = *self.revision.borrow();
        drop(state);
        peers.sort_unstable_by_key(|(_, learnt)| *learnt);
        data.peers = peers.into_iter().map(|(peer, _)| peer).collect();
        (data, revision)
    }

    /// Tells of each change. Await [`watch::Receiver::changed`], compare with the revision stored last, store.
    pub fn changes(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// Who is logged in.
    pub fn user(&self) -> Option<SelfUser> {
        self.lock().data.user
    }

    pub(super) fn home_dc(&self) -> i32 {
        self.lock().data.home_dc
    }

    pub(super) fn set_home_dc(&self, dc_id: i32) {
        self.change(|state| replace(&mut state.data.home_dc, dc_id, Change::Keys));
    }

    pub(super) fn data_center(&self, dc_id: i32) -> Option<DataCenter> {
        self.lock().data.data_centers.get(&dc_id).cloned()
    }

    /// A key was agreed on with a data centre.
    pub(super) fn set_key(&self, dc_id: i32, key: AuthKey) {
        self.change(|state| match state.data.data_centers.get_mut(&dc_id) {
            Some(center) => replace(&mut center.auth_key, Some(key), Change::Keys),
            None => Change::None,
        });
    }

    /// A data centre is at this address now; those of a test server stay where they are.
    pub(super) fn learn_address(&self, dc_id: i32, address: SocketAddr) {
        self.change(|state| {
            let known = state.data.data_centers.get(&dc_id);
            let mut center = known.cloned().unwrap_or(NOWHERE);
            match address {
                SocketAddr::V4(v4) => {
                    center.ipv4 = v4;
                    if center.ipv6.ip().is_unspecified() {
                        center.ipv6 = mapped(v4);
                    }
                }
                SocketAddr::V6(v6) => center.ipv6 = v6,
            }
            if let Some(pinned) = self.pinned {
                pin(&mut center, pinned);
            }
            match state.data.data_centers.insert(dc_id, center.clone()) {
                Some(old) if old == center => Change::None,
                Some(_) => Change::Progress,
                None => Change::Keys,
            }
        });
    }

    pub(super) fn set_user(&self, user: SelfUser) {
        self.change(|state| replace(&mut state.data.user, Some(user), Change::Keys));
    }

    pub(super) fn has_update_state(&self) -> bool {
        self.lock().data.updates.pts != 0
    }

    /// Sets where the updates of the account begin.
    pub(super) fn set_position(&self, pts: i32, qts: i32, date: i32, seq: i32) {
        let updates = UpdateState { pts, qts, date, seq, channels: BTreeMap::new() };
        self.change(|state| {
            state.received = None;
            replace(&mut state.data.updates, updates, Change::Progress)
        });
    }

    /// Up to where updates were handled, in the library's form.
    pub(super) fn progress(&self) -> UpdatesState {
        let known = self.lock().data.updates.clone();
        // The library cannot start from a state without the common position: then a new one is asked for.
        let UpdateState { pts, qts, date, seq, channels } = if known.pts == 0 { UpdateState::default() } else { known };
        let channels = channels.into_iter().map(|(id, pts)| ChannelState { id, pts }).collect();
        UpdatesState { pts, qts, date, seq, channels }
    }

    /// Up to where updates were received; they count when [`Session::confirm_received`] says that they are handled.
    pub(super) fn set_received(&self, progress: UpdatesState) {
        let UpdatesState { pts, qts, date, seq, channels } = progress;
        let channels = channels.into_iter().map(|channel| (channel.id, channel.pts)).collect();
        let received = UpdateState { pts, qts, date, seq, channels };
        let mut state = self.lock();
        state.received = (received != state.data.updates).then_some(received);
    }

    /// What lies between the updates that were received and those that were handled: how far each stream has moved.
    pub(super) fn received(&self) -> Vec<StreamPosition> {
        let state = self.lock();
        state.received.as_ref().map_or_else(Vec::new, |received| received.moved_since(&state.data.updates))
    }

    /// What was received has been handled. Whoever keeps positions elsewhere need not store the session for it.
    pub(super) fn confirm_received(&self) {
        let mut state = self.lock();
        if let Some(received) = state.received.take() {
            state.data.updates = received;
        }
    }

    pub(super) fn known_peer(&self, id: PeerId) -> Option<CachedPeer> {
        self.lock().peers.get(&id).map(|(peer, _)| *peer)
    }

    pub(super) fn learn(&self, peers: impl IntoIterator<Item = CachedPeer>) {
        self.change(|state| peers.into_iter().fold(Change::None, |change, peer| change.or(state.learn(peer))));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere while holding the lock leaves plain values behind, each of them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, apply: impl FnOnce(&mut State) -> Change) {
        let mut state = self.lock();
        let change = apply(&mut state);
        if change != Change::None {
            self.revision.send_modify(|revision| {
                revision.all += 1;
                revision.keys += u64::from(change == Change::Keys);
            });
        }
    }
}

impl Change {
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Keys, _) | (_, Self::Keys) => Self::Keys,
            (Self::Progress, _) | (_, Self::Progress) => Self::Progress,
            (Self::None, Self::None) => Self::None,
        }
    }
}

impl State {
    fn learn(&mut self, peer: CachedPeer) -> Change {
        if let Some(user) = self.data.user.as_mut().filter(|user| PeerId::user(user.id) == Some(peer.id())) {
            let hash = peer.access_hash().or(user.access_hash);
            return replace(&mut user.access_hash, hash, Change::Progress);
        }
        self.clock += 1;
        let changed = match self.peers.get_mut(&peer.id()) {
            Some((known, learnt)) => {
                *learnt = self.clock;
                known.merge(peer)
            }
            None => self.peers.insert(peer.id(), (peer, self.clock)).is_none(),
        };
        if self.peers.len() > PEERS {
            self.forget();
        }
        if changed { Change::Progress } else { Change::None }
    }

    /// Forgets a fifth: users first, whose messages bring them back, and among equals those not seen for longest.
    /// Channels go last, because without their hash their updates cannot be asked for.
    fn forget(&mut self) {
        let rank = |id: PeerId, learnt: u64| (id.get() < 0, learnt);
        let mut ranks: Vec<_> = self.peers.values().map(|(peer, learnt)| rank(peer.id(), *learnt)).collect();
        ranks.sort_unstable();
        let first_kept = ranks[PEERS / 5];
        self.peers.retain(|id, (_, learnt)| rank(*id, *learnt) >= first_kept);
    }
}

fn replace<T: PartialEq>(place: &mut T, value: T, change: Change) -> Change {
    if *place == value {
        return Change::None;
    }
    *place = value;
    change
}

/// A data centre of which nothing is known yet.
const NOWHERE: DataCenter = DataCenter {
    ipv4: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
    ipv6: SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0),
    auth_key: None,
};

fn mapped(address: SocketAddrV4) -> SocketAddrV6 {
    SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0)
}

fn pin(center: &mut DataCenter, address: SocketAddr) {
    match address {
        SocketAddr::V4(v4) => {
            center.ipv4 = v4;
            center.ipv6 = mapped(v4);
        }
        SocketAddr::V6(v6) => {
            let ipv4 = match v6.ip().to_canonical() {
                IpAddr::V4(ip) => ip,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            };
            center.ipv4 = SocketAddrV4::new(ipv4, v6.port());
            center.ipv6 = v6;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: i64, hash: i64) -> CachedPeer {
        CachedPeer::with_hash(PeerId::user(id).unwrap(), hash)
    }

    fn channel(id: i64, hash: i64) -> CachedPeer {
        CachedPeer::with_hash(PeerId::channel(id).unwrap(), hash)
    }

    #[test]
    fn what_was_learnt_is_exported_and_taken_up_again() {
        let session = Session::open(SessionData::default(), None);
        session.set_home_dc(4);
        session.set_key(4, AuthKey::from([9; 256]));
        session.set_user(SelfUser { id: 42, access_hash: None });
        session.learn([user(42, 1), user(7, -5), channel(8, 6)]);
        let channels = vec![ChannelState { id: 8, pts: 3 }];
        let progress = UpdatesState { pts: 10, qts: 2, date: 100, seq: 5, channels };
        session.set_received(progress.clone());
        session.confirm_received();

        let (data, revision) = session.export();
        assert_eq!(revision, *session.changes().borrow());
        let again = Session::open(SessionData::from_bytes(&data.to_bytes()).unwrap(), None);
        assert_eq!(again.home_dc(), 4);
        assert_eq!(again.data_center(4).unwrap().auth_key, Some(AuthKey::from([9; 256])));
        assert_eq!(again.progress(), progress);
        assert_eq!(again.user(), Some(SelfUser { id: 42, access_hash: Some(1) }));
        assert_eq!(again.known_peer(PeerId::channel(8).unwrap()), Some(channel(8, 6)));
        assert_eq!(again.export().0, data);
    }

    #[test]
    fn changes_tell_what_must_be_stored_at_once() {
        let session = Session::open(SessionData::default(), None);
        session.learn([user(7, 1)]);
        session.learn([user(7, 1)]);
        assert_eq!(*session.changes().borrow(), Revision { keys: 0, all: 1 });
        session.set_position(1, 4, 1, 1);
        session.set_position(1, 4, 1, 1);
        assert_eq!(*session.changes().borrow(), Revision { keys: 0, all: 2 });
        session.set_home_dc(5);
        session.set_home_dc(5);
        assert_eq!(*session.changes().borrow(), Revision { keys: 1, all: 3 });
        session.learn_address(1, "1.2.3.4:80".parse().unwrap());
        session.learn_address(1, "1.2.3.4:80".parse().unwrap());
        assert_eq!(*session.changes().borrow(), Revision { keys: 1, all: 4 });
        session.set_key(1, AuthKey::from([1; 256]));
        session.set_key(1, AuthKey::from([1; 256]));
        assert_eq!(*session.changes().borrow(), Revision { keys: 2, all: 5 });
    }

    #[test]
    fn what_was_received_counts_when_it_is_handled() {
        let session = Session::open(SessionData::default(), None);
        session.set_position(10, 2, 100, 5);
        let channels = vec![ChannelState { id: 8, pts: 3 }];
        session.set_received(UpdatesState { pts: 11, qts: 2, date: 101, seq: 5, channels });
        assert_eq!(session.export().0.updates.pts, 10, "a restart asks for it again");
        let own = StreamPosition { channel_id: 0, pts: 11, qts: 2, date: 101, seq: 5 };
        let channel = StreamPosition { channel_id: 8, pts: 3, ..StreamPosition::default() };
        assert_eq!(session.received(), [own, channel]);

        let before = *session.changes().borrow();
        session.confirm_received();
        assert_eq!(session.received(), []);
        let (data, revision) = session.export();
        assert_eq!((data.updates.pts, data.updates.channels[&8]), (11, 3));
        assert_eq!(revision, before, "the session need not be stored for it");
        let mut again = SessionData::default();
        again.updates.take_up([own, channel]);
        assert_eq!(again.updates, data.updates);
    }

    #[test]
    fn nobody_is_logged_in_at_first() {
        let session = Session::open(SessionData::default(), None);
        assert_eq!(session.user(), None);
        assert_eq!(session.progress().pts, 0);
    }

    #[test]
    fn the_peers_are_bounded_and_channels_go_last() {
        let session = Session::open(SessionData::default(), None);
        session.learn((1..=100).map(|id| channel(id, id)));
        session.learn((1..=5_000).map(|id| user(id, id)));
        let (data, _) = session.export();
        assert!(data.peers.len() <= PEERS);
        assert!((1..=100).all(|id| session.known_peer(PeerId::channel(id).unwrap()).is_some()));
        assert!(session.known_peer(PeerId::user(5_000).unwrap()).is_some());
        assert!(session.known_peer(PeerId::user(1).unwrap()).is_none());
    }

    #[test]
    fn a_test_server_keeps_its_address() {
        let address: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let session = Session::open(SessionData::default(), Some(address));
        assert_eq!(SocketAddr::V4(session.data_center(3).unwrap().ipv4), address);
        session.learn_address(3, "9.9.9.9:443".parse().unwrap());
        assert_eq!(SocketAddr::V4(session.data_center(3).unwrap().ipv4), address);
    }

    #[test]
    fn a_new_data_center_is_known_by_what_was_told() {
        let session = Session::open(SessionData::default(), None);
        session.learn_address(9, "9.9.9.9:443".parse().unwrap());
        session.learn_address(9, "[2001:db8::9]:443".parse().unwrap());
        let center = session.data_center(9).unwrap();
        assert_eq!(
            (center.ipv4.to_string(), center.ipv6.to_string()),
            ("9.9.9.9:443".to_owned(), "[2001:db8::9]:443".to_owned())
        );
        session.learn_address(10, "9.9.9.9:443".parse().unwrap());
        assert_eq!(session.data_center(10).unwrap().ipv6.to_string(), "[::ffff:9.9.9.9]:443");
    }
}
