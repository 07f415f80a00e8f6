//! What is done to the processes, the servers and the ways between them.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use telegram_sim::bot_api::{Fault, FaultAction};
use telegram_sim::mtproto::faults::{Action, Fault as AccountFault};
use testservers::{RabbitMq, State};

use crate::replica::{Replica, To};
use crate::stage::Stage;
use crate::watchdog::watchdog_of;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// One of those that answer requests.
    Api(usize),
    /// One of the workers.
    Worker(usize),
}

/// One thing that is done.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Nothing, for so many milliseconds.
    Wait(u64),
    /// `kill -9`.
    Kill(Who),
    /// It is started again and is ready.
    Start(Who),
    /// It is ended in order.
    Stop(Who),
    /// `SIGSTOP`.
    Freeze(Who),
    /// `SIGCONT`.
    Thaw(Who),
    /// `SIGSTOP` of a worker and of its watchdog.
    FreezeAll(usize),
    /// `SIGCONT` of both.
    ThawAll(usize),
    /// A worker is killed by its watchdog.
    Killed(usize),
    /// A way of a process changes.
    Way(Who, To, State),
    /// It is as usual again.
    Mend(Who, To),
    /// `kill -9` of all processes of PostgreSQL.
    KillPostgres,
    /// PostgreSQL is ended in order.
    StopPostgres,
    /// It is started again.
    StartPostgres,
    /// `kill -9` of RabbitMQ.
    KillBroker,
    /// All that RabbitMQ had written down is removed.
    WipeBroker,
    /// It is started again.
    StartBroker,
    /// RabbitMQ finds too little space on its disk: it takes nothing from anybody.
    DiskAlarm,
    /// It has enough space.
    DiskIsGood,
    /// Everything in Redis is removed.
    FlushRedis,
    /// `kill -9` of Redis.
    KillRedis,
    /// It is started again.
    StartRedis,
    /// Telegram has a trouble.
    Telegram(Trouble),
    /// It has none.
    TelegramIsGood,
}

/// What is wrong with Telegram.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// It takes half a second more for each message.
    Slow,
    /// It asks to wait for a second, or three.
    Limits,
    /// A gateway in front of it answers 502, whether it has taken the message or not.
    Fails,
    /// It takes messages, and its answers are lost.
    LosesAnswers,
}

impl Stage {
    /// Does one thing.
    pub async fn take(&mut self, step: Step) {
        match step {
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::Kill(who) => {
                let pid = self.replica(who).pid();
                self.replica(who).kill().await;
                self.count_on_the_wire(pid).await;
            }
            Step::Start(who) => self.replica(who).start().await,
            Step::Stop(who) => self.replica(who).stop().await,
            Step::Freeze(who) => self.replica(who).signal(Signal::STOP),
            Step::Thaw(who) => self.replica(who).signal(Signal::CONT),
            Step::FreezeAll(worker) => {
                let watchdog = watchdog_of(self.workers[worker].pid().unwrap()).unwrap();
                kill_process(watchdog, Signal::STOP).unwrap();
                self.workers[worker].signal(Signal::STOP);
                self.frozen = Some(watchdog);
                let pid = self.workers[worker].pid();
                self.count_on_the_wire(pid).await;
            }
            Step::ThawAll(worker) => {
                self.workers[worker].signal(Signal::CONT);
                kill_process(self.frozen.take().unwrap(), Signal::CONT).unwrap();
            }
            Step::Killed(worker) => {
                let pid = self.workers[worker].pid();
                self.workers[worker].ended().await;
                self.count_on_the_wire(pid).await;
            }
            Step::Way(who, to, state) => {
                let carried = self.replica(who).set(to, state).await;
                // Each connection of a bot has one message on its way at most.
                if to == To::Bots {
                    self.may_be_unknown += carried;
                }
            }
            Step::Mend(who, to) => drop(self.replica(who).set(to, to.usual()).await),
            Step::KillPostgres => tokio::task::block_in_place(|| self.postgres.kill()),
            Step::StopPostgres => tokio::task::block_in_place(|| self.postgres.stop()),
            Step::StartPostgres => tokio::task::block_in_place(|| self.postgres.start_again()),
            Step::KillBroker => tokio::task::block_in_place(|| self.rabbitmq.kill()),
            Step::WipeBroker => self.rabbitmq.wipe(),
            Step::StartBroker => tokio::task::block_in_place(|| self.rabbitmq.start_again()),
            Step::DiskAlarm => tokio::task::block_in_place(|| limit_disk(&self.rabbitmq, "100000GB")),
            Step::DiskIsGood => tokio::task::block_in_place(|| limit_disk(&self.rabbitmq, "1MB")),
            Step::FlushRedis => tokio::task::block_in_place(|| self.redis.flush()),
            Step::KillRedis => tokio::task::block_in_place(|| self.redis.kill()),
            Step::StartRedis => tokio::task::block_in_place(|| self.redis.start_again()),
            Step::Telegram(trouble) => self.trouble(trouble),
            Step::TelegramIsGood => self.end_trouble(),
        }
    }

    fn replica(&mut self, who: Who) -> &mut Replica {
        match who {
            Who::Api(number) => &mut self.apis[number],
            Who::Worker(number) => &mut self.workers[number],
        }
    }

    fn trouble(&self, trouble: Trouble) {
        let bots = |action| self.sim.add_fault(Fault::new(action).method("sendMessage"));
        let some_bots = |action, times| self.sim.add_fault(Fault::new(action).method("sendMessage").times(times));
        let accounts = |fault| self.sim.accounts().add_fault(fault);
        let send = "messages.sendMessage";
        match trouble {
            Trouble::Slow => {
                bots(FaultAction::Delay { ms: 500 });
                accounts(AccountFault::new(send, Action::Delay { ms: 500 }));
            }
            Trouble::Limits => {
                for (seconds, times) in [(1, 20), (3, 10), (1, 20)] {
                    let parameters = Some(json!({ "retry_after": seconds }));
                    let description = format!("Too Many Requests: retry after {seconds}");
                    some_bots(FaultAction::Error { error_code: 429, description, parameters }, times);
                    accounts(AccountFault::error(send, 420, &format!("FLOOD_WAIT_{seconds}")).times(times));
                }
            }
            Trouble::Fails => {
                for taken in [true, false].repeat(10) {
                    some_bots(FaultAction::Http { status: 502, body: String::new(), taken }, 1);
                }
                accounts(AccountFault::error(send, 500, "INTERNAL").times(20));
            }
            Trouble::LosesAnswers => {
                some_bots(FaultAction::CutAfter, 20);
                accounts(AccountFault::new(send, Action::TakeThenCut).times(20));
            }
        }
    }

    fn end_trouble(&mut self) {
        let is_unclear = |action: &FaultAction| matches!(action, FaultAction::Http { .. } | FaultAction::CutAfter);
        let unclear: u64 = self
            .sim
            .api()
            .faults()
            .list()
            .iter()
            .filter(|active| is_unclear(&active.fault.action))
            .map(|active| active.hits)
            .sum();
        self.may_be_unknown += usize::try_from(unclear).unwrap();
        self.sim.api().faults().clear();
        self.sim.accounts().clear_faults();
    }
}

fn limit_disk(rabbitmq: &RabbitMq, limit: &str) {
    rabbitmq.control(&["-q", "set_disk_free_limit", limit]);
}

/// A process that was stopped with its watchdog.
pub type Frozen = Option<Pid>;
