//! Private servers for tests, each with its own ports and folder. A test may kill them: they end with their value.
//!
//! - [`Postgres`], [`RabbitMq`], [`Redis`], [`HaProxy`], [`OpenBao`]: the servers;
//! - [`Road`]: a way to a server, which can be cut, fall silent or take its time.

mod haproxy;
mod openbao;
pub mod postgres;
mod rabbitmq;
mod redis;
mod road;

pub use haproxy::HaProxy;
pub use openbao::OpenBao;
pub use postgres::Postgres;
pub use rabbitmq::RabbitMq;
pub use redis::Redis;
pub use road::{Road, State};

use std::net::TcpListener;
use std::time::{Duration, Instant};

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often something is looked at again.
const POLL: Duration = Duration::from_millis(50);

/// Ports that were free a moment ago, outside of the range from which the system takes those of connections.
///
/// # Panics
/// The system has no free ports.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let taken: Vec<TcpListener> = std::iter::from_fn(|| {
        let seed =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
        let start = 10_000 + u16::try_from((seed / 1000 + std::process::id() * 97) % 20_000).unwrap_or_default();
        (start..32_000).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
    })
    .take(N)
    .collect();
    let ports: Vec<u16> =
        taken.iter().map(|listener| listener.local_addr().map_or(0, |address| address.port())).collect();
    ports.try_into().expect("so many were taken")
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(POLL);
    }
}

/// Whether somebody listens on a port.
fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}
