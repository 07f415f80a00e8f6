//! Users share the service: what one of them sends in bulk does not hold up another's single message.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::common::app::{BROADCASTS, TestApp, id_of};
use crate::common::eventually;

/// As slow as Telegram wants a bot to be: so the bulk takes minutes.
const PACED: (&str, &str) = ("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "28");

#[tokio::test]
async fn a_broadcast_of_one_user_does_not_hold_up_another() {
    let app = TestApp::start_with(&[PACED]).await;
    let other = app.user(8);
    let (bulk, single) = (app.connect_bot().await, app.connect_bot_of(&other).await);
    let targets: Value = app.people(&bulk, 10_000).iter().map(|chat| json!({ "chat_id": chat })).collect();
    let body = json!({ "via": { "bot_id": bulk.id }, "message": { "text": "to all" }, "targets": targets });
    let broadcast = id_of(&app.user.post(BROADCASTS, &body).await.ok(202));
    let path = format!("{BROADCASTS}/{broadcast}");
    let sent = async || app.user.get(&path).await.ok(200)["counts"]["sent"].as_u64().unwrap_or_default();
    eventually("the broadcast runs", async || sent().await > 0).await;

    // A few hundred of one user's own sends stand in the queue beside it.
    let chats = app.people(&bulk, 300);
    for some in chats.chunks(50) {
        join_all(some.iter().map(|chat| app.send(&bulk, *chat, "one by one"))).await;
    }
    let chats = app.people(&single, 20);
    for chat in chats {
        let body = json!({ "chat_id": chat, "text": "mine" });
        let message = id_of(&other.post(&single.send_path(), &body).await.ok(202));
        app.until_of(&other, message, "sent").await;
    }
    assert_eq!(app.arrived("mine"), 20);
    // Nearly all of the bulk was still ahead: nothing of it was waited for.
    let (sent, alone) = (sent().await, app.arrived("one by one"));
    assert!(sent < 5_000 && alone < 300, "{sent} of the broadcast and {alone} others were sent before");
    app.user.post(&format!("{path}/cancel"), &json!({})).await.ok(200);
    app.leave_messages();
}
