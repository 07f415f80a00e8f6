//! Circuits: what does not work is left alone for a while, then tried by one call at a time.
//!
//! - a [`Circuit`] belongs to an upstream that all share (the Bot API, Redis, the S3 store) or to one sender;
//! - a [`Pass`] is the permission for one call, and takes its result; dropped without one, it says nothing;
//! - [`gates`]: the circuits that a send has to pass.
//!
//! When to open and for how long is decided by `failsafe`'s state machine. Added here: half-open, one call is out at a time; what began
//! before the circuit opened does not open it again; and, where it is asked for, only a few calls may be out that began since the last
//! one that worked, so that an outage meets few.

pub mod gates;
mod waits;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use failsafe::{Instrument, StateMachine, failure_policy};

use crate::metrics::name;
use waits::Waits;

/// Whoever is refused because a probe is out asks again after so long, if nothing tells before.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Where a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls pass.
    Closed,
    /// One call passes, to find out.
    HalfOpen,
    /// No call passes.
    Open,
}

impl State {
    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Closed,
            1 => Self::HalfOpen,
            _ => Self::Open,
        }
    }
}

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open at first; twice as long after each probe that fails.
    pub first: Duration,
    /// At most so long.
    pub cap: Duration,
    /// How many calls that began since the last one that worked may be out; `None` is any number. After a failure it is one.
    pub unproven: Option<usize>,
}

/// The circuit refuses a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it did not answer, and is left alone for a moment")]
pub struct Shut {
    /// Not worth asking again before.
    pub until: Instant,
}

/// See the module.
pub struct Circuit {
    /// Names the upstream in metrics; `None` for one of many senders, of which only the number of open ones is shown.
    name: Option<&'static str>,
    unproven: Option<usize>,
    state: Arc<AtomicU8>,
    inner: Mutex<Inner>,
}

struct Inner {
    machine: StateMachine<failure_policy::ConsecutiveFailures<Waits>, Watch>,
    waits: Waits,
    until: Instant,
    /// Counts how often it opened: what began in an earlier round says nothing about this one.
    round: u64,
    probe_is_out: bool,
    /// Counts the calls that worked.
    proofs: u64,
    /// Calls that are out and began since the last one that worked.
    unproven: usize,
    /// The last call failed.
    is_failing: bool,
}

/// Follows the state of the machine.
struct Watch(Arc<AtomicU8>);

impl Instrument for Watch {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.0.store(2, Ordering::Release);
    }

    fn on_half_open(&self) {
        self.0.store(1, Ordering::Release);
    }

    fn on_closed(&self) {
        self.0.store(0, Ordering::Release);
    }
}

/// The permission for one call.
#[must_use]
pub struct Pass {
    circuit: Arc<Circuit>,
    round: u64,
    proofs: u64,
    is_probe: bool,
    is_counted: bool,
    /// The calls before it had worked.
    was_well: bool,
}

impl Circuit {
    /// Of an upstream, shown in the metrics by its name.
    pub fn upstream(name: &'static str, rule: Rule) -> Arc<Self> {
        metrics::gauge!(name::CIRCUIT_STATE, "upstream" => name).set(0.0);
        Self::new(Some(name), rule)
    }

    /// Of one sender.
    pub fn sender(rule: Rule) -> Arc<Self> {
        Self::new(None, rule)
    }

    fn new(name: Option<&'static str>, rule: Rule) -> Arc<Self> {
        let waits = Waits::new(rule.first, rule.cap);
        let state = Arc::new(AtomicU8::new(0));
        let policy = failure_policy::consecutive_failures(rule.failures, waits.clone());
        let inner = Inner {
            machine: StateMachine::new(policy, Watch(state.clone())),
            waits,
            until: Instant::now(),
            round: 0,
            probe_is_out: false,
            proofs: 0,
            unproven: 0,
            is_failing: false,
        };
        Arc::new(Self { name, unproven: rule.unproven, state, inner: Mutex::new(inner) })
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        State::from_number(self.state.load(Ordering::Acquire))
    }

    /// Asks for permission for one call.
    pub fn enter(self: &Arc<Self>) -> Result<Pass, Shut> {
        let mut inner = self.lock();
        let before = self.state();
        let now = Instant::now();
        if before == State::HalfOpen && inner.probe_is_out {
            return Err(Shut { until: now + ASK_AGAIN });
        }
        if !inner.machine.is_call_permitted() {
            return Err(Shut { until: inner.until });
        }
        let is_probe = self.state() != State::Closed;
        if is_probe {
            inner.probe_is_out = true;
            self.show(before);
        } else if let Some(most) = self.unproven
            && inner.unproven >= if inner.is_failing { 1 } else { most }
        {
            return Err(Shut { until: now + ASK_AGAIN });
        }
        inner.unproven += 1;
        Ok(Pass {
            circuit: self.clone(),
            round: inner.round,
            proofs: inner.proofs,
            is_probe,
            is_counted: true,
            was_well: !inner.is_failing,
        })
    }

    /// Makes one call, if it passes; `works` judges its result.
    pub async fn call<T>(
        self: &Arc<Self>,
        call: impl Future<Output = T>,
        works: impl Fn(&T) -> bool,
    ) -> Result<T, Shut> {
        let pass = self.enter()?;
        let result = call.await;
        if works(&result) {
            pass.worked();
        } else {
            pass.failed();
        }
        Ok(result)
    }

    /// Something else than a call that had to pass has shown that it works.
    pub fn is_well(&self) {
        let mut inner = self.lock();
        let before = self.state();
        inner.machine.on_success();
        inner.proofs += 1;
        inner.unproven = 0;
        inner.is_failing = false;
        self.show(before);
    }

    fn failed(&self, round: u64) {
        let mut inner = self.lock();
        let before = self.state();
        if round != inner.round || before == State::Open {
            return;
        }
        inner.is_failing = true;
        inner.machine.on_error();
        if self.state() == State::Open {
            inner.round += 1;
            inner.probe_is_out = false;
            inner.until = Instant::now() + inner.waits.latest();
            self.show(before);
        }
    }

    /// A call is over, or need not be counted any more.
    fn leave(&self, pass: &Pass) {
        let mut inner = self.lock();
        if pass.is_counted && pass.proofs == inner.proofs {
            inner.unproven = inner.unproven.saturating_sub(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves whole values behind.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what has changed, in metrics and log.
    fn show(&self, before: State) {
        let state = self.state();
        if state == before {
            return;
        }
        let Some(upstream) = self.name else {
            match (before, state) {
                (State::Closed, _) => metrics::gauge!(name::SENDER_CIRCUITS_OPEN).increment(1.0),
                (_, State::Closed) => metrics::gauge!(name::SENDER_CIRCUITS_OPEN).decrement(1.0),
                _ => {}
            }
            return;
        };
        metrics::gauge!(name::CIRCUIT_STATE, "upstream" => upstream).set(f64::from(state as u8));
        match state {
            State::Open if before == State::Closed => tracing::warn!(upstream, "an upstream fails: it is left alone"),
            State::Closed => tracing::info!(upstream, "an upstream works again"),
            _ => {}
        }
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit").field("name", &self.name).field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Drop for Circuit {
    fn drop(&mut self) {
        if self.name.is_none() && self.state() != State::Closed {
            metrics::gauge!(name::SENDER_CIRCUITS_OPEN).decrement(1.0);
        }
    }
}

impl Pass {
    /// The call worked.
    pub fn worked(self) {
        self.circuit.is_well();
    }

    /// The call failed: there was no answer, or none that makes sense.
    pub fn failed(self) {
        self.circuit.failed(self.round);
    }

    /// It takes long by its nature: others need not wait until it is proven. So what it was to find out has to be known by now.
    pub fn takes_long(&mut self) {
        if std::mem::take(&mut self.is_probe) {
            self.circuit.is_well();
        }
        self.circuit.leave(self);
        self.is_counted = false;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.circuit.leave(self);
        if self.is_probe {
            let mut inner = self.circuit.lock();
            if inner.round == self.round {
                inner.probe_is_out = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule =
        Rule { failures: 3, first: Duration::from_millis(20), cap: Duration::from_millis(80), unproven: None };

    /// Waits until a call passes.
    fn probe(circuit: &Arc<Circuit>) -> Pass {
        loop {
            match circuit.enter() {
                Ok(pass) => return pass,
                Err(shut) => std::thread::sleep(shut.until.saturating_duration_since(Instant::now())),
            }
        }
    }

    fn fail(circuit: &Arc<Circuit>, times: usize) {
        for _ in 0..times {
            circuit.enter().unwrap().failed();
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_closes_it() {
        let circuit = Circuit::sender(RULE);
        fail(&circuit, 2);
        circuit.enter().unwrap().worked();
        fail(&circuit, 2);
        assert_eq!(circuit.state(), State::Closed, "they were not in a row");
        fail(&circuit, 1);
        assert_eq!(circuit.state(), State::Open);
        assert!(circuit.enter().is_err());
        let pass = probe(&circuit);
        assert_eq!(circuit.state(), State::HalfOpen);
        assert!(circuit.enter().is_err(), "one probe at a time");
        pass.worked();
        assert_eq!(circuit.state(), State::Closed);
        drop(circuit.enter().unwrap());
    }

    #[test]
    fn each_probe_that_fails_doubles_the_wait() {
        let circuit = Circuit::sender(RULE);
        fail(&circuit, 3);
        let mut last = Duration::ZERO;
        for _ in 0..2 {
            probe(&circuit).failed();
            let wait = circuit.enter().err().unwrap().until.saturating_duration_since(Instant::now());
            // Spread over a half of its length, less what passed since.
            assert!(wait <= RULE.cap, "{wait:?}");
            last = last.max(circuit.lock().waits.latest());
        }
        assert!(last >= RULE.first, "{last:?}");
    }

    #[test]
    fn a_probe_that_is_given_up_leaves_its_place_to_another() {
        let circuit = Circuit::sender(RULE);
        fail(&circuit, 3);
        drop(probe(&circuit));
        assert_eq!(circuit.state(), State::HalfOpen);
        circuit.enter().unwrap().worked();
        assert_eq!(circuit.state(), State::Closed);
    }

    #[test]
    fn nobody_waits_for_a_probe_that_takes_long() {
        let circuit = Circuit::sender(RULE);
        fail(&circuit, 3);
        let mut pass = probe(&circuit);
        pass.takes_long();
        assert_eq!(circuit.state(), State::Closed);
        drop(circuit.enter().unwrap());
        pass.failed();
        fail(&circuit, 2);
        assert_eq!(circuit.state(), State::Open, "its failure counts like any other");
    }

    #[test]
    fn what_began_before_it_opened_does_not_open_it_again() {
        let circuit = Circuit::sender(RULE);
        let (early, late) = (circuit.enter().unwrap(), circuit.enter().unwrap());
        fail(&circuit, 3);
        let pass = probe(&circuit);
        early.failed();
        assert_eq!(circuit.state(), State::HalfOpen);
        late.worked();
        assert_eq!(circuit.state(), State::Closed, "that it worked says enough");
        drop(pass);
    }

    #[test]
    fn few_are_out_until_one_works_and_one_after_a_failure() {
        let circuit = Circuit::sender(Rule { unproven: Some(2), failures: 9, ..RULE });
        let (first, mut second) = (circuit.enter().unwrap(), circuit.enter().unwrap());
        assert!(circuit.enter().is_err());
        second.takes_long();
        let third = circuit.enter().unwrap();
        assert!(circuit.enter().is_err());
        first.worked();
        let (fourth, fifth) = (circuit.enter().unwrap(), circuit.enter().unwrap());
        assert!(circuit.enter().is_err(), "what is out since before does not count, and nothing twice");
        third.failed();
        drop((fourth, fifth));
        let sixth = circuit.enter().unwrap();
        assert!(circuit.enter().is_err(), "one at a time after a failure");
        sixth.worked();
        drop((circuit.enter().unwrap(), second));
    }

    #[tokio::test]
    async fn a_call_is_judged_by_its_result() {
        let circuit = Circuit::sender(RULE);
        for _ in 0..3 {
            assert_eq!(circuit.call(async { 5 }, |result| *result == 4).await, Ok(5));
        }
        assert!(circuit.call(async { 4 }, |_| true).await.is_err());
    }
}
