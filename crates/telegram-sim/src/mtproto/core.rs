//! What all connections share.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::cloud::Cloud;
use super::cloud::settings::Settings;
use super::faults::Faults;
use super::handshake::rsa::RsaKey;
use crate::world::World;

/// The state behind all connections. Lock order: the cloud, then the world.
pub struct Core {
    pub world: World,
    cloud: Mutex<Cloud>,
    faults: Mutex<Faults>,
    addresses: Mutex<BTreeMap<i32, SocketAddr>>,
    methods: Mutex<HashMap<&'static str, u64>>,
    rsa: OnceLock<RsaKey>,
    pub stats: Stats,
}

/// Numbers that only grow, except `open`.
#[derive(Debug, Default)]
pub struct Stats {
    pub open: AtomicU64,
    pub accepted: AtomicU64,
    pub handshakes: AtomicU64,
    pub duplicated: AtomicU64,
}

/// Adds to a counter.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Core {
    pub fn new(world: World, settings: Settings) -> Self {
        let cloud = Cloud::new(world.subscribe(), settings);
        Self {
            world,
            cloud: Mutex::new(cloud),
            faults: Mutex::default(),
            addresses: Mutex::default(),
            methods: Mutex::default(),
            rsa: OnceLock::new(),
            stats: Stats::default(),
        }
    }

    /// Locks the cloud. Never hold the guard across an `await`.
    pub fn cloud(&self) -> MutexGuard<'_, Cloud> {
        lock(&self.cloud)
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// The RSA key, made at its first use: servers that only see keys made in advance never need it.
    pub fn rsa(&self) -> &RsaKey {
        self.rsa.get_or_init(RsaKey::generate)
    }

    /// Where each data centre listens.
    pub fn addresses(&self) -> BTreeMap<i32, SocketAddr> {
        lock(&self.addresses).clone()
    }

    pub fn set_addresses(&self, addresses: BTreeMap<i32, SocketAddr>) {
        *lock(&self.addresses) = addresses;
    }

    pub fn count_method(&self, name: &'static str) {
        *lock(&self.methods).entry(name).or_default() += 1;
    }

    pub fn method_counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.methods).iter().map(|(name, count)| (*name, *count)).collect()
    }

    /// Whether there is such a data centre.
    pub fn has_dc(&self, dc: i32) -> bool {
        lock(&self.addresses).contains_key(&dc)
    }
}

/// A panic in one request must not take the simulator down: the state is consistent between statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shared handle.
pub type Shared = Arc<Core>;
