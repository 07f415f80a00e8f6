//! Vault sealed, killed and hanging while the service works.

use serde_json::json;
use service::secrets::{SealError, VaultError};

use crate::common::app::{BOTS, TestApp, id_of};
use crate::common::eventually;
use crate::keepers::{Keeper, forget_keys, openbao, settings_of};

#[tokio::test]
async fn what_is_in_memory_goes_on_without_vault() {
    let mut keeper = Keeper::vault();
    let (process, other) = (keeper.process(), keeper.process());
    let known = process.seal("a/known", b"known").await.unwrap();
    let unknown = other.seal("a/unknown", b"unknown").await.unwrap();
    for how in ["sealed", "killed"] {
        match how {
            "sealed" => keeper.bao.as_ref().unwrap().seal(),
            _ => keeper.bao.as_mut().unwrap().kill(),
        }
        assert_eq!(process.open("a/known", &known).await.unwrap().as_slice(), b"known", "{how}");
        let error = process.open("a/unknown", &unknown).await.unwrap_err();
        assert!(matches!(&error, SealError::Vault(VaultError::Unavailable(_))) && error.is_passing(), "{how}: {error}");
        // A record goes on with the data key that it has; a new one has none.
        let again = process.seal("a/known", b"changed").await.unwrap();
        assert_eq!((&again.key, &again.dek), (&known.key, &known.dek));
        assert_ne!((&again.nonce, &again.ct), (&known.nonce, &known.ct));
        assert_eq!(process.open("a/known", &again).await.unwrap().as_slice(), b"changed");
        assert!(matches!(process.seal("a/new", b"x").await, Err(SealError::Vault(VaultError::Unavailable(_)))));
        assert!(process.state().is_err());
    }
    keeper.bao.as_mut().unwrap().start_again();
    eventually("it works again", async || process.open("a/unknown", &unknown).await.is_ok()).await;
    assert!(process.seal("a/new", b"x").await.is_ok());
    eventually("it says so", async || process.state().is_ok()).await;
}

#[tokio::test]
async fn sends_go_on_and_connects_are_refused_while_vault_is_away() {
    let mut bao = openbao();
    let settings = settings_of(&bao);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
    let app = TestApp::start_with(&settings).await;
    app.secret(bao.root_token().to_owned());
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let first = app.send(&bot, chat, "before").await;
    app.until(first, "sent").await;
    let sealed: String = sqlx::query_scalar("SELECT bot_token FROM telegram_bots").fetch_one(&app.pool).await.unwrap();
    assert!(sealed.contains("vault:transit/telegram-sessions:1"), "{sealed}");
    let ready = async || app.user.get("/health/ready").await.ok(200);
    assert_eq!(ready().await["status"], "ok");

    for how in ["sealed", "killed"] {
        match how {
            "sealed" => bao.seal(),
            _ => bao.kill(),
        }
        let refused = app.user.post(BOTS, &json!({ "token": app.new_token() })).await;
        refused.problem(503, "keys_unavailable");
        assert!(!refused.header("retry-after").is_empty());
        let state = ready().await;
        assert_eq!(state["status"], "degraded", "{state}");
        let keys = state["dependencies"].as_array().unwrap().iter().find(|view| view["name"] == "keys").unwrap();
        assert_eq!(keys["status"], "unavailable", "{keys}");
        let sent = app.send(&bot, chat, how).await;
        app.until(sent, "sent").await;
    }

    bao.start_again();
    eventually("it is ready without restrictions", async || ready().await["status"] == "ok").await;
    let body = app.user.post(BOTS, &json!({ "token": app.new_token() })).await.ok(201);
    id_of(&body);
}

#[tokio::test]
async fn a_service_that_starts_without_vault_sends_when_it_is_there() {
    let mut bao = openbao();
    let settings = settings_of(&bao);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
    let mut app = TestApp::start_with(&settings).await;
    app.secret(bao.root_token().to_owned());
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    app.stop_service().await;
    bao.kill();
    forget_keys(&mut app, None);
    app.start_service().await;
    let message = app.send(&bot, chat, "later").await;
    assert_eq!(app.message(message).await["status"], "queued");
    bao.start_again();
    app.until(message, "sent").await;
}
