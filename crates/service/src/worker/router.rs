//! Takes hints, sweeps for lost ones, acquires senders, and runs one actor for each.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use store::{delivery, leases};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Context,
    actor::{self, End, Mailbox},
};
use crate::queue::Hint;

/// How often lost hints are looked for and scheduled messages join their queues.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

struct Router {
    context: Arc<Context>,
    mailboxes: HashMap<Uuid, Arc<Mailbox>>,
    actors: JoinSet<(Uuid, End)>,
}

/// Runs the worker until it is stopped: then waits for what is on the wire and gives all senders back.
pub async fn run(context: Arc<Context>, mut hints: mpsc::UnboundedReceiver<Hint>) {
    let stop = context.stop.clone();
    // The row is renewed until the last outcome is written, which is after the stop.
    let all_written = CancellationToken::new();
    let keeper = tokio::spawn({
        let (context, all_written) = (context.clone(), all_written.clone());
        async move { context.ownership.keep(&context.pool, all_written).await }
    });
    let mut router = Router { context: context.clone(), mailboxes: HashMap::new(), actors: JoinSet::new() };
    let mut sweep = interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            count = hints.recv_many(&mut batch, 1024) => {
                if count == 0 { break; }
                router.take(batch.drain(..).collect()).await;
            }
            Some(Ok(ended)) = router.actors.join_next() => router.ended(ended).await,
            _ = sweep.tick() => router.sweep().await,
        }
    }
    while router.actors.join_next().await.is_some() {}
    all_written.cancel();
    let _ = keeper.await;
    if let Err(error) = leases::release_all(&context.pool, context.ownership.worker_id).await {
        tracing::warn!(%error, "the senders could not be given back; they are free when this worker's row expires");
    }
}

impl Router {
    /// Wakes the actors of owned senders, acquires the others, and passes on what belongs to another worker.
    async fn take(&mut self, hints: HashSet<Hint>) {
        let mut unowned: HashMap<Uuid, Hint> = HashMap::new();
        for hint in hints {
            let id = hint.sender_id();
            match (self.mailboxes.get(&id), hint) {
                (Some(mailbox), Hint::Work(_)) => mailbox.work(),
                (Some(mailbox), Hint::Changed(_)) => mailbox.changed(),
                (Some(mailbox), Hint::Moved { from, to, .. }) => mailbox.moved(from, to),
                (None, _) => {
                    unowned.insert(id, hint);
                }
            }
        }
        if unowned.is_empty() {
            return;
        }
        for hint in self.acquire(unowned).await {
            self.context.hints.pass_on(hint);
        }
    }

    /// Acquires senders and starts their actors. Returns the hints for those that another worker owns.
    async fn acquire(&mut self, mut wanted: HashMap<Uuid, Hint>) -> Vec<Hint> {
        if wanted.is_empty() || !self.context.ownership.holds() {
            return Vec::new();
        }
        let ids: Vec<Uuid> = wanted.keys().copied().collect();
        match leases::acquire(&self.context.pool, self.context.ownership.worker_id, &ids).await {
            Ok(taken) => {
                for lease in taken {
                    let hint = wanted.remove(&lease.sender_id);
                    let mailbox = self.start(lease);
                    if let Some(Hint::Moved { from, to, .. }) = hint {
                        mailbox.moved(from, to);
                    }
                }
                wanted.into_values().collect()
            }
            Err(error) => {
                tracing::warn!(%error, "senders could not be acquired; the next sweep tries again");
                Vec::new()
            }
        }
    }

    fn start(&mut self, lease: leases::Lease) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        self.mailboxes.insert(lease.sender_id, mailbox.clone());
        let (context, at_actor) = (self.context.clone(), mailbox.clone());
        self.actors.spawn(async move {
            // In a task of its own, so that a panic ends this actor only.
            let end = tokio::spawn(actor::run(context, lease, at_actor)).await;
            (lease.sender_id, end.unwrap_or(End::Broken))
        });
        mailbox
    }

    async fn ended(&mut self, ended: (Uuid, End)) {
        let (sender_id, end) = ended;
        self.mailboxes.remove(&sender_id);
        tracing::debug!(%sender_id, ?end, "an actor ended");
        if matches!(end, End::Inactive | End::Broken) {
            // Whoever gets the next hint may take it.
            let given_back = leases::release(&self.context.pool, self.context.ownership.worker_id, sender_id).await;
            if let Err(error) = given_back {
                tracing::debug!(%error, "a lease stays until this worker ends");
            }
        }
    }

    /// Repairs lost hints, lets scheduled messages join, and ends what waits for senders that are no more.
    async fn sweep(&mut self) {
        let started = Instant::now();
        if let Err(error) = self.try_sweep().await {
            tracing::warn!(%error, "the sweep failed; the next one follows in a second");
        }
        metrics::histogram!("integrations_sweep_seconds").record(started.elapsed().as_secs_f64());
    }

    async fn try_sweep(&mut self) -> Result<(), sqlx::Error> {
        let pool = self.context.pool.clone();
        delivery::release_scheduled(&pool).await?;
        let working = delivery::senders_with_work(&pool).await?;
        let states: HashMap<Uuid, bool> = delivery::sender_states(&pool, &working).await?.into_iter().collect();
        let idle = self.context.senders.to_keep_open().await?;
        let mut wanted: HashMap<Uuid, Hint> =
            idle.into_iter().filter(|id| !self.mailboxes.contains_key(id)).map(|id| (id, Hint::Work(id))).collect();
        for id in working {
            match (states.get(&id), self.mailboxes.get(&id)) {
                (Some(true), Some(mailbox)) => mailbox.work(),
                (Some(true), None) => {
                    wanted.insert(id, Hint::Work(id));
                }
                (Some(false), _) => {}
                (None, _) => {
                    let mut tx = pool.begin().await?;
                    store::messages::cancel_all(&mut tx, id, "sender_deleted").await?;
                    tx.commit().await?;
                }
            }
        }
        // Also of senders that are off or gone: taking them over ends what is on its way.
        let interrupted = delivery::interrupted_senders(&pool).await?;
        let unowned = interrupted.into_iter().filter(|id| !self.mailboxes.contains_key(id));
        wanted.extend(unowned.map(|id| (id, Hint::Work(id))));
        // Another worker's own sweep finds what is another worker's.
        self.acquire(wanted).await;
        Ok(())
    }
}
