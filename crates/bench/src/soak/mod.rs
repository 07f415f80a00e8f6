//! A day compressed: a service with people and bots whose accounts come and go, who send and are written to, whose connections are
//! cut and whose sessions end, and which is itself ended and killed now and then.
//!
//! The run is a row of cycles. Each is some turmoil, and then a calm: everybody stops, everything comes to rest, every message is
//! accounted for, three days pass for what is over, the service removes it, and then memory, descriptors, threads and rows are
//! measured. The service is restarted in the first and in the last fifth of the run; in between, one process lives through
//! everything else, so that what it leaks adds up.
//!
//! - [`stage`]: what everybody shares; [`people`]: logins and log-outs; [`traffic`]: sends, readers, trouble at Telegram;
//! - [`reckoning`]: what became of everything; [`database`]: rows and nights; [`flat`]: what grew;
//! - [`verdict`]: the table and the sentence at the end.

mod database;
mod flat;
mod people;
mod reckoning;
mod stage;
mod traffic;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use self::database::Database;
use self::flat::Sample;
use self::stage::Stage;
use self::verdict::Measured;
use crate::Result;
use crate::cli::Options;
use crate::logins::with_accounts;
use crate::processes::{self, Part};
use crate::system::{Service, Target};

/// How long the turmoil of a cycle lasts in a long run, and in one of a few minutes.
const LONG: Duration = Duration::from_secs(40);
const SHORT: Duration = Duration::from_secs(8);
/// What a connection of an account takes at most, in MiB, as the measurement of thousands of accounts shows. How many people are
/// connected at the moment of a look is chance.
const BUFFERS: f64 = 0.03;
/// Nobody does anything for so long before something is measured.
const SETTLE: Duration = Duration::from_secs(3);
/// How long people may take to end what they are at.
const PATIENCE: Duration = Duration::from_mins(4);

/// Runs the soak and fails with a sentence when something grew, was lost or went wrong.
pub async fn run(options: &Options, minutes: u32, seed: u64) -> Result<()> {
    let (sim, service) = with_accounts(options).await?;
    let service = service.with_more(vec![
        // A line that says nothing is noticed within a cycle.
        ("INTEGRATIONS_TELEGRAM__ACCOUNT_PROBE_SECONDS", "5".to_owned()),
        ("INTEGRATIONS_TELEGRAM__REQUEST_TIMEOUT_SECONDS", "5".to_owned()),
        ("INTEGRATIONS_RETENTION__MESSAGES_DAYS", "1".to_owned()),
        ("INTEGRATIONS_RETENTION__EVENTS_HOURS", "24".to_owned()),
        ("INTEGRATIONS_RETENTION__LOGS_DAYS", "1".to_owned()),
        ("INTEGRATIONS_RETENTION__LOGINS_DAYS", "1".to_owned()),
        ("INTEGRATIONS_RETENTION__DONE_TASKS_HOURS", "24".to_owned()),
        ("INTEGRATIONS_RETENTION__DEAD_TASKS_DAYS", "1".to_owned()),
        ("INTEGRATIONS_RETENTION__STATISTICS_DAYS", "1".to_owned()),
    ]);
    println!("{}\n{minutes} minutes with --seed {seed}", crate::report::machine(options));
    let mut soak = Soak { service, sim, rng: StdRng::seed_from_u64(seed), log_read: 0, samples: Vec::new() };
    let lived = soak.live(Duration::from_mins(minutes.into())).await;
    let stopped = soak.service.stop().await;
    let stage = lived?;
    stopped?;
    verdict::pass(&stage, &soak.samples)
}

struct Soak {
    service: Service,
    sim: Arc<telegram_sim::Sim>,
    rng: StdRng,
    log_read: u64,
    samples: Vec<Measured>,
}

/// How the service is to end in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Term,
    Kill,
}

impl Soak {
    async fn live(&mut self, length: Duration) -> Result<Arc<Stage>> {
        let mut target = self.service.ready(0, true).await?;
        let stage = Arc::new(Stage::new(self.sim.clone(), target.endpoint.clone()).await?);
        let listener = tokio::spawn(stage.clone().listen());
        let turmoil = if length > Duration::from_mins(5) { LONG } else { SHORT };
        let begun = Instant::now();
        let mut life = 1;
        for cycle in 1.. {
            let gone = begun.elapsed().as_secs_f64() / length.as_secs_f64();
            if gone >= 1.0 {
                break;
            }
            let ending = self.ending(cycle, gone);
            target = self.turmoil(&stage, target, turmoil, ending).await?;
            life += u32::from(ending.is_some());
            let sample = self.calm(&stage, &target, ending == Some(Ending::Kill)).await?;
            let at = begun.elapsed();
            println!("cycle {cycle} at {:.0} s, life {life}: {}", at.as_secs_f64(), verdict::line(&sample));
            self.samples.push(Measured { life, sample });
        }
        listener.abort();
        Ok(stage)
    }

    /// Every other cycle in the first and in the last fifth; the first time by `kill -9`.
    fn ending(&mut self, cycle: u32, gone: f64) -> Option<Ending> {
        let may = !(0.2..0.8).contains(&gone) && cycle % 2 == 1;
        may.then(|| if cycle == 1 || self.rng.random_bool(0.5) { Ending::Kill } else { Ending::Term })
    }

    /// Everybody does as they like for a while; meanwhile, the service may end and be started again.
    async fn turmoil(
        &mut self,
        stage: &Arc<Stage>,
        target: Target,
        length: Duration,
        ending: Option<Ending>,
    ) -> Result<Target> {
        stage.over.store(false, Relaxed);
        let mut everybody = self.everybody(stage);
        let begun = Instant::now();
        let mut target = target;
        if let Some(ending) = ending {
            tokio::time::sleep(length.mul_f64(self.rng.random_range(0.2..0.7))).await;
            target = match ending {
                Ending::Term => self.service.restart().await?,
                Ending::Kill => self.service.kill_and_restart().await?,
            };
            stage.moved(target.endpoint.clone());
            stage.count(if ending == Ending::Kill { "restarts by kill -9" } else { "restarts by SIGTERM" });
        }
        tokio::time::sleep(length.saturating_sub(begun.elapsed())).await;
        stage.over.store(true, Relaxed);
        // Nobody has to wait any more for lines that say nothing, or for trouble that nobody met.
        stage.sim.accounts().silence(None, false)?;
        stage.sim.accounts().clear_faults();
        stage.sim.api().faults().clear();
        let ended = async {
            while let Some(one) = everybody.join_next().await {
                one??;
            }
            Result::Ok(())
        };
        tokio::time::timeout(PATIENCE, ended).await.map_err(|_| "somebody did not end what they were at")??;
        Ok(target)
    }

    fn everybody(&mut self, stage: &Arc<Stage>) -> JoinSet<Result<()>> {
        let mut everybody = JoinSet::new();
        let mut rng = || StdRng::seed_from_u64(self.rng.random());
        for _ in 0..3 {
            let (stage, rng) = (stage.clone(), rng());
            everybody.spawn(async move { people::come_and_go(&stage, rng).await });
        }
        for _ in 0..8 {
            let (stage, rng) = (stage.clone(), rng());
            everybody.spawn(async move { traffic::send(&stage, rng).await });
        }
        for _ in 0..3 {
            let (stage, rng) = (stage.clone(), rng());
            everybody.spawn(async move { traffic::read_events(&stage, rng).await });
        }
        let (shared, chances) = (stage.clone(), rng());
        everybody.spawn(async move { traffic::write(&shared, chances).await });
        let (shared, chances) = (stage.clone(), rng());
        everybody.spawn(async move { traffic::trouble(&shared, chances).await });
        everybody
    }

    /// Everything comes to rest and is accounted for, a night passes, and what is left is measured.
    async fn calm(&mut self, stage: &Stage, target: &Target, killed: bool) -> Result<Sample> {
        let folder = self.service.folder().ok_or("the service does not run")?;
        let mut database = Database::connect(folder).await?;
        reckoning::come_to_rest(stage, &mut database).await?;
        reckoning::reckon(stage, &mut database, killed).await?;
        database.night().await?;
        tokio::time::sleep(SETTLE).await;
        let mut sample = Sample::new();
        for (table, rows) in database.rows().await? {
            sample.insert(format!("rows of {table}"), to_number(rows));
        }
        // Whose rows stay, as it is meant.
        let size = "SELECT pg_database_size(current_database())
                        - (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
                           WHERE inhparent = 'audit_log'::regclass)::bigint";
        let size = database.number(size).await?;
        sample.insert("database but audit_log, MiB".to_owned(), to_number(size) / f64::from(1 << 20));
        let others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'integrations'";
        sample.insert("database connections".to_owned(), to_number(database.number(others).await?));
        database.close().await?;
        self.measure(target, &mut sample)?;
        self.log_read = reckoning::read_log(stage, self.service.log(), self.log_read)?;
        Ok(sample)
    }

    fn measure(&self, target: &Target, sample: &mut Sample) -> Result<()> {
        let service = *target.roots.first().ok_or("the service has no process")?;
        let folder = self.service.folder().ok_or("the service does not run")?;
        // One that outlived a killed service is no child of the next.
        let pid = std::fs::read_to_string(folder.join("postgres/cluster/postmaster.pid"))?;
        let postgres = pid.lines().next().unwrap_or_default().parse()?;
        let memory = processes::memory(&[service, postgres]);
        let open = u32::try_from(self.sim.accounts().counters().connections_open)?;
        sample.insert("connections to Telegram".to_owned(), open.into());
        let own = memory.get(&Part::Service).copied().unwrap_or_default();
        sample.insert("service, MiB".to_owned(), own);
        sample.insert("service without buffers, MiB".to_owned(), own - f64::from(open) * BUFFERS);
        sample.insert("PostgreSQL, MiB".to_owned(), memory.get(&Part::Postgres).copied().unwrap_or_default());
        let descriptors = f64::from(u32::try_from(processes::entries(service, "fd")?)?);
        sample.insert("descriptors".to_owned(), descriptors);
        sample.insert("descriptors but those to Telegram".to_owned(), descriptors - f64::from(open));
        let threads = f64::from(u32::try_from(processes::entries(service, "task")?)?);
        sample.insert("threads".to_owned(), threads);
        Ok(())
    }
}

/// Counts here are far below the 2^53 that fit.
fn to_number(count: i64) -> f64 {
    i32::try_from(count).map_or(f64::MAX, f64::from)
}
