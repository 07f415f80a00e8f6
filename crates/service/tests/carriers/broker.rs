//! The whole service on RabbitMQ, also while that is away.

use serde_json::Value;
use service::server::Roles;
use service::shutdown::Shutdown;
use testservers::RabbitMq;

use crate::common::app::{Bot, TestApp};
use crate::common::eventually;

async fn broker_state(app: &TestApp) -> String {
    let ready: Value = app.user.get("/health/ready").await.ok(200);
    let broker = ready["dependencies"].as_array().unwrap().iter().find(|one| one["name"] == "broker").unwrap();
    format!("{}: {}", broker["status"].as_str().unwrap(), broker["detail"].as_str().unwrap())
}

/// The counters of hints that came through a carrier.
async fn received(app: &TestApp, carrier: &str) -> u64 {
    let metrics = app.user.get("/metrics").await.text;
    let line = format!("integrations_hints_received_total{{carrier=\"{carrier}\"}} ");
    metrics.lines().find_map(|text| text.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
}

/// Sends through each bot, and waits for all.
async fn send_all(app: &TestApp, bots: &[(Bot, i64)], text: &str) {
    let mut messages = Vec::new();
    for (bot, chat) in bots {
        messages.push(app.send(bot, *chat, text).await);
    }
    app.until_all(&messages, "sent").await;
    for (bot, chat) in bots {
        assert_eq!(app.texts(bot, *chat).iter().filter(|arrived| *arrived == text).count(), 1, "once");
    }
}

/// The broker takes nothing when less is free on its disk.
fn leave_free(rabbitmq: &RabbitMq, limit: &str) {
    rabbitmq.control(&["-q", "set_disk_free_limit", limit]);
}

/// Does something with the server while the service, which shares this thread, goes on.
async fn meanwhile(mut rabbitmq: RabbitMq, work: impl FnOnce(&mut RabbitMq) + Send + 'static) -> RabbitMq {
    let done = tokio::task::spawn_blocking(move || {
        work(&mut rabbitmq);
        rabbitmq
    });
    done.await.unwrap()
}

#[tokio::test]
async fn messages_flow_while_the_broker_dies_forgets_and_comes_back() {
    let mut rabbitmq = RabbitMq::start();
    let app = TestApp::start_with(&[("INTEGRATIONS_BROKER__URL", &rabbitmq.url())]).await;
    let second = Shutdown::default();
    let roles = Roles { api: false, worker: true };
    service::server::start(&app.settings, roles, app.ground().await, &second).await.unwrap();
    eventually("the broker is used", async || broker_state(&app).await == "ok: RabbitMQ").await;
    let mut bots = Vec::new();
    for _ in 0..12 {
        let bot = app.connect_bot().await;
        let chat = app.person(&bot);
        bots.push((bot, chat));
    }
    eventually("each worker owns bots", async || {
        let owners = "SELECT count(DISTINCT worker_id) FROM sender_leases WHERE worker_id IS NOT NULL";
        sqlx::query_scalar::<_, i64>(owners).fetch_one(&app.pool).await.unwrap() == 2
    })
    .await;
    eventually("hints come through the broker", async || {
        send_all(&app, &bots, &format!("one {}", uuid::Uuid::now_v7())).await;
        received(&app, "broker").await > 0
    })
    .await;

    // It has no space left: it lets everybody connect, and takes nothing.
    let away = "unavailable: it cannot be reached: hints go through the database";
    let is_missed = async || {
        send_all(&app, &bots, &format!("missing {}", uuid::Uuid::now_v7())).await;
        broker_state(&app).await == away
    };
    rabbitmq = meanwhile(rabbitmq, |rabbitmq| leave_free(rabbitmq, "100000GB")).await;
    eventually("the broker without space is missed", is_missed).await;
    for _ in 0..10 {
        assert!(is_missed().await, "a connection alone is no sign that it takes hints");
    }
    rabbitmq = meanwhile(rabbitmq, |rabbitmq| leave_free(rabbitmq, "1MB")).await;
    eventually("the broker with space is used", async || broker_state(&app).await == "ok: RabbitMQ").await;

    rabbitmq = meanwhile(rabbitmq, RabbitMq::kill).await;
    send_all(&app, &bots, "without").await;
    eventually("the broker is missed", is_missed).await;

    // It comes back without its queues.
    rabbitmq.wipe();
    rabbitmq = meanwhile(rabbitmq, RabbitMq::start_again).await;
    eventually("the broker is used again", async || broker_state(&app).await == "ok: RabbitMQ").await;
    let before = received(&app, "broker").await;
    eventually("hints come through the broker again", async || {
        send_all(&app, &bots, &format!("again {}", uuid::Uuid::now_v7())).await;
        received(&app, "broker").await > before
    })
    .await;

    // Everything in it is purged while messages flow.
    for n in 0..2 {
        rabbitmq = meanwhile(rabbitmq, |rabbitmq| {
            let queues = rabbitmq.control(&["-q", "list_queues", "name"]);
            for queue in queues.lines().filter(|line| line.starts_with("integrations.")) {
                rabbitmq.control(&["-q", "purge_queue", queue.trim()]);
            }
        })
        .await;
        send_all(&app, &bots, &format!("purged {n}")).await;
    }
    second.soft.cancel();
    second.wait().await;
}
