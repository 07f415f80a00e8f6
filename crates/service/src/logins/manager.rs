//! Claims logins that nobody drives, and gives each a driver.

use std::{collections::HashMap, sync::Arc, time::Duration};

use telegram::accounts::logins;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

use super::{Context, Input, Inputs, driver};

/// How often logins are looked for whose process has died.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs until stopped; logins under way are left as they are stored, for the next process.
pub async fn run(context: Arc<Context>, inputs: Inputs, mut received: mpsc::UnboundedReceiver<Input>) {
    let stop = context.stop.clone();
    let mut manager = Manager { context, inputs, drivers: HashMap::new(), running: JoinSet::new() };
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            input = received.recv() => match input {
                Some(input) => manager.take(input).await,
                None => break,
            },
            Some(Ok(ended)) = manager.running.join_next() => {
                manager.drivers.remove(&ended);
            }
            _ = tick.tick() => manager.adopt_orphans().await,
        }
    }
    while manager.running.join_next().await.is_some() {}
}

struct Manager {
    context: Arc<Context>,
    inputs: Inputs,
    drivers: HashMap<Uuid, mpsc::UnboundedSender<Input>>,
    running: JoinSet<Uuid>,
}

impl Manager {
    async fn take(&mut self, input: Input) {
        let id = input.login_id;
        if let Some(driver) = self.drivers.get(&id)
            && driver.send(input.clone()).is_ok()
        {
            return;
        }
        if self.drive(id).await {
            if let Some(driver) = self.drivers.get(&id) {
                let _ = driver.send(input);
            }
        } else if !input.from_afar
            && let Err(error) = self.inputs.pass_on(input).await
        {
            tracing::warn!(%error, "a login's input could not be passed on; its sender will try again");
        }
    }

    /// Starts to drive a login that nobody drives; false when it is another worker's, or over.
    async fn drive(&mut self, id: Uuid) -> bool {
        match logins::claim(&self.context.pool, id, self.context.ownership.worker_id).await {
            Ok(Some(row)) => {
                let (inputs, received) = mpsc::unbounded_channel();
                self.drivers.insert(id, inputs);
                let (context, term) = (self.context.clone(), self.context.ownership.term());
                self.running.spawn(async move {
                    // Dropped with the worker's term, and its connection with it: another worker takes the login up then.
                    let driving = term.run_until_cancelled_owned(driver::run(context, row, received));
                    // In a task of its own, so that a panic ends this login only.
                    if let Err(error) = tokio::spawn(driving).await {
                        tracing::error!(%error, login_id = %id, "a login broke");
                    }
                    id
                });
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "a login could not be claimed; the next look tries again");
                false
            }
        }
    }

    async fn adopt_orphans(&mut self) {
        match logins::orphans(&self.context.pool).await {
            Ok(ids) => {
                for id in ids {
                    if !self.drivers.contains_key(&id) {
                        self.drive(id).await;
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "logins could not be looked for"),
        }
    }
}
