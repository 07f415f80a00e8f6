//! Removing files that nothing needs, and objects that no file stands for.
//!
//! A file is looked at under a lock that whoever accepts a message with it has to wait for, or holds already: so no file goes that
//! a message needs. Its object goes later, by its row in `file_remnants`, which a trigger leaves.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// States in which a message may still be sent without its owner's doing anything new, or wait for a decision.
const WAITING: &str = "m.status IN ('scheduled', 'queued', 'sending', 'unknown')";

/// Removes up to `limit` files that nothing needs and that were not used for `age`, looking from the id `after` on. Returns how many
/// went and where to go on, if there is more to look at.
pub async fn unused(pool: &PgPool, age: Duration, after: Uuid, limit: i64) -> Result<(u64, Option<Uuid>), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let candidates: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM files WHERE id > $1 AND used_at < now() - $2 * interval '1 second' ORDER BY id LIMIT $3
         FOR UPDATE SKIP LOCKED",
    )
    .bind(after)
    .bind(age.as_secs_f64())
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    let Some(last) = candidates.last().copied() else { return Ok((0, None)) };
    // Looked at in a statement of its own: it sees what was committed before the lock was had.
    let sql = format!(
        "DELETE FROM files f WHERE f.id = ANY($1) AND NOT EXISTS (
             SELECT 1 FROM message_files u LEFT JOIN messages m ON m.id = u.message_id
             WHERE u.file_id = f.id AND (
                 u.used_at >= now() - $2 * interval '1 second' OR {WAITING}
                 OR m.finished_at >= now() - $2 * interval '1 second'
             )
         ) AND NOT EXISTS (
             SELECT 1 FROM broadcast_files u JOIN broadcasts b ON b.id = u.broadcast_id
             WHERE u.file_id = f.id AND (b.finished_at IS NULL OR b.follow_up IS NOT NULL)
         )"
    );
    let gone = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&candidates).bind(age.as_secs_f64());
    let gone = gone.execute(&mut *tx).await?.rows_affected();
    tx.commit().await?;
    Ok((gone, Some(last)))
}

/// What became of a file that its owner wants removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// There is no such file.
    Missing,
    /// This message or broadcast still needs it.
    Needed(Uuid),
}

/// Removes a file unless a message that waits needs it, in the caller's transaction.
pub async fn remove(db: &mut PgConnection, id: Uuid) -> Result<Removed, sqlx::Error> {
    let locked: Option<Uuid> =
        sqlx::query_scalar("SELECT id FROM files WHERE id = $1 FOR UPDATE").bind(id).fetch_optional(&mut *db).await?;
    if locked.is_none() {
        return Ok(Removed::Missing);
    }
    let needed = format!(
        "SELECT b.id FROM broadcast_files u JOIN broadcasts b ON b.id = u.broadcast_id
         WHERE u.file_id = $1 AND b.finished_at IS NULL
         UNION ALL
         SELECT m.id FROM message_files u JOIN messages m ON m.id = u.message_id
         WHERE u.file_id = $1 AND {WAITING} LIMIT 1"
    );
    let needed = sqlx::query_scalar(sqlx::AssertSqlSafe(needed)).bind(id).fetch_optional(&mut *db).await?;
    if let Some(message) = needed {
        return Ok(Removed::Needed(message));
    }
    sqlx::query("DELETE FROM files WHERE id = $1").bind(id).execute(db).await?;
    Ok(Removed::Gone)
}

/// An object that is to be removed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Remnant {
    /// Its name in the store.
    pub object: String,
    /// The multipart upload that was to make it.
    pub upload: Option<String>,
}

/// Objects that are due to be removed. Each is taken for a while: another process does not get it meanwhile, and it comes again
/// when its removal did not succeed.
pub async fn due_remnants(pool: &PgPool, limit: i64) -> Result<Vec<Remnant>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE file_remnants r SET remove_after = now() + interval '5 minutes'
         FROM (SELECT object FROM file_remnants WHERE remove_after < now()
               ORDER BY remove_after LIMIT $1 FOR UPDATE SKIP LOCKED) AS due
         WHERE r.object = due.object RETURNING r.object, r.upload",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Gives an upload up, if no file stands for its object: it is due to be removed after `wait`.
pub async fn give_up(pool: &PgPool, object: &str, wait: Duration) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE file_remnants SET remove_after = now() + $2 * interval '1 second' WHERE object = $1")
        .bind(object)
        .bind(wait.as_secs_f64())
        .execute(pool)
        .await
        .map(drop)
}

/// Forgets objects that have been removed.
pub async fn forget_remnants(pool: &PgPool, objects: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM file_remnants WHERE object = ANY($1)").bind(objects).execute(pool).await.map(drop)
}

/// Forgets which files were needed by messages that are gone, from the message id `after` on; returns where to go on.
pub async fn forget_uses(pool: &PgPool, age: Duration, after: Uuid, limit: i64) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "WITH old AS (
             SELECT message_id, file_id FROM message_files
             WHERE message_id > $2 AND message_id < uuid7_floor(now() - $1 * interval '1 second')
             ORDER BY message_id LIMIT $3
         ), gone AS (
             DELETE FROM message_files u USING old
             WHERE (u.message_id, u.file_id) = (old.message_id, old.file_id)
               AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = old.message_id)
         )
         SELECT message_id FROM old ORDER BY message_id DESC LIMIT 1",
    )
    .bind(age.as_secs_f64())
    .bind(after)
    .bind(limit)
    .fetch_optional(pool)
    .await
}
