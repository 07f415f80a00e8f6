//! The roles as processes of their own, on one configured PostgreSQL.

use sqlx::{ConnectOptions, PgConnection, postgres::PgListener};
use testdb::TestDb;

use crate::stage::{Moment, Stage, all_final};
use crate::support::{Api, Machine, Service, arrived, must_end, until};
use crate::traffic::{BOTS, CHATS, MESSAGES};

/// Machines over one database, with the keyring of the first.
struct Site {
    database: TestDb,
    stage: Stage,
    api: Machine,
    workers: Vec<Machine>,
}

impl Site {
    async fn new(workers: usize) -> Self {
        let database = TestDb::empty().await;
        let stage = Stage::new().await;
        let url = database.options().to_url_lossy();
        let machine = || {
            stage.machine().with("INTEGRATIONS_DATABASE__URL", &url).with("INTEGRATIONS_DATABASE__MAX_CONNECTIONS", 8)
        };
        let (api, workers): (_, Vec<_>) = (machine(), (0..workers).map(|_| machine()).collect());
        // Makes the keyring.
        api.token().await;
        for worker in &workers {
            std::fs::create_dir(worker.data()).unwrap();
            std::fs::copy(api.data().join("keyring.json"), worker.data().join("keyring.json")).unwrap();
        }
        Self { database, stage, api, workers }
    }

    async fn serve(machine: &Machine, roles: &str) -> Service {
        let mut service = Service::spawn(machine.command(&["serve", "--roles", roles]));
        service.ready().await;
        service
    }

    async fn connect(&self) -> PgConnection {
        self.database.options().connect().await.unwrap()
    }

    /// The process of the worker that owns most senders, and how many.
    async fn largest_worker(&self) -> Option<(i32, i64)> {
        let owners = "SELECT w.pid, count(*) FROM sender_leases l JOIN workers w ON w.id = l.worker_id
                      GROUP BY w.pid ORDER BY 2 DESC LIMIT 1";
        sqlx::query_as(owners).fetch_optional(&mut self.connect().await).await.unwrap()
    }
}

fn pid(service: &Service) -> i32 {
    service.pid().as_raw_nonzero().get()
}

#[tokio::test]
async fn what_one_process_accepts_another_one_delivers_on_a_hint() {
    let mut site = Site::new(1).await;
    let front = Site::serve(&site.api, "api").await;
    let worker = Site::serve(&site.workers[0], "worker").await;
    let api = Api::new(&front.url(), &site.api.token().await);
    site.stage.connect_bots(&api).await;
    let pool = store::connect(site.database.options(), 1).await.unwrap();
    let mut hints = PgListener::connect_with(&pool).await.unwrap();
    hints.listen("integrations_hints").await.unwrap();

    let (bot, telegram) = &site.stage.bots[0];
    let id = api.send(*bot, telegram.chats[0], "over-there").await;
    // Those of the bots that were just connected may come before it.
    must_end("the hint comes", async {
        while !hints.recv().await.unwrap().payload().contains(&bot.simple().to_string()) {}
    })
    .await;
    until("it is sent", async || api.status(id).await == "sent").await;
    assert_eq!(site.stage.sim.arrived("over-there"), 1);
    let all = i64::try_from(site.stage.bots.len()).unwrap();
    until("it owns them all, also the idle ones", async || site.largest_worker().await == Some((pid(&worker), all)))
        .await;
    worker.stop().await;

    // Without a worker it waits, and a worker that comes later finds it.
    let id = api.send(*bot, telegram.chats[0], "later").await;
    assert_eq!(api.status(id).await, "queued");
    let worker = Site::serve(&site.workers[0], "worker").await;
    until("it is sent", async || api.status(id).await == "sent").await;
    assert_eq!(arrived(&site.stage.sim, ""), ["over-there", "later"]);
    worker.stop().await;
    front.stop().await;
}

#[tokio::test]
async fn a_worker_takes_over_from_one_that_was_killed() {
    let mut site = Site::new(2).await;
    let front = Site::serve(&site.api, "api").await;
    let api = Api::new(&front.url(), &site.api.token().await);
    site.stage.connect_bots(&api).await;
    let mut workers = Vec::new();
    for machine in &site.workers {
        workers.push(Site::serve(machine, "worker").await);
    }
    site.stage.slow_telegram();
    let moment = Moment::Arrived(MESSAGES / 2);
    let offering = site.stage.offer_until(moment, "r/", &api).await;
    let (victim, owned) = site.largest_worker().await.unwrap();
    let victim = workers.iter().position(|worker| pid(worker) == victim).unwrap();
    workers.swap_remove(victim).kill().await;
    // The API does not depend on it.
    let traffic = offering.await.unwrap();
    all_final(&api).await;
    site.stage.sim.api().faults().clear();
    let tally = traffic.check(&api, &site.stage.sim).await;
    println!("a worker with {owned} of {BOTS} senders was killed: {tally:?}");
    assert_eq!(tally.absent, 0, "every message was accepted");
    assert!(tally.unknown <= usize::try_from(owned).unwrap() * CHATS, "only what it had on the wire");
    let rest = workers.remove(0);
    assert_eq!(site.largest_worker().await.map(|(pid, _)| pid), Some(pid(&rest)));

    // And both together go on after it came back.
    let machine = &site.workers[victim];
    let back = Site::serve(machine, "worker").await;
    let traffic = site.stage.offer_until(Moment::Accepted(MESSAGES), "again/", &api).await.await.unwrap();
    all_final(&api).await;
    assert_eq!(traffic.check(&api, &site.stage.sim).await.sent, MESSAGES);
    for service in [rest, back, front] {
        service.stop().await;
    }
}
