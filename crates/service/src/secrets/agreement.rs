//! All processes over one database seal with the same key: which one that is stands in the database.
//!
//! Each process tells every second what it knows and what it goes by. So a new version is used only when every process has it, and an old
//! one is given up only when none seals with it any more.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use store::sealing::{self, Agreed, Process};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::columns::COLUMNS;
use super::{Choice, Sealer, Target};

/// How often a process tells that it lives, and learns what changed.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// This process's part of it.
pub struct Agreement {
    pool: PgPool,
    sealer: Sealer,
    process: Process,
    known: Agreed,
}

impl Agreement {
    /// Learns what all seal with; the first process decides. `alone` where no other process can use the database.
    ///
    /// # Errors
    /// A text for the operator when this process cannot seal as the others do.
    pub async fn enter(pool: PgPool, sealer: Sealer, alone: bool) -> Result<Self, String> {
        let text = |error: sqlx::Error| format!("the database does not tell what seals credentials: {error}");
        if sealing::agreed(&pool).await.map_err(text)?.is_none() {
            // Whoever has credentials already goes on with what sealed them.
            let target = match sealer.vault() {
                Some(_) if !any_sealed(&pool).await.map_err(text)? => Target::Vault,
                _ => Target::Local,
            };
            sealing::decide(&pool, target.name(), local_version(&sealer)).await.map_err(text)?;
        }
        let known = sealing::agreed(&pool).await.map_err(text)?.ok_or("what seals credentials was deleted")?;
        sealing::forget(&pool, alone).await.map_err(text)?;
        let uname = rustix::system::uname();
        let process = Process {
            id: Uuid::now_v7(),
            host: uname.nodename().to_string_lossy().into_owned(),
            pid: i32::try_from(std::process::id()).unwrap_or(0),
            local_version: 0,
            local_mark: String::new(),
            vault_key: None,
            follows: None,
        };
        let mut this = Self { pool, sealer, process, known };
        this.check()?;
        this.follow();
        this.beat().await.map_err(text)?;
        Ok(this)
    }

    /// Follows what the others decide, until stopped.
    pub async fn keep(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(BEAT_EVERY)).await.is_some() {
            if let Err(error) = self.beat().await {
                tracing::debug!(%error, "what seals credentials could not be looked at");
            }
        }
        // What it still seals while it ends is younger than what old keys are kept for.
        let _ = sealing::leave(&self.pool, self.process.id).await;
    }

    /// What others have to know before they change anything.
    fn check(&self) -> Result<(), String> {
        match (Target::parse(&self.known.target), self.known.version) {
            (Some(Target::Vault), _) if self.sealer.vault().is_none() => Err(
                "the credentials of this database are sealed with keys of Vault: set vault.addr and its login, or move them back with \
                 `integrations keys move --to local` where Vault is configured"
                    .to_owned(),
            ),
            (Some(Target::Local), Some(version)) => {
                // The file may have been replaced since it was read.
                self.sealer.keyring().reload().map_err(|error| error.to_string())?;
                let version = u32::try_from(version).unwrap_or(0);
                if self.sealer.keyring().mark(version).is_none() {
                    return Err(format!(
                        "the credentials of this database are sealed with version {version} of the keyring, which the file in this data \
                         folder does not have: copy keyring.json from a machine that runs the service on this database"
                    ));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn beat(&mut self) -> Result<(), sqlx::Error> {
        let keyring = self.sealer.keyring().clone();
        // A file that cannot be read at the moment stays as it was read last.
        let _ = tokio::task::spawn_blocking(move || keyring.reload()).await;
        let newest = self.sealer.keyring().status().current;
        self.process.local_version = i32::try_from(newest).unwrap_or(i32::MAX);
        self.process.local_mark = self.sealer.keyring().mark(newest).unwrap_or_default();
        self.process.vault_key = self.sealer.vault().filter(|vault| vault.state().is_ok()).map(|vault| vault.name());
        self.process.follows = Some(self.known.changed_at);
        let Some(agreed) = sealing::beat(&self.pool, &self.process).await? else { return Ok(()) };
        if agreed != self.known {
            self.known = agreed;
            if let Err(problem) = self.check() {
                tracing::error!(problem, "this process cannot seal as the others do");
            }
            self.follow();
            self.process.follows = Some(self.known.changed_at);
            sealing::beat(&self.pool, &self.process).await?;
        }
        Ok(())
    }

    fn follow(&self) {
        if let Some(choice) = choice_of(&self.known) {
            self.sealer.choose(choice);
        }
    }
}

/// The choice in a row.
pub fn choice_of(agreed: &Agreed) -> Option<Choice> {
    let version = agreed.version.and_then(|version| u32::try_from(version).ok());
    Some(Choice { target: Target::parse(&agreed.target)?, version })
}

fn local_version(sealer: &Sealer) -> Option<i32> {
    i32::try_from(sealer.keyring().status().current).ok()
}

async fn any_sealed(pool: &PgPool) -> Result<bool, sqlx::Error> {
    for column in COLUMNS {
        if !sealing::count(pool, column.place).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Starts it for a process.
///
/// # Errors
/// See [`Agreement::enter`].
pub async fn start(pool: &PgPool, sealer: &Sealer, alone: bool, stop: CancellationToken) -> Result<(), String> {
    let agreement = Agreement::enter(pool.clone(), sealer.clone(), alone).await?;
    tokio::spawn(agreement.keep(stop));
    Ok(())
}

/// The processes that are not as `fits` says, in words.
pub async fn who_differs(pool: &PgPool, fits: impl Fn(&Process) -> bool) -> Result<Vec<String>, sqlx::Error> {
    let all = sealing::processes(pool).await?;
    let differ = all.into_iter().filter(|process| !fits(process));
    Ok(differ.map(|process| format!("process {} on {}", process.pid, process.host)).collect())
}

/// Whether a process has this version of the keyring, and the same key under it.
pub fn has_version(sealer: &Sealer, version: u32) -> impl Fn(&Process) -> bool {
    let (version, mark) = (i32::try_from(version).unwrap_or(i32::MAX), sealer.keyring().mark(version));
    let mark: Option<Arc<str>> = mark.map(Into::into);
    move |process| process.local_version == version && Some(&*process.local_mark) == mark.as_deref()
}
