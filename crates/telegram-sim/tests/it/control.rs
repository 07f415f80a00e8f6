//! The control API and the page.

use reqwest::Method;
use serde_json::{Value, json};
use telegram_sim::{DEMO, Sim, SimOptions};

use crate::client::Fixture;

impl Fixture {
    pub async fn control(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.sim.control_url())).json(&body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn set(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.control(Method::POST, path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub async fn read(&self, path: &str) -> Value {
        self.control(Method::GET, path, Value::Null).await.1
    }
}

#[tokio::test]
async fn people_bots_and_chats_are_made() {
    let f = Fixture::new().await;
    let bot = f.set("/bots", json!({ "username": "helper_bot" })).await;
    let user = f.set("/users", json!({ "first_name": "Bob", "starts": [bot["id"]] })).await;
    assert_eq!(user["started"], json!([bot["id"]]));
    let token = bot["token"].as_str().unwrap();
    let url = format!("{}/bot{token}/sendMessage", f.sim.bot_api_url());
    let send = async |chat: &Value| {
        let answer = f.http.post(&url).json(&json!({ "chat_id": chat, "text": "hi" })).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["description"].clone()
    };
    assert_eq!(send(&user["id"]).await, Value::Null);
    f.set(&format!("/users/{}/block/{}", user["id"], bot["id"]), json!({})).await;
    assert_eq!(send(&user["id"]).await, "Forbidden: bot was blocked by the user");

    let members = json!([{ "user_id": bot["id"], "status": "member" }]);
    let chat = f.set("/chats", json!({ "kind": "group", "title": "Team", "members": members })).await;
    assert_eq!(send(&chat["id"]).await, Value::Null);
    let path = format!("/chats/{}/members/{}", chat["id"], bot["id"]);
    assert_eq!(f.control(Method::PUT, &path, json!({ "status": "kicked" })).await.0, 200);
    assert_eq!(send(&chat["id"]).await, "Forbidden: bot was kicked from the group chat");
    let migrated = f.set(&format!("/chats/{}/migrate", chat["id"]), json!({})).await;
    assert!(migrated["id"].as_i64().unwrap() < -1_000_000_000_000);

    let renewed = f.set(&format!("/bots/{}/revoke", bot["id"]), json!({ "renew": true })).await;
    assert_eq!(send(&user["id"]).await, "Unauthorized");
    assert_ne!(renewed["token"], bot["token"]);
}

#[tokio::test]
async fn what_arrived_is_counted() {
    let f = Fixture::new().await;
    f.control(Method::PATCH, "/settings", json!({ "limits": { "enabled": false } })).await;
    for text in ["a 1", "a 2", "a 2", "b"] {
        f.send(text).await;
    }
    let found = f.read("/messages?text=a%202").await;
    assert_eq!((&found["count"], &found["messages"][0]["text"]), (&json!(2), &json!("a 2")));
    assert_eq!(f.read(&format!("/messages?chat_id={}&limit=1", f.user)).await["count"], 4);
    assert_eq!(f.read(&format!("/messages?bot_id={}&contains=a", f.bot_id())).await["count"], 3);
    assert_eq!(f.read("/messages?bot_id=5").await["count"], 0);
    assert_eq!(f.read("/messages?after=3").await["messages"][0]["text"], "b");
    let counts = f.read("/messages/counts?contains=a").await;
    let repeated = json!([{ "chat_id": f.user, "text": "a 2", "count": 2 }]);
    assert_eq!(counts, json!({ "total": 3, "distinct": 2, "repeated": repeated }));
    let counters = f.read("/counters").await;
    assert_eq!((&counters["requests"]["sendmessage"], &counters["answers"]["200"]), (&json!(4), &json!(4)));
    assert_eq!(f.control(Method::DELETE, "/messages", Value::Null).await.0, 200);
    assert_eq!(f.read("/messages").await["count"], 0);
}

#[tokio::test]
async fn faults_are_scripted() {
    let f = Fixture::new().await;
    let action = json!({ "type": "error", "error_code": 400, "description": "Bad Request: because" });
    let fault = f.set("/faults", json!({ "method": "sendMessage", "times": 1, "action": action })).await;
    let refused = f.fails("sendMessage", json!({ "chat_id": f.user, "text": "hi" })).await;
    assert_eq!(refused, (400, "Bad Request: because".to_owned()));
    assert_eq!(f.read("/faults").await[0]["hits"], 1);
    let path = format!("/faults/{}", fault["id"]);
    assert_eq!(f.control(Method::DELETE, &path, Value::Null).await.0, 200);
    let gone = json!({ "error": format!("there is no fault {}", fault["id"]) });
    assert_eq!(f.control(Method::DELETE, &path, Value::Null).await, (404, gone));
}

#[tokio::test]
async fn a_person_writes_and_presses() {
    let f = Fixture::new().await;
    f.set("/messages", json!({ "from": f.user, "chat_id": f.bot_id(), "text": "hello" })).await;
    let keyboard = json!({ "inline_keyboard": [[{ "text": "Yes", "callback_data": "y" }]] });
    f.ok("sendMessage", json!({ "chat_id": f.user, "text": "Well?", "reply_markup": keyboard })).await;
    f.set("/messages/2/press", json!({ "user_id": f.user, "data": "y" })).await;
    let updates = f.ok("getUpdates", json!({})).await;
    assert_eq!((&updates[0]["message"]["text"], &updates[1]["callback_query"]["data"]), (&json!("hello"), &json!("y")));
}

#[tokio::test]
async fn bad_input_is_named() {
    let f = Fixture::new().await;
    let cases = [
        ("/bots", json!({ "token": "5:short" }), "35 characters"),
        ("/users", json!({ "id": -1 }), "positive"),
        ("/users", json!({ "nick": "x" }), "unknown field `nick`"),
        ("/chats", json!({ "kind": "group", "title": "" }), "title must not be empty"),
        ("/chats", json!({ "kind": "group", "title": "x", "id": 5 }), "negative"),
        ("/messages", json!({ "from": 5, "chat_id": 6, "text": "x" }), "chat not found"),
        ("/messages", json!({ "from": 5, "chat_id": 6, "text": "" }), "message text is empty"),
        ("/users/1/start/2", json!({}), "there is no user or bot 1"),
        ("/faults", json!({ "action": { "type": "explode" } }), "explode"),
    ];
    for (path, body, expected) in cases {
        let (status, answer) = f.control(Method::POST, path, body).await;
        assert!((400..500).contains(&status) && answer.to_string().contains(expected), "{path}: {status} {answer}");
    }
}

#[tokio::test]
async fn a_reset_brings_back_the_demo_and_nothing_else() {
    let sim = Sim::start(SimOptions { demo: true, ..SimOptions::default() }).await.unwrap();
    sim.add_bot();
    let http = reqwest::Client::new();
    let answer = http.post(format!("{}/reset", sim.control_url())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(sim.world().lock().bots().map(|bot| bot.id).collect::<Vec<_>>(), [DEMO.bot]);
    for chat in [DEMO.user, DEMO.group, DEMO.channel] {
        let url = format!("{}/bot{}/sendMessage", sim.bot_api_url(), DEMO.token);
        let sent = http.post(url).json(&json!({ "chat_id": chat, "text": "hi" })).send().await.unwrap();
        assert_eq!(sent.status(), 200);
    }
}

#[tokio::test]
async fn the_page_lists_chats_and_shows_messages() {
    let f = Fixture::new().await;
    let bold = json!({ "chat_id": f.user, "text": "<b>Hi</b> &lt;x&gt;", "parse_mode": "HTML" });
    f.ok("sendMessage", bold).await;
    let page = f.http.get(f.sim.control_url()).send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
    let html = page.text().await.unwrap();
    assert!(!html.contains("https://") && html.contains("/page/page.js"), "{html}");
    let chats = f.read("/page/chats").await;
    assert_eq!(chats[0]["last_text"], "Hi <x>");
    let chat = f.read(&format!("/page/chats/{}", chats[0]["key"].as_str().unwrap())).await;
    assert_eq!((&chat["me"], &chat["messages"][0]["entities"][0]["type"]), (&json!(f.user), &json!("bold")));
    assert_eq!(f.control(Method::GET, "/page/chats/nonsense", Value::Null).await.0, 400);
}

#[tokio::test]
async fn changes_are_announced_to_the_page() {
    let f = Fixture::new().await;
    let mut events = f.http.get(format!("{}/events", f.sim.control_url())).send().await.unwrap();
    f.send("news").await;
    let chunk = events.chunk().await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&chunk), "data: changed\n\n");
}

#[tokio::test]
async fn a_stopped_simulator_frees_its_addresses_and_can_go_on() {
    let f = Fixture::new().await;
    f.send("before").await;
    let (world, bot_api) = (f.sim.world().clone(), f.sim.bot_api);
    f.sim.stop().await;
    let options = SimOptions { bot_api, world: Some(world), ..SimOptions::default() };
    let sim = Sim::start(options).await.unwrap();
    assert_eq!(sim.arrived("before"), 1);
    let me = f.http.get(format!("{}/bot{}/getMe", sim.bot_api_url(), f.token)).send().await.unwrap();
    assert_eq!(me.status(), 200);
}
