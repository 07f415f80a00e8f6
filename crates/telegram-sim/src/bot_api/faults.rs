//! Faults on demand: which requests, how often, and what happens to them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request::{Call, token_bot_id};
use crate::world::{ChatId, UserId};

/// A scripted fault. A condition that is `None` matches everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests with this bot's id in the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot_id: Option<UserId>,
    /// Only requests with exactly this token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Only this method, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only with this numeric `chat_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<ChatId>,
    /// How many requests; `None` is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// What happens.
    pub action: FaultAction,
}

impl Fault {
    /// The action for every request, for ever; narrow it with the other methods.
    pub fn new(action: FaultAction) -> Self {
        Self { bot_id: None, token: None, method: None, chat_id: None, times: None, action }
    }

    /// Only this method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// Only requests of this bot.
    #[must_use]
    pub fn bot(self, bot_id: UserId) -> Self {
        Self { bot_id: Some(bot_id), ..self }
    }

    /// Only requests to this chat.
    #[must_use]
    pub fn chat(self, chat_id: ChatId) -> Self {
        Self { chat_id: Some(chat_id), ..self }
    }

    /// Only so many requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    fn matches(&self, call: &Call) -> bool {
        self.times != Some(0)
            && self.token.as_ref().is_none_or(|token| *token == call.token)
            && self.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&call.method))
            && self.bot_id.is_none_or(|bot| token_bot_id(&call.token) == Some(bot))
            && self.chat_id.is_none_or(|chat| call.params.number("chat_id") == Some(chat))
    }
}

/// What happens to a request. "Taken" means that it has its effect, whatever the client sees.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultAction {
    /// Handled as usual after so many milliseconds.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Not taken; answered with an error of the Bot API.
    Error {
        /// `error_code`, also the HTTP status.
        error_code: u16,
        /// `description`.
        description: String,
        /// `parameters`, such as `{"retry_after": 3}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parameters: Option<Value>,
    },
    /// Answered with any HTTP status and an HTML body, as a gateway in front would.
    Http {
        /// HTTP status.
        status: u16,
        /// Body; a line with the status if empty.
        #[serde(default)]
        body: String,
        /// Whether the request was taken before.
        #[serde(default)]
        taken: bool,
    },
    /// The connection is cut without an answer; not taken.
    CutBefore,
    /// Taken, then the connection is cut without an answer.
    CutAfter,
    /// Taken, then answered only after so many milliseconds.
    HangAfter {
        /// Milliseconds.
        ms: u64,
    },
}

/// A fault in force.
#[derive(Debug, Clone, Serialize)]
pub struct ActiveFault {
    /// Number to refer to it.
    pub id: u64,
    /// Requests that it has hit.
    pub hits: u64,
    /// The script; `times` counts down.
    #[serde(flatten)]
    pub fault: Fault,
}

/// All faults in force; the oldest that matches wins.
#[derive(Debug, Default)]
pub struct Faults {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next_id: u64,
    active: Vec<ActiveFault>,
}

impl Faults {
    /// Puts a fault in force and returns its number.
    pub fn add(&self, fault: Fault) -> u64 {
        let mut inner = self.lock();
        inner.next_id += 1;
        let id = inner.next_id;
        inner.active.push(ActiveFault { id, hits: 0, fault });
        id
    }

    /// Faults in force, also used-up ones, until they are removed.
    pub fn list(&self) -> Vec<ActiveFault> {
        self.lock().active.clone()
    }

    /// Removes one; false if there is none with this number.
    pub fn remove(&self, id: u64) -> bool {
        let mut inner = self.lock();
        let before = inner.active.len();
        inner.active.retain(|active| active.id != id);
        inner.active.len() < before
    }

    /// Removes all.
    pub fn clear(&self) {
        self.lock().active.clear();
    }

    /// The action for this request, counted.
    pub(super) fn hit(&self, call: &Call) -> Option<FaultAction> {
        let mut inner = self.lock();
        let active = inner.active.iter_mut().find(|active| active.fault.matches(call))?;
        active.hits += 1;
        active.fault.times = active.fault.times.map(|times| times.saturating_sub(1));
        Some(active.fault.action.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot_api::request::Params;

    fn call(token: &str, method: &str, chat_id: &str) -> Call {
        let params: Params = [("chat_id".to_owned(), chat_id.to_owned())].into_iter().collect();
        Call { token: token.to_owned(), method: method.to_owned(), params }
    }

    #[test]
    fn hits_what_matches_and_counts_down() {
        let token = format!("5:{}", "a".repeat(35));
        let faults = Faults::default();
        let id = faults.add(Fault::new(FaultAction::CutAfter).bot(5).method("sendMessage").chat(-7).times(2));
        for other in [call(&token, "getme", "-7"), call(&token, "sendmessage", "7"), call("6:x", "sendmessage", "-7")] {
            assert!(faults.hit(&other).is_none());
        }
        let matching = call(&token, "sendmessage", "-7");
        assert!(faults.hit(&matching).is_some() && faults.hit(&matching).is_some());
        assert!(faults.hit(&matching).is_none());
        assert_eq!(faults.list()[0].hits, 2);
        assert!(faults.remove(id) && !faults.remove(id));
    }

    #[test]
    fn reads_scripts() {
        let fault: Fault = serde_json::from_str(
            r#"{"method":"sendMessage","times":1,"action":{"type":"error","error_code":429,"description":"x"}}"#,
        )
        .unwrap();
        assert!(matches!(fault.action, FaultAction::Error { error_code: 429, .. }));
        let typo = serde_json::from_str::<Fault>(r#"{"metod":"x","action":{"type":"cut_before"}}"#).unwrap_err();
        assert!(typo.to_string().contains("metod"));
    }
}
