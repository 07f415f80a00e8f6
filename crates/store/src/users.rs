//! The mirror of user ids, and the tombstones of erased users.

use sqlx::PgPool;

/// What is known of a user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// A row exists: foreign keys to it hold.
    Known,
    /// The User Service's own table has no such user.
    Missing,
    /// The user was erased; the id must not come back.
    Erased,
}

/// Makes the mirror row of a user at the first authenticated call. Where `users` is the User Service's own table, nothing is
/// written and a missing row is told.
pub async fn ensure(pool: &PgPool, user_id: i32) -> Result<UserState, sqlx::Error> {
    let (erased, known, mirror): (bool, bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM erased_users WHERE user_id = $1), EXISTS (SELECT 1 FROM users WHERE id = $1),
                COALESCE(obj_description('users'::regclass, 'pg_class') LIKE 'integrations:%', FALSE)",
    )
    .bind(user_id)
    .fetch_one(pool)
    .await?;
    if erased {
        return Ok(UserState::Erased);
    }
    if known {
        return Ok(UserState::Known);
    }
    if !mirror {
        return Ok(UserState::Missing);
    }
    sqlx::query("INSERT INTO users (id) VALUES ($1) ON CONFLICT DO NOTHING").bind(user_id).execute(pool).await?;
    Ok(UserState::Known)
}
