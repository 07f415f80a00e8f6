//! `questions`: what one process asks the worker that owns a sender. Notifications tell of questions and answers; they carry the ids
//! only, so that what is said can be long.

use sqlx::PgPool;
use uuid::Uuid;

/// The channel on which questions and answers are told of.
pub const CHANNEL: &str = "integrations_questions";

/// What a notification tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// There is a question.
    Asked {
        /// For this worker.
        worker_id: Uuid,
        /// The question.
        id: Uuid,
    },
    /// A question has its answer.
    Answered {
        /// The question.
        id: Uuid,
    },
}

impl Told {
    fn encode(self) -> String {
        match self {
            Self::Asked { worker_id, id } => format!("q{}{}", worker_id.simple(), id.simple()),
            Self::Answered { id } => format!("a{}", id.simple()),
        }
    }

    /// Whatever is not ours is passed over: anybody who may connect to the database can notify.
    pub fn decode(payload: &str) -> Option<Self> {
        let (kind, ids) = payload.as_bytes().split_first()?;
        match (kind, ids.len()) {
            (b'q', 64) => {
                let (worker_id, id) =
                    (Uuid::try_parse_ascii(&ids[..32]).ok()?, Uuid::try_parse_ascii(&ids[32..]).ok()?);
                Some(Self::Asked { worker_id, id })
            }
            (b'a', 32) => Some(Self::Answered { id: Uuid::try_parse_ascii(ids).ok()? }),
            _ => None,
        }
    }
}

/// Tells of a question or of an answer; harmless when it was told before.
pub async fn tell(pool: &PgPool, told: Told) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(told.encode()).execute(pool).await.map(drop)
}

/// A question.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Names it.
    pub id: Uuid,
    /// The sender that it concerns.
    pub sender_id: Uuid,
    /// The worker that owns the sender.
    pub worker_id: Uuid,
    /// What is asked, sealed.
    pub question: &'a str,
    /// Nobody waits for the answer after so many seconds.
    pub seconds: f64,
}

/// Asks a worker.
pub async fn ask(pool: &PgPool, asked: &Asked<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO questions (id, sender_id, worker_id, question, expires_at)
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))",
    )
    .bind(asked.id)
    .bind(asked.sender_id)
    .bind(asked.worker_id)
    .bind(asked.question)
    .bind(asked.seconds)
    .execute(pool)
    .await?;
    tell(pool, Told::Asked { worker_id: asked.worker_id, id: asked.id }).await
}

/// Takes a question that somebody still waits for: the sender, and what is asked, sealed. It is answered once only.
pub async fn take(pool: &PgPool, worker_id: Uuid, id: Uuid) -> Result<Option<(Uuid, String)>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE questions SET taken_at = now()
         WHERE id = $1 AND worker_id = $2 AND taken_at IS NULL AND expires_at > now() RETURNING sender_id, question",
    )
    .bind(id)
    .bind(worker_id)
    .fetch_optional(pool)
    .await
}

/// Answers a question, if somebody still waits.
pub async fn answer(pool: &PgPool, id: Uuid, answer: &str) -> Result<(), sqlx::Error> {
    let done =
        sqlx::query("UPDATE questions SET answer = $2 WHERE id = $1").bind(id).bind(answer).execute(pool).await?;
    if done.rows_affected() == 1 {
        tell(pool, Told::Answered { id }).await?;
    }
    Ok(())
}

/// The answer, sealed, once it is there.
pub async fn collect(pool: &PgPool, id: Uuid) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("DELETE FROM questions WHERE id = $1 AND answer IS NOT NULL RETURNING answer")
        .bind(id)
        .fetch_optional(pool)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_survives_the_wire_and_garbage_does_not() {
        let (worker_id, id) = (Uuid::now_v7(), Uuid::now_v7());
        for told in [Told::Asked { worker_id, id }, Told::Answered { id }] {
            assert_eq!(Told::decode(&told.encode()), Some(told));
        }
        for garbage in
            ["", "q", "a", "x0190", &format!("q{}", id.simple()), &"ё".repeat(32), &format!("a{}", "z".repeat(32))]
        {
            assert_eq!(Told::decode(garbage), None, "{garbage}");
        }
    }
}
