//! The same contents through a connected channel: whoever can sends them.

use serde_json::{Value, json};

use crate::common::app::{MESSAGES, TestApp, id_of};
use crate::stage::{File, Stage, picture, report};

const CHANNELS: &str = "/api/integrations/telegram/channels";

/// Connects the group of the stage, with the bot before the account.
async fn connect(stage: &Stage, settings: Value) -> String {
    let body = json!({ "via": { "bot_id": stage.bot.id }, "channel": stage.chat });
    let channel = stage.app.user.post(CHANNELS, &body).await.ok(201);
    let path = format!("{CHANNELS}/{}", channel["id"].as_str().unwrap());
    let body = json!({ "account_id": stage.account.id });
    let added = stage.app.user.post(&format!("{path}/senders"), &body).await;
    assert!(added.status < 300, "{}", added.text);
    stage.app.user.patch(&path, &json!({ "settings": settings })).await.ok(200);
    path
}

async fn send(app: &TestApp, channel: &str, content: &Value) -> Value {
    let accepted = app.user.post(&format!("{channel}/send"), content).await.ok(202);
    app.until(id_of(&accepted), "sent").await
}

#[tokio::test]
async fn what_a_bot_cannot_send_goes_through_the_account() {
    let stage = Stage::set().await;
    let channel = connect(&stage, json!({})).await;
    let photo = json!({ "photo": { "file_id": stage.store(&picture()).await } });
    assert_eq!(send(&stage.app, &channel, &photo).await["sender_id"], json!(stage.bot.id));
    let large = File { bytes: [&b"%PDF-1.4\n"[..], &vec![0; 51 * 1024 * 1024]].concat(), ..report() };
    let document = json!({ "document": { "file_id": stage.store(&large).await } });
    assert_eq!(send(&stage.app, &channel, &document).await["sender_id"], json!(stage.account.id));
    assert_eq!(stage.last(&stage.account).body.media.as_ref().unwrap().sha256, large.sha256());
    let tried =
        stage.app.user.post(&format!("{}?dry_run=true", stage.bot.path), &stage.to_group(&document)).await.ok(200);
    assert_eq!(tried["problems"][0]["code"], "unsupported_by_sender", "{tried}");
}

#[tokio::test]
async fn the_footer_stands_below_the_last_part_and_below_an_edited_text() {
    let stage = Stage::set().await;
    let channel = connect(&stage, json!({ "footer": "Our news" })).await;
    let body = json!({ "text": "word ".repeat(1500), "split": true });
    let accepted = stage.app.user.post(&format!("{channel}/send"), &body).await.ok(202);
    for part in accepted["parts"].as_array().unwrap() {
        stage.app.until(part.as_str().unwrap().parse().unwrap(), "sent").await;
    }
    let texts: Vec<String> = stage.arrived(&stage.bot).iter().map(|message| message.body.text.clone()).collect();
    assert!(texts.len() == 2 && !texts[0].ends_with("Our news") && texts[1].ends_with("\n\nOur news"), "{texts:?}");
    let last = accepted["parts"][1].as_str().unwrap();
    stage.app.user.patch(&format!("{MESSAGES}/{last}"), &json!({ "text": "better" })).await.ok(200);
    assert_eq!(stage.last(&stage.bot).body.text, "better\n\nOur news");
}
