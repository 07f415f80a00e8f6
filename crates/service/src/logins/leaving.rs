//! Logging accounts out that are to be erased. Their keys stay sealed until Telegram has answered.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;
use store::leases;
use telegram::{
    accounts::{Client, table},
    mtproto::{Account, Problem, SessionData},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::Context;
use crate::{platforms::telegram_accounts::session_purpose, secrets::Envelope, worker::count_unknown};

/// How often accounts are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest wait between two tries for one account.
pub(super) const LONGEST: Duration = Duration::from_mins(5);
/// An account that cannot be logged out for so long is erased all the same.
pub(super) const GIVE_UP_SECONDS: f64 = 86_400.0;

/// Runs until stopped.
pub async fn run(context: Arc<Context>) {
    let mut tries: HashMap<Uuid, (Instant, u32)> = HashMap::new();
    while context.stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let leaving = match table::leaving(&context.pool).await {
            Ok(leaving) => leaving,
            Err(error) => {
                tracing::debug!(%error, "leaving accounts could not be looked for");
                continue;
            }
        };
        tries.retain(|id, _| leaving.iter().any(|(other, _)| other == id));
        for (id, seconds) in leaving {
            let (at, count) = tries.get(&id).copied().unwrap_or((Instant::now(), 0));
            if at > Instant::now() {
                continue;
            }
            // Dropped with the worker's term: another worker may log it out then.
            let left = context.ownership.term().run_until_cancelled_owned(leave(&context, id, seconds)).await;
            if let Err(why) = left.unwrap_or_else(|| Err("the worker's term ended".into())) {
                let wait = Duration::from_secs(1 << count.min(9)).min(LONGEST);
                tracing::info!(account_id = %id, why, wait_seconds = wait.as_secs(), "an account is logged out later");
                tries.insert(id, (Instant::now() + wait, count + 1));
            }
        }
    }
}

/// Logs one account out and erases it.
async fn leave(context: &Context, id: Uuid, seconds: f64) -> Result<(), String> {
    let text = |error: sqlx::Error| error.to_string();
    let taken = leases::acquire(&context.pool, context.ownership.worker_id, &[id], 1).await.map_err(text)?;
    count_unknown(&taken.unknown);
    if taken.leases.is_empty() {
        return Err("another worker still ends its connection".into());
    }
    if context.accounts.live(id).is_some() {
        context.accounts.changed(id);
        return Err("its connection ends first".into());
    }
    match log_out_account(context, id).await {
        Ok(()) => {}
        Err(why) if seconds < GIVE_UP_SECONDS => return Err(why),
        Err(why) => tracing::warn!(account_id = %id, why, "an account is erased without being logged out at Telegram"),
    }
    table::erase(&context.pool, id).await.map_err(text)
}

async fn log_out_account(context: &Context, id: Uuid) -> Result<(), String> {
    let stored = table::stored_session(&context.pool, id).await.map_err(|error| error.to_string())?;
    let Some(stored) = stored.filter(|stored| stored.is_leaving) else { return Ok(()) };
    let envelope = Envelope::from_json(stored.session_data).map_err(|error| error.to_string())?;
    let bytes = context.sealer.open(&session_purpose(id), &envelope).await.map_err(|error| error.to_string())?;
    let data = SessionData::from_bytes(&bytes).map_err(|error| error.to_string())?;
    log_out(context, data, stored.client).await
}

/// Connects a session and ends it at Telegram. Also succeeds when Telegram has ended it already.
pub(super) async fn log_out(context: &Context, data: SessionData, client: Value) -> Result<(), String> {
    let client: Client = serde_json::from_value(client).map_err(|error| error.to_string())?;
    let application = context.accounts.application().ok_or("accounts are not configured")?;
    let options = application.options(&client, &context.ownership).await?;
    let gone = |problem: Problem| if problem.is_dead() { Ok(()) } else { Err(problem.to_string()) };
    let session = match options.open_session(data).await {
        Ok(session) => session,
        Err(problem) => return gone(problem),
    };
    match Account::connect(&options, session).await {
        Ok(account) => {
            let result = account.log_out().await;
            account.close().await;
            result.or_else(gone)
        }
        Err(problem) => gone(problem),
    }
}
