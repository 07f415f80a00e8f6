//! Takes hints, sweeps for lost ones, acquires senders, and runs one actor for each.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use store::{delivery, leases};
use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Context,
    actor::{self, End},
    attempt,
    backoff::backoff,
    balance::Share,
    mailbox::Mailbox,
};
use crate::queue::{Arrived, Hint};

/// How often lost hints are looked for and scheduled messages join their queues.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often the worker looks at what the others own.
const BALANCE_EVERY: Duration = Duration::from_secs(2);
/// The database is given up for this time after so long: a connection that is only half there never answers.
const DATABASE_WITHIN: Duration = Duration::from_secs(10);
/// A sender that nobody took for so long is taken by anybody.
const ANYBODY_AFTER: Duration = Duration::from_secs(3);
/// Who gave a sender away leaves it to the others for so long.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(6);
/// So many senders are given away at once at most: each has to be opened again elsewhere.
const MOVES: usize = 200;
/// So often what nobody owns is asked for in one sweep: another worker may have taken some of it at the same moment.
const TRIES: usize = 3;
/// A sender whose actor lived for so long is not in a loop of crashes.
const SOUND_AFTER: Duration = Duration::from_mins(5);

struct Running {
    sender_id: Uuid,
    since: Instant,
}

/// A sender that is not to be taken yet.
struct Rest {
    until: Instant,
    crashes: u32,
}

struct Router {
    context: Arc<Context>,
    mailboxes: HashMap<Uuid, Arc<Mailbox>>,
    actors: JoinSet<End>,
    running: HashMap<Id, Running>,
    share: Share,
    cut_off: bool,
    /// Since when it is known that nobody owns them.
    unowned_since: HashMap<Uuid, Instant>,
    resting: HashMap<Uuid, Rest>,
}

/// Runs the worker until it is stopped: then waits for what is on the wire and gives all senders back.
pub async fn run(context: Arc<Context>, mut hints: mpsc::UnboundedReceiver<Arrived>) {
    let stop = context.stop.clone();
    // The row is renewed until the last outcome is written, which is after the stop.
    let all_written = CancellationToken::new();
    let keeper = tokio::spawn({
        let (context, all_written) = (context.clone(), all_written.clone());
        async move { context.ownership.keep(&context.pool, all_written).await }
    });
    let mut router = Router::new(context.clone());
    let mut sweep = interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut balance = interval(BALANCE_EVERY);
    balance.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            count = hints.recv_many(&mut batch, 1024) => {
                if count == 0 { break; }
                router.take(batch.drain(..).collect()).await;
            }
            Some(ended) = router.actors.join_next_with_id() => router.ended(ended).await,
            _ = balance.tick() => router.balance().await,
            _ = sweep.tick() => {
                if router.context.senders.is_cut_off() != router.cut_off {
                    router.balance().await;
                }
                router.sweep().await;
            }
        }
    }
    while router.actors.join_next().await.is_some() {}
    context.tasks.close();
    context.tasks.wait().await;
    all_written.cancel();
    let _ = keeper.await;
    if let Err(error) = leases::release_all(&context.pool, context.ownership.worker_id).await {
        tracing::warn!(%error, "the senders could not be given back; they are free when this worker's row expires");
    }
}

impl Router {
    fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            mailboxes: HashMap::new(),
            actors: JoinSet::new(),
            running: HashMap::new(),
            share: Share::ALL,
            cut_off: false,
            unowned_since: HashMap::new(),
            resting: HashMap::new(),
        }
    }

    /// Wakes the actors of owned senders, acquires the others, and passes on what belongs to another worker.
    async fn take(&mut self, arrived: HashSet<Arrived>) {
        let mut unowned: HashMap<Uuid, Arrived> = HashMap::new();
        for arrived in arrived {
            let id = arrived.hint().sender_id();
            match (self.mailboxes.get(&id), arrived.hint()) {
                (Some(mailbox), Hint::Work(_)) => mailbox.work(),
                (Some(mailbox), Hint::Changed(_)) => mailbox.changed(),
                (Some(mailbox), Hint::Moved { from, to, .. }) => mailbox.moved(from, to),
                (None, _) => {
                    let known = unowned.entry(id).or_insert(arrived);
                    if matches!(arrived, Arrived::Here(_)) {
                        *known = arrived;
                    }
                }
            }
        }
        if unowned.is_empty() {
            return;
        }
        let ids: Vec<Uuid> = unowned.keys().copied().collect();
        let taken = self.acquire(ids, self.room()).await;
        for (id, arrived) in unowned {
            if let (Some(mailbox), Hint::Moved { from, to, .. }) = (self.mailboxes.get(&id), arrived.hint()) {
                mailbox.moved(from, to);
            }
            // What came from afar came to every worker.
            if let Arrived::Here(hint) = arrived
                && !taken.contains(&id)
            {
                self.context.hints.pass_on(hint);
            }
        }
    }

    /// How many more senders are fair.
    fn room(&self) -> usize {
        self.share.fair.saturating_sub(self.mailboxes.len())
    }

    /// Acquires at most so many of the senders and starts their actors; returns which.
    async fn acquire(&mut self, mut wanted: Vec<Uuid>, at_most: usize) -> HashSet<Uuid> {
        let now = Instant::now();
        wanted.retain(|id| self.resting.get(id).is_none_or(|rest| rest.until <= now));
        // An answer that comes after its end is worth nothing.
        let term = self.context.ownership.term();
        if wanted.is_empty() || at_most == 0 || !self.context.ownership.holds() {
            return HashSet::new();
        }
        let worker_id = self.context.ownership.worker_id;
        let acquired = leases::acquire(&self.context.pool, worker_id, &wanted, at_most);
        match tokio::time::timeout(DATABASE_WITHIN, acquired).await {
            Ok(Ok(taken)) => {
                attempt::count_unknown(&taken.unknown);
                let start = |lease: leases::Lease| {
                    self.start(lease, term.clone());
                    lease.sender_id
                };
                taken.leases.into_iter().map(start).collect()
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "senders could not be acquired; the next sweep tries again");
                HashSet::new()
            }
            // If the answer alone was lost, they are ours without an actor: the next balance finds them.
            Err(_) => HashSet::new(),
        }
    }

    fn start(&mut self, lease: leases::Lease, term: CancellationToken) {
        let sender_id = lease.sender_id;
        let mailbox = Arc::new(Mailbox::default());
        self.mailboxes.insert(sender_id, mailbox.clone());
        self.unowned_since.remove(&sender_id);
        let task = self.actors.spawn(actor::run(self.context.clone(), lease, term, mailbox));
        self.running.insert(task.id(), Running { sender_id, since: Instant::now() });
    }

    async fn ended(&mut self, ended: Result<(Id, End), JoinError>) {
        let (task, end) = ended.unwrap_or_else(|panicked| (panicked.id(), End::Broken));
        let Some(Running { sender_id, since }) = self.running.remove(&task) else { return };
        self.mailboxes.remove(&sender_id);
        tracing::debug!(%sender_id, ?end, "an actor ended");
        match end {
            // What is fenced may be another worker's; where nobody took it, the next balance takes it up.
            End::Stopped | End::NotOwned | End::Fenced => return,
            End::Moved => self.rest(sender_id, LEFT_TO_OTHERS, 0),
            End::Broken => {
                self.context.senders.close(sender_id).await;
                let sound = since.elapsed() > SOUND_AFTER;
                let crashes = self.resting.get(&sender_id).filter(|_| !sound).map_or(1, |rest| rest.crashes + 1);
                tracing::error!(%sender_id, crashes, "an actor broke");
                self.rest(sender_id, backoff(crashes), crashes);
            }
            End::Inactive => {}
        }
        // Whoever gets the next hint may take it.
        if let Err(error) = leases::release(&self.context.pool, self.context.ownership.worker_id, sender_id).await {
            tracing::debug!(%error, "a lease stays; the next balance finds it");
        } else if end == End::Moved {
            self.context.hints.pass_on(Hint::Work(sender_id));
        }
    }

    fn rest(&mut self, sender_id: Uuid, wait: Duration, crashes: u32) {
        self.resting.insert(sender_id, Rest { until: Instant::now() + wait, crashes });
    }

    /// Looks at what the others own: gives away what is more than this worker's share, and takes up what is its own without an actor.
    async fn balance(&mut self) {
        match tokio::time::timeout(DATABASE_WITHIN, self.try_balance()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the other workers could not be looked at"),
            Err(_) => tracing::warn!("the other workers could not be looked at: the database does not answer"),
        }
    }

    async fn try_balance(&mut self) -> Result<(), sqlx::Error> {
        let now = Instant::now();
        self.resting.retain(|_, rest| rest.until + SOUND_AFTER > now);
        let (pool, worker_id) = (self.context.pool.clone(), self.context.ownership.worker_id);
        let cut_off = self.context.senders.is_cut_off();
        if cut_off != self.cut_off {
            leases::set_cut_off(&pool, worker_id, cut_off).await?;
            self.cut_off = cut_off;
        }
        self.look_at_others().await?;
        let staying = self.mailboxes.values().filter(|mailbox| !mailbox.is_to_leave()).count();
        let excess = staying.saturating_sub(self.share.most);
        let leaving = self.mailboxes.values().filter(|mailbox| mailbox.leave()).take(excess.min(MOVES)).count();
        if self.cut_off {
            // Their answers would not come: what waits for one is repeated elsewhere.
            for (id, _) in self.mailboxes.iter().filter(|(_, mailbox)| mailbox.is_to_leave()) {
                self.context.senders.cut(*id);
            }
        }
        if leaving > 0 {
            tracing::info!(
                leaving,
                owned = self.mailboxes.len(),
                workers = self.share.workers,
                "senders go to other workers"
            );
        }
        let without_actor = leases::owned(&pool, worker_id).await?;
        let without_actor: Vec<Uuid> =
            without_actor.into_iter().filter(|id| !self.mailboxes.contains_key(id)).collect();
        self.acquire(without_actor, usize::MAX).await;
        Ok(())
    }

    async fn look_at_others(&mut self) -> Result<(), sqlx::Error> {
        let standings = leases::standings(&self.context.pool).await?;
        self.share = Share::of(self.context.ownership.worker_id, &standings, self.unowned_since.len());
        self.context.senders.shared_by(self.share.workers);
        Ok(())
    }

    /// Repairs lost hints, lets scheduled messages join, and ends what waits for senders that are no more.
    async fn sweep(&mut self) {
        let started = Instant::now();
        match tokio::time::timeout(DATABASE_WITHIN, self.try_sweep()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the sweep failed; the next one follows in a second"),
            Err(_) => tracing::warn!("the sweep failed: the database does not answer"),
        }
        metrics::histogram!("integrations_sweep_seconds").record(started.elapsed().as_secs_f64());
    }

    async fn try_sweep(&mut self) -> Result<(), sqlx::Error> {
        let pool = self.context.pool.clone();
        delivery::release_scheduled(&pool).await?;
        if let Err(error) = self.context.senders.share_out().await {
            tracing::warn!(%error, "what waits for senders that cannot send stays with them for now");
        }
        let working = delivery::senders_with_work(&pool).await?;
        let states: HashMap<Uuid, bool> = delivery::sender_states(&pool, &working).await?.into_iter().collect();
        let mut wanted: HashSet<Uuid> = self.context.senders.to_keep_open().await?.into_iter().collect();
        for id in working {
            match (states.get(&id), self.mailboxes.get(&id)) {
                (Some(true), Some(mailbox)) => mailbox.work(),
                (Some(true), None) => drop(wanted.insert(id)),
                (Some(false), _) => {}
                (None, _) => {
                    let mut tx = pool.begin().await?;
                    store::messages::cancel_all(&mut tx, id, "sender_deleted").await?;
                    tx.commit().await?;
                }
            }
        }
        // Also of senders that are off or gone: taking them over ends what is on its way.
        wanted.extend(delivery::interrupted_senders(&pool).await?);
        wanted.retain(|id| !self.mailboxes.contains_key(id));
        self.take_unowned(wanted.into_iter().collect()).await
    }

    /// Takes this worker's share of what nobody owns, and all that the others left for too long. Another worker's own sweep finds what
    /// is another worker's.
    async fn take_unowned(&mut self, wanted: Vec<Uuid>) -> Result<(), sqlx::Error> {
        let unowned = if wanted.is_empty() { wanted } else { leases::unowned(&self.context.pool, &wanted).await? };
        let now = Instant::now();
        let before = std::mem::take(&mut self.unowned_since);
        self.unowned_since = unowned.iter().map(|id| (*id, before.get(id).copied().unwrap_or(now))).collect();
        let (late, mut fresh): (Vec<Uuid>, Vec<Uuid>) =
            unowned.into_iter().partition(|id| now.duration_since(self.unowned_since[id]) > ANYBODY_AFTER);
        if fresh.len() > self.room() {
            // Another worker may have ended: then the share is larger than it was at the last balance.
            self.look_at_others().await?;
        }
        // Whoever has no share is cut off, and another worker is not.
        if self.share.most > 0 {
            self.acquire(late, usize::MAX).await;
        }
        for _ in 0..TRIES {
            let taken = self.acquire(fresh.clone(), self.room()).await;
            fresh.retain(|id| !taken.contains(id));
            if taken.is_empty() || fresh.is_empty() {
                break;
            }
        }
        Ok(())
    }
}
