//! What goes wrong, and what must hold meanwhile.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use testservers::State;

use crate::replica::To;
use crate::steps::Step::{self, *};
use crate::steps::Trouble;
use crate::steps::Who::{self, Api, Worker};

/// The share of requests that must be accepted while one replica, the broker or Redis is away, in percent.
const ALWAYS: Option<f64> = Some(99.9);

/// A fault.
pub struct Scenario {
    /// What happens, in words.
    pub name: &'static str,
    /// What is done.
    pub steps: Vec<Step>,
    /// The share of requests that must be accepted at once or by the other replica, in percent.
    pub success: Option<f64>,
}

/// Which faults are played, and how.
pub struct Plan {
    /// All of them.
    pub scenarios: Vec<Scenario>,
    /// Messages that are offered in a second.
    pub per_second: u32,
    /// How long the load goes on before a fault, and after everything is well again.
    pub around: Duration,
    /// How long a request waits for its answer.
    pub patience: Duration,
    /// Of the random moments.
    pub seed: u64,
}

impl Plan {
    /// As the environment asks for.
    pub fn from_environment() -> Self {
        let words = std::env::var("RELIABILITY").unwrap_or_default();
        let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
        let seed = number("RELIABILITY_SEED").unwrap_or_else(rand::random);
        println!("RELIABILITY_SEED={seed}");
        let is_short = words.is_empty();
        let scenarios = if is_short { short() } else { all(seed) };
        let is_wanted = |scenario: &Scenario| {
            is_short || words == "all" || words.split(',').any(|word| scenario.name.contains(word))
        };
        Self {
            scenarios: scenarios.into_iter().filter(is_wanted).collect(),
            per_second: number("RELIABILITY_RATE")
                .map_or(if is_short { 40 } else { 200 }, |rate| rate.try_into().unwrap()),
            around: Duration::from_secs(if is_short { 1 } else { 4 }),
            // In the short form, beside other tests, a slow machine must not look like a failure.
            patience: Duration::from_secs(if is_short { 30 } else { 5 }),
            seed,
        }
    }

    /// So few messages under way are no backlog: those of half a second.
    pub fn backlog(&self) -> usize {
        usize::try_from(self.per_second / 2).unwrap()
    }
}

fn scenario<const N: usize>(name: &'static str, steps: [Step; N]) -> Scenario {
    Scenario { name, steps: steps.to_vec(), success: None }
}

impl Scenario {
    fn succeeding(self) -> Self {
        Self { success: ALWAYS, ..self }
    }
}

/// One of each kind, one after the other.
fn short() -> Vec<Scenario> {
    vec![
        scenario("an API process killed", [Kill(Api(0)), Wait(1000), Start(Api(0))]).succeeding(),
        scenario("a worker killed", [Kill(Worker(0)), Wait(1000), Start(Worker(0))]).succeeding(),
        scenario("PostgreSQL killed in the middle of commits", [KillPostgres, Wait(1000), StartPostgres]),
        scenario("RabbitMQ killed, its queues wiped", [KillBroker, WipeBroker, StartBroker]).succeeding(),
        scenario("Redis killed", [KillRedis, Wait(2000), StartRedis]).succeeding(),
        scenario("a worker cut from the database", cut(Worker(1), To::Database, State::Silent, 7000)),
        scenario("Telegram answers 502, then cannot be reached", bad_telegram()),
        scenario("each process ended in order and started again", rolling()).succeeding(),
    ]
}

/// All of them.
fn all(seed: u64) -> Vec<Scenario> {
    [processes(seed), servers(), ways(), telegram()].into_iter().flatten().collect()
}

fn processes(seed: u64) -> Vec<Scenario> {
    let killed = |who, ms| [Kill(who), Wait(ms), Start(who)];
    vec![
        scenario("API 1 killed", killed(Api(0), 4000)).succeeding(),
        scenario("API 2 killed", killed(Api(1), 4000)).succeeding(),
        scenario("worker 1 killed", killed(Worker(0), 8000)).succeeding(),
        scenario("worker 2 killed", killed(Worker(1), 8000)).succeeding(),
        Scenario { name: "processes killed at random", steps: random_kills(seed), success: ALWAYS },
        scenario("both APIs killed", [Kill(Api(0)), Kill(Api(1)), Wait(2000), Start(Api(0)), Start(Api(1))]),
        scenario(
            "both workers killed",
            [Kill(Worker(0)), Kill(Worker(1)), Wait(2000), Start(Worker(0)), Start(Worker(1))],
        )
        .succeeding(),
        scenario("API 1 stopped for 10 s (SIGSTOP)", [Freeze(Api(0)), Wait(10_000), Thaw(Api(0))]).succeeding(),
        scenario(
            "worker 1 stopped (SIGSTOP), killed by its watchdog",
            [Freeze(Worker(0)), Killed(0), Start(Worker(0))],
        )
        .succeeding(),
        scenario("worker 1 and its watchdog stopped for 10 s", [FreezeAll(0), Wait(10_000), ThawAll(0)]).succeeding(),
        scenario("each process ended in order (SIGTERM) and started again", rolling()).succeeding(),
    ]
}

fn servers() -> Vec<Scenario> {
    vec![
        scenario("PostgreSQL killed in the middle of commits", [KillPostgres, Wait(2000), StartPostgres]),
        scenario(
            "PostgreSQL killed three times",
            [
                KillPostgres,
                StartPostgres,
                Wait(2000),
                KillPostgres,
                StartPostgres,
                Wait(700),
                KillPostgres,
                StartPostgres,
            ],
        ),
        scenario("PostgreSQL restarted in order", [StopPostgres, StartPostgres]),
        scenario("PostgreSQL away for 15 s", [StopPostgres, Wait(15_000), StartPostgres]),
        scenario("RabbitMQ killed, its queues wiped", [KillBroker, WipeBroker, Wait(2000), StartBroker]).succeeding(),
        scenario("RabbitMQ away for 30 s", [KillBroker, Wait(30_000), StartBroker]).succeeding(),
        scenario("RabbitMQ's disk alarm for 20 s", [DiskAlarm, Wait(20_000), DiskIsGood]).succeeding(),
        scenario("Redis flushed", [FlushRedis, Wait(1000), FlushRedis]).succeeding(),
        scenario("Redis killed and away for 15 s", [KillRedis, Wait(15_000), StartRedis]).succeeding(),
    ]
}

fn ways() -> Vec<Scenario> {
    let [api, worker] = [Api(0), Worker(0)];
    vec![
        scenario("worker 1 cut from the database", cut(worker, To::Database, State::Cut, 12_000)).succeeding(),
        scenario("worker 1's way to the database silent (half-open)", cut(worker, To::Database, State::Silent, 12_000))
            .succeeding(),
        scenario("API 1's way to the database silent (half-open)", cut(api, To::Database, State::Silent, 12_000))
            .succeeding(),
        scenario(
            "all ways to the database 20 ms longer",
            over_all(To::Database, State::Slow(Duration::from_millis(20)), 12_000),
        ),
        scenario("worker 1 cut from RabbitMQ", cut(worker, To::Broker, State::Cut, 8000)).succeeding(),
        scenario("API 1's way to RabbitMQ silent (half-open)", cut(api, To::Broker, State::Silent, 12_000))
            .succeeding(),
        scenario("API 1's way to Redis silent (half-open)", cut(api, To::Redis, State::Silent, 8000)).succeeding(),
        scenario(
            "worker 1 cut from Telegram",
            [
                Way(worker, To::Accounts, State::Silent),
                Way(worker, To::Bots, State::Gone),
                Wait(12_000),
                Mend(worker, To::Bots),
                Mend(worker, To::Accounts),
            ],
        )
        .succeeding(),
    ]
}

fn telegram() -> Vec<Scenario> {
    let trouble = |trouble| [Telegram(trouble), Wait(8000), TelegramIsGood];
    vec![
        scenario("Telegram half a second slower", trouble(Trouble::Slow)).succeeding(),
        scenario("Telegram asks to wait (429)", trouble(Trouble::Limits)).succeeding(),
        scenario("Telegram answers 502", trouble(Trouble::Fails)).succeeding(),
        scenario("Telegram's answers are lost", trouble(Trouble::LosesAnswers)).succeeding(),
        scenario("Telegram gone for 10 s", gone()).succeeding(),
    ]
}

/// A way of a process is in a state for so long.
fn cut(who: Who, to: To, state: State, ms: u64) -> [Step; 3] {
    [Way(who, to, state), Wait(ms), Mend(who, to)]
}

/// The ways of all processes are in a state for so long.
fn over_all(to: To, state: State, ms: u64) -> [Step; 9] {
    let [a, b, c, d] = [Api(0), Api(1), Worker(0), Worker(1)];
    let way = |who| Way(who, to, state);
    let open = |who| Mend(who, to);
    [way(a), way(b), way(c), way(d), Wait(ms), open(a), open(b), open(c), open(d)]
}

fn gone() -> [Step; 9] {
    let gone = |worker, to| Way(Worker(worker), to, State::Gone);
    let back = |worker, to| Mend(Worker(worker), to);
    [
        gone(0, To::Bots),
        gone(1, To::Bots),
        gone(0, To::Accounts),
        gone(1, To::Accounts),
        Wait(10_000),
        back(0, To::Bots),
        back(1, To::Bots),
        back(0, To::Accounts),
        back(1, To::Accounts),
    ]
}

fn bad_telegram() -> [Step; 8] {
    let gone = |worker| Way(Worker(worker), To::Bots, State::Gone);
    let back = |worker| Mend(Worker(worker), To::Bots);
    [Telegram(Trouble::Fails), Wait(1000), TelegramIsGood, gone(0), gone(1), Wait(2000), back(0), back(1)]
}

/// One after the other; there are always others.
fn rolling() -> [Step; 8] {
    let [a, b, c, d] = [Api(0), Worker(0), Api(1), Worker(1)];
    [Stop(a), Start(a), Stop(b), Start(b), Stop(c), Start(c), Stop(d), Start(d)]
}

fn random_kills(seed: u64) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let all = [Api(0), Api(1), Worker(0), Worker(1)];
    let mut kill = || {
        let who = all[random.random_range(0..all.len())];
        [Wait(random.random_range(0..2000)), Kill(who), Wait(random.random_range(0..3000)), Start(who)]
    };
    (0..8).flat_map(|_| kill()).collect()
}
