//! Broadcasts of files, through bots and accounts.

use reqwest::Method;
use serde_json::json;

use crate::common::app::{BROADCASTS, id_of};
use crate::common::eventually;
use crate::stage::{Stage, picture};

#[tokio::test]
async fn a_picture_goes_to_many_with_captions_of_their_own() {
    let stage = Stage::set().await;
    let app = &stage.app;
    let picture = picture();
    let file = stage.store(&picture).await;
    let soon = chrono::Utc::now() + chrono::TimeDelta::days(1);
    let body = json!({
        "message": { "photo": { "file_id": file }, "caption": "*{{first_name}}*, look", "parse_mode": "MarkdownV2" },
        "targets": [
            { "bot_id": stage.bot.id, "chat_id": stage.chat, "variables": { "first_name": "bot" } },
            { "account_id": stage.account.id, "chat_id": stage.chat, "variables": { "first_name": "a*c_o" } },
        ],
        "scheduled_at": soon,
    });
    // A broadcast that waits keeps its file.
    let waiting = id_of(&app.user.post(BROADCASTS, &body).await.ok(202));
    let path = format!("/api/integrations/files/{file}");
    app.user.send(app.user.request(Method::DELETE, &path)).await.problem(409, "file_in_use");
    app.user.post(&format!("{BROADCASTS}/{waiting}/cancel"), &json!({})).await.ok(200);

    let mut body = body;
    body["scheduled_at"] = json!(null);
    let path = format!("{BROADCASTS}/{}", id_of(&app.user.post(BROADCASTS, &body).await.ok(202)));
    eventually("the broadcast is done", async || app.user.get(&path).await.ok(200)["status"] == "done").await;
    assert_eq!(app.user.get(&path).await.ok(200)["counts"], json!({ "sent": 2 }));
    for (way, name) in stage.ways().iter().zip(["bot", "a*c_o"]) {
        let arrived = stage.last(way);
        assert_eq!(arrived.body.text, format!("{name}, look"), "{}", way.kind);
        assert_eq!(arrived.body.media.as_ref().unwrap().sha256, picture.sha256(), "{}", way.kind);
        let entities = json!([{ "type": "bold", "offset": 0, "length": name.len() }]);
        assert_eq!(json!(arrived.body.entities), entities, "{}", way.kind);
    }
    // Buttons need a bot.
    body["message"]["buttons"] = json!([[{ "text": "a", "callback_data": "b" }]]);
    let problem = app.user.post(BROADCASTS, &body).await.problem(422, "unsupported_by_sender");
    assert_eq!(problem["errors"][0]["pointer"], "/message/buttons", "{problem}");
}
