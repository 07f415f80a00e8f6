//! What goes wrong on demand.

use serde::{Deserialize, Serialize};

use crate::world::UserId;

/// A fault that a test asks for: which requests it meets, how often, and what happens to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Name of the method, such as `messages.sendMessage`; a trailing `*` stands for anything. Absent: every method.
    #[serde(default)]
    pub method: Option<String>,
    /// Only requests of this account (signed in, or only the password missing).
    #[serde(default)]
    pub user: Option<UserId>,
    /// How many requests it meets; absent: all until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens.
    pub action: Action,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// It is not carried out and answers this error.
    Error {
        /// Such as 420.
        code: i32,
        /// Such as `FLOOD_WAIT_30`.
        message: String,
    },
    /// It is carried out at once and answered after this many milliseconds.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// It is lost: not carried out, no answer.
    Silence,
    /// It is carried out, but its answer is lost.
    TakeThenSilence,
    /// The connection is cut; it is not carried out.
    Cut,
    /// It is carried out, then the connection is cut without an answer.
    TakeThenCut,
}

impl Fault {
    /// A fault for one method of anybody, until it is cleared.
    pub fn new(method: &str, action: Action) -> Self {
        Self { method: Some(method.to_owned()), user: None, times: None, action }
    }

    /// An RPC error for one method.
    pub fn error(method: &str, code: i32, message: &str) -> Self {
        Self::new(method, Action::Error { code, message: message.to_owned() })
    }

    /// Only this many times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Only for this account.
    #[must_use]
    pub fn for_user(self, user: UserId) -> Self {
        Self { user: Some(user), ..self }
    }

    fn meets(&self, method: &str, user: Option<UserId>) -> bool {
        let by_name = self.method.as_deref().is_none_or(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => method.starts_with(prefix),
            None => method.eq_ignore_ascii_case(pattern),
        });
        by_name && self.user.is_none_or(|wanted| user == Some(wanted))
    }
}

/// The faults that are waiting, oldest first.
#[derive(Debug, Default)]
pub struct Faults {
    waiting: Vec<Fault>,
}

impl Faults {
    /// Adds one.
    pub fn add(&mut self, fault: Fault) {
        if fault.times != Some(0) {
            self.waiting.push(fault);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Those that are still waiting.
    pub fn waiting(&self) -> &[Fault] {
        &self.waiting
    }

    /// What happens to this request; uses up one time of the oldest fault that meets it.
    pub fn take(&mut self, method: &str, user: Option<UserId>) -> Option<Action> {
        let index = self.waiting.iter().position(|fault| fault.meets(method, user))?;
        let fault = &mut self.waiting[index];
        let action = fault.action.clone();
        match &mut fault.times {
            Some(times) if *times <= 1 => drop(self.waiting.remove(index)),
            Some(times) => *times -= 1,
            None => {}
        }
        Some(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_used_up_in_order() {
        let mut faults = Faults::default();
        faults.add(Fault::error("messages.sendMessage", 420, "FLOOD_WAIT_3").times(2).for_user(7));
        faults.add(Fault::new("messages.*", Action::Cut));
        assert_eq!(faults.take("auth.signIn", Some(7)), None);
        assert_eq!(faults.take("messages.sendMessage", None), Some(Action::Cut));
        for _ in 0..2 {
            assert!(matches!(faults.take("messages.sendMessage", Some(7)), Some(Action::Error { code: 420, .. })));
        }
        assert_eq!(faults.take("messages.sendMessage", Some(7)), Some(Action::Cut));
        faults.clear();
        assert_eq!(faults.take("messages.sendMessage", Some(7)), None);
    }
}
