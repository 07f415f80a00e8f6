use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{sync::mpsc, time::sleep};

use super::*;
use crate::tasks::{Queue, Retry};

const PERIOD: Duration = Duration::from_secs(50);
/// Timers are exact to that.
const TICK: Duration = Duration::from_millis(1);

type Answer = Box<dyn Fn(Uuid) -> Result<(), TaskError> + Send + Sync>;

/// Remembers when it ran for whom, takes a while, and answers as told.
struct Probe {
    runs: Mutex<HashMap<Uuid, Vec<Instant>>>,
    takes: Duration,
    now: AtomicUsize,
    most: AtomicUsize,
    answer: Answer,
}

impl Kind for Probe {
    const NAME: &'static str = "test.probe";
    const QUEUE: Queue = Queue::Mid;
    const TIMEOUT: Duration = Duration::from_secs(10);
    const RETRY: Retry = Retry { first: Duration::from_secs(1), factor: 2, cap: Duration::from_secs(4), attempts: 3 };
}

impl LocalTask for Probe {
    async fn run(&self, key: Uuid) -> Result<(), TaskError> {
        self.runs.lock().unwrap().entry(key).or_default().push(Instant::now());
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        sleep(self.takes).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        (self.answer)(key)
    }
}

struct Bench {
    spread: Arc<Spread<Probe>>,
    letters: mpsc::UnboundedReceiver<Letter>,
    stop: CancellationToken,
}

impl Bench {
    fn start(
        takes: Duration,
        at_once: usize,
        answer: impl Fn(Uuid) -> Result<(), TaskError> + Send + Sync + 'static,
    ) -> Self {
        let probe = Probe {
            runs: Mutex::default(),
            takes,
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            answer: Box::new(answer),
        };
        let (sender, letters) = DeadLetters::new();
        let spread = Spread::new(probe, PERIOD, at_once, sender);
        let stop = CancellationToken::new();
        tokio::spawn(spread.clone().run(stop.clone()));
        Self { spread, letters, stop }
    }

    fn runs(&self, key: Uuid) -> Vec<Instant> {
        self.spread.task.runs.lock().unwrap().get(&key).cloned().unwrap_or_default()
    }

    fn letters(&mut self) -> Vec<Letter> {
        std::iter::from_fn(|| self.letters.try_recv().ok()).collect()
    }
}

fn fails() -> Result<(), TaskError> {
    Err(TaskError::Retry("away".into()))
}

#[tokio::test(start_paused = true)]
async fn thousands_run_once_in_each_period_and_never_many_at_once() {
    let bench = Bench::start(Duration::from_millis(50), 20, |_| Ok(()));
    let keys: Vec<Uuid> = (0..5000).map(|_| Uuid::now_v7()).collect();
    for key in &keys {
        bench.spread.add(*key);
    }
    sleep(PERIOD * 4 + Duration::from_secs(1)).await;
    for key in &keys {
        let runs = bench.runs(*key);
        assert!((4..=5).contains(&runs.len()), "{}", runs.len());
        for pair in runs.windows(2) {
            let apart = pair[1] - pair[0];
            assert!(apart.abs_diff(PERIOD) < Duration::from_secs(1), "{apart:?}");
        }
    }
    let most = bench.spread.task.most.load(Ordering::SeqCst);
    assert!((2..=20).contains(&most), "{most}");
}

#[tokio::test(start_paused = true)]
async fn removed_keys_do_not_run_and_new_ones_do() {
    let bench = Bench::start(Duration::ZERO, 4, |_| Ok(()));
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    bench.spread.add(first);
    sleep(PERIOD).await;
    assert_eq!((bench.runs(first).len(), bench.spread.len()), (1, 1));
    bench.spread.remove(first);
    bench.spread.add(second);
    bench.spread.add(second);
    sleep(PERIOD).await;
    assert_eq!((bench.runs(first).len(), bench.runs(second).len(), bench.spread.len()), (1, 1, 1));
    assert!(!bench.spread.holds(first) && bench.spread.holds(second));
    bench.stop.cancel();
    sleep(PERIOD).await;
    assert_eq!(bench.runs(second).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_key_is_tried_again_then_dead_and_tried_once_in_each_period() {
    let broken = Arc::new(Mutex::new(true));
    let state = broken.clone();
    let mut bench = Bench::start(Duration::ZERO, 4, move |_| if *state.lock().unwrap() { fails() } else { Ok(()) });
    let key = Uuid::now_v7();
    bench.spread.add(key);
    sleep(PERIOD * 5).await;
    let runs = bench.runs(key);
    assert!(runs.len() >= 6, "{runs:?}");
    assert!(runs[1] - runs[0] <= Duration::from_secs(1) + TICK, "{runs:?}");
    assert!(runs[2] - runs[1] <= Duration::from_secs(2) + TICK, "{runs:?}");
    assert!(runs[3..].windows(2).all(|pair| pair[1] - pair[0] == PERIOD), "{runs:?}");
    let dead = |attempts| {
        let (name, error) = ("test.probe", "away".to_owned());
        Letter::Dead { name, queue: Queue::Mid, key, attempts, max_attempts: 3, error }
    };
    // What is shown is true.
    assert_eq!(bench.letters(), (3..=u32::try_from(runs.len()).unwrap()).map(dead).collect::<Vec<_>>());
    // Somebody asks for it: all attempts are before it again, the first one now.
    bench.spread.once(key);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(bench.letters()[0], dead(3));
    *broken.lock().unwrap() = false;
    sleep(PERIOD * 3).await;
    let settled = Letter::Settled { name: "test.probe", key };
    assert_eq!(bench.letters().iter().filter(|letter| **letter == settled).count(), 1, "told once");
}

#[tokio::test(start_paused = true)]
async fn what_was_to_run_once_is_not_given_up_when_it_is_dead() {
    let broken = Arc::new(Mutex::new(true));
    let state = broken.clone();
    let mut bench = Bench::start(Duration::ZERO, 4, move |_| if *state.lock().unwrap() { fails() } else { Ok(()) });
    let key = Uuid::now_v7();
    bench.spread.once(key);
    sleep(PERIOD * 2).await;
    assert!(bench.runs(key).len() > 3 && matches!(bench.letters()[0], Letter::Dead { .. }));
    *broken.lock().unwrap() = false;
    sleep(PERIOD).await;
    assert_eq!(bench.letters().last(), Some(&Letter::Settled { name: "test.probe", key }));
    assert!(bench.spread.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_asked_for_while_it_fails_begins_anew_at_once() {
    let bench = Bench::start(Duration::from_secs(5), 4, |_| fails());
    let key = Uuid::now_v7();
    bench.spread.once(key);
    sleep(Duration::from_secs(1)).await;
    bench.spread.once(key);
    sleep(Duration::from_secs(5)).await;
    let runs = bench.runs(key);
    assert_eq!((runs.len(), runs[1] - runs[0]), (2, Duration::from_secs(5)), "{runs:?}");
}

#[tokio::test(start_paused = true)]
async fn time_outs_and_panics_end_nobody_else() {
    let bench = Bench::start(Duration::from_secs(1), 4, |_| panic!("on purpose"));
    let hangs = Bench::start(Duration::from_hours(1), 1, |_| Ok(()));
    for bench in [&bench, &hangs] {
        let keys = [Uuid::now_v7(), Uuid::now_v7()];
        for key in keys {
            bench.spread.once(key);
        }
        sleep(Duration::from_mins(2)).await;
        for key in keys {
            assert!(bench.runs(key).len() >= 3, "all attempts were made");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_once_is_forgotten_after_its_success_and_told() {
    let mut bench = Bench::start(Duration::from_secs(1), 1, |_| Ok(()));
    let keys: Vec<Uuid> = (0..10).map(|_| Uuid::now_v7()).collect();
    for key in &keys {
        bench.spread.once(*key);
    }
    sleep(Duration::from_millis(500)).await;
    // Running now: it runs once more, after the others.
    bench.spread.once(keys[0]);
    sleep(Duration::from_mins(1)).await;
    assert!(bench.spread.is_empty());
    assert_eq!(keys.iter().map(|key| bench.runs(*key).len()).sum::<usize>(), 11);
    assert_eq!(bench.spread.task.most.load(Ordering::SeqCst), 1);
    assert_eq!(bench.letters().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_imposed_wait_is_kept_whoever_asks() {
    let wait = Duration::from_mins(10);
    let bench = Bench::start(Duration::ZERO, 4, move |_| Err(TaskError::RetryAfter { wait, reason: "limited".into() }));
    let key = Uuid::now_v7();
    bench.spread.add(key);
    sleep(PERIOD).await;
    for _ in 0..10 {
        bench.spread.once(key);
        sleep(PERIOD).await;
    }
    let runs = bench.runs(key);
    assert_eq!(runs.len(), 1, "{runs:?}");
    sleep(wait).await;
    let runs = bench.runs(key);
    assert!(runs.len() >= 2 && runs[1] - runs[0] >= wait, "{runs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_comes_back_does_not_run_twice_at_once() {
    let bench = Bench::start(Duration::from_secs(5), 8, |_| Ok(()));
    let key = Uuid::now_v7();
    for _ in 0..4 {
        bench.spread.once(key);
        sleep(Duration::from_secs(1)).await;
        bench.spread.remove(key);
    }
    bench.spread.once(key);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(bench.spread.task.most.load(Ordering::SeqCst), 1);
    assert_eq!(bench.runs(key).len(), 2);
    assert!(bench.spread.is_empty());
}
