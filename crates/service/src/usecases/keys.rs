//! The wrapping keys: looking at them, changing them, moving from one keeper to another, and giving old ones up.
//!
//! A change takes effect at once for what is written from then on; a background task seals everything else anew.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use store::sealing::{self, Agreed, Process, Progress};
use tokio::time::{Instant, sleep};

use super::{Caller, Change, record};
use crate::secrets::agreement::{choice_of, has_version, who_differs};
use crate::secrets::columns::COLUMNS;
use crate::secrets::{SealError, Sealer, Target, Vault, VaultError, keyring};
use crate::tasks::reseal::Reseal;
use crate::{Code, Error, Result, app::App};

/// How long other processes may take to notice that the keyring file has changed.
const NOTICE: Duration = Duration::from_secs(6);
/// An old key is given up no earlier than so long after the change: what was read before may still be written, by a login that lives for
/// fifteen minutes at most.
pub const GIVE_UP_SECONDS: f64 = 1000.0;

/// A key, as far as it may be shown.
#[derive(Debug)]
pub struct KeyState {
    /// What envelopes call it.
    pub reference: String,
    /// When it was made, where its keeper tells.
    pub created_at: Option<DateTime<Utc>>,
    /// It seals now.
    pub is_current: bool,
    /// Envelopes that it has sealed.
    pub rows: i64,
}

/// Everything about the keys.
#[derive(Debug)]
pub struct State {
    /// Who keeps the key that seals.
    pub target: Target,
    /// Since when that key seals.
    pub changed_at: DateTime<Utc>,
    /// What is wrong with the keeper.
    pub problem: Option<String>,
    /// All keys that are there, or that have sealed something.
    pub keys: Vec<KeyState>,
    /// How far each column is.
    pub progress: Vec<Progress>,
    /// The processes that seal, with whether they go by the present choice.
    pub processes: Vec<(Process, bool)>,
}

impl State {
    /// Envelopes that another key than the current one has sealed.
    pub fn left(&self) -> i64 {
        self.keys.iter().filter(|key| !key.is_current).map(|key| key.rows).sum()
    }
}

/// Looks at everything.
pub async fn state(pool: &PgPool, sealer: &Sealer) -> Result<State> {
    let agreed = agreed(pool).await?;
    let (current, problem) = match sealer.current_key().await {
        Ok(key) => (Some(key), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut keys: Vec<KeyState> = Vec::new();
    let known = |reference: String, created_at| KeyState { reference, created_at, is_current: false, rows: 0 };
    for (version, created_at) in sealer.keyring().status().versions {
        keys.push(known(keyring::reference(version), Some(created_at)));
    }
    if let Some(vault) = sealer.vault()
        && let Ok(key) = vault.key().await
    {
        keys.extend(key.versions().into_iter().map(|(version, at)| known(vault.reference(version), Some(at))));
    }
    for column in COLUMNS {
        for (reference, rows) in sealing::count(pool, column.place).await? {
            match keys.iter_mut().find(|key| key.reference == reference) {
                Some(key) => key.rows += rows,
                None => keys.push(KeyState { rows, ..known(reference, None) }),
            }
        }
    }
    if let Some(current) = current {
        match keys.iter_mut().find(|key| key.reference == current) {
            Some(key) => key.is_current = true,
            None => keys.push(KeyState { is_current: true, ..known(current, None) }),
        }
    }
    let processes = sealing::processes(pool).await?;
    let processes = processes.into_iter().map(|process| {
        let follows = process.follows == Some(agreed.changed_at);
        (process, follows)
    });
    let target = Target::parse(&agreed.target).unwrap_or(Target::Local);
    let (processes, progress) = (processes.collect(), sealing::progress(pool).await?);
    Ok(State { target, changed_at: agreed.changed_at, problem, keys, progress, processes })
}

/// Adds a version to the key, and seals with it.
pub async fn rotate(app: &App, caller: &Caller) -> Result<State> {
    rotate_as(&app.pool, &app.sealer, Some(caller)).await?;
    state(&app.pool, &app.sealer).await
}

/// The same, also without a caller: because it is time.
pub async fn rotate_as(pool: &PgPool, sealer: &Sealer, caller: Option<&Caller>) -> Result<()> {
    let before = agreed(pool).await?;
    let version = match Target::parse(&before.target) {
        Some(Target::Vault) => {
            vault(sealer)?.rotate().await.map_err(refused)?;
            None
        }
        _ => Some(next_local(pool, sealer, before.version).await?),
    };
    switch(pool, sealer, caller, &before, "keys.rotate", &before.target, version).await
}

/// Seals with a key of another keeper from now on.
pub async fn move_to(app: &App, caller: &Caller, target: Target) -> Result<State> {
    let (pool, sealer) = (&app.pool, &app.sealer);
    let before = agreed(pool).await?;
    if Target::parse(&before.target) != Some(target) {
        let version = match target {
            Target::Vault => {
                let vault = vault(sealer)?;
                vault.probe().await.map_err(refused)?;
                let key = vault.name();
                all_must(pool, "can use this key of Vault: give them the same settings `vault`", |process| {
                    process.vault_key.as_ref() == Some(&key)
                })
                .await?;
                None
            }
            Target::Local => {
                let newest = sealer.keyring().status().current;
                all_must(pool, SAME_FILE, has_version(sealer, newest)).await?;
                Some(newest)
            }
        };
        switch(pool, sealer, Some(caller), &before, "keys.move", target.name(), version).await?;
    }
    state(pool, sealer).await
}

/// Gives up all versions but the one that seals: what they sealed cannot be opened any more, also in a copy of the database.
pub async fn retire(app: &App, caller: &Caller) -> Result<State> {
    let (pool, sealer) = (&app.pool, &app.sealer);
    let before = state(pool, sealer).await?;
    if let Some(problem) = before.problem {
        return Err(
            Error::new(Code::KeysUnavailable, "The current key cannot be used at the moment.").with_source(problem)
        );
    }
    // Both pass by themselves.
    let in_use = |detail: String| Err(Error::new(Code::KeysInUse, detail).with_retry_after(NOTICE));
    if before.left() > 0 {
        return in_use(format!(
            "{} rows are still sealed with other keys: wait until they are sealed anew.",
            before.left()
        ));
    }
    if let Some((process, _)) = before.processes.iter().find(|(_, follows)| !follows) {
        return in_use(format!("Process {} on {} still seals with an old key.", process.pid, process.host));
    }
    let age = sealing::age_seconds(pool).await?;
    if age < GIVE_UP_SECONDS {
        let left = (GIVE_UP_SECONDS - age).ceil();
        let wait = Duration::try_from_secs_f64(left).unwrap_or_default();
        let detail = format!("What was read before the change may still be written: try again in {left} s.");
        return Err(Error::new(Code::KeysInUse, detail).with_retry_after(wait));
    }
    let current = before.keys.iter().find(|key| key.is_current).map(|key| key.reference.clone()).unwrap_or_default();
    let version = current.rsplit_once(':').and_then(|(_, version)| version.parse().ok()).unwrap_or(0);
    match before.target {
        Target::Vault => vault(sealer)?.retire_below(version).await.map_err(refused)?,
        Target::Local => {
            let keyring = sealer.keyring().clone();
            tokio::task::spawn_blocking(move || keyring.retire_below(version))
                .await
                .map_err(Error::internal)?
                .map_err(Error::internal)?;
        }
    }
    let mut tx = pool.begin().await?;
    let change = change("keys.retire", Some(&json!({ "key": current })), None);
    record(&mut tx, caller, change).await?;
    tx.commit().await?;
    state(pool, sealer).await
}

const SAME_FILE: &str = "has this keyring file: copy keyring.json from the data folder of the process that answers this there, then try again";

/// The version of the keyring to use next: one that is in the file already, if an earlier try stopped half-way; else a new one.
async fn next_local(pool: &PgPool, sealer: &Sealer, agreed: Option<i32>) -> Result<u32> {
    let keyring = sealer.keyring().clone();
    let agreed = agreed.and_then(|version| u32::try_from(version).ok());
    let version = tokio::task::spawn_blocking(move || {
        keyring.reload()?;
        let newest = keyring.status().current;
        if agreed.is_some_and(|agreed| newest > agreed) { Ok(newest) } else { keyring.rotate() }
    });
    let version = version.await.map_err(Error::internal)?.map_err(|error| Error::from(SealError::from(error)))?;
    all_must(pool, SAME_FILE, has_version(sealer, version)).await?;
    Ok(version)
}

/// Waits for a while until all processes are as they must be; names those that are not.
async fn all_must(pool: &PgPool, what: &str, fits: impl Fn(&Process) -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let differ = who_differs(pool, &fits).await?;
        if differ.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > NOTICE {
            let detail = format!("Not every process {what}. Missing: {}.", differ.join(", "));
            return Err(Error::new(Code::Conflict, detail));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Writes the change, together with the task that seals the rest anew; this process follows at once.
async fn switch(
    pool: &PgPool,
    sealer: &Sealer,
    caller: Option<&Caller>,
    before: &Agreed,
    action: &str,
    target: &str,
    version: Option<u32>,
) -> Result<()> {
    let mut tx = pool.begin().await?;
    let version = version.and_then(|version| i32::try_from(version).ok());
    let Some(after) = sealing::change(&mut tx, before.changed_at, target, version).await? else {
        return Err(Error::new(Code::Conflict, "Somebody else changed the keys at the same time. Look at them again."));
    };
    if let Some(caller) = caller {
        let told = |agreed: &Agreed| json!({ "target": agreed.target, "version": agreed.version });
        record(&mut tx, caller, change(action, Some(&told(before)), Some(&told(&after)))).await?;
    }
    crate::tasks::enqueue::<Reseal>(&mut tx, Some("all"), &(), Duration::ZERO).await?;
    tx.commit().await?;
    if let Some(choice) = choice_of(&after) {
        sealer.choose(choice);
    }
    tracing::info!(action, target, version, "the key that seals credentials was changed; the rest is sealed anew");
    Ok(())
}

fn change<'a>(action: &'a str, before: Option<&Value>, after: Option<&Value>) -> Change<'a> {
    let (before, after) = (before.cloned(), after.cloned());
    Change { action, resource_type: "keys", resource_id: "all".to_owned(), before, after }
}

async fn agreed(pool: &PgPool) -> Result<Agreed> {
    sealing::agreed(pool).await?.ok_or_else(|| Error::internal("nobody has decided what seals credentials"))
}

fn vault(sealer: &Sealer) -> Result<&std::sync::Arc<Vault>> {
    sealer.vault().ok_or_else(|| {
        Error::new(
            Code::Conflict,
            "Vault is not configured: the operator sets vault.addr and its login in every process.",
        )
    })
}

/// Vault's own words, which are for administrators.
fn refused(error: VaultError) -> Error {
    match error {
        VaultError::Unavailable(_) => SealError::from(error).into(),
        error => Error::new(Code::Conflict, format!("{error}. See the policy in docs/SECURITY.md.")),
    }
}

/// How old the current version of the keyring or of the key at Vault is.
pub async fn age_of_current(sealer: &Sealer) -> std::result::Result<Option<Duration>, SealError> {
    let current = sealer.current_key().await?;
    let mut versions: Vec<(String, DateTime<Utc>)> = Vec::new();
    if let (Target::Vault, Some(vault)) = (sealer.choice().target, sealer.vault()) {
        versions.extend(vault.key().await?.versions().into_iter().map(|(version, at)| (vault.reference(version), at)));
    } else {
        let local = sealer.keyring().status().versions;
        versions.extend(local.into_iter().map(|(version, at)| (keyring::reference(version), at)));
    }
    let made = versions.into_iter().find(|(reference, _)| *reference == current).map(|(_, at)| at);
    Ok(made.and_then(|at| (Utc::now() - at).to_std().ok()))
}
