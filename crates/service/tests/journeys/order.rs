//! Within a chat and a priority, messages arrive in the order of their acceptance.

use futures::future::join_all;
use serde_json::{Value, json};
use telegram_sim::bot_api::FaultAction;
use uuid::Uuid;

use crate::common::app::{TestApp, id_of, too_many_requests};

#[tokio::test]
async fn higher_priorities_overtake_in_the_same_chat() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    app.disturb(chat, 1, too_many_requests(1));
    let send = async |text: &str, priority: &str| {
        app.send_body(&bot, &json!({ "chat_id": chat, "text": text, "priority": priority })).await
    };
    let mut messages = vec![send("low 1", "low").await];
    app.until_refused(messages[0]).await;
    for (text, priority) in
        [("low 2", "low"), ("mid 1", "mid"), ("high 1", "high"), ("high 2", "high"), ("mid 2", "mid")]
    {
        messages.push(send(text, priority).await);
    }
    app.until_all(&messages, "sent").await;
    assert_eq!(app.texts(&bot, chat), ["high 1", "high 2", "mid 1", "mid 2", "low 1", "low 2"]);
}

#[tokio::test]
async fn order_survives_retries_and_a_crowd() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let (chat, crowd) = (app.person(&bot), app.people(&bot, 20));
    let conflict = FaultAction::Error { error_code: 409, description: "Conflict".into(), parameters: None };
    let path = bot.send_path();
    let others = (0..100).map(|n| {
        let body = json!({ "chat_id": crowd[n % crowd.len()], "text": format!("crowd {n}") });
        let (app, path) = (&app, &path);
        async move { id_of(&app.user.post(path, &body).await.ok(202)) }
    });
    let ours = async {
        let mut ids: Vec<Uuid> = Vec::new();
        for n in 0..20 {
            if n % 7 == 3 {
                app.disturb(chat, 1, conflict.clone());
            }
            if n == 10 {
                app.disturb(chat, 1, too_many_requests(1));
            }
            ids.push(app.send(&bot, chat, &format!("{n}")).await);
        }
        ids
    };
    let (others, ours) = tokio::join!(join_all(others), ours);
    app.until_all(&ours, "sent").await;
    app.until_all(&others, "sent").await;
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(app.texts(&bot, chat), expected);
    let distinct: std::collections::HashSet<Value> =
        crowd.iter().flat_map(|chat| app.texts(&bot, *chat)).map(Value::from).collect();
    assert_eq!(distinct.len(), 100);
    assert_eq!(app.sim.world().lock().messages().arrived(), 120, "each once");
}
