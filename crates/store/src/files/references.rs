//! `file_references`: what platforms call a file that a sender has uploaded.

use platform::MediaKind;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// What the platform calls the file when this sender sends it as this kind. Marks it as used.
pub async fn find(
    pool: &PgPool,
    sender_id: Uuid,
    file_id: Uuid,
    kind: MediaKind,
) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE file_references SET used_at = now() WHERE file_id = $1 AND sender_id = $2 AND kind = $3
         RETURNING reference",
    )
    .bind(file_id)
    .bind(sender_id)
    .bind(name(kind))
    .fetch_optional(pool)
    .await
}

/// Keeps what the platform calls the file. Does nothing when the file is gone.
pub async fn set(
    pool: &PgPool,
    sender_id: Uuid,
    file_id: Uuid,
    kind: MediaKind,
    reference: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO file_references (file_id, sender_id, kind, reference)
         SELECT id, $2, $3, $4 FROM files WHERE id = $1 FOR KEY SHARE
         ON CONFLICT (file_id, sender_id, kind) DO UPDATE SET reference = EXCLUDED.reference, used_at = now()",
    )
    .bind(file_id)
    .bind(sender_id)
    .bind(name(kind))
    .bind(reference)
    .execute(pool)
    .await
    .map(drop)
}

/// Forgets a name that the platform does not accept any more.
pub async fn forget(pool: &PgPool, sender_id: Uuid, file_id: Uuid, kind: MediaKind) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM file_references WHERE file_id = $1 AND sender_id = $2 AND kind = $3")
        .bind(file_id)
        .bind(sender_id)
        .bind(name(kind))
        .execute(pool)
        .await
        .map(drop)
}

fn name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Photo => "photo",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
        MediaKind::Audio => "audio",
        MediaKind::Voice => "voice",
        MediaKind::Animation => "animation",
    }
}
