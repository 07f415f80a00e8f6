//! One object of each kind, for tests that go through all routes.

use serde_json::Value;
use uuid::Uuid;

use telegram_sim::world::ChatKind;

use crate::common::TestApp;
use crate::common::app::id_of;

/// Objects of one user; nothing waits for them.
pub struct Objects {
    bot: Uuid,
    message: Uuid,
    login: Uuid,
    account: Uuid,
    task: Uuid,
    broadcast: Uuid,
    file: Uuid,
    channel: Uuid,
}

impl Objects {
    pub async fn make(app: &TestApp) -> Self {
        let bot = app.connect_bot().await;
        let message = app.send(&bot, app.person(&bot), "hi").await;
        app.until(message, "sent").await;
        let (login, account) = (Uuid::now_v7(), Uuid::now_v7());
        sqlx::query(
            "INSERT INTO telegram_sessions (id, user_id, phone, session_data, is_active, status, telegram_user_id)
             VALUES ($1, 7, '+79160000000', '{}', FALSE, 'off', 42)",
        )
        .bind(account)
        .execute(&app.pool)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO logins (id, user_id, platform, method, status, step, expires_at)
             VALUES ($1, 7, 'telegram', 'qr', 'cancelled', $2, now())",
        )
        .bind(login)
        .bind(serde_json::json!({ "type": "cancelled" }))
        .execute(&app.pool)
        .await
        .unwrap();
        let task = Uuid::now_v7();
        sqlx::query(
            "INSERT INTO tasks (id, name, queue, input, status, attempts, max_attempts, finished_at)
             VALUES ($1, 'forgotten', 1, '{}', 'dead', 1, 1, now())",
        )
        .bind(task)
        .execute(&app.pool)
        .await
        .unwrap();
        let broadcast = Uuid::now_v7();
        sqlx::query(
            "INSERT INTO broadcasts (id, user_id, status, content, total, finished_at)
             VALUES ($1, 7, 'done', '{\"kind\": \"text\", \"text\": \"hi\"}', 0, now())",
        )
        .bind(broadcast)
        .execute(&app.pool)
        .await
        .unwrap();
        let path = "/api/integrations/files?name=notes.txt";
        let file = app.user.send(app.user.request(reqwest::Method::POST, path).body("notes")).await.ok(201);
        let file = id_of(&file);
        let chat = crate::told::chat(app, &bot, app.person(&bot), ChatKind::Channel);
        let body = serde_json::json!({ "via": { "bot_id": bot.id }, "channel": chat });
        let channel = id_of(&app.user.post("/api/integrations/telegram/channels", &body).await.ok(201));
        Self { bot: bot.id, message, login, account, task, broadcast, file, channel }
    }

    /// The pattern of a route with the id of the object that it is about.
    pub fn path(&self, pattern: &str) -> String {
        if !pattern.contains("{id}") {
            return pattern.to_owned();
        }
        let kinds = [
            ("/channels/", self.channel),
            ("/bots/", self.bot),
            ("/messages/", self.message),
            ("/connect/", self.login),
            ("/accounts/", self.account),
            ("/tasks/", self.task),
            ("/broadcasts/", self.broadcast),
            ("/files/", self.file),
        ];
        let (_, id) = kinds.iter().find(|(part, _)| pattern.contains(part)).expect("an object for every route");
        pattern.replace("{id}", &id.to_string()).replace("{sender_id}", &self.bot.to_string())
    }
}

/// An operation of the document.
pub struct Operation {
    pub method: reqwest::Method,
    pub path: String,
    pub description: Value,
}

/// Every operation that a document of the API describes.
pub fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("it has paths");
    let all = paths.iter().flat_map(|(path, item)| {
        item.as_object().into_iter().flatten().map(|(method, description)| Operation {
            method: method.to_uppercase().parse().expect("a method"),
            path: path.clone(),
            description: description.clone(),
        })
    });
    all.collect()
}
