//! Long texts become several messages.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::common::app::id_of;
use crate::stage::Stage;

/// A hundred paragraphs, of which one in three is bold.
fn long_text() -> String {
    (0..100).fold(String::new(), |mut text, n| {
        let words = format!("Paragraph {n} says something. ").repeat(5);
        let _ = if n % 3 == 0 { write!(text, "<b>{words}</b>\n\n") } else { write!(text, "{words}\n\n") };
        text
    })
}

#[tokio::test]
async fn a_long_text_arrives_in_order_and_whole() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let reply = stage.sent(&way, &json!({ "text": "question" })).await["platform_message_id"].clone();
        let body = stage.to_group(&json!({
            "text": long_text(), "parse_mode": "HTML", "split": true, "reply_to_message_id": reply, "silent": true,
        }));
        let first = stage.app.user.post_with_key(&way.path, way.kind, &body).await.ok(202);
        let again = stage.app.user.post_with_key(&way.path, way.kind, &body).await.ok(202);
        assert_eq!(first, again);
        let parts: Vec<Value> = first["parts"].as_array().unwrap().clone();
        assert!(parts.len() >= 4 && parts[0] == first["id"], "{first}");
        for part in &parts {
            stage.app.until(part.as_str().unwrap().parse().unwrap(), "sent").await;
        }
        let arrived = stage.arrived(&way).split_off(1);
        assert_eq!(arrived.len(), parts.len(), "{}", way.kind);
        let whole = arrived.iter().map(|message| message.body.text.as_str()).collect::<Vec<_>>().join("\n\n");
        let expected = long_text().replace("<b>", "").replace("</b>", "");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&whole), words(&expected), "{}", way.kind);
        assert!(arrived.iter().all(|message| !message.body.entities.is_empty() && message.body.silent));
        assert_eq!(json!(arrived[0].body.reply_to), reply);
        assert!(arrived[1..].iter().all(|message| message.body.reply_to.is_none()));
    }
}

#[tokio::test]
async fn without_being_asked_nothing_is_split() {
    let stage = Stage::set().await;
    let body = stage.to_group(&json!({ "text": "x".repeat(4097) }));
    let problem = stage.app.user.post(&stage.bot.path, &body).await.problem(400, "invalid_body");
    assert_eq!(problem["errors"][0]["pointer"], "/text");
    assert_eq!(problem["errors"][1]["pointer"], "/split", "the way out is named");
    let body = stage.to_group(&json!({ "text": "x ".repeat(200_000), "split": true }));
    let problem = stage.app.user.post(&stage.bot.path, &body).await.problem(400, "invalid_body");
    assert_eq!(problem["errors"][0]["pointer"], "/text");
    let short = stage.app.user.post(&stage.bot.path, &stage.to_group(&json!({ "text": "x", "split": true }))).await;
    let short = short.ok(202);
    assert_eq!(short["parts"], json!([short["id"]]));
    stage.app.until(id_of(&short), "sent").await;
}
