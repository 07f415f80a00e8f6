//! `files`: what users have stored, who needs it, and what is to be removed.
//!
//! - [`references`]: what platforms call a file;
//! - [`removal`]: files that nothing needs, and objects that no file stands for.

pub mod references;
pub mod removal;

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::FileRef;
use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::Slice;

/// A stored file.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migrations")]
pub struct FileRow {
    pub id: Uuid,
    pub user_id: i32,
    pub sha256: Vec<u8>,
    pub size_bytes: i64,
    pub name: String,
    pub media_type: String,
    pub object: String,
    pub created_at: DateTime<Utc>,
    pub used_at: DateTime<Utc>,
}

impl FileRow {
    /// The file as messages name it.
    pub fn to_ref(&self) -> FileRef {
        FileRef {
            id: self.id,
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            size_bytes: self.size_bytes.unsigned_abs(),
        }
    }
}

const COLUMNS: &str = "id, user_id, sha256, size_bytes, name, media_type, object, created_at, used_at";

/// Content that is whole in the store.
#[derive(Debug, Clone)]
pub struct NewFile<'a> {
    /// Whose it is.
    pub user_id: i32,
    /// The hash of the content.
    pub sha256: &'a [u8],
    /// Its length.
    pub size_bytes: i64,
    /// The name that it is shown with.
    pub name: &'a str,
    /// Its media type.
    pub media_type: &'a str,
    /// The name of the content in the store.
    pub object: &'a str,
}

/// What became of new content.
#[derive(Debug, Clone)]
pub enum Stored {
    /// A new file stands for it.
    New(FileRow),
    /// The user has a file with this content: that one has the name and the type now, and the object is a remnant.
    Known(FileRow),
    /// The user's files would be larger together than allowed; nothing was changed.
    OverQuota,
    /// The upload took so long that its object was given up; nothing was changed.
    GivenUp,
}

/// Announces an object before its first byte is written. Unless a file stands for it by then, it is removed after `life`.
pub async fn announce(pool: &PgPool, object: &str, life: Duration) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO file_remnants (object, remove_after) VALUES ($1, now() + $2 * interval '1 second')")
        .bind(object)
        .bind(life.as_secs_f64())
        .execute(pool)
        .await
        .map(drop)
}

/// Keeps the id of a multipart upload, without which its parts cannot be removed.
pub async fn announce_upload(pool: &PgPool, object: &str, upload: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE file_remnants SET upload = $2 WHERE object = $1")
        .bind(object)
        .bind(upload)
        .execute(pool)
        .await
        .map(drop)
}

/// Lets a file stand for an object that is whole, in the caller's transaction, which is to be committed only when there is a file
/// then. `quota` is the most bytes that the user's files may have together.
pub async fn store(db: &mut PgConnection, file: &NewFile<'_>, quota: Option<i64>) -> Result<Stored, sqlx::Error> {
    // One upload of a user after the other: two that fit alone may be too much together.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('integrations.files'), $1)")
        .bind(file.user_id)
        .execute(&mut *db)
        .await?;
    let sql = format!(
        "INSERT INTO files (id, user_id, sha256, size_bytes, name, media_type, object)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (user_id, sha256)
             DO UPDATE SET name = EXCLUDED.name, media_type = EXCLUDED.media_type, used_at = now()
         RETURNING {COLUMNS}"
    );
    let row: FileRow = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(Uuid::now_v7())
        .bind(file.user_id)
        .bind(file.sha256)
        .bind(file.size_bytes)
        .bind(file.name)
        .bind(file.media_type)
        .bind(file.object)
        .fetch_one(&mut *db)
        .await?;
    if row.object != file.object {
        sqlx::query("UPDATE file_remnants SET remove_after = now() WHERE object = $1")
            .bind(file.object)
            .execute(&mut *db)
            .await?;
        return Ok(Stored::Known(row));
    }
    if let Some(quota) = quota
        && total(db, file.user_id).await? > quota
    {
        return Ok(Stored::OverQuota);
    }
    let announced = sqlx::query("DELETE FROM file_remnants WHERE object = $1").bind(file.object).execute(&mut *db);
    if announced.await?.rows_affected() == 0 {
        return Ok(Stored::GivenUp);
    }
    Ok(Stored::New(row))
}

/// How many bytes the files of a user have together.
pub async fn total(db: &mut PgConnection, user_id: i32) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT COALESCE(sum(size_bytes), 0)::bigint FROM files WHERE user_id = $1")
        .bind(user_id)
        .fetch_one(db)
        .await
}

/// How many files there are, and how many bytes they have together.
pub async fn counts(pool: &PgPool) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as("SELECT count(*), COALESCE(sum(size_bytes), 0)::bigint FROM files").fetch_one(pool).await
}

/// One file; of one user, or whoever owns it.
pub async fn find(pool: &PgPool, id: Uuid, user_id: Option<i32>) -> Result<Option<FileRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM files WHERE id = $1 AND ($2::int IS NULL OR user_id = $2)");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).bind(user_id).fetch_optional(pool).await
}

/// Which files a list shows.
#[derive(Debug, Clone, Default)]
pub struct FileFilter {
    /// Of this user; `None` is everybody's.
    pub user_id: Option<i32>,
    /// Whose name contains this, in whatever case.
    pub name: Option<String>,
}

/// One page of files.
pub async fn list(pool: &PgPool, filter: &FileFilter, slice: Slice) -> Result<Vec<FileRow>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(COLUMNS).push(" FROM files WHERE TRUE");
    if let Some(user_id) = filter.user_id {
        sql.push(" AND user_id = ").push_bind(user_id);
    }
    if let Some(name) = &filter.name {
        let escaped = name.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        sql.push(" AND name ILIKE ").push_bind(format!("%{escaped}%"));
    }
    if let Some(before) = slice.before {
        sql.push(" AND id < ").push_bind(before);
    }
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(slice.rows);
    sql.build_query_as().fetch_all(pool).await
}
