//! The control API over HTTP: keys for clients, and what the person does with the phone.

use serde_json::{Value, json};
use telegram_sim::{Sim, SimOptions};

use crate::device::{Device, account, peer};

struct Control {
    sim: Sim,
    http: reqwest::Client,
}

impl Control {
    async fn new() -> Self {
        let sim = Sim::start(SimOptions { bot_api: None, ..SimOptions::default() }).await.unwrap();
        Self { sim, http: reqwest::Client::new() }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}/mtproto{path}", self.sim.control_url());
        let mut request = self.http.request(method.parse().unwrap(), url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_handed_out_once() {
    let control = Control::new().await;
    let mut seen = std::collections::HashSet::new();
    for dc in 1..=5 {
        let answer = control.ok("POST", "/keys", Some(json!({ "dc_id": dc }))).await;
        let key = answer["auth_key"].as_str().unwrap().to_owned();
        assert_eq!(hex::decode(&key).unwrap().len(), 256);
        assert!(seen.insert(key));
    }
    let (status, answer) = control.call("POST", "/keys", Some(json!({ "dc_id": 6 }))).await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("1 to 5"), "{answer}");
    let addresses = control.ok("GET", "/dcs", None).await;
    assert_eq!(addresses["2"], json!(control.sim.mtproto));
    let pem = control.ok("GET", "/rsa.pem", None).await;
    assert!(pem.as_str().unwrap().starts_with("-----BEGIN RSA PUBLIC KEY-----"));
    assert_eq!(control.ok("GET", "/rsa.pem", None).await, pem);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_a_phone() {
    let control = Control::new().await;
    let bob = account(&control.sim, "15550002", 2);
    let new = json!({ "phone": "+1 555 0001", "dc": 2, "first_name": "Alice", "password": "one", "hint": "number" });
    let alice = control.ok("POST", "/accounts", Some(new)).await;
    assert_eq!((&alice["phone"], &alice["hint"]), (&json!("15550001"), &json!("number")));
    let path = |rest: &str| format!("/accounts/{}{rest}", alice["user_id"]);
    control.ok("DELETE", &path("/password"), None).await;

    assert_eq!(control.call("GET", "/codes/15550001", None).await.0, 404);
    let mut device = Device::new(&control.sim);
    let sent = device.send_code("15550001").await.unwrap();
    let code = control.ok("GET", "/codes/15550001", None).await;
    device.sign_in("15550001", &sent, code["code"].as_str().unwrap()).await.unwrap();
    control.ok("POST", "/messages", Some(json!({ "from": bob, "chat_id": alice["user_id"], "text": "hi" }))).await;
    assert_eq!(device.hear().await, "hi");

    control.ok("PUT", &path("/password"), Some(json!({ "password": "two" }))).await;
    assert_eq!(control.ok("GET", &path(""), None).await["has_password"], true);
    let sessions = control.ok("GET", &path("/sessions"), None).await;
    assert_eq!(sessions[0]["client"]["device_model"], "Test device");
    control.ok("DELETE", &path("/sessions"), Some(json!({ "hash": sessions[0]["hash"] }))).await;
    assert_eq!(device.me().await, Err("401 SESSION_REVOKED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_and_settings_are_scripted() {
    let control = Control::new().await;
    let (alice, bob) = (account(&control.sim, "15550001", 2), account(&control.sim, "15550002", 2));
    let device = Device::signed_in(&control.sim, "15550001").await;
    let fault = json!({
        "method": "messages.sendMessage", "user": alice, "times": 1,
        "action": { "kind": "error", "code": 420, "message": "FLOOD_WAIT_5" },
    });
    control.ok("POST", "/faults", Some(fault.clone())).await;
    assert_eq!(control.ok("GET", "/faults", None).await, json!([fault]));
    assert_eq!(device.send(peer(&control.sim, bob), "x", 1).await.unwrap_err(), "420 FLOOD_WAIT_5");
    device.send(peer(&control.sim, bob), "x", 1).await.unwrap();

    let settings = control.ok("PATCH", "/settings", Some(json!({ "limits": false, "token_ttl": 5 }))).await;
    assert_eq!((&settings["limits"], &settings["token_ttl"]), (&json!(false), &json!(5)));
    let (status, answer) = control.call("PATCH", "/settings", Some(json!({ "limit": false }))).await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("unknown field `limit`"), "{answer}");

    control.ok("POST", "/restart", Some(json!({}))).await;
    device.handle.thin.disconnect_from_dc(2);
    assert_eq!(device.me().await, Ok(alice));
    let counters = control.ok("GET", "/counters", None).await;
    assert_eq!(counters["methods"]["messages.sendMessage"], 2);
    assert_eq!(counters["auth_key_duplicated"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_change() {
    let control = Control::new().await;
    let cases = [
        ("POST", "/accounts", json!({ "phone": "abc" }), 400, "5 to 15 digits"),
        ("POST", "/accounts", json!({ "phone": "15550001", "dc": 9 }), 400, "1 to 5"),
        ("POST", "/accounts/7/scan", json!({ "link": "tg://login?token=AAAA" }), 404, "create it first"),
        ("POST", "/accounts/7/scan", json!({ "link": "http://x" }), 400, "tg://login"),
        ("DELETE", "/accounts/7/sessions", json!({ "hash": "5" }), 404, "hash"),
    ];
    for (method, path, body, status, text) in cases {
        let (got, answer) = control.call(method, path, Some(body)).await;
        assert_eq!(got, status, "{path}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(text), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_phone_is_served() {
    let control = Control::new().await;
    for (path, mark) in [("/phone", "Scan a QR code"), ("/page/phone.js", "setInterval"), ("/page/phone.css", "#phone")]
    {
        let answer = control.http.get(format!("{}{path}", control.sim.control_url())).send().await.unwrap();
        assert!(answer.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'self'"));
        assert!(answer.text().await.unwrap().contains(mark), "{path}");
    }
}
