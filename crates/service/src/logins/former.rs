//! Logging sessions out that their accounts need no more: those that a login has replaced, and those of logins that were not needed.
//! None is forgotten before Telegram has ended it, for that would leave somebody signed in whom nobody knows.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use sqlx::{PgConnection, PgExecutor};
use telegram::{
    accounts::former::{self, FormerSession},
    mtproto::SessionData,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    Context,
    leaving::{GIVE_UP_SECONDS, LONGEST, log_out},
};
use crate::{Error, Result, platforms::telegram_accounts::session_purpose, secrets::Envelope};

/// How often sessions are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many are logged out at the same time: one on a silent line must not hold up the others.
const AT_ONCE: usize = 8;

/// Keeps the session that an account has, before it gets another one; nothing to keep if they are the same.
pub async fn replace(context: &Context, tx: &mut PgConnection, account_id: Uuid, fingerprint: &[u8]) -> Result<()> {
    let Some(present) = former::present(&mut *tx, account_id).await? else { return Ok(()) };
    if present.fingerprint.as_deref() == Some(fingerprint) {
        return Ok(());
    }
    let opened = async {
        let envelope = Envelope::from_json(present.session_data)?;
        context.sealer.open(&session_purpose(account_id), &envelope).await
    };
    match opened.await {
        Ok(bytes) => keep(context, &mut *tx, &bytes, &present.client).await,
        // It waits for its keys rather than for nobody.
        Err(error) if error.is_passing() => Err(error.into()),
        Err(error) => {
            // Without its keys nobody can use it; the new session must not fail for that.
            tracing::warn!(%error, %account_id, "a former session cannot be unsealed, so it cannot be logged out");
            Ok(())
        }
    }
}

/// Keeps a session until it is logged out.
pub async fn keep(context: &Context, db: impl PgExecutor<'_>, session: &[u8], client: &Value) -> Result<()> {
    let id = Uuid::now_v7();
    let sealed = context.sealer.seal(&former_purpose(id), session).await?;
    former::insert(db, id, &json!(sealed), client).await?;
    Ok(())
}

/// Runs until stopped. What is on its way then is tried again by the next process.
pub async fn run(context: Arc<Context>) {
    let mut running = JoinSet::new();
    while context.stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        while running.try_join_next().is_some() {}
        let free = i64::try_from(AT_ONCE.saturating_sub(running.len())).unwrap_or(0);
        if free == 0 {
            continue;
        }
        match former::take(&context.pool, free).await {
            Ok(taken) => {
                for session in taken {
                    let context = context.clone();
                    // Dropped with the worker's term: another worker may log it out then.
                    let term = context.ownership.term();
                    running.spawn(async move { term.run_until_cancelled_owned(settle(&context, session)).await });
                }
            }
            Err(error) => tracing::debug!(%error, "former sessions could not be looked for"),
        }
    }
}

async fn settle(context: &Context, session: FormerSession) {
    let (id, tries, seconds) = (session.id, session.tries, session.seconds);
    let written = match end(context, session).await {
        Ok(()) => former::erase(&context.pool, id).await,
        Err(why) if seconds >= GIVE_UP_SECONDS => {
            tracing::warn!(why = %why, "a former session is erased without being logged out at Telegram");
            former::erase(&context.pool, id).await
        }
        Err(why) => {
            let wait = Duration::from_secs(1 << tries.saturating_sub(1).clamp(0, 9)).min(LONGEST);
            tracing::info!(why = %why, wait_seconds = wait.as_secs(), "a former session is logged out later");
            former::postpone(&context.pool, id, wait.as_secs_f64()).await
        }
    };
    if let Err(error) = written {
        tracing::debug!(%error, "a former session is tried again");
    }
}

async fn end(context: &Context, session: FormerSession) -> std::result::Result<(), String> {
    let text = |error: Error| error.to_string();
    let envelope = Envelope::from_json(session.session_data).map_err(|error| error.to_string())?;
    let opened = context.sealer.open(&former_purpose(session.id), &envelope).await;
    let bytes = opened.map_err(|error| text(error.into()))?;
    let data = SessionData::from_bytes(&bytes).map_err(|error| error.to_string())?;
    log_out(context, data, session.client).await
}

fn former_purpose(id: Uuid) -> String {
    crate::secrets::purpose("telegram_former_sessions", id, "session_data")
}
