//! Signs of life of bots.

use std::time::Duration;

use uuid::Uuid;

use super::LiveBots;
use crate::tasks::{Kind, Queue, Retry, TaskError, local::LocalTask};

/// The task, for any bot that this process looks after.
pub struct Probe {
    pub(super) live: LiveBots,
}

impl Kind for Probe {
    const NAME: &'static str = "bot_probe";
    const QUEUE: Queue = Queue::Mid;
    const TIMEOUT: Duration = Duration::from_mins(2);
    const RETRY: Retry = Retry { first: Duration::from_secs(5), factor: 2, cap: Duration::from_mins(5), attempts: 8 };
}

impl LocalTask for Probe {
    /// What came of it is shown at the bot.
    async fn run(&self, id: Uuid) -> Result<(), TaskError> {
        if let Some(bot) = self.live.get(id) {
            bot.probe_if_due().await;
        }
        Ok(())
    }
}
