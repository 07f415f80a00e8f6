//! Tasks in the database: queued once, run by one worker at a time, handed over, ended.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

use std::{collections::HashSet, time::Duration};

use serde_json::{Value, json};
use sqlx::PgPool;
use store::tasks::{self, ClaimedTask, Ended, NewTask, Periodic, TaskRow};
use testdb::TestDb;
use uuid::Uuid;

const NAME: &str = "test";

struct Bench {
    pool: PgPool,
    _db: TestDb,
}

impl Bench {
    async fn new() -> Self {
        let db = TestDb::migrated().await;
        Self { pool: store::connect(db.options(), 6).await.unwrap(), _db: db }
    }

    /// A worker whose row is valid, however slow the test is.
    async fn worker(&self) -> Uuid {
        let id = Uuid::now_v7();
        let row = "INSERT INTO workers VALUES ($1, 'host', 1, '1', now(), now() + interval '1 hour')";
        sqlx::query(row).bind(id).execute(&self.pool).await.unwrap();
        id
    }

    async fn kill(&self, worker: Uuid) {
        let expire = "UPDATE workers SET valid_until = now() - interval '1 second' WHERE id = $1";
        sqlx::query(expire).bind(worker).execute(&self.pool).await.unwrap();
    }

    async fn queue(&self, key: Option<&str>, input: Value) -> Uuid {
        let mut tx = self.pool.begin().await.unwrap();
        let task = NewTask { name: NAME, queue: 1, key, input: &input, max_attempts: 2, delay: Duration::ZERO };
        let id = tasks::enqueue(&mut tx, task).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn claim(&self, worker: Uuid) -> Option<ClaimedTask> {
        tasks::claim(&self.pool, worker, 1, &[NAME], 1).await.unwrap().pop()
    }

    async fn finish(&self, task: &ClaimedTask, ended: Ended) -> bool {
        tasks::finish(&self.pool, task.id, task.run_id, &ended).await.unwrap()
    }

    async fn row(&self, id: Uuid) -> TaskRow {
        tasks::find(&self.pool, id).await.unwrap().unwrap()
    }

    async fn status(&self, id: Uuid) -> String {
        self.row(id).await.status
    }
}

fn failed(wait: u64) -> Ended {
    Ended::Again { wait: Duration::from_secs(wait), error: "away".into() }
}

fn dead() -> Ended {
    Ended::Dead { error: "broken".into() }
}

#[tokio::test]
async fn each_task_is_claimed_by_one_worker_only() {
    let bench = Bench::new().await;
    let mut queued = HashSet::new();
    for n in 0..60 {
        queued.insert(bench.queue(None, json!(n)).await);
    }
    let workers = [bench.worker().await, bench.worker().await, bench.worker().await];
    let claims = workers.map(|worker| {
        let pool = bench.pool.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = tasks::claim(&pool, worker, 1, &[NAME, "other"], 3).await.unwrap();
                if claimed.is_empty() && tasks::due_queues(&pool, &[NAME]).await.unwrap().is_empty() {
                    return mine;
                }
                mine.extend(claimed.into_iter().map(|task| task.id));
            }
        })
    });
    let mut all = Vec::new();
    for claim in claims {
        all.extend(claim.await.unwrap());
    }
    assert_eq!(all.len(), 60);
    assert_eq!(all.into_iter().collect::<HashSet<_>>(), queued);
}

#[tokio::test]
async fn only_living_workers_claim_and_only_what_they_know_and_what_is_due() {
    let bench = Bench::new().await;
    let worker = bench.worker().await;
    bench.queue(None, json!(1)).await;
    assert!(tasks::claim(&bench.pool, worker, 0, &[NAME], 9).await.unwrap().is_empty(), "another queue");
    assert!(tasks::claim(&bench.pool, worker, 1, &["other"], 9).await.unwrap().is_empty(), "another kind");
    assert!(bench.claim(Uuid::now_v7()).await.is_none(), "no worker");
    bench.kill(worker).await;
    assert!(bench.claim(worker).await.is_none(), "not valid any more");
    let other = bench.worker().await;
    let task = bench.claim(other).await.unwrap();
    assert_eq!((task.attempts, &task.input), (1, &json!(1)));
    assert!(bench.finish(&task, failed(60)).await);
    assert_eq!(bench.status(task.id).await, "waiting");
    assert!(bench.claim(other).await.is_none(), "not due yet");
    assert!(tasks::due_queues(&bench.pool, &[NAME]).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_dead_worker_ran_is_handed_over_and_its_late_end_is_not_written() {
    let bench = Bench::new().await;
    let (first, second) = (bench.worker().await, bench.worker().await);
    let id = bench.queue(None, json!(1)).await;
    let old = bench.claim(first).await.unwrap();
    assert!(tasks::lost(&bench.pool, second, &[]).await.unwrap().is_empty(), "it lives");
    bench.kill(first).await;
    let lost = tasks::lost(&bench.pool, second, &[]).await.unwrap();
    assert_eq!((lost.len(), lost[0].run_id, lost[0].was_last, lost[0].is_own), (1, old.run_id, false, false));
    assert!(bench.finish(&old, failed(0)).await);
    let new = bench.claim(second).await.unwrap();
    assert_eq!((new.id, new.attempts), (id, 2));
    assert!(!bench.finish(&old, Ended::Done).await, "it is not its run any more");
    assert_eq!(bench.status(id).await, "running");
    bench.kill(second).await;
    assert!(tasks::lost(&bench.pool, first, &[]).await.unwrap()[0].was_last, "it killed two workers");
    assert!(bench.finish(&new, Ended::Done).await, "who still lives may say so");
    assert_eq!(bench.status(id).await, "done");
}

#[tokio::test]
async fn a_claim_without_an_answer_is_found_by_its_own_worker() {
    let bench = Bench::new().await;
    let worker = bench.worker().await;
    bench.queue(None, json!(1)).await;
    let task = bench.claim(worker).await.unwrap();
    assert!(tasks::lost(&bench.pool, worker, &[task.run_id]).await.unwrap().is_empty());
    let lost = tasks::lost(&bench.pool, worker, &[Uuid::now_v7()]).await.unwrap();
    assert!(lost.len() == 1 && lost[0].is_own);
    assert!(bench.finish(&task, Ended::GivenBack).await);
    assert_eq!(bench.claim(worker).await.unwrap().attempts, 1, "it does not count");
}

#[tokio::test]
async fn the_same_work_is_queued_once() {
    let bench = Bench::new().await;
    let worker = bench.worker().await;
    let id = bench.queue(Some("a"), json!(1)).await;
    assert_eq!(bench.queue(Some("a"), json!(2)).await, id);
    assert_ne!(bench.queue(Some("b"), json!(9)).await, id);
    let task = bench.claim(worker).await.unwrap();
    assert_eq!((task.id, &task.input), (id, &json!(2)), "the newest input");

    // Queued while it runs: it runs once more.
    assert_eq!(bench.queue(Some("a"), json!(3)).await, id);
    assert_eq!(bench.queue(Some("a"), json!(4)).await, id);
    assert!(bench.finish(&task, Ended::Done).await);
    bench.claim(worker).await.unwrap();
    let again = bench.claim(worker).await.unwrap();
    assert_eq!((again.id, &again.input, again.attempts), (id, &json!(4), 1));
    assert!(bench.finish(&again, Ended::Done).await);
    assert!(bench.claim(worker).await.is_none());

    // Done: it begins anew. While it waits after a failure, it goes on waiting.
    bench.queue(Some("a"), json!(5)).await;
    let task = bench.claim(worker).await.unwrap();
    assert!(bench.finish(&task, failed(60)).await);
    bench.queue(Some("a"), json!(6)).await;
    assert_eq!(bench.status(id).await, "waiting");

    // What is rolled back was never queued.
    let mut tx = bench.pool.begin().await.unwrap();
    let task = NewTask { name: NAME, queue: 1, key: None, input: &json!(7), max_attempts: 1, delay: Duration::ZERO };
    let never = tasks::enqueue(&mut tx, task).await.unwrap();
    tx.rollback().await.unwrap();
    assert!(tasks::find(&bench.pool, never).await.unwrap().is_none());
}

#[tokio::test]
async fn dead_tasks_can_be_replayed_or_deleted_and_others_cannot() {
    let bench = Bench::new().await;
    let worker = bench.worker().await;
    let id = bench.queue(Some("a"), json!(1)).await;
    let mut db = bench.pool.acquire().await.unwrap();
    assert!(tasks::replay(&mut db, id).await.unwrap().is_none() && !tasks::delete(&mut db, id).await.unwrap());
    let task = bench.claim(worker).await.unwrap();
    assert!(bench.finish(&task, dead()).await);
    let row = bench.row(id).await;
    assert_eq!((&*row.status, row.last_error.as_deref(), row.worker_id), ("dead", Some("broken"), None));
    assert_eq!(tasks::dead_counts(&bench.pool).await.unwrap(), [(NAME.to_owned(), 1)]);
    let row = tasks::replay(&mut db, id).await.unwrap().unwrap();
    assert_eq!((&*row.status, row.attempts), ("ready", 0));
    let task = bench.claim(worker).await.unwrap();
    assert!(bench.finish(&task, dead()).await);
    assert!(tasks::delete(&mut db, id).await.unwrap() && !tasks::delete(&mut db, id).await.unwrap());
}

#[tokio::test]
async fn a_periodic_task_has_one_row_and_goes_on_after_it_used_up_its_attempts() {
    let bench = Bench::new().await;
    let worker = bench.worker().await;
    let every = Duration::from_millis(1);
    let periodic = Periodic { name: NAME, queue: 1, max_attempts: 1, every };
    for _ in 0..3 {
        tasks::arm(&bench.pool, periodic).await.unwrap();
    }
    let task = bench.claim(worker).await.unwrap();
    assert!(bench.claim(worker).await.is_none(), "one row");
    tasks::arm(&bench.pool, periodic).await.unwrap();
    assert_eq!(bench.status(task.id).await, "running");
    assert!(bench.finish(&task, dead()).await);
    assert_eq!(tasks::dead_counts(&bench.pool).await.unwrap(), [(NAME.to_owned(), 1)]);
    let told: (i32, String) = sqlx::query_as("SELECT attempts, last_error FROM tasks WHERE status = 'dead'")
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    assert_eq!(told, (1, "broken".to_owned()));

    tokio::time::sleep(every * 2).await;
    let next = bench.claim(worker).await.unwrap();
    assert_eq!((next.id, next.attempts), (task.id, 1));
    assert!(bench.finish(&next, Ended::Done).await);
    assert!(tasks::dead_counts(&bench.pool).await.unwrap().is_empty(), "its trouble is over");

    let hour = Duration::from_hours(1);
    tokio::time::sleep(every * 2).await;
    let next = bench.claim(worker).await.unwrap();
    tasks::arm(&bench.pool, Periodic { every: hour, ..periodic }).await.unwrap();
    assert!(bench.finish(&next, Ended::Done).await);
    assert_eq!(bench.status(task.id).await, "waiting", "an hour from the end of the run");
    tasks::arm(&bench.pool, Periodic { every: Duration::ZERO, ..periodic }).await.unwrap();
    assert_eq!(bench.status(task.id).await, "ready", "a shorter period counts at once");
}

#[tokio::test]
async fn dead_local_tasks_have_rows_until_they_succeed() {
    let bench = Bench::new().await;
    let (key, other) = (Uuid::now_v7(), Uuid::now_v7());
    let dead = |key, attempts| tasks::DeadLocal {
        name: "probe",
        queue: 0,
        key,
        attempts,
        max_attempts: 3,
        error: format!("away {attempts}"),
    };
    tasks::bury(&bench.pool, &[&dead(key, 3), &dead(other, 3)]).await.unwrap();
    let shown = "SELECT attempts, max_attempts, last_error, finished_at::text FROM tasks WHERE key = $1";
    let shown = async |key: Uuid| -> (i32, i32, String, String) {
        sqlx::query_as(shown).bind(key.to_string()).fetch_one(&bench.pool).await.unwrap()
    };
    let died = shown(key).await.3;
    tasks::bury(&bench.pool, &[&dead(key, 4)]).await.unwrap();
    assert_eq!(shown(key).await, (4, 3, "away 4".to_owned(), died), "it has been dead since then");
    assert_eq!(tasks::dead_counts(&bench.pool).await.unwrap(), [("probe".to_owned(), 2)]);
    tasks::settle(&bench.pool, "probe", &[key, Uuid::now_v7()]).await.unwrap();
    let left: Uuid = sqlx::query_scalar("SELECT id FROM tasks").fetch_one(&bench.pool).await.unwrap();
    let mut db = bench.pool.acquire().await.unwrap();
    assert!(tasks::replayed_locals(&bench.pool, &["probe"]).await.unwrap().is_empty());
    tasks::replay(&mut db, left).await.unwrap().unwrap();
    let worker = bench.worker().await;
    assert!(tasks::claim(&bench.pool, worker, 0, &["probe"], 9).await.unwrap().is_empty(), "not for any worker");
    tasks::bury(&bench.pool, &[&dead(other, 5)]).await.unwrap();
    let found = tasks::replayed_locals(&bench.pool, &["probe"]).await.unwrap();
    assert_eq!((found.len(), &found[0].key), (1, &other.to_string()));
    assert!(tasks::take_local(&bench.pool, left).await.unwrap());
    assert!(!tasks::take_local(&bench.pool, left).await.unwrap());
}
