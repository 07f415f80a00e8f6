//! Storing the account that a login led to. An account is unique by its id at Telegram, however it was connected.

use serde_json::{Value, json};
use store::leases;
use telegram::{
    accounts::{
        AccountRow, AccountStatus, LoginRow, LoginStatus,
        logins::Progress,
        table::{self, Proven},
    },
    mtproto::{Account, AccountUser, mask_phone},
};
use uuid::Uuid;

use super::{Context, driver, former};
use crate::{Error, Result, platforms::telegram_accounts::session_purpose, queue::Hint};

/// The constraints that two logins of one account at the same moment meet.
const UNIQUE: [&str; 2] = ["telegram_sessions_telegram_user_id_key", "telegram_sessions_fingerprint_key"];

/// What the end of a login is stored with.
pub struct End {
    /// The input that led to it.
    pub input: Option<Uuid>,
    /// Milliseconds that the service and Telegram took for it.
    pub busy_ms: i64,
}

/// How a login ended at our side.
pub enum Finished {
    /// The account is connected, and the login is done: both in one transaction. A login that went on after its account is stored
    /// would use the account's session from a second place.
    Stored(Box<LoginRow>),
    /// The account was connected already; the login has still to be ended.
    Known {
        /// Its row.
        account_id: Uuid,
        /// Who it is, for the login's last step.
        user: Value,
        /// As it was given.
        end: End,
    },
    /// It cannot be this user's; the login has still to be ended.
    Refused {
        /// Stable code.
        code: &'static str,
        /// What to do.
        detail: &'static str,
        /// As it was given.
        end: End,
    },
}

/// What to do with a proven session.
enum Plan {
    Insert,
    /// The account has no session, or one that is not connected and may never be: the new one is proven alive.
    Renew(AccountRow),
    /// The account is connected already: the new session is not needed.
    Keep(AccountRow),
    Refuse(&'static str, &'static str),
}

/// Stores the account of a finished login or import, and hands its connection on.
pub async fn store(context: &Context, login: &LoginRow, account: Account, end: End) -> Result<Finished> {
    let user = account.user().clone();
    let shown = json!({
        "id": user.id, "name": display_name(&user), "username": user.username, "phone": mask_phone(&user.phone),
    });
    for last in [false, true] {
        let turn = context.writing.acquire().await.map_err(Error::internal)?;
        let mut tx = context.pool.begin().await?;
        let plan = plan(&mut tx, login, user.id).await?;
        let existing = match plan {
            Plan::Insert => None,
            Plan::Renew(row) => Some(row),
            Plan::Keep(row) => {
                // Telegram can take its time: the row must not be locked meanwhile.
                tx.rollback().await?;
                drop(turn);
                discard(context, login, account).await;
                return Ok(Finished::Known { account_id: row.id, user: shown, end });
            }
            Plan::Refuse(code, detail) => {
                tx.rollback().await?;
                drop(turn);
                discard(context, login, account).await;
                return Ok(Finished::Refused { code, detail, end });
            }
        };
        match write(context, &mut tx, login, &account, existing).await {
            Ok((row, owned)) => match done(context, &mut tx, login, row.id, &shown, &end).await {
                Ok(Some(done)) => {
                    hand_on(context, tx, row.id, row.login_epoch, owned, account).await?;
                    return Ok(Finished::Stored(Box::new(done)));
                }
                Ok(None) => {
                    // The session is the other driver's now: it is not logged out.
                    account.close().await;
                    return Err(Error::internal("the login has another driver now"));
                }
                Err(error) => {
                    drop((tx, turn));
                    discard(context, login, account).await;
                    return Err(error.into());
                }
            },
            Err(error) if !last && is_race(&error) => {}
            Err(error) => {
                drop((tx, turn));
                discard(context, login, account).await;
                return Err(error);
            }
        }
    }
    Err(Error::internal("two logins of one account did not settle"))
}

async fn plan(tx: &mut sqlx::PgConnection, login: &LoginRow, telegram_id: i64) -> Result<Plan, sqlx::Error> {
    let existing = table::find_by_telegram_id(&mut *tx, telegram_id).await?;
    Ok(match existing {
        None if login.sender_id.is_some() => Plan::Refuse(
            "account_mismatch",
            "Another Telegram account logged in than the one that was to be reconnected. Connect it as an account of its own.",
        ),
        None => Plan::Insert,
        Some(row) if row.user_id != login.user_id => {
            Plan::Refuse("account_connected_elsewhere", "This Telegram account is connected by another user.")
        }
        Some(row) if login.sender_id.is_some_and(|wanted| wanted != row.id) => Plan::Refuse(
            "account_mismatch",
            "Another Telegram account logged in than the one that was to be reconnected.",
        ),
        Some(row) if row.status == AccountStatus::Active.name() || row.status == AccountStatus::Limited.name() => {
            Plan::Keep(row)
        }
        Some(row) => Plan::Renew(row),
    })
}

/// Writes the row and takes its lease, so that no other worker connects the session; true when the lease is ours.
async fn write(
    context: &Context,
    tx: &mut sqlx::PgConnection,
    login: &LoginRow,
    account: &Account,
    existing: Option<AccountRow>,
) -> Result<(AccountRow, bool)> {
    let id = existing.as_ref().map_or_else(Uuid::now_v7, |row| row.id);
    let user = account.user();
    let (data, _) = account.session().export();
    let sealed = json!(context.sealer.seal(&session_purpose(id), &data.to_bytes()).await?);
    let fingerprint = data.fingerprint().unwrap_or_default();
    let proven = Proven {
        id,
        user_id: login.user_id,
        phone: &user.phone,
        telegram_user_id: user.id,
        name: &display_name(user),
        username: user.username.as_deref(),
        session_data: &sealed,
        fingerprint: &fingerprint,
        client: &login.client,
    };
    let row = match existing {
        None => table::insert(&mut *tx, &proven).await?,
        Some(old) => {
            if !is_dead(&old) {
                former::replace(context, &mut *tx, id, &fingerprint).await?;
            }
            table::settle_unanswered(&mut *tx, id).await?;
            table::renew(&mut *tx, &proven).await?
        }
    };
    let owned = leases::take_or_keep(&mut *tx, context.ownership.worker_id, id).await?;
    table::tell(&mut *tx, row.user_id, id, AccountStatus::Active, None, None).await?;
    let log = store::logs::NewLog {
        user_id: row.user_id,
        integration_type: "telegram_account",
        action: "connect",
        error: None,
        details: Some(json!({ "account_id": id, "login_id": login.id, "method": login.method })),
    };
    store::logs::insert(&mut *tx, &log).await?;
    Ok((row, owned))
}

/// Ends the login; nothing secret of it is kept.
async fn done(
    context: &Context,
    tx: &mut sqlx::PgConnection,
    login: &LoginRow,
    account_id: Uuid,
    user: &Value,
    end: &End,
) -> Result<Option<LoginRow>, sqlx::Error> {
    let progress = Progress {
        id: login.id,
        worker_id: context.ownership.worker_id,
        status: LoginStatus::Done,
        step: &json!({ "type": "done", "user": user }),
        qr: None,
        state: None,
        sender_id: Some(account_id),
        input: end.input,
        problem: None,
        busy_ms: end.busy_ms,
    };
    driver::save(tx, &progress).await
}

/// Commits, and lets the connection go on here; where another worker owns the account, it ends here before the other may connect.
async fn hand_on(
    context: &Context,
    tx: sqlx::Transaction<'_, sqlx::Postgres>,
    id: Uuid,
    login_epoch: i32,
    owned: bool,
    account: Account,
) -> Result<()> {
    if owned {
        context.accounts.adopt(id, login_epoch, account);
    } else {
        account.close().await;
    }
    if let Err(error) = tx.commit().await {
        context.accounts.close(id).await;
        return Err(error.into());
    }
    context.hints.give(Hint::Changed(id));
    Ok(())
}

/// Telegram has ended the account's session already.
fn is_dead(row: &AccountRow) -> bool {
    row.status == AccountStatus::NeedsLogin.name() || row.status == AccountStatus::Banned.name()
}

/// A session that is not needed is logged out, later if Telegram does not answer now; unless it was imported: it is its owner's.
async fn discard(context: &Context, login: &LoginRow, account: Account) {
    let logged_out = if login.method == "import" { Ok(()) } else { account.log_out().await };
    account.close().await;
    if let Err(problem) = logged_out {
        tracing::info!(%problem, "a session that is not needed is logged out later");
        let (data, _) = account.session().export();
        if let Err(error) = former::keep(context, &context.pool, &data.to_bytes(), &login.client).await {
            tracing::error!(%error, login_id = %login.id, "a session that is not needed stays signed in");
        }
    }
}

fn is_race(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<sqlx::Error>());
    matches!(source, Some(sqlx::Error::Database(error)) if error.constraint().is_some_and(|name| UNIQUE.contains(&name)))
}

fn display_name(user: &AccountUser) -> String {
    [Some(user.first_name.as_str()), user.last_name.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ")
}
