//! `user_changes`: names the state of what a user sees of bots, accounts and channels.
//!
//! Triggers add a row for each change, in the changing transaction. The generation of a user is taken from all rows of the user that are
//! visible: as long as it is the same, nothing has been committed in between.

use std::collections::HashMap;

use sqlx::PgPool;

use crate::group::Commit;

/// Users with more rows than this are due for [`compact`].
pub const MANY: i64 = 100;

/// The state that a user sees now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Generation {
    /// Never the same for two states.
    pub id: i64,
    /// The rows that it was taken from.
    pub rows: i64,
}

/// Reads the generations of users, many in one statement.
pub struct Generations {
    /// The database.
    pub pool: PgPool,
}

impl Commit for Generations {
    type Item = i32;
    type Output = Generation;

    async fn commit(&self, users: &[i32]) -> Result<Vec<Generation>, sqlx::Error> {
        let mut asked = users.to_vec();
        asked.sort_unstable();
        asked.dedup();
        let rows: Vec<(i32, i64, i64)> = sqlx::query_as(
            "SELECT user_id, bit_xor(mark), count(*) FROM user_changes WHERE user_id = ANY($1) GROUP BY user_id",
        )
        .bind(asked)
        .fetch_all(&self.pool)
        .await?;
        let found: HashMap<i32, Generation> =
            rows.into_iter().map(|(user, id, rows)| (user, Generation { id, rows })).collect();
        Ok(users.iter().map(|user| found.get(user).copied().unwrap_or_default()).collect())
    }
}

/// Puts one row with a mark of its own in place of a user's rows, which makes another generation. Rows that somebody else puts together
/// at the same time are left to them.
pub async fn compact(pool: &PgPool, user_id: i32) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH gone AS (
             DELETE FROM user_changes WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM user_changes WHERE user_id = $1 LIMIT 10000 FOR UPDATE SKIP LOCKED))
             RETURNING user_id
         )
         SELECT note_change(user_id) FROM (SELECT DISTINCT user_id FROM gone) AS once",
    )
    .bind(user_id)
    .execute(pool)
    .await
    .map(drop)
}

/// The users whose rows should be put together.
pub async fn crowded(pool: &PgPool) -> Result<Vec<i32>, sqlx::Error> {
    sqlx::query_scalar("SELECT user_id FROM user_changes GROUP BY user_id HAVING count(*) > $1 LIMIT 1000")
        .bind(MANY)
        .fetch_all(pool)
        .await
}
