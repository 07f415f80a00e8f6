//! The role that owns senders and sends.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore, mpsc};

use super::Common;
use crate::{
    broadcasts::{feeder::Feeder, follow_up::FollowUps},
    files::Files,
    logins,
    platforms::{
        Platforms,
        telegram_accounts::{self, TelegramAccounts, waits},
        telegram_bots::{Shared, TelegramBots},
        telegram_client::Application,
    },
    questions::{Local, Questions},
    queue::{Arrived, BrokerHints, DatabaseHints, broker::Broker},
    settings::Settings,
    shutdown::Shutdown,
    tasks::{
        self, Executor, Kinds,
        channels::{ChannelCheck, ChannelRefresh, Look},
        local::DeadLetters,
        reseal::{KeyWatch, Reseal},
    },
    worker::{self, AllLimits, Context, Ownership},
};

/// What comes to the worker from the other parts of the service.
pub struct Arriving {
    /// Where hints from afar are put.
    pub hints: mpsc::UnboundedSender<Arrived>,
    /// Hints of any kind.
    pub hints_in: mpsc::UnboundedReceiver<Arrived>,
    /// What people enter at their logins.
    pub logins_in: mpsc::UnboundedReceiver<logins::Input>,
}

/// A worker that runs.
pub struct Started {
    pub ownership: Arc<Ownership>,
    pub questions: Arc<Questions>,
}

/// Enters the worker and starts its tasks.
pub async fn start(
    settings: &Settings,
    common: Common,
    application: Option<Application>,
    arriving: Arriving,
    shutdown: &Shutdown,
) -> Result<Started, sqlx::Error> {
    let (pool, stop) = (common.pool.clone(), shutdown.soft.clone());
    let ownership = Arc::new(Ownership::new());
    ownership.renew(&pool).await?;
    let accounts_configured = application.is_some();
    let letters = DeadLetters::kept(pool.clone(), stop.clone());
    let accounts = accounts(settings, &common, application, &ownership, letters.clone(), shutdown);
    let shared = Shared::new(
        settings,
        pool.clone(),
        (common.bot_api.clone(), common.bot_api_circuit.clone()),
        common.hints.clone(),
        common.inbox.clone(),
        ownership.clone(),
        common.files.clone(),
    );
    let limits = AllLimits::new(&settings.telegram).bot;
    let bots = TelegramBots::start(shared, common.sealer.clone(), limits, letters.clone(), stop.clone());
    let local = Local { worker_id: ownership.worker_id, accounts: accounts.clone(), bots: bots.clone() };
    let questions = Questions::new(pool.clone(), common.sealer.clone(), Some(local));
    let look = Look { questions: questions.clone(), hints: common.hints.clone(), settings: settings.channels.clone() };
    let kinds = Kinds::usual()
        .with(ChannelRefresh(look.clone()))
        .with(ChannelCheck(look))
        .with(Reseal(common.sealer.clone()))
        .with(KeyWatch { sealer: common.sealer.clone(), rotate_after: settings.keys.rotate_after })
        .with_local(accounts.care())
        .with_local(bots.probes());
    let failover = settings.channels.failover;
    let platforms = Platforms::new(pool.clone(), bots, accounts.clone(), common.hints.clone(), failover);
    let give_up = settings.telegram.give_up_after;
    let hints = common.hints.clone();
    let context = Context::new(pool.clone(), ownership.clone(), platforms, letters, hints, give_up, stop.clone());
    let kinds = kinds.with_local(context.reconnects.clone());
    if accounts_configured {
        drive_logins(&common, &accounts, &ownership, arriving.logins_in, shutdown);
    }
    let wake = Arc::new(Notify::new());
    let feeder = Feeder { pool: pool.clone(), hints: common.hints.clone(), failover };
    tokio::spawn(feeder.run(stop.clone()));
    tokio::spawn(FollowUps { pool: pool.clone(), questions: questions.clone() }.run(stop.clone()));
    let executor = executor(settings, kinds, &context, common.files.clone(), wake.clone());
    executor.arm().await?;
    context.tasks.spawn(executor.run());
    shutdown.tasks.spawn(worker::run(context, arriving.hints_in));
    if let Some(broker) = Broker::configured(&settings.broker) {
        let worker_id = ownership.worker_id;
        tokio::spawn(BrokerHints::listen(broker, worker_id, arriving.hints.clone(), wake.clone(), stop.clone()));
    }
    // Also with a broker: it may be away.
    tokio::spawn(DatabaseHints::listen(pool, arriving.hints, wake, stop));
    Ok(Started { ownership, questions })
}

fn accounts(
    settings: &Settings,
    common: &Common,
    application: Option<Application>,
    ownership: &Arc<Ownership>,
    letters: DeadLetters,
    shutdown: &Shutdown,
) -> Arc<TelegramAccounts> {
    let parts = telegram_accounts::Parts {
        pool: common.pool.clone(),
        sealer: common.sealer.clone(),
        application,
        ownership: ownership.clone(),
        limits: AllLimits::new(&settings.telegram).account,
        probe_every: settings.telegram.account_probe,
        connects_per_second: settings.telegram.account_connects_per_second,
        peer_flood: settings.telegram.peer_flood,
        hints: common.hints.clone(),
        files: common.files.clone(),
        letters,
    };
    TelegramAccounts::start(parts, shutdown.soft.clone())
}

fn drive_logins(
    common: &Common,
    accounts: &Arc<TelegramAccounts>,
    ownership: &Arc<Ownership>,
    inputs: mpsc::UnboundedReceiver<logins::Input>,
    shutdown: &Shutdown,
) {
    let drivers = Arc::new(logins::Context {
        pool: common.pool.clone(),
        sealer: common.sealer.clone(),
        accounts: accounts.clone(),
        ownership: ownership.clone(),
        hints: common.hints.clone(),
        stop: shutdown.soft.clone(),
        writing: Semaphore::new(logins::WRITERS),
    });
    shutdown.tasks.spawn(logins::manager::run(drivers.clone(), common.logins.clone(), inputs));
    shutdown.tasks.spawn(logins::leaving::run(drivers.clone()));
    shutdown.tasks.spawn(logins::former::run(drivers));
    tokio::spawn(common.logins.clone().listen(shutdown.soft.clone()));
    tokio::spawn(waits::run(common.pool.clone(), shutdown.soft.clone()));
}

/// Runs background tasks in the name of the worker. What still runs shortly before the hard end is given back.
fn executor(settings: &Settings, kinds: Kinds, worker: &Context, files: Files, wake: Arc<Notify>) -> Arc<Executor> {
    let context = tasks::Context {
        pool: worker.pool.clone(),
        files,
        retention: settings.retention.clone(),
        stop: worker.stop.clone(),
    };
    let grace = settings.http.shutdown.mul_f64(0.7);
    Executor::new(context, kinds, worker.ownership.clone(), wake, grace)
}
