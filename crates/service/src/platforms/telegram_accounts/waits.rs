//! Ends the waits that Telegram imposed on accounts when their time has passed: whether or not something is sent then, and whichever
//! process was told of them.

use std::time::Duration;

use sqlx::PgPool;
use telegram::accounts::waits;
use tokio_util::sync::CancellationToken;

/// How often waits are looked for that are over.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs until stopped.
pub async fn run(pool: PgPool, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        if let Err(error) = waits::end_waits(&pool).await {
            tracing::debug!(%error, "waits that are over could not be looked for; the next look finds them");
        }
    }
}
