//! Background tasks: run once by one worker, tried again, handed over, dead and replayed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use service::queue::DatabaseHints;
use service::tasks::local::{DeadLetters, LocalTask, Spread};
use service::tasks::{self, Context, Executor, Kind, Kinds, Queue, Retry, Task, TaskError};
use service::worker::Ownership;
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::common::app::TestApp;
use crate::common::eventually;

const TASKS: &str = "/api/integrations/tasks";

const RETRY: Retry =
    Retry { first: Duration::from_millis(20), factor: 2, cap: Duration::from_millis(200), attempts: 4 };

type Work = Box<dyn Fn(u64) -> Doing + Send + Sync>;

/// What a run of the kinds below does.
enum Doing {
    End(Result<(), TaskError>),
    Hang,
}

/// What the kinds of a test share: what they do, and what they noted.
struct Notes {
    work: Work,
    started: Mutex<Vec<u64>>,
    now: Mutex<HashSet<u64>>,
    doubled: AtomicBool,
}

impl Notes {
    fn new(work: impl Fn(u64) -> Doing + Send + Sync + 'static) -> Arc<Self> {
        let (started, now, doubled) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { work: Box::new(work), started, now, doubled })
    }

    fn started(&self) -> Vec<u64> {
        self.started.lock().unwrap().clone()
    }

    async fn run(&self, input: u64) -> Result<(), TaskError> {
        self.started.lock().unwrap().push(input);
        if !self.now.lock().unwrap().insert(input) {
            self.doubled.store(true, Ordering::SeqCst);
        }
        // It ends also when the run is dropped.
        let _end = End(self, input);
        tokio::time::sleep(Duration::from_millis(5)).await;
        match (self.work)(input) {
            Doing::End(result) => result,
            Doing::Hang => std::future::pending().await,
        }
    }
}

struct End<'a>(&'a Notes, u64);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.now.lock().unwrap().remove(&self.1);
    }
}

macro_rules! kind {
    ($kind:ident, $name:literal, $queue:ident, $input:ty, $every:expr, $number:expr) => {
        struct $kind(Arc<Notes>);

        impl Kind for $kind {
            const NAME: &'static str = $name;
            const QUEUE: Queue = Queue::$queue;
            const TIMEOUT: Duration = Duration::from_secs(100);
            const RETRY: Retry = RETRY;
        }

        impl Task for $kind {
            type Input = $input;
            const EVERY: Option<Duration> = $every;

            async fn run(&self, _: &Context, input: $input) -> Result<(), TaskError> {
                self.0.run($number(input)).await
            }
        }
    };
}

kind!(High, "test.high", High, u64, None, u64::from);
kind!(Low, "test.low", Low, u64, None, u64::from);
kind!(Tick, "test.tick", Mid, (), Some(Duration::from_millis(30)), |()| 0);

/// A worker that runs tasks only, beside the one of the service.
struct Worker {
    id: Uuid,
    stop: CancellationToken,
    pool: PgPool,
    executor: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

impl Worker {
    async fn start(app: &TestApp, kinds: Kinds) -> Self {
        let ownership = Arc::new(Ownership::new());
        let (stop, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
        let pool = app.ground().await.pool;
        ownership.renew(&pool).await.unwrap();
        let retention = app.settings.retention.clone();
        let context = Context { pool: pool.clone(), files: app.files(), retention, stop: stop.clone() };
        let executor = Executor::new(context, kinds, ownership.clone(), wake.clone(), Duration::ZERO);
        executor.arm().await.unwrap();
        let keeper = {
            let (ownership, pool) = (ownership.clone(), pool.clone());
            tokio::spawn(async move { ownership.keep(&pool, CancellationToken::new()).await })
        };
        let listener =
            tokio::spawn(DatabaseHints::listen(pool.clone(), mpsc::unbounded_channel().0, wake, stop.clone()));
        let others = vec![keeper, listener];
        Self { id: ownership.worker_id, stop, pool, executor: tokio::spawn(executor.run()), others }
    }

    /// Ends as SIGTERM does.
    async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.executor).await.unwrap();
    }

    /// Ends as SIGKILL does; its row is made to expire at once.
    async fn kill(self) {
        let (id, pool) = (self.id, self.pool.clone());
        drop(self);
        let expire = "UPDATE workers SET valid_until = now() - interval '1 second' WHERE id = $1";
        sqlx::query(expire).bind(id).execute(&pool).await.unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.executor.abort();
        self.others.iter().for_each(JoinHandle::abort);
    }
}

async fn queue<T: Task>(app: &TestApp, key: Option<&str>, input: T::Input) -> Uuid {
    let mut tx = app.pool.begin().await.unwrap();
    let id = tasks::enqueue::<T>(&mut tx, key, &input, Duration::ZERO).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn task(app: &TestApp, id: Uuid) -> Value {
    app.admin().get(&format!("{TASKS}/{id}")).await.ok(200)
}

async fn until(app: &TestApp, id: Uuid, status: &str) -> Value {
    eventually(&format!("the task is {status}"), async || task(app, id).await["status"] == status).await;
    task(app, id).await
}

async fn metric(app: &TestApp, line: &str) -> bool {
    app.bearer(None).get("/metrics").await.text.lines().any(|found| found == line)
}

#[tokio::test]
async fn a_task_that_fails_is_tried_again_then_dead_and_can_be_replayed() {
    let app = TestApp::start().await;
    let broken = Arc::new(AtomicBool::new(true));
    let state = broken.clone();
    let notes = Notes::new(move |_| {
        Doing::End(if state.load(Ordering::SeqCst) { Err(TaskError::Retry("away".into())) } else { Ok(()) })
    });
    let worker = Worker::start(&app, Kinds::default().with(High(notes.clone()))).await;
    let id = queue::<High>(&app, Some("a"), 7).await;
    let dead = until(&app, id, "dead").await;
    assert_eq!((&dead["attempts"], &dead["last_error"], &dead["input"]), (&json!(4), &json!("away"), &json!(7)));
    assert_eq!((&dead["name"], &dead["queue"], &dead["key"]), (&json!("test.high"), &json!("high"), &json!("a")));
    assert!(notes.started().len() >= 4);
    eventually("it is counted", async || metric(&app, "integrations_tasks_dead{task=\"test.high\"} 1").await).await;

    let admin = app.admin();
    let only = admin.list(&format!("{TASKS}?status=dead&name=test.high&queue=high")).await;
    assert_eq!((only.len(), &only[0]["id"]), (1, &json!(id)));
    for none in ["status=dead&queue=low", "status=done,ready,running&name=test.high", "name=nothing"] {
        assert!(admin.list(&format!("{TASKS}?{none}")).await.is_empty(), "{none}");
    }
    assert!(admin.list(&format!("{TASKS}?limit=1")).await.len() >= 3, "with the periodic ones of the service");

    broken.store(false, Ordering::SeqCst);
    let replayed = admin.post(&format!("{TASKS}/{id}/replay"), &json!({})).await.ok(200);
    assert_eq!((&replayed["status"], &replayed["attempts"]), (&json!("ready"), &json!(0)));
    let done = until(&app, id, "done").await;
    assert_eq!((&done["attempts"], &done["last_error"]), (&json!(1), &Value::Null));
    admin.post(&format!("{TASKS}/{id}/replay"), &json!({})).await.problem(409, "task_not_dead");
    admin.delete(&format!("{TASKS}/{id}")).await.problem(409, "task_not_dead");
    eventually("it is counted", async || metric(&app, "integrations_tasks_dead{task=\"test.high\"} 0").await).await;
    worker.stop().await;
}

#[tokio::test]
async fn what_an_operator_does_is_audited() {
    let app = TestApp::start().await;
    let notes = Notes::new(|_| Doing::End(Err(TaskError::Dead("no such thing".into()))));
    let worker = Worker::start(&app, Kinds::default().with(Low(notes.clone()))).await;
    let id = queue::<Low>(&app, None, 1).await;
    let dead = until(&app, id, "dead").await;
    assert_eq!((&dead["attempts"], &dead["last_error"]), (&json!(1), &json!("no such thing")), "at once");
    app.admin().post(&format!("{TASKS}/{id}/replay"), &json!({})).await.ok(200);
    eventually("it ran again", async || notes.started().len() == 2).await;
    until(&app, id, "dead").await;
    app.user.delete(&format!("{TASKS}/{id}")).await.problem(403, "forbidden");
    app.admin().delete(&format!("{TASKS}/{id}")).await.ok(204);
    app.admin().get(&format!("{TASKS}/{id}")).await.problem(404, "not_found");
    let audited: Vec<(String, i32, String)> = sqlx::query_as(
        "SELECT action, user_id, before->>'last_error' FROM audit_log WHERE resource_id = $1 ORDER BY id",
    )
    .bind(id.to_string())
    .fetch_all(&app.pool)
    .await
    .unwrap();
    let entry = |action: &str| (action.to_owned(), 1, "no such thing".to_owned());
    assert_eq!(audited, [entry("task.replay"), entry("task.delete")]);
    worker.stop().await;
}

#[tokio::test]
async fn workers_share_the_tasks_and_none_runs_twice() {
    let app = TestApp::start().await;
    let notes = Notes::new(|_| Doing::End(Ok(())));
    let kinds = || Kinds::default().with(High(notes.clone())).with(Low(notes.clone()));
    let workers = [Worker::start(&app, kinds()).await, Worker::start(&app, kinds()).await];
    let mut tx = app.pool.begin().await.unwrap();
    for n in 0..300 {
        tasks::enqueue::<High>(&mut tx, None, &n, Duration::ZERO).await.unwrap();
    }
    assert!(notes.started().is_empty(), "nothing before the commit");
    tx.commit().await.unwrap();
    let open = "SELECT count(*) FROM tasks WHERE name = 'test.high' AND status <> 'done'";
    eventually("all are done", async || sqlx::query_scalar::<_, i64>(open).fetch_one(&app.pool).await.unwrap() == 0)
        .await;
    let mut started = notes.started();
    started.sort_unstable();
    started.dedup();
    assert_eq!(started, (0..300).collect::<Vec<_>>());
    assert!(!notes.doubled.load(Ordering::SeqCst));
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_task_of_a_killed_worker_is_handed_over() {
    let app = TestApp::start().await;
    let runs = AtomicUsize::new(0);
    let notes =
        Notes::new(move |_| if runs.fetch_add(1, Ordering::SeqCst) == 0 { Doing::Hang } else { Doing::End(Ok(())) });
    let kinds = || Kinds::default().with(High(notes.clone()));
    let first = Worker::start(&app, kinds()).await;
    let id = queue::<High>(&app, None, 5).await;
    let running = until(&app, id, "running").await;
    assert_eq!(running["worker_id"], json!(first.id));
    eventually("it began", async || notes.started().len() == 1).await;
    let second = Worker::start(&app, kinds()).await;
    first.kill().await;
    let done = until(&app, id, "done").await;
    assert_eq!((&done["attempts"], &done["worker_id"]), (&json!(2), &Value::Null));
    assert!(!notes.doubled.load(Ordering::SeqCst));
    second.stop().await;
}

#[tokio::test]
async fn a_worker_that_may_not_act_any_more_drops_its_tasks() {
    let app = TestApp::start().await;
    let runs = AtomicUsize::new(0);
    let notes =
        Notes::new(move |_| if runs.fetch_add(1, Ordering::SeqCst) == 0 { Doing::Hang } else { Doing::End(Ok(())) });
    let kinds = || Kinds::default().with(High(notes.clone()));
    let first = Worker::start(&app, kinds()).await;
    let id = queue::<High>(&app, None, 5).await;
    eventually("it began", async || notes.started().len() == 1).await;
    let second = Worker::start(&app, kinds()).await;
    // Its row is not renewed any more, as when the database is out of its reach.
    first.others[0].abort();
    until(&app, id, "done").await;
    assert!(!notes.doubled.load(Ordering::SeqCst), "the first run ended before the second one began");
    second.stop().await;
}

#[tokio::test]
async fn what_runs_at_a_stop_is_given_back() {
    let app = TestApp::start().await;
    let notes = Notes::new(|_| Doing::Hang);
    let worker = Worker::start(&app, Kinds::default().with(High(notes.clone()))).await;
    let id = queue::<High>(&app, None, 5).await;
    eventually("it began", async || notes.started().len() == 1).await;
    worker.stop().await;
    let task = task(&app, id).await;
    assert_eq!((&task["status"], &task["attempts"]), (&json!("ready"), &json!(0)), "the attempt does not count");
    assert!(notes.now.lock().unwrap().is_empty());
}

#[tokio::test]
async fn high_goes_first_and_low_is_not_starved() {
    let app = TestApp::start().await;
    let (high, low) = (1000, 0);
    let notes = Notes::new(|_| Doing::End(Ok(())));
    for n in 0..60 {
        queue::<Low>(&app, None, low + n).await;
    }
    for n in 0..60 {
        queue::<High>(&app, None, high + n).await;
    }
    let worker = Worker::start(&app, Kinds::default().with(High(notes.clone())).with(Low(notes.clone()))).await;
    eventually("all ran", async || notes.started().len() == 120).await;
    let is_high: Vec<bool> = notes.started().iter().map(|n| *n >= high).collect();
    let in_first = |count: usize| is_high[..count].iter().filter(|high| **high).count();
    assert!(in_first(8) >= 6, "the low ones were there first: {is_high:?}");
    assert!(in_first(40) < 40, "the low ones had their share: {is_high:?}");
    let rows = app.admin().get("/api/integrations/queues").await.ok(200);
    assert_eq!(rows["tasks"][0]["queue"], "high");
    worker.stop().await;
}

#[tokio::test]
async fn a_periodic_task_runs_in_one_process_at_a_time_and_again_and_again() {
    let app = TestApp::start().await;
    let notes = Notes::new(|_| Doing::End(Ok(())));
    let kinds = || Kinds::default().with(Tick(notes.clone()));
    let workers = [Worker::start(&app, kinds()).await, Worker::start(&app, kinds()).await];
    eventually("it ran three times", async || notes.started().len() >= 3).await;
    assert!(!notes.doubled.load(Ordering::SeqCst));
    let found = app.admin().list(&format!("{TASKS}?name=test.tick")).await;
    assert_eq!((found.len(), &found[0]["every_ms"], &found[0]["input"]), (1, &json!(30), &Value::Null));
    for worker in workers {
        worker.stop().await;
    }
}

/// Fails as long as it is told to.
struct Probe(Arc<AtomicBool>);

impl Kind for Probe {
    const NAME: &'static str = "test.probe";
    const QUEUE: Queue = Queue::Mid;
    const TIMEOUT: Duration = Duration::from_secs(10);
    const RETRY: Retry = RETRY;
}

impl LocalTask for Probe {
    async fn run(&self, _: Uuid) -> Result<(), TaskError> {
        if self.0.load(Ordering::SeqCst) { Err(TaskError::Retry("away".into())) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_dead_local_task_is_replayed_by_the_process_that_holds_it() {
    let app = TestApp::start().await;
    let broken = Arc::new(AtomicBool::new(true));
    let stop = CancellationToken::new();
    let letters = DeadLetters::kept(app.pool.clone(), stop.clone());
    let spread = Spread::new(Probe(broken.clone()), Duration::from_hours(1), 4, letters);
    tokio::spawn(spread.clone().run(stop.clone()));
    let without = Worker::start(&app, Kinds::default()).await;
    let (key, elsewhere) = (Uuid::now_v7(), Uuid::now_v7());
    spread.add(key);
    spread.once(key);
    let path = format!("{TASKS}?name=test.probe");
    eventually("it is dead", async || app.admin().list(&path).await.len() == 1).await;
    let dead = app.admin().list(&path).await.remove(0);
    assert_eq!((&dead["is_local"], &dead["attempts"], &dead["status"]), (&json!(true), &json!(4), &json!("dead")));
    assert_eq!((&dead["key"], &dead["input"]), (&json!(key), &json!({ "key": key })));
    spread.once(elsewhere);
    eventually("the other is dead too", async || app.admin().list(&path).await.len() == 2).await;
    // Another process has it now.
    spread.remove(elsewhere);

    broken.store(false, Ordering::SeqCst);
    for row in app.admin().list(&path).await {
        let replay = format!("{TASKS}/{}/replay", row["id"].as_str().unwrap());
        app.admin().post(&replay, &json!({})).await.ok(200);
    }
    let holder = Worker::start(&app, Kinds::default().with_local(spread.clone())).await;
    eventually("its trouble is over", async || app.admin().list(&path).await.len() == 1).await;
    let left = app.admin().list(&path).await.remove(0);
    assert_eq!((&left["key"], &left["status"]), (&json!(elsewhere), &json!("ready")), "nobody holds it");
    holder.stop().await;
    without.stop().await;
    stop.cancel();
}
