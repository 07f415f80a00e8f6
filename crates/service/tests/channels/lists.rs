//! Lists of channels: filters, pages, search.

use std::collections::HashSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::app::{TestApp, id_of};
use crate::stage::{CHANNELS, channel, connect};

/// Rows without chats at Telegram.
async fn rows(app: &TestApp, user: i32, titles: &[&str]) -> Vec<Uuid> {
    app.user(user).get(CHANNELS).await.ok(200);
    let mut ids = Vec::new();
    for (n, title) in titles.iter().enumerate() {
        let id = Uuid::now_v7();
        let (kind, settings) =
            if n % 2 == 0 { ("channel", json!({ "team": "a" })) } else { ("group", json!({ "team": "b" })) };
        sqlx::query(
            "INSERT INTO telegram_channels (id, user_id, channel_id, title, type, settings, username)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id)
        .bind(user)
        .bind(-1000 - i64::try_from(n).unwrap())
        .bind(title)
        .bind(kind)
        .bind(settings)
        .bind(format!("row_{n}_of_all"))
        .execute(&app.pool)
        .await
        .unwrap();
        ids.push(id);
    }
    ids
}

async fn titles(app: &TestApp, query: &str) -> Vec<String> {
    let all = app.user.list(&format!("{CHANNELS}?{query}")).await;
    all.iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_search_finds_parts_and_forms_of_words_in_both_languages() {
    let app = TestApp::start().await;
    rows(&app, 7, &["Новости дня", "Daily runs", "Ёлки и книги", "100% sure_thing", "News\\Room", "Другое"]).await;
    rows(&app, 8, &["Новости других"]).await;
    for (query, found) in [
        ("%D0%BD%D0%BE%D0%B2%D0%BE%D1%81%D1%82", vec!["Новости дня"]), // новост
        ("%D0%9D%D0%9E%D0%92%D0%9E%D0%A1%D0%A2%D0%AC", vec!["Новости дня"]), // НОВОСТЬ
        ("%D0%BA%D0%BD%D0%B8%D0%B3%D0%B0", vec!["Ёлки и книги"]),      // книга
        ("running", vec!["Daily runs"]),
        ("LY%20RUN", vec!["Daily runs"]),
        ("aily", vec!["Daily runs"]),
        ("100%25", vec!["100% sure_thing"]),
        ("sure_t", vec!["100% sure_thing"]),
        ("surext", vec![]),
        ("news%5C", vec!["News\\Room"]),
        ("row_3", vec!["100% sure_thing"]),
        ("%27)%20OR%201%3D1", vec![]),
        ("a%20%26%20%7C%20!(", vec![]),
    ] {
        assert_eq!(titles(&app, &format!("q={query}")).await, found, "{query}");
    }
    assert_eq!(titles(&app, "q=news&type=channel").await, ["News\\Room"]);
    assert_eq!(titles(&app, "q=news&type=group").await, Vec::<String>::new());
    for bad in ["q=", "q=ab", "q=%20%20ab%20", &format!("q={}", "x".repeat(129))] {
        let problem = app.user.get(&format!("{CHANNELS}?{bad}")).await.problem(400, "invalid_parameter");
        assert_eq!(problem["errors"][0]["pointer"], "q");
    }
}

#[tokio::test]
async fn filters_and_pages() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let real = connect(&app, &bot, channel(&app, "Real", &[&bot])).await;
    let ids = rows(&app, 7, &["one", "two", "three", "four", "five"]).await;
    let count = async |query: &str| app.user.list(&format!("{CHANNELS}?{query}")).await.len();
    assert_eq!((count("").await, count("type=group").await, count("type=channel").await), (6, 2, 4));
    assert_eq!(count(&format!("sender_id={}", bot.id)).await, 1);
    assert_eq!(count(&format!("sender_id={}", Uuid::now_v7())).await, 0);
    assert_eq!(count("settings=%7B%22team%22:%22a%22%7D").await, 3);
    assert_eq!((count("from=2100-01-01T00:00:00Z").await, count("to=2100-01-01T00:00:00Z").await), (0, 6));
    app.user.patch(&real.path(), &json!({ "is_active": false })).await.ok(200);
    assert_eq!((count("is_active=false").await, count("is_active=true").await), (1, 5));
    assert_eq!((count("status=off").await, count("status=active,no_sender").await), (1, 5));
    for bad in ["type=person", "is_active=maybe", "status=fine", "sender_id=x", "settings=[]", "from=yesterday"] {
        app.user.get(&format!("{CHANNELS}?{bad}")).await.problem(400, "invalid_parameter");
    }
    let pages = app.user.pages(&format!("{CHANNELS}?limit=4")).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
    let all: Vec<Value> = pages.concat();
    assert_eq!(all.iter().map(id_of).collect::<HashSet<_>>().len(), 6);
    assert_eq!(id_of(&all[0]), ids[4], "the newest first");
    assert_eq!(app.admin().list(CHANNELS).await.len(), 6);
    assert!(app.user(8).list(CHANNELS).await.is_empty());
}
