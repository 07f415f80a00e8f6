//! The task `reconnect`: when a sender is opened, and when again after a failure.
//!
//! An actor that wants its sender to be opened places an [`Order`]. The task says when: as soon as there is room in the budget, later after
//! each failure, and now when somebody asks for it. The opening itself is done by the actor, within its term: so nothing of it outlives
//! the actor, and no sender is opened by two at once. A sender that still cannot be opened after many tries is dead, which operators
//! see, and goes on to be tried once in each period.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use platform::BoxFuture;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use uuid::Uuid;

use crate::tasks::{
    Kind, Queue, Retry, TaskError,
    local::{DeadLetters, LocalTask, Spread},
};

/// How often a sender is tried that is dead: as often as one that has failed for long.
const PERIOD: Duration = Reconnect::RETRY.cap;

/// A turn of an actor: it opens its sender and answers what came of that. It is over when nobody waits for the answer.
pub type Turn = oneshot::Sender<Result<(), TaskError>>;

/// All senders of this process that are to be opened.
pub type Reconnects = Spread<Reconnect>;

/// Waits until a sender may be opened, as far as that is a matter of a budget.
pub type Budget = Box<dyn Fn(Uuid) -> BoxFuture<'static, ()> + Send + Sync>;

/// The task, for any sender whose actor waits.
pub struct Reconnect {
    budget: Budget,
    waiting: Mutex<HashMap<Uuid, Waiting>>,
}

/// The task's side of an order.
#[derive(Clone)]
struct Waiting {
    turns: mpsc::Sender<Turn>,
    not_before: Option<Instant>,
}

impl Reconnect {
    /// The runner of the task. It is the budget that limits how many run at once.
    pub fn spread(budget: Budget, letters: DeadLetters) -> Arc<Reconnects> {
        Spread::new(Self { budget, waiting: Mutex::default() }, PERIOD, usize::MAX, letters)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, id: Uuid) -> Option<Waiting> {
        self.waiting().get(&id).cloned()
    }
}

impl Kind for Reconnect {
    const NAME: &'static str = "reconnect";
    const QUEUE: Queue = Queue::High;
    /// Longer than all that connecting an account waits for: this is for what hangs elsewhere.
    const TIMEOUT: Duration = Duration::from_mins(2);
    /// Dead after two to five minutes: what passes by itself is over by then.
    const RETRY: Retry =
        Retry { first: Duration::from_millis(500), factor: 2, cap: Duration::from_mins(1), attempts: 12 };
}

impl LocalTask for Reconnect {
    async fn ready(&self, id: Uuid) {
        while let Some(Waiting { turns, not_before }) = self.of(id) {
            if not_before.is_some_and(|at| at > Instant::now()) {
                // The platform is not asked before, so this takes nothing from the budget.
                return;
            }
            tokio::select! {
                () = (self.budget)(id) => return,
                // That order is gone; there may be another one.
                () = turns.closed() => {}
            }
        }
    }

    async fn run(&self, id: Uuid) -> Result<(), TaskError> {
        // Without an order, it was opened, or nobody wants it any more.
        let Some(Waiting { turns, .. }) = self.of(id) else { return Ok(()) };
        let gone = || TaskError::Retry("this process does not have the sender any more".into());
        let (turn, answer) = oneshot::channel();
        turns.send(turn).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// An actor's wish to open its sender. Dropping it withdraws it.
pub struct Order<'a> {
    reconnects: &'a Reconnects,
    sender_id: Uuid,
    turns: mpsc::Receiver<Turn>,
    fulfilled: bool,
}

impl<'a> Order<'a> {
    /// Places it, with all attempts before it. Before `not_before`, turns are for finding out only whether the sender is still wanted.
    pub fn place(reconnects: &'a Reconnects, sender_id: Uuid, not_before: Option<Instant>) -> Self {
        let (sender, turns) = mpsc::channel(1);
        reconnects.task().waiting().insert(sender_id, Waiting { turns: sender, not_before });
        reconnects.once(sender_id);
        Self { reconnects, sender_id, turns, fulfilled: false }
    }

    /// Waits for a turn.
    pub async fn turn(&mut self) -> Turn {
        match self.turns.recv().await {
            Some(turn) => turn,
            // The other side is kept until this one is dropped.
            None => std::future::pending().await,
        }
    }

    /// The sender is open, or is not to be opened any more: in either case the task is done.
    pub fn fulfil(mut self, turn: Turn) {
        self.fulfilled = true;
        self.reconnects.task().waiting().remove(&self.sender_id);
        // Nobody listens when it took too long: then the next run finds no order.
        let _ = turn.send(Ok(()));
    }
}

impl Drop for Order<'_> {
    fn drop(&mut self) {
        if !self.fulfilled {
            self.reconnects.task().waiting().remove(&self.sender_id);
            self.reconnects.remove(self.sender_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::{sleep, timeout};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::tasks::local::Letter;

    /// Timers are exact to that.
    const TICK: Duration = Duration::from_millis(1);

    struct Bench {
        reconnects: Arc<Reconnects>,
        letters: mpsc::UnboundedReceiver<Letter>,
        asked: Arc<AtomicUsize>,
        _stop: tokio_util::sync::DropGuard,
    }

    impl Bench {
        /// Each turn in the budget takes so long.
        fn start(budget: Duration) -> Self {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            let turn: Budget = Box::new(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Box::pin(sleep(budget))
            });
            let (sender, letters) = DeadLetters::new();
            let reconnects = Reconnect::spread(turn, sender);
            let stop = CancellationToken::new();
            tokio::spawn(reconnects.clone().run(stop.clone()));
            Self { reconnects, letters, asked, _stop: stop.drop_guard() }
        }

        fn letters(&mut self) -> Vec<Letter> {
            std::iter::from_fn(|| self.letters.try_recv().ok()).collect()
        }
    }

    fn away() -> Result<(), TaskError> {
        Err(TaskError::Retry("away".into()))
    }

    /// Lets so many turns fail; returns when they came.
    async fn fail(order: &mut Order<'_>, turns: usize) -> Vec<Instant> {
        let mut at = Vec::new();
        for _ in 0..turns {
            order.turn().await.send(away()).unwrap();
            at.push(Instant::now());
        }
        at
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_long_is_dead_goes_on_slowly_and_is_settled_when_it_is_open() {
        let mut bench = Bench::start(Duration::ZERO);
        let (reconnects, id) = (bench.reconnects.clone(), Uuid::now_v7());
        let begun = Instant::now();
        let mut order = Order::place(&reconnects, id, None);
        let turns = fail(&mut order, 12).await;
        assert_eq!(turns[0], begun, "the first turn comes at once");
        for (at, pair) in (1..).zip(turns.windows(2)) {
            assert!(pair[1] - pair[0] <= Reconnect::RETRY.longest(at) + TICK, "{turns:?}");
        }
        sleep(Duration::from_millis(1)).await;
        let told = bench.letters();
        assert!(matches!(&*told, [Letter::Dead { name: "reconnect", attempts: 12, .. }]), "{told:?}");
        let slowly = fail(&mut order, 5).await;
        assert!(slowly.windows(2).all(|pair| pair[1] - pair[0] == PERIOD), "{slowly:?}");
        // An operator replays it: all of its attempts are before it again, the first one now.
        let asked = Instant::now();
        reconnects.once(id);
        let again = fail(&mut order, 3).await;
        assert_eq!(again[0], asked);
        assert!(again[2] - asked <= Duration::from_millis(1500) + TICK * 2, "{again:?}");
        bench.letters();
        let turn = order.turn().await;
        order.fulfil(turn);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(bench.letters(), [Letter::Settled { name: "reconnect", key: id }]);
        assert!(reconnects.is_empty() && reconnects.task().waiting().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_that_is_dropped_leaves_nothing_behind() {
        let mut bench = Bench::start(Duration::from_secs(5));
        let id = Uuid::now_v7();
        drop(Order::place(&bench.reconnects, id, None));
        let mut order = Order::place(&bench.reconnects, id, None);
        sleep(Duration::from_secs(1)).await;
        // While it waits for its turn in the budget, and while it has its turn.
        drop(order);
        order = Order::place(&bench.reconnects, id, None);
        let turn = order.turn().await;
        drop(order);
        drop(turn);
        sleep(Duration::from_mins(10)).await;
        assert!(bench.reconnects.is_empty() && bench.reconnects.task().waiting().is_empty());
        let told = bench.letters();
        assert!(told.iter().all(|letter| matches!(letter, Letter::Withdrawn { .. })), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_shortens_a_wait_that_the_platform_imposed() {
        let bench = Bench::start(Duration::ZERO);
        let (id, wait) = (Uuid::now_v7(), Duration::from_mins(30));
        let mut order = Order::place(&bench.reconnects, id, None);
        let begun = Instant::now();
        order.turn().await.send(Err(TaskError::RetryAfter { wait, reason: "flood".into() })).unwrap();
        for _ in 0..20 {
            bench.reconnects.once(id);
            assert!(timeout(Duration::from_mins(1), order.turn()).await.is_err(), "too early");
        }
        drop(order.turn().await);
        assert!(begun.elapsed() >= wait);
        // Another order is told of it: a turn before serves to find out whether the sender is still wanted.
        let asked = bench.asked.load(Ordering::SeqCst);
        let mut order = Order::place(&bench.reconnects, id, Some(Instant::now() + wait));
        order.turn().await.send(away()).unwrap();
        assert_eq!(bench.asked.load(Ordering::SeqCst), asked, "it took nothing from the budget");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_the_budget_is_no_part_of_the_time_out_and_what_hangs_is_given_up() {
        let mut bench = Bench::start(Reconnect::TIMEOUT * 3);
        let reconnects = bench.reconnects.clone();
        let mut order = Order::place(&reconnects, Uuid::now_v7(), None);
        let mut turn = order.turn().await;
        let begun = Instant::now();
        turn.closed().await;
        assert_eq!(begun.elapsed(), Reconnect::TIMEOUT);
        assert!(bench.letters().is_empty());
        let turn = order.turn().await;
        order.fulfil(turn);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_holds_up_no_other() {
        let bench = Bench::start(Duration::from_millis(5));
        let ids: Vec<Uuid> = (0..1000).map(|_| Uuid::now_v7()).collect();
        let mut orders: Vec<Order<'_>> = ids.iter().map(|id| Order::place(&bench.reconnects, *id, None)).collect();
        let mut turns = Vec::new();
        for order in &mut orders {
            turns.push(timeout(Duration::from_secs(1), order.turn()).await.expect("a turn of its own"));
        }
        assert_eq!(turns.len(), ids.len());
    }
}
