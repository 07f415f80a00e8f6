//! What hangs takes its own places only.

use futures::future::join_all;
use serde_json::json;

use crate::common::app::{BOTS, TestApp};
use crate::common::eventually;

/// With so few connections, what hangs would soon have all of them.
const FEW: (&str, &str) = ("INTEGRATIONS_DATABASE__MAX_CONNECTIONS", "2");

#[tokio::test]
async fn a_worker_whose_statements_hang_leaves_the_api_its_connections() {
    let app = TestApp::start_with(&[FEW]).await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    app.until(app.send(&bot, chat, "before").await, "sent").await;
    // Background tasks, looks at broadcasts and sweeps wait for these locks.
    let mut locked = app.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE tasks, broadcasts, sender_leases, workers IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *locked)
        .await
        .unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query NOT LIKE 'FETCH%'";
    eventually("the worker hangs", async || {
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&app.pool).await.unwrap() >= 2
    })
    .await;
    for n in 0..10 {
        assert_eq!(
            app.user.get(&format!("{BOTS}?limit={}", n + 1)).await.ok(200)["items"].as_array().unwrap().len(),
            1
        );
        app.user.patch(&bot.path(), &json!({ "settings": { "n": n } })).await.ok(200);
    }
    let accepted = app.send(&bot, chat, "meanwhile").await;
    locked.rollback().await.unwrap();
    app.until(accepted, "sent").await;
}

#[tokio::test]
async fn requests_that_hang_leave_the_worker_its_connections() {
    let app = TestApp::start_with(&[FEW]).await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    app.until(app.send(&bot, chat, "before").await, "sent").await;
    let mut locked = app.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE files IN ACCESS EXCLUSIVE MODE").execute(&mut *locked).await.unwrap();
    let hanging = (0..6).map(|_| app.user.get("/api/integrations/files"));
    let hang = async {
        for answer in join_all(hanging).await {
            assert!([200, 503].contains(&answer.status), "{}", answer.text);
        }
    };
    let deliver = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%files%'";
        eventually("requests hang", async || {
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(&app.pool).await.unwrap() >= 2
        })
        .await;
        let message = app.send(&bot, chat, "meanwhile").await;
        // Asked of the database: the API has no connection left.
        let status = "SELECT status FROM messages WHERE id = $1";
        eventually("it is sent", async || {
            sqlx::query_scalar::<_, String>(status).bind(message).fetch_one(&app.pool).await.unwrap() == "sent"
        })
        .await;
        locked.rollback().await.unwrap();
    };
    futures::join!(hang, deliver);
}
