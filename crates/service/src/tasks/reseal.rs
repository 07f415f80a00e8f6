//! Seals anew, with the current key, what other keys have sealed.

use std::time::Duration;

use chrono::Utc;
use futures::StreamExt as _;
use store::sealing::{self, OldRow, Progress};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Context, Kind, Queue, Retry, Task, TaskError};
use crate::metrics::name;
use crate::secrets::columns::{COLUMNS, Column};
use crate::secrets::{Envelope, SealError, Sealer};
use crate::usecases::keys;

/// Rows in one statement.
const BATCH: i64 = 200;
/// How many of them are opened and sealed at the same time.
const AT_ONCE: usize = 100;
/// A run ends after so long, and another one goes on.
const AT_MOST: Duration = Duration::from_mins(4);
/// So many rounds find rows that were written with an old key meanwhile, or that somebody was changing.
const ROUNDS: u32 = 20;

/// The task. Its place is kept in the database, so that another run, perhaps of another process, goes on there.
pub struct Reseal(pub Sealer);

impl Kind for Reseal {
    const NAME: &'static str = "reseal";
    const QUEUE: Queue = Queue::Low;
    const TIMEOUT: Duration = Duration::from_mins(10);
    const RETRY: Retry =
        Retry { first: Duration::from_secs(2), factor: 2, cap: Duration::from_mins(2), attempts: 1000 };
}

impl Task for Reseal {
    type Input = ();

    async fn run(&self, context: &Context, (): ()) -> Result<(), TaskError> {
        let until = Instant::now() + AT_MOST;
        let is_over = || context.stop.is_cancelled() || Instant::now() >= until;
        let key = self.0.current_key().await.map_err(|error| TaskError::Retry(error.to_string()))?;
        for column in COLUMNS {
            let work = Work { sealer: &self.0, context, column, key: &key };
            if !work.run(&is_over).await? {
                let mut tx = context.pool.begin().await?;
                super::enqueue::<Self>(&mut tx, Some("all"), &(), Duration::ZERO).await?;
                tx.commit().await?;
                return Ok(());
            }
        }
        tracing::info!(key, "everything is sealed with the current key, but for what could not be opened");
        Ok(())
    }
}

struct Work<'a> {
    sealer: &'a Sealer,
    context: &'a Context,
    column: Column,
    key: &'a str,
}

impl Work<'_> {
    /// Goes through a column until nothing is left to do; false when the time is over before.
    async fn run(&self, is_over: &impl Fn() -> bool) -> Result<bool, TaskError> {
        let pool = &self.context.pool;
        let mut progress = sealing::resume(pool, self.column.place.name, self.key).await?;
        if progress.finished_at.take().is_some() {
            if !self.is_left(&progress).await? {
                return Ok(true);
            }
            begin_round(&mut progress);
        }
        for _ in 0..ROUNDS {
            while self.batch(&mut progress).await? {
                sealing::note(pool, &progress).await?;
                if is_over() {
                    return Ok(false);
                }
            }
            if progress.round_done == 0 {
                break;
            }
            begin_round(&mut progress);
            sealing::note(pool, &progress).await?;
        }
        progress.finished_at = Some(Utc::now());
        sealing::note(pool, &progress).await?;
        Ok(true)
    }

    /// Whether a column that was done has rows of other keys again.
    async fn is_left(&self, progress: &Progress) -> Result<bool, TaskError> {
        let old = sealing::old(&self.context.pool, self.column.place, &progress.key, Uuid::nil(), 1).await?;
        Ok(!old.is_empty())
    }

    /// Seals the next rows anew; false when there are none.
    async fn batch(&self, progress: &mut Progress) -> Result<bool, TaskError> {
        let (pool, place) = (&self.context.pool, self.column.place);
        let rows = sealing::old(pool, place, self.key, progress.after, BATCH).await?;
        let Some(last) = rows.last().map(|row| row.id) else { return Ok(false) };
        let work: Vec<_> = rows.iter().map(|row| self.seal_anew(row)).collect();
        let results: Vec<_> = futures::stream::iter(work).buffered(AT_ONCE).collect().await;
        let (mut ids, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for (row, result) in rows.into_iter().zip(results) {
            match result {
                Ok(sealed) => {
                    ids.push(row.id);
                    before.push(row.sealed);
                    after.push(sealed);
                }
                Err(error) if error.is_passing() => return Err(TaskError::Retry(error.to_string())),
                Err(error) => {
                    progress.failed += 1;
                    metrics::counter!(name::RESEALED, "column" => place.name, "result" => "failed").increment(1);
                    tracing::error!(column = place.name, id = %row.id, %error, "a row cannot be sealed anew: it stays as it is");
                }
            }
        }
        let done = sealing::replace(pool, place, &ids, &before, &after).await?;
        metrics::counter!(name::RESEALED, "column" => place.name, "result" => "done").increment(done);
        let done = i64::try_from(done).unwrap_or(0);
        progress.done += done;
        // Rows that were skipped are another round's.
        progress.round_done += i64::try_from(ids.len()).unwrap_or(0);
        progress.after = last;
        Ok(true)
    }

    async fn seal_anew(&self, row: &OldRow) -> Result<String, SealError> {
        let purpose = self.column.purpose(row.id, row.more.as_ref());
        let purpose = purpose.ok_or(SealError::Malformed("its row does not say what it belongs to"))?;
        let secret = self.sealer.open(&purpose, &Envelope::parse(&row.sealed)?).await?;
        Ok(self.sealer.seal(&purpose, &secret).await?.to_text())
    }
}

/// From the first row on: what could not be opened may be openable now.
fn begin_round(progress: &mut Progress) {
    (progress.after, progress.failed, progress.round_done) = (Uuid::nil(), 0, 0);
}

/// Looks whether it is time for another version, and whether anything is to be sealed anew: a Vault may have rotated its key by itself, and a
/// process that was slow may have written with an old key.
pub struct KeyWatch {
    /// What seals.
    pub sealer: Sealer,
    /// How old a version may become.
    pub rotate_after: Option<Duration>,
}

impl Kind for KeyWatch {
    const NAME: &'static str = "keys";
    const QUEUE: Queue = Queue::Low;
    const TIMEOUT: Duration = Duration::from_mins(5);
    const RETRY: Retry = Retry { first: Duration::from_secs(10), factor: 2, cap: Duration::from_mins(5), attempts: 5 };
}

impl Task for KeyWatch {
    type Input = ();

    const EVERY: Option<Duration> = Some(Duration::from_mins(5));

    async fn run(&self, context: &Context, (): ()) -> Result<(), TaskError> {
        let later = |error: &dyn std::fmt::Display| TaskError::Retry(error.to_string());
        let pool = &context.pool;
        if let Some(limit) = self.rotate_after
            && keys::age_of_current(&self.sealer).await.map_err(|error| later(&error))?.is_some_and(|age| age > limit)
        {
            keys::rotate_as(pool, &self.sealer, None).await.map_err(|error| later(&error))?;
        }
        let current = self.sealer.current_key().await.map_err(|error| later(&error))?;
        let (mut own, mut others) = (0, 0);
        for column in COLUMNS {
            for (key, rows) in sealing::count(pool, column.place).await? {
                if key == current { own += rows } else { others += rows }
            }
        }
        for (label, rows) in [("current", own), ("other", others)] {
            metrics::gauge!(name::SEALED_ROWS, "key" => label).set(crate::metrics::as_f64(rows));
        }
        if others > 0 {
            let mut tx = pool.begin().await?;
            super::enqueue::<Reseal>(&mut tx, Some("all"), &(), Duration::ZERO).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
