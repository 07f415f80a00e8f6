//! The binary: its line of JSON, the demo, and a clean end.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn announces_itself_and_ends_on_a_signal() {
    let mut sim = Command::new(env!("CARGO_BIN_EXE_telegram-sim"))
        .args(["--bot-api", "127.0.0.1:0", "--control", "localhost:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sim.stdout.take().unwrap()).lines();
    let ready: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    let text = |name: &str| ready[name].as_str().unwrap();
    let url = format!("http://{}/bot{}/sendMessage", text("bot_api"), text("demo_bot_token"));
    let http = reqwest::Client::new();
    for chat in ready["demo_chat_ids"].as_array().unwrap() {
        let sent = http.post(&url).json(&json!({ "chat_id": chat, "text": "hi" })).send().await.unwrap();
        assert_eq!(sent.status(), 200);
    }
    let found = http.get(format!("http://{}/messages", text("control"))).send().await.unwrap();
    assert_eq!(found.json::<Value>().await.unwrap()["count"], 3);

    let pid = sim.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(sim.wait().await.unwrap().success());
    assert_eq!(lines.next_line().await.unwrap(), None);
}

#[tokio::test]
async fn says_what_is_missing_or_wrong() {
    let run = async |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_telegram-sim")).args(args).output().await.unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(&[]).await.contains("--bot-api <HOST:PORT>"));
    assert!(run(&["--bot-api", "nowhere"]).await.contains("nowhere is not an address: write HOST:PORT"));
}
