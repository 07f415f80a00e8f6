//! Asks Telegram for the updates of a bot, one question at a time.
//!
//! The place of the next question is stored with the updates of the last one, in one commit: so nothing is missed or doubled over
//! restarts and moves.

use std::time::Duration;

use telegram::{
    bot_api::CallError,
    bots::{
        UpdatesState,
        updates::{self, Update},
    },
};
use tokio::time::{Instant, sleep};

use super::live::{Follows, LiveBot};
use crate::worker::backoff;

/// Updates in one answer.
const MANY: u8 = 100;
/// An empty answer comes late; one that comes at once may not be followed by a question at once.
const NOT_FASTER: Duration = Duration::from_secs(1);
/// How often to look whether another system's webhook is gone.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Asks until the bot is dead. Can be dropped at any time.
pub async fn run(bot: &LiveBot, mut next: Option<i64>) {
    let (mut failures, mut conflicts) = (0, 0);
    // The first question, and those after trouble, are answered at once: so it shows at once how it goes.
    let mut goes_well = false;
    loop {
        let asked = Instant::now();
        // After a failure one at a time: an answer that is too long to be read must not come again and again.
        let limit = if failures == 0 { MANY } else { 1 };
        let hold = if goes_well { bot.shared.updates.poll } else { Duration::ZERO };
        let answer = bot.shared.bot_api.get_updates(&bot.token, next, limit, hold, updates::ALLOWED).await;
        let error = match answer {
            Ok(raw) => {
                bot.lives();
                failures = 0;
                // A short question may slip in between those of another program; a long one proves that there is none.
                if goes_well || conflicts == 0 {
                    conflicts = 0;
                    bot.show(UpdatesState::Polling, None).await;
                }
                if raw.is_empty() && std::mem::replace(&mut goes_well, true) && asked.elapsed() < NOT_FASTER {
                    sleep(NOT_FASTER).await;
                }
                let read: Vec<Option<Update>> = raw.iter().map(|update| updates::read(update.get())).collect();
                let numbers = read.iter().flatten().map(|update| update.id);
                match numbers.max() {
                    Some(last) => {
                        next = Some(last + 1);
                        bot.shared.inbox.put_all(bot.id, read.into_iter().flatten().collect(), last + 1).await;
                        continue;
                    }
                    None if raw.is_empty() => continue,
                    None => CallError::Unavailable { reason: "updates without a number came".into() },
                }
            }
            Err(error) => error,
        };
        goes_well = false;
        match bot.judge(error).await {
            Follows::Dead => return,
            Follows::Wait(after) => sleep(after).await,
            Follows::Refused { conflict: true, words } => {
                conflicts += 1;
                if let Some(wait) = conflict(bot, &words, conflicts).await {
                    sleep(wait).await;
                } else {
                    conflicts = 0;
                    sleep(backoff(1)).await;
                }
            }
            Follows::Refused { words, .. } => {
                failures += 1;
                bot.show(UpdatesState::Failing, Some(&words)).await;
                sleep(backoff(failures)).await;
            }
            Follows::Away(reason) => {
                failures += 1;
                tracing::debug!(reason, bot_id = %bot.id, "updates come later");
                sleep(backoff(failures)).await;
            }
        }
    }
}

/// A webhook or another program stands in the way. Returns how long to wait; `None` when it was the service's own webhook, which is
/// gone now.
async fn conflict(bot: &LiveBot, words: &str, times: u32) -> Option<Duration> {
    let Ok(info) = bot.shared.bot_api.get_webhook_info(&bot.token).await else { return Some(backoff(times)) };
    if info.url.is_empty() {
        // The first one may be this service's own question, which the former owner of the bot has left behind.
        if times > 1 {
            bot.show(UpdatesState::Conflict, Some(words)).await;
        }
        return Some(backoff(times));
    }
    if let Some(host) = bot.foreign_host(&info.url) {
        bot.show(UpdatesState::Elsewhere, Some(&super::webhook::goes_to(&host))).await;
        return Some(LOOK_AGAIN);
    }
    // What it did not deliver is asked for.
    if super::webhook::remove(bot).await { None } else { Some(backoff(times)) }
}
