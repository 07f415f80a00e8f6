//! Refusals in Telegram's own words.

use serde_json::{Value, json};
use telegram_sim::SimOptions;
use telegram_sim::bot_api::Limits;
use telegram_sim::world::{ChatId, ChatKind, Member, MemberStatus, NewChat};

use crate::client::Fixture;

fn group(f: &Fixture, kind: ChatKind, status: MemberStatus) -> ChatId {
    let members = vec![(f.user, MemberStatus::Creator), (f.bot_id(), status)];
    f.sim.world().lock().add_chat(NewChat { kind, id: None, title: "Team".to_owned(), username: None, members })
}

#[tokio::test]
async fn tokens_and_methods() {
    let f = Fixture::new().await;
    let get = async |path: String| {
        let answer = f.http.get(format!("{}{path}", f.sim.bot_api_url())).send().await.unwrap();
        let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        assert_eq!(body["error_code"], status);
        (status, body["description"].as_str().unwrap().to_owned())
    };
    let not_found = (404, "Not Found".to_owned());
    let unauthorized = (401, "Unauthorized".to_owned());
    let secret = "A".repeat(35);
    assert_eq!(get(format!("/bot1234567:{secret}/getMe")).await, unauthorized);
    assert_eq!(get("/bot1234567:short/getMe".to_owned()).await, not_found);
    assert_eq!(get("/".to_owned()).await, not_found);
    let no_method = (404, "Not Found: method not found".to_owned());
    assert_eq!(get(format!("/bot{}/getNothing", f.token)).await, no_method);
    let renewed = f.sim.world().lock().revoke_token(f.bot_id(), true).unwrap();
    assert_eq!(get(format!("/bot{}/getMe", f.token)).await, unauthorized);
    let answer = f.http.get(format!("{}/bot{renewed}/getMe", f.sim.bot_api_url())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn texts_and_parameters() {
    let f = Fixture::new().await;
    let cases = [
        (json!({ "text": "hi" }), "chat_id is empty"),
        (json!({ "chat_id": 5, "text": "hi" }), "chat not found"),
        (json!({ "chat_id": "abc", "text": "hi" }), "chat not found"),
        (json!({ "chat_id": "@nobody", "text": "hi" }), "chat not found"),
        (json!({ "chat_id": f.user }), "message text is empty"),
        (json!({ "chat_id": f.user, "text": " \n" }), "message text is empty"),
        (json!({ "chat_id": f.user, "text": "x".repeat(4097) }), "message is too long"),
        (json!({ "chat_id": f.user, "text": "x", "parse_mode": "bbcode" }), "unsupported parse_mode"),
        (
            json!({ "chat_id": f.user, "text": "<b>x", "parse_mode": "HTML" }),
            "can't parse entities: Can't find end tag corresponding to start tag \"b\"",
        ),
        (
            json!({ "chat_id": f.user, "text": "a.b", "parse_mode": "MarkdownV2" }),
            "can't parse entities: Character '.' is reserved and must be escaped with the preceding '\\'",
        ),
        (
            json!({ "chat_id": f.user, "text": "a*b", "parse_mode": "Markdown" }),
            "can't parse entities: Can't find end of the entity starting at byte offset 1",
        ),
        (
            json!({ "chat_id": f.user, "text": "😀", "entities": [{ "type": "bold", "offset": 0, "length": 1 }] }),
            "entity beginning at UTF-16 offset 0 ends in a middle of a UTF-16 symbol at byte offset 4",
        ),
        (
            json!({ "chat_id": f.user, "text": "x", "reply_parameters": { "message_id": 77 } }),
            "message to be replied not found",
        ),
        (json!({ "chat_id": f.user, "text": "x", "reply_markup": "[]" }), "object expected as reply markup"),
    ];
    for (body, expected) in cases {
        let refused = f.fails("sendMessage", body.clone()).await;
        assert_eq!(refused, (400, format!("Bad Request: {expected}")), "{body}");
    }
    let alone =
        json!({ "chat_id": f.user, "text": "x", "reply_to_message_id": 77, "allow_sending_without_reply": true });
    f.ok("sendMessage", alone).await;
}

#[tokio::test]
async fn people_who_cannot_be_reached() {
    let f = Fixture::new().await;
    let to = |user: i64| json!({ "chat_id": user, "text": "hi" });
    f.sim.world().lock().block(f.user, f.bot_id());
    assert_eq!(f.fails("sendMessage", to(f.user)).await, (403, "Forbidden: bot was blocked by the user".to_owned()));
    f.sim.world().lock().unblock(f.user, f.bot_id());
    f.send("hi").await;
    f.sim.world().lock().user_mut(f.user).unwrap().deactivated = true;
    assert_eq!(f.fails("sendMessage", to(f.user)).await, (403, "Forbidden: user is deactivated".to_owned()));
    f.sim.world().lock().ensure_user(4242);
    let stranger = (403, "Forbidden: bot can't initiate conversation with a user".to_owned());
    assert_eq!(f.fails("sendMessage", to(4242)).await, stranger);
}

#[tokio::test]
async fn chats_that_cannot_be_reached() {
    let f = Fixture::new().await;
    let cases = [
        (ChatKind::Group, MemberStatus::Kicked, 403, "Forbidden: bot was kicked from the group chat"),
        (ChatKind::Supergroup, MemberStatus::Kicked, 403, "Forbidden: bot was kicked from the supergroup chat"),
        (ChatKind::Channel, MemberStatus::Kicked, 403, "Forbidden: bot was kicked from the channel chat"),
        (ChatKind::Supergroup, MemberStatus::Left, 403, "Forbidden: bot is not a member of the supergroup chat"),
        (ChatKind::Channel, MemberStatus::Member, 400, "Bad Request: need administrator rights in the channel chat"),
        (
            ChatKind::Supergroup,
            MemberStatus::Restricted,
            400,
            "Bad Request: not enough rights to send text messages to the chat",
        ),
    ];
    for (kind, status, code, description) in cases {
        let chat = group(&f, kind, MemberStatus::Member);
        f.sim.world().lock().set_member(chat, f.bot_id(), Member::new(status), f.user);
        let refused = f.fails("sendMessage", json!({ "chat_id": chat, "text": "hi" })).await;
        assert_eq!(refused, (code, description.to_owned()));
    }
}

#[tokio::test]
async fn a_group_that_became_a_supergroup() {
    let f = Fixture::new().await;
    let chat = group(&f, ChatKind::Group, MemberStatus::Member);
    let new = f.sim.world().lock().migrate_group(chat).unwrap();
    let (status, answer) = f.call("sendMessage", json!({ "chat_id": chat, "text": "hi" })).await;
    assert_eq!(status, 400);
    assert_eq!(answer["description"], "Bad Request: group chat was upgraded to a supergroup chat");
    assert_eq!(answer["parameters"], json!({ "migrate_to_chat_id": new }));
    f.ok("sendMessage", json!({ "chat_id": new, "text": "hi" })).await;
}

#[tokio::test]
async fn too_many_messages() {
    let f = Fixture::new().await;
    for _ in 0..5 {
        f.send("burst").await;
    }
    let answer = f.post("sendMessage", &json!({ "chat_id": f.user, "text": "burst" })).await.unwrap();
    assert_eq!(answer.status(), 429);
    let header: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let body: Value = answer.json().await.unwrap();
    assert!((1..=5).contains(&header));
    let expected = json!({
        "ok": false, "error_code": 429, "description": format!("Too Many Requests: retry after {header}"),
        "parameters": { "retry_after": header },
    });
    assert_eq!(body, expected);
    f.sim.api().limiter().set(Limits { enabled: false, ..Limits::default() });
    for _ in 0..50 {
        f.send("burst").await;
    }
    assert_eq!(f.sim.arrived("burst"), 55);
}

#[tokio::test]
async fn a_group_has_its_own_limit() {
    let f = Fixture::new().await;
    let chat = group(&f, ChatKind::Supergroup, MemberStatus::Member);
    let body = json!({ "chat_id": chat, "text": "hi" });
    for _ in 0..20 {
        f.ok("sendMessage", body.clone()).await;
    }
    assert_eq!(f.fails("sendMessage", body).await.0, 429);
    f.send("others flow").await;
}

#[tokio::test]
async fn an_open_world_makes_up_what_it_does_not_know() {
    let f = Fixture::with(SimOptions { open_world: true, ..SimOptions::default() }).await;
    let token = format!("555000111:{}", "B".repeat(35));
    let url = format!("{}/bot{token}", f.sim.bot_api_url());
    let me: Value = f.http.get(format!("{url}/getMe")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&me["result"]["id"], &me["result"]["username"]), (&json!(555_000_111), &json!("sim555000111_bot")));
    let answer = f.http.post(format!("{url}/sendMessage")).json(&json!({ "chat_id": 42, "text": "hi" }));
    assert_eq!(answer.send().await.unwrap().status(), 200);
    let other = format!("{}/bot555000111:{}/getMe", f.sim.bot_api_url(), "C".repeat(35));
    assert_eq!(f.http.get(other).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_bot_that_logged_out_is_refused() {
    let f = Fixture::new().await;
    assert_eq!(f.ok("close", json!({})).await, true);
    assert_eq!(f.ok("logOut", json!({})).await, true);
    assert_eq!(f.fails("getMe", json!({})).await, (400, "Logged out".to_owned()));
}
