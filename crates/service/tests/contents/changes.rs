//! What can be done with a message after it was accepted.

use serde_json::{Value, json};

use crate::common::app::{MESSAGES, id_of};
use crate::stage::{Stage, Way, picture};

fn path(message: &Value) -> String {
    format!("{MESSAGES}/{}", message["id"].as_str().unwrap())
}

async fn event_types(stage: &Stage, message: &Value) -> Vec<String> {
    let types = "SELECT type FROM events WHERE resource_id = $1 ORDER BY id";
    sqlx::query_scalar(types).bind(id_of(message)).fetch_all(&stage.app.pool).await.unwrap()
}

async fn audited(stage: &Stage, message: &Value) -> Vec<String> {
    let actions = "SELECT action FROM audit_log WHERE resource_id = $1 ORDER BY id";
    sqlx::query_scalar(actions).bind(id_of(message).to_string()).fetch_all(&stage.app.pool).await.unwrap()
}

async fn photo(stage: &Stage, way: &Way) -> Value {
    let photo = json!({ "file_id": stage.store(&picture()).await });
    stage.sent(way, &json!({ "photo": photo, "caption": "before" })).await
}

#[tokio::test]
async fn texts_and_captions_are_edited() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let text = stage.sent(&way, &json!({ "text": "before" })).await;
        let edit = json!({ "text": "<b>after</b>", "parse_mode": "HTML", "link_preview": { "is_disabled": true } });
        for _ in 0..2 {
            let edited = stage.app.user.patch(&path(&text), &edit).await.ok(200);
            assert_eq!((&edited["content"]["text"], &edited["status"]), (&json!("after"), &json!("sent")));
            assert!(edited["edited_at"].is_string());
        }
        let arrived = stage.last(&way);
        assert_eq!((arrived.body.text.as_str(), arrived.body.entities.len()), ("after", 1), "{}", way.kind);
        assert_eq!(event_types(&stage, &text).await[3..], ["message.edited", "message.edited"]);
        assert_eq!(audited(&stage, &text).await, ["message.edit", "message.edit"]);

        let photo = photo(&stage, &way).await;
        stage.app.user.patch(&path(&photo), &json!({ "caption": "after" })).await.ok(200);
        assert_eq!(stage.last(&way).body.text, "after", "{}", way.kind);
        stage.app.user.patch(&path(&photo), &json!({ "caption": "" })).await.ok(200);
        assert_eq!(stage.last(&way).body.text, "", "{}", way.kind);
        assert!(stage.last(&way).body.media.is_some());
        let wrong = stage.app.user.patch(&path(&photo), &json!({ "text": "x" })).await.problem(400, "invalid_body");
        assert_eq!(wrong["errors"][0]["pointer"], "/text");
        stage.app.user.patch(&path(&photo), &json!({})).await.problem(400, "invalid_body");
    }
}

#[tokio::test]
async fn buttons_are_changed_by_bots_only() {
    let stage = Stage::set().await;
    let buttons = json!([[{ "text": "Go", "url": "https://a.example/" }]]);
    let sent = stage.sent(&stage.bot, &json!({ "text": "x", "buttons": buttons })).await;
    stage.app.user.patch(&path(&sent), &json!({ "text": "y" })).await.ok(200);
    assert_eq!(json!(stage.last(&stage.bot).body.buttons), buttons, "they stay");
    stage.app.user.patch(&path(&sent), &json!({ "buttons": [] })).await.ok(200);
    assert_eq!(json!(stage.last(&stage.bot).body.buttons), json!([]));
    let sent = stage.sent(&stage.account, &json!({ "text": "x" })).await;
    let refused = stage.app.user.patch(&path(&sent), &json!({ "buttons": buttons })).await;
    refused.problem(422, "unsupported_by_sender");
}

#[tokio::test]
async fn what_waits_is_changed_before_it_is_sent() {
    let stage = Stage::set().await;
    let later = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).to_rfc3339();
    let waiting = stage.send(&stage.bot, &json!({ "text": "before", "scheduled_at": later })).await;
    let message = json!({ "id": waiting });
    let edited = stage.app.user.patch(&path(&message), &json!({ "text": "after" })).await.ok(200);
    assert_eq!((&edited["status"], &edited["content"]["text"]), (&json!("scheduled"), &json!("after")));
    sqlx::query("UPDATE messages SET scheduled_at = now() WHERE id = $1")
        .bind(waiting)
        .execute(&stage.app.pool)
        .await
        .unwrap();
    stage.app.until(waiting, "sent").await;
    assert_eq!(stage.last(&stage.bot).body.text, "after");
    let other = stage.send(&stage.bot, &json!({ "text": "never", "scheduled_at": later })).await;
    let gone = stage.app.user.delete(&path(&json!({ "id": other }))).await.ok(200);
    assert_eq!(gone["status"], "cancelled");
    stage.app.user.delete(&path(&gone)).await.problem(409, "message_not_sent");
    stage.app.user.post(&format!("{}/pin", path(&gone)), &json!({})).await.problem(409, "message_not_sent");
}

#[tokio::test]
async fn messages_are_pinned_and_deleted_with_all_their_parts() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let items = json!([
            { "type": "photo", "file_id": stage.store(&picture()).await },
            { "type": "photo", "file_id": stage.store(&picture()).await },
        ]);
        let album = stage.sent(&way, &json!({ "album": items })).await;
        let pin = format!("{}/pin", path(&album));
        let pinned = stage.app.user.post(&pin, &json!({ "silent": true })).await.ok(200);
        assert_eq!(pinned["pinned"], true);
        let first = album["platform_message_id"].clone();
        let is_pinned = || stage.arrived(&way).iter().any(|message| json!(message.id) == first && message.pinned);
        assert!(is_pinned(), "{}", way.kind);
        stage.app.user.post(&pin, &json!({ "unpin": true })).await.ok(200);
        assert!(!is_pinned(), "{}", way.kind);
        let deleted = stage.app.user.delete(&path(&album)).await.ok(200);
        assert!(deleted["deleted_at"].is_string() && deleted["status"] == "sent", "{deleted}");
        let gone: Vec<bool> =
            stage.arrived(&way).iter().filter(|m| m.body.album.is_some()).map(|m| m.deleted).collect();
        assert_eq!(gone, [true, true], "{}", way.kind);
        assert_eq!(stage.app.user.delete(&path(&album)).await.ok(200)["deleted_at"], deleted["deleted_at"]);
        stage.app.user.patch(&path(&album), &json!({ "caption": "x" })).await.problem(404, "message_gone");
        let told = event_types(&stage, &album).await;
        assert!(
            told.ends_with(&["message.pinned".into(), "message.unpinned".into(), "message.deleted".into()]),
            "{told:?}"
        );
        assert_eq!(audited(&stage, &album).await, ["message.pin", "message.unpin", "message.delete"]);
    }
}

#[tokio::test]
async fn what_somebody_else_deleted_is_gone() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let sent = stage.sent(&way, &json!({ "text": "x" })).await;
        let id = i32::try_from(sent["platform_message_id"].as_i64().unwrap()).unwrap();
        stage.app.sim.world().lock().delete(stage.place(), id);
        stage.app.user.patch(&path(&sent), &json!({ "text": "y" })).await.problem(404, "message_gone");
        let now = stage.app.message(id_of(&sent)).await;
        assert_eq!((&now["content"]["text"], &now["edited_at"]), (&json!("x"), &Value::Null), "{}", way.kind);
    }
}

#[tokio::test]
async fn messages_are_forwarded_by_whoever_sees_them() {
    let stage = Stage::set().await;
    for (way, via) in [(&stage.bot, &stage.account), (&stage.account, &stage.bot)] {
        let sent = stage.sent(way, &json!({ "text": format!("by {}", way.kind) })).await;
        let forward = format!("{}/forward", path(&sent));
        let accepted = stage.app.user.post(&forward, &json!({ "chat_id": stage.chat })).await.ok(202);
        stage.app.until(id_of(&accepted), "sent").await;
        assert!(stage.last(way).body.forwarded.is_some());
        let body = json!({ "chat_id": stage.chat, "via": via.id, "as_copy": true, "silent": true });
        let first = stage.app.user.post_with_key(&forward, via.kind, &body).await.ok(202);
        assert_eq!(stage.app.user.post_with_key(&forward, via.kind, &body).await.ok(202)["id"], first["id"]);
        stage.app.until(id_of(&first), "sent").await;
        let copy = stage.last(via);
        assert_eq!((copy.body.text.clone(), copy.body.forwarded), (format!("by {}", way.kind), None));
        let nobody = json!({ "chat_id": stage.chat, "via": uuid::Uuid::now_v7() });
        stage.app.user.post(&forward, &nobody).await.problem(400, "invalid_body");
        assert!(audited(&stage, &sent).await.contains(&"message.forward".to_owned()));
    }
    let friend = stage.app.sim.world().lock().add_user(telegram_sim::world::NewUser::default());
    stage.app.sim.world().lock().start_bot(friend, stage.bot.user);
    let private = json!({ "chat_id": friend, "text": "between us" });
    let private = id_of(&stage.app.user.post(&stage.bot.path, &private).await.ok(202));
    let private = stage.app.until(private, "sent").await;
    assert_eq!((&private["link"], &private["parts"][0]["link"]), (&Value::Null, &Value::Null));
    let body = json!({ "chat_id": stage.chat, "via": stage.account.id });
    let refused = stage.app.user.post(&format!("{}/forward", path(&private)), &body).await;
    refused.problem(422, "unsupported_by_sender");
}

#[tokio::test]
async fn changes_at_the_same_time_do_not_undo_each_other() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let sent = stage.sent(&way, &json!({ "text": "x" })).await;
        let edits = (0..8).map(|n| {
            let (user, path) = (stage.app.user.clone(), path(&sent));
            async move { user.patch(&path, &json!({ "text": format!("edit {n}") })).await.status }
        });
        let answers = futures::future::join_all(edits).await;
        assert!(answers.iter().all(|status| [200, 409].contains(status)) && answers.contains(&200), "{answers:?}");
        let now = stage.app.message(id_of(&sent)).await;
        assert_eq!(now["content"]["text"], stage.last(&way).body.text, "{}", way.kind);
    }
}
