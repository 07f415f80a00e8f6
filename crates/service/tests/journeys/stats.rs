//! Statistics, and the log as CSV.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::common::app::{LOGS, TestApp};
use crate::common::client::Client;
use crate::common::eventually;

const STATS: &str = "/api/integrations/stats";

/// The statistics as soon as they are so.
async fn until(caller: &Client, query: &str, are_so: impl Fn(&Value) -> bool) -> Value {
    let seen = RefCell::new(Value::Null);
    eventually(&format!("the statistics {query}"), async || {
        *seen.borrow_mut() = caller.get(&format!("{STATS}?{query}")).await.ok(200);
        are_so(&seen.borrow())
    })
    .await;
    seen.into_inner()
}

#[tokio::test]
async fn what_became_of_messages_is_counted() {
    let app = TestApp::start().await;
    let (bot, other) = (app.connect_bot().await, app.connect_bot().await);
    for _ in 0..3 {
        app.until(app.send(&bot, app.person(&bot), "x").await, "sent").await;
    }
    app.until(app.send(&other, 1, "x").await, "failed").await;
    let later = json!({ "chat_id": 1, "text": "x", "scheduled_at": chrono::Utc::now() + chrono::TimeDelta::days(1) });
    let cancelled = app.send_body(&other, &later).await;
    app.change(cancelled, "cancel").await;
    let ends = |stats: &Value| (stats["total"]["sent"] == 3) && stats["total"]["cancelled"] == 1;
    let stats = until(&app.user, "", ends).await;
    let day = &stats["items"][0];
    assert_eq!((stats["items"].as_array().unwrap().len(), &day["day"]), (1, &stats["to"]));
    assert!(day["sender_id"].is_null() && stats["as_of"].is_string(), "{stats}");
    for counts in [day, &stats["total"]] {
        let told = ["sent", "failed", "unknown", "cancelled"].map(|name| counts[name].as_i64().unwrap());
        assert_eq!(told, [3, 1, 0, 1]);
        assert!(counts["own_ms"]["mean"].is_number() && counts["own_ms"]["p99"].is_number(), "{counts}");
        assert_eq!(counts["imposed_wait_ms"]["p99"], 0.0);
    }
    let by_sender = app.user.get(&format!("{STATS}?group_by=sender,platform,route")).await.ok(200);
    let mut rows: Vec<_> = by_sender["items"].as_array().unwrap().clone();
    rows.sort_by_key(|row| row["failed"].as_i64());
    let row = |n: usize| ["sender_id", "platform", "route", "sent", "failed"].map(|name| rows[n][name].clone());
    assert_eq!(row(0), [json!(bot.id), json!("telegram"), json!("bot"), json!(3), json!(0)]);
    assert_eq!(row(1), [json!(other.id), json!("telegram"), json!("bot"), json!(0), json!(1)]);
    for (query, sent) in [
        (format!("sender_id={}", bot.id), 3),
        (format!("sender_id={}", other.id), 0),
        ("platform=telegram&route=bot".to_owned(), 3),
        ("route=channel".to_owned(), 0),
        ("to=2020-01-01".to_owned(), 0),
        ("user_id=7".to_owned(), 3),
    ] {
        let stats = app.user.get(&format!("{STATS}?{query}")).await.ok(200);
        assert_eq!(stats["total"]["sent"], sent, "{query}");
    }
}

#[tokio::test]
async fn everybody_sees_their_own_and_an_administrator_all() {
    let app = TestApp::start().await;
    let other = app.user(8);
    let (bot, of_other) = (app.connect_bot().await, app.connect_bot_of(&other).await);
    app.until(app.send(&bot, app.person(&bot), "x").await, "sent").await;
    let body = json!({ "chat_id": app.person(&of_other), "text": "x" });
    other.post(&of_other.send_path(), &body).await.ok(202);
    let admin = app.admin();
    let stats = until(&admin, "group_by=user", |stats| stats["total"]["sent"] == 2).await;
    let users: Vec<_> = stats["items"].as_array().unwrap().iter().map(|row| row["user_id"].as_i64().unwrap()).collect();
    assert_eq!(users, [7, 8]);
    for (caller, query) in [(&app.user, ""), (&other, ""), (&admin, "user_id=8"), (&other, "group_by=user&user_id=8")] {
        assert_eq!(caller.get(&format!("{STATS}?{query}")).await.ok(200)["total"]["sent"], 1, "{query}");
    }
    let stats = other.get(&format!("{STATS}?sender_id={}", bot.id)).await.ok(200);
    assert_eq!((&stats["total"]["sent"], &stats["items"]), (&json!(0), &json!([])));
    let problem = other.get(&format!("{STATS}?user_id=7")).await.problem(400, "invalid_parameter");
    assert_eq!(problem["errors"][0]["pointer"], "user_id");
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let app = TestApp::start().await;
    for (query, name) in [
        ("from=2026-02-30", "from"),
        ("to=2026-02-01T00:00:00Z", "to"),
        ("from=2026-02-02&to=2026-02-01", "from"),
        ("from=2024-01-01&to=2026-01-01", "from"),
        ("group_by=", "group_by"),
        ("group_by=day,hour", "group_by"),
        ("platform=pigeon", "platform"),
        ("route=road", "route"),
        ("sender_id=x", "sender_id"),
        ("user_id=x", "user_id"),
    ] {
        let problem = app.user.get(&format!("{STATS}?{query}")).await.problem(400, "invalid_parameter");
        assert_eq!(problem["errors"][0]["pointer"], name, "{query}: {problem}");
    }
    let problem = app.user.get(&format!("{STATS}?from=yesterday")).await.problem(400, "invalid_parameter");
    assert_eq!(problem["errors"][0]["message"], "must be a day, such as 2030-01-31");
    for (day, fits) in [("1970-01-01", true), ("9999-12-31", true), ("1969-12-31", false), ("-262143-01-01", false)] {
        let status = app.user.get(&format!("{STATS}?to={day}")).await.status;
        assert_eq!(status, if fits { 200 } else { 400 }, "{day}");
    }
}

#[tokio::test]
async fn an_answer_has_an_end() {
    let app = TestApp::start().await;
    app.user.get(LOGS).await.ok(200);
    sqlx::query(
        "INSERT INTO message_stats (user_id, day, sender_id, platform, route, sent, failed, unknown, cancelled, own_ms,
                                    imposed_ms, own_counts, imposed_counts)
         SELECT 7, current_date - n % 100, gen_random_uuid(), 'telegram', 'bot', 1, 0, 0, 0, 5, 0, '{0,0,0,0,0,1}', '{1}'
         FROM generate_series(1, 5001) AS n",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let all = format!("{STATS}?from=2020-01-01&to=2020-12-31");
    assert_eq!(app.user.get(&all).await.ok(200)["items"], json!([]));
    let from = chrono::Utc::now().date_naive() - chrono::TimeDelta::days(110);
    let problem =
        app.user.get(&format!("{STATS}?from={from}&group_by=sender,day")).await.problem(400, "invalid_parameter");
    assert!(problem["errors"][0]["message"].as_str().unwrap().contains("fewer days"));
    let stats = app.user.get(&format!("{STATS}?from={from}")).await.ok(200);
    assert_eq!((stats["items"].as_array().unwrap().len(), &stats["total"]["sent"]), (100, &json!(5001)));
}

#[tokio::test]
async fn the_log_is_given_as_csv() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    app.until(app.send(&bot, app.person(&bot), "x").await, "sent").await;
    app.until(app.send(&bot, 1, "x").await, "failed").await;
    sqlx::query(
        "INSERT INTO integration_logs (id, user_id, integration_type, action, status, details, error_message)
         SELECT uuid7_now(), 7, 'telegram_bot', 'test', 'error', '{\"a\": \"b,c\"}', '=cmd|''/c calc''!A0, \"now\"'
         FROM generate_series(1, 4500)",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    app.user(8).get(LOGS).await.ok(200);
    let answer = app.user.get(&format!("{LOGS}?format=csv&action=test")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert!(answer.header("content-disposition").starts_with("attachment; filename=\"logs.csv\""));
    assert_eq!(answer.header("vary"), "accept");
    let lines: Vec<&str> = answer.text.split_terminator("\r\n").collect();
    assert_eq!(lines[0], "id,created_at,user_id,integration_type,action,status,error_message,details");
    assert_eq!(lines.len(), 4501, "in several pages, each once");
    let mut ids: Vec<&str> = lines[1..].iter().map(|line| line.split(',').next().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first");
    ids.dedup();
    assert_eq!(ids.len(), 4500);
    let text = ",7,telegram_bot,test,error,\"'=cmd|'/c calc'!A0, \"\"now\"\"\",\"{\"\"a\"\":\"\"b,c\"\"}\"";
    assert!(lines[1..].iter().all(|line| line.ends_with(text)), "{}", lines[1]);

    let get = async |accept: &str, query: &str| {
        let request = app.user.request(reqwest::Method::GET, &format!("{LOGS}?{query}")).header("accept", accept);
        app.user.send(request).await
    };
    assert_eq!(get("text/csv", "action=send&status=success").await.text.lines().count(), 2);
    assert!(get("text/csv", "format=json").await.ok(200)["items"].is_array());
    assert!(get("*/*", "").await.ok(200)["items"].is_array());
    assert_eq!(get("text/csv", "from=2100-01-01T00:00:00Z").await.text.lines().count(), 1, "the names alone");
    let others = app.user(8).get(&format!("{LOGS}?format=csv")).await;
    assert_eq!((others.status, others.text.lines().count()), (200, 1));
    for (query, name) in [("limit=5", "limit"), ("cursor=AZOkWdvUeaGs_IYEtvQtOQ", "cursor"), ("status=fine", "status")]
    {
        let problem = get("text/csv", query).await.problem(400, "invalid_parameter");
        assert_eq!(problem["errors"][0]["pointer"], name);
    }
    app.user.get(&format!("{LOGS}?format=xls")).await.problem(400, "invalid_parameter");
}
