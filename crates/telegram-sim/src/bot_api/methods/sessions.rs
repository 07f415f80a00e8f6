//! What a bot's session holds beside the world: the running long poll, the log-out, callback queries that wait for an
//! answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::bot_api::BotApi;
use crate::bot_api::reply::{ApiError, Done, MethodResult};
use crate::bot_api::request::Params;
use crate::world::{ButtonAction, UserId, World};

/// A bot that logged out is refused for so long, as in the cloud.
const LOGGED_OUT: Duration = Duration::from_mins(10);

/// Sessions of all bots.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    polls: HashMap<UserId, watch::Sender<&'static str>>,
    logged_out: HashMap<UserId, Instant>,
    queries: HashMap<String, UserId>,
    last_query: u64,
}

/// The running `getUpdates` of a bot.
pub(super) struct Poll(watch::Receiver<&'static str>);

impl Poll {
    /// Waits until another request ends this one; returns why.
    pub(super) async fn interrupted(&mut self) -> &'static str {
        // A reason is always sent before the sender goes.
        let _ = self.0.changed().await;
        *self.0.borrow()
    }
}

impl Sessions {
    /// A new `getUpdates` ends the one before.
    pub(super) fn begin_poll(&self, bot: UserId) -> Poll {
        self.interrupt_poll(
            bot,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
        );
        let (sender, receiver) = watch::channel("Conflict: terminated");
        self.lock().polls.insert(bot, sender);
        Poll(receiver)
    }

    /// Ends the running `getUpdates`, if any, with this description.
    pub(super) fn interrupt_poll(&self, bot: UserId, reason: &'static str) {
        if let Some(poll) = self.lock().polls.remove(&bot) {
            poll.send_replace(reason);
        }
    }

    pub(super) fn log_out(&self, bot: UserId) {
        self.lock().logged_out.insert(bot, Instant::now());
    }

    pub(super) fn is_logged_out(&self, bot: UserId) -> bool {
        self.lock().logged_out.get(&bot).is_some_and(|since| since.elapsed() < LOGGED_OUT)
    }

    /// Presses a button; false if the message has no such button.
    pub fn press(&self, world: &World, user: UserId, uid: u64, data: &str) -> bool {
        let mut state = world.lock();
        let Some(message) = state.messages().by_uid(uid).filter(|message| !message.deleted).map(Arc::clone) else {
            return false;
        };
        let action = ButtonAction::CallbackData(data.to_owned());
        if !message.body.buttons.iter().flatten().any(|button| button.action == action) {
            return false;
        }
        let mut inner = self.lock();
        inner.last_query += 1;
        let query = (1_000_000_000_000 + inner.last_query).to_string();
        inner.queries.insert(query.clone(), message.from);
        state.ensure_user(user);
        state.press(user, &message, data.to_owned(), query);
        true
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn answer_callback_query(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let mut inner = api.sessions.lock();
    let id = params.get("callback_query_id");
    if inner.queries.get(id) != Some(&bot) {
        let what = "query is too old and response timeout expired or query ID is invalid";
        return Err(ApiError::bad_request(what));
    }
    inner.queries.remove(id);
    Ok(Done::yes())
}
