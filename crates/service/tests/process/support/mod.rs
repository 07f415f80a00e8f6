//! What the tests share.

mod api;
mod machine;
mod service;
mod telegram;

pub use api::Api;
pub use machine::Machine;
pub use service::Service;
pub use telegram::{Telegram, arrived, sim};

use std::future::Future;
use std::time::Duration;

/// How long anything is waited for. Only a test that fails waits so long.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How often something is looked at that cannot be waited for.
pub const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits for an end that must come.
pub async fn must_end<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited too long until {what}"))
}

/// Looks until it is so.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    must_end(what, look).await;
}
