//! The cache of hot reads: every carrier does the same. No read is older than what was committed when it came, over two processes,
//! whoever writes.

use serde_json::{Value, json};
use service::auth::Scope;
use service::server::Roles;
use service::shutdown::Shutdown;
use testservers::Redis;

use crate::common::app::{BOTS, TestApp};
use crate::common::client::Client;
use crate::common::eventually;

/// Two processes with an API on one database.
struct Two {
    app: TestApp,
    second: Shutdown,
    here: Client,
    there: Client,
}

impl Two {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let app = TestApp::start_with(settings).await;
        let second = Shutdown::default();
        let roles = Roles { api: true, worker: false };
        let address = service::server::start(&app.settings, roles, app.ground().await, &second).await.unwrap().unwrap();
        let there = Client { base: format!("http://{address}"), ..app.user.clone() };
        Self { here: app.user.clone(), there, app, second }
    }

    async fn stop(self) {
        self.second.soft.cancel();
        self.second.wait().await;
    }

    /// How many reads had this result, in both processes together.
    async fn reads(&self, result: &str) -> u64 {
        let metrics = self.here.get("/metrics").await.text;
        let line = format!("integrations_hot_reads_total{{result=\"{result}\"}} ");
        metrics.lines().find_map(|text| text.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
    }

    /// What both answer, which must be the same.
    async fn both(&self, path: &str) -> Value {
        let (here, there) = (self.here.get(path).await, self.there.get(path).await);
        assert_eq!(here.headers.get("content-type"), there.headers.get("content-type"));
        assert_eq!(here.text, there.text);
        here.ok(200)
    }
}

async fn suite(two: &Two) {
    let app = &two.app;
    let (first, other) = (app.connect_bot().await, app.connect_bot().await);
    let list = &format!("{BOTS}?limit=50");
    assert_eq!(two.both(list).await["items"].as_array().unwrap().len(), 2);

    // Again and again: from the cache, and the same.
    let misses = two.reads("miss").await;
    for _ in 0..5 {
        assert_eq!(two.both(list).await["items"][0]["id"], json!(other.id));
    }
    assert_eq!(two.reads("miss").await, misses, "all were answered by the cache");
    assert!(two.reads("near").await >= 10);

    // A write in one process shows in the other at once, each time.
    for n in 0..20 {
        let (writer, reader) = if n % 2 == 0 { (&two.here, &two.there) } else { (&two.there, &two.here) };
        writer.patch(&first.path(), &json!({ "settings": { "n": n } })).await.ok(200);
        assert_eq!(reader.get(list).await.ok(200)["items"][1]["settings"]["n"], n);
        assert_eq!(reader.get(&first.path()).await.ok(200)["settings"]["n"], n);
        assert_eq!(two.both(list).await["items"][1]["settings"]["n"], n);
    }

    // So does what an administrator, a worker or somebody at the database changes.
    app.admin().patch(&first.path(), &json!({ "is_active": false })).await.ok(200);
    assert_eq!(two.both(list).await["items"][1]["status"], "off");
    let chat = app.person(&other);
    app.sim.world().lock().revoke_token(other.telegram_id, false);
    app.send(&other, chat, "meets a dead token").await;
    let marked = async || two.here.get(&other.path()).await.ok(200)["status"] == "token_revoked";
    eventually("the bot is marked", marked).await;
    assert_eq!(two.both(&other.path()).await["status"], "token_revoked");
    assert_eq!(two.both(list).await["items"][0]["status"], "token_revoked");
    sqlx::query("UPDATE telegram_bots SET name = 'Renamed' WHERE id = $1")
        .bind(first.id)
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(two.both(list).await["items"][1]["name"], "Renamed");

    // Nobody sees what is another's, or more than the token permits.
    assert_eq!(app.user(8).get(list).await.ok(200)["items"], json!([]));
    app.user(8).get(&first.path()).await.problem(404, "not_found");
    app.caller(crate::common::app::USER, &[Scope::MessagesSend]).get(list).await.problem(403, "forbidden");
    app.bearer(None).get(list).await.problem(401, "unauthorized");
    let unknown = format!("{BOTS}?limit=50&unknown=1");
    two.here.get(&unknown).await.problem(400, "invalid_parameter");

    two.there.delete(&first.path()).await.ok(204);
    assert_eq!(two.both(list).await["items"].as_array().unwrap().len(), 1);
    two.here.get(&first.path()).await.problem(404, "not_found");
}

/// Readers and writers at the same time: whoever has the answer to a write never reads something older afterwards.
async fn race(two: &Two) {
    let bot = two.app.connect_bot().await;
    let path = bot.path();
    let read = async |client: &Client| {
        let body = client.get(&path).await.ok(200);
        body["settings"]["n"].as_i64().unwrap_or_default()
    };
    let written = std::cell::Cell::new(0_i64);
    let writer = async {
        for n in 1..=100 {
            let client = if n % 3 == 0 { &two.here } else { &two.there };
            client.patch(&path, &json!({ "settings": { "n": n } })).await.ok(200);
            written.set(n);
        }
    };
    let reader = async |client: &Client| {
        while written.get() < 100 {
            let before = written.get();
            let seen = read(client).await;
            assert!(seen >= before, "{seen} was read after {before} was written");
        }
    };
    futures::join!(writer, reader(&two.here), reader(&two.there), reader(&two.here), reader(&two.there));
    // Many changes were put together meanwhile.
    let rows = "SELECT count(*) FROM user_changes WHERE user_id = 7";
    eventually("the changes are put together", async || {
        read(&two.here).await;
        sqlx::query_scalar::<_, i64>(rows).fetch_one(&two.app.pool).await.unwrap() <= store::generations::MANY
    })
    .await;
    assert_eq!((read(&two.here).await, read(&two.there).await), (100, 100));
}

#[tokio::test]
async fn memory_carries_reads() {
    let two = Two::start(&[]).await;
    suite(&two).await;
    race(&two).await;
    assert_eq!(two.reads("far").await, 0);
    two.app.leave_messages();
    two.stop().await;
}

#[tokio::test]
async fn redis_carries_reads_also_while_it_is_away() {
    let mut redis = Redis::start();
    let two = Two::start(&[("INTEGRATIONS_REDIS__URL", &redis.url())]).await;
    two.app.leave_messages();
    suite(&two).await;
    race(&two).await;
    let bot = two.app.connect_bot().await;
    eventually("one process reads what the other has kept", async || {
        let before = two.reads("far").await;
        two.here.patch(&bot.path(), &json!({ "settings": {} })).await.ok(200);
        two.here.get(&bot.path()).await.ok(200);
        // What is kept there arrives a moment later.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        two.there.get(&bot.path()).await.ok(200);
        two.reads("far").await > before
    })
    .await;

    redis.kill();
    race(&two).await;
    redis.start_again();
    race(&two).await;
    two.stop().await;
}

#[tokio::test]
async fn without_a_cache_every_read_is_the_databases() {
    let two = Two::start(&[("INTEGRATIONS_CACHE__MEMORY_BYTES", "0")]).await;
    two.app.connect_bot().await;
    for _ in 0..3 {
        assert_eq!(two.both(BOTS).await["items"].as_array().unwrap().len(), 1);
    }
    assert_eq!((two.reads("near").await, two.reads("miss").await), (0, 0));
    two.stop().await;
}
