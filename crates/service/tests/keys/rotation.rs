//! Other versions and other keepers while the service works: everything is sealed anew, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use service::secrets::Target;
use sqlx::PgPool;
use uuid::Uuid;

use crate::common::app::{BOTS, Bot, TestApp};
use crate::common::eventually;
use crate::keepers::{forget_keys, openbao};
use crate::sealed_rows::{insert, open_all};

const KEYS: &str = "/api/integrations/keys";
/// Bots; of every other kind there are a tenth as many.
const ROWS: usize = 1000;
/// Envelopes of all of them: of an account two, of a former session two, of a login three.
const ENVELOPES: usize = ROWS + ROWS / 10 * 7;

/// Sends through some bots, one message after the other, until told to stop; returns how many.
struct Load {
    stop: Arc<AtomicBool>,
    sending: Vec<tokio::task::JoinHandle<Vec<Uuid>>>,
}

impl Load {
    fn start(app: &TestApp, bots: &[Bot]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sending = bots.iter().map(|bot| {
            let (client, path, chat, stop) = (app.user.clone(), bot.send_path(), app.person(bot), stop.clone());
            tokio::spawn(async move {
                let mut ids = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let text = format!("message {}", ids.len());
                    let answer = client.post(&path, &json!({ "chat_id": chat, "text": text })).await.ok(202);
                    ids.push(answer["id"].as_str().unwrap().parse().unwrap());
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                ids
            })
        });
        let sending = sending.collect();
        Self { stop, sending }
    }

    /// Every message must be sent.
    async fn end(self, app: &TestApp) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for sending in self.sending {
            all.extend(sending.await.unwrap());
        }
        app.until_all(&all, "sent").await;
        all.len()
    }
}

async fn bots(app: &TestApp) -> Vec<Bot> {
    let mut bots = Vec::new();
    for _ in 0..3 {
        bots.push(app.connect_bot().await);
    }
    bots
}

async fn keys(app: &TestApp) -> Value {
    app.admin().get(KEYS).await.ok(200)
}

/// Waits for longer than anything else takes: thousands of envelopes go to the keeper and back.
async fn everything_is_sealed_anew(app: &TestApp) -> Value {
    let begun = Instant::now();
    loop {
        let keys = keys(app).await;
        let is_done = |column: &Value| !column["finished_at"].is_null() && column["failed"] == 0;
        let columns = keys["resealing"].as_array().unwrap();
        if keys["left"] == 0 && columns.len() == 10 && columns.iter().all(is_done) {
            return keys;
        }
        assert!(begun.elapsed() < Duration::from_mins(3), "in vain: {keys}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// As if the last change had been made long ago.
async fn let_time_pass(app: &TestApp) {
    sqlx::query("UPDATE sealing SET changed_at = now() - interval '1 hour'").execute(&app.pool).await.unwrap();
    eventually("the process goes by that", async || {
        keys(app).await["processes"].as_array().unwrap().iter().all(|process| process["is_current"] == true)
    })
    .await;
}

async fn sealed_by(pool: &PgPool, bot: Uuid) -> String {
    let sql = "SELECT bot_token::jsonb ->> 'key' FROM telegram_bots WHERE id = $1";
    sqlx::query_scalar(sql).bind(bot).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_rotation_under_load_loses_nothing_and_old_keys_are_given_up() {
    let app = TestApp::start().await;
    let bots = bots(&app).await;
    insert(&app.pool, &app.sealer, ROWS).await;
    let load = Load::start(&app, &bots);
    let rotated = app.admin().post(&format!("{KEYS}/rotate"), &json!({})).await.ok(200);
    assert_eq!(rotated["target"], "local");
    // At once.
    let next = app.connect_bot().await;
    assert_eq!(sealed_by(&app.pool, next.id).await, "local:2");
    let refused = app.admin().post(&format!("{KEYS}/retire"), &json!({})).await;
    refused.problem(409, "keys_in_use");
    let done = everything_is_sealed_anew(&app).await;
    assert!(load.end(&app).await > 0);
    assert_eq!(done["keys"][1]["rows"], ENVELOPES + bots.len() + 1);
    let by_key = open_all(&app.pool, &app.sealer).await;
    assert_eq!(by_key.into_iter().collect::<Vec<_>>(), [("local:2".to_owned(), ENVELOPES + bots.len() + 1)]);

    let early = app.admin().post(&format!("{KEYS}/retire"), &json!({})).await;
    early.problem(409, "keys_in_use");
    assert!(!early.header("retry-after").is_empty());
    let_time_pass(&app).await;
    let retired = app.admin().post(&format!("{KEYS}/retire"), &json!({})).await.ok(200);
    assert_eq!(retired["keys"].as_array().unwrap().len(), 1, "{retired}");
    open_all(&app.pool, &app.sealer).await;
    let audited = "SELECT array_agg(action ORDER BY id) FROM audit_log WHERE resource_type = 'keys'";
    let audited: Vec<String> = sqlx::query_scalar(audited).fetch_one(&app.pool).await.unwrap();
    assert_eq!(audited, ["keys.rotate", "keys.retire"]);
}

#[tokio::test]
async fn a_bot_is_the_same_after_its_token_was_sealed_anew() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let first = app.send(&bot, chat, "one").await;
    app.until(first, "sent").await;
    for _ in 0..2 {
        app.admin().post(&format!("{KEYS}/rotate"), &json!({})).await.ok(200);
        everything_is_sealed_anew(&app).await;
    }
    assert_eq!(sealed_by(&app.pool, bot.id).await, "local:3");
    // Whoever has the bot open still knows which token it has: a refusal marks it.
    let renewed = app.sim.world().lock().revoke_token(bot.telegram_id, true).unwrap();
    app.secret(renewed);
    let waits = app.send(&bot, chat, "two").await;
    eventually("it is marked", async || app.user.get(&bot.path()).await.ok(200)["status"] == "token_revoked").await;
    app.change(waits, "cancel").await;
    app.until_given_back(&bot).await;
}

#[tokio::test]
async fn moves_to_vault_and_back_are_online() {
    let bao = openbao();
    // An installation with credentials to which a Vault was added.
    let mut app = TestApp::start().await;
    let bots = bots(&app).await;
    let without = app.admin().post(&format!("{KEYS}/move"), &json!({ "to": "vault" })).await;
    without.problem(409, "conflict");
    insert(&app.pool, &app.sealer, ROWS).await;
    app.stop_service().await;
    forget_keys(&mut app, Some(&bao));
    app.start_service().await;
    assert_eq!(keys(&app).await["target"], "local");

    for (to, target, key) in
        [("vault", Target::Vault, "vault:transit/telegram-sessions:1"), ("local", Target::Local, "local:1")]
    {
        let load = Load::start(&app, &bots);
        app.admin().post(&format!("{KEYS}/move"), &json!({ "to": to })).await.ok(200);
        assert_eq!(app.sealer.choice().target, target);
        let done = everything_is_sealed_anew(&app).await;
        assert!(load.end(&app).await > 0);
        assert_eq!(done["target"], to);
        let by_key = open_all(&app.pool, &app.sealer).await;
        assert_eq!(by_key.into_keys().collect::<Vec<_>>(), [key]);
    }
    // Vault rotates by itself, or by somebody else: what is written next has the next version.
    app.admin().post(&format!("{KEYS}/move"), &json!({ "to": "vault" })).await.ok(200);
    app.admin().post(&format!("{KEYS}/rotate"), &json!({})).await.ok(200);
    let done = everything_is_sealed_anew(&app).await;
    assert_eq!(done["keys"].as_array().unwrap().iter().filter(|key| key["rows"] != 0).count(), 1, "{done}");
    let_time_pass(&app).await;
    app.admin().post(&format!("{KEYS}/retire"), &json!({})).await.ok(200);
    assert!(bao.control(&["read", "transit/keys/telegram-sessions"]).contains("min_decryption_version    2"));
    open_all(&app.pool, &app.sealer).await;
}

#[tokio::test]
async fn rows_that_cannot_be_opened_stay_and_keep_the_old_keys() {
    let app = TestApp::start().await;
    insert_user(&app).await;
    insert(&app.pool, &app.sealer, 20).await;
    // Two rows exchange their envelopes, and one has lost a byte.
    sqlx::query(
        "WITH two AS (SELECT id, bot_token, lead(bot_token) OVER (ORDER BY id) AS next,
                             lag(bot_token) OVER (ORDER BY id) AS last FROM (SELECT * FROM telegram_bots ORDER BY id LIMIT 2) b)
         UPDATE telegram_bots t SET bot_token = COALESCE(two.next, two.last) FROM two WHERE t.id = two.id",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let broken = "UPDATE telegram_sessions SET session_data = jsonb_set(session_data, '{ct}', '\"AAAA\"')
                  WHERE id = (SELECT id FROM telegram_sessions ORDER BY id LIMIT 1)";
    sqlx::query(broken).execute(&app.pool).await.unwrap();
    app.admin().post(&format!("{KEYS}/rotate"), &json!({})).await.ok(200);
    eventually("all but three are sealed anew", async || keys(&app).await["left"] == 3).await;
    eventually("they are counted", async || {
        let keys = keys(&app).await;
        let columns = keys["resealing"].as_array().unwrap();
        columns.iter().map(|column| column["failed"].as_i64().unwrap()).sum::<i64>() == 3
    })
    .await;
    let_time_pass(&app).await;
    let refused = app.admin().post(&format!("{KEYS}/retire"), &json!({})).await.problem(409, "keys_in_use");
    assert!(refused["detail"].as_str().unwrap().starts_with("3 rows"), "{refused}");
}

#[tokio::test]
async fn a_version_that_is_old_enough_is_replaced_by_itself() {
    let mut app = TestApp::start_with(&[("INTEGRATIONS_KEYS__ROTATE_DAYS", "30")]).await;
    let bot = app.connect_bot().await;
    let due = "UPDATE tasks SET due_at = now() WHERE name = 'keys' AND status = 'ready'";
    sqlx::query(due).execute(&app.pool).await.unwrap();
    eventually("it was looked at", async || {
        let later = "SELECT count(*) FROM tasks WHERE name = 'keys' AND status = 'ready' AND due_at > now()";
        sqlx::query_scalar::<_, i64>(later).fetch_one(&app.pool).await.unwrap() == 1
    })
    .await;
    assert_eq!(sealed_by(&app.pool, bot.id).await, "local:1", "it is young");
    app.stop_service().await;
    let file = app.settings.data_dir.join("keyring.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let year = chrono::Utc::now().format("\"created_at\": \"%Y").to_string();
    std::fs::write(&file, text.replace(&year, "\"created_at\": \"2001")).unwrap();
    forget_keys(&mut app, None);
    app.start_service().await;
    sqlx::query(due).execute(&app.pool).await.unwrap();
    eventually("its token is sealed anew", async || sealed_by(&app.pool, bot.id).await == "local:2").await;
}

async fn insert_user(app: &TestApp) {
    // The first call of a user makes its row.
    app.user.get(BOTS).await.ok(200);
    let exists = "INSERT INTO users (id) VALUES (7) ON CONFLICT DO NOTHING";
    sqlx::query(exists).execute(&app.pool).await.unwrap();
}

#[tokio::test]
async fn a_process_without_the_new_key_holds_up_the_rotation() {
    let app = TestApp::start().await;
    // Another machine with a copy of the keyring file, which is not told of the new version.
    let mark = app.sealer.keyring().mark(1).unwrap();
    let other = store::sealing::Process {
        id: Uuid::now_v7(),
        host: "elsewhere".to_owned(),
        pid: 7,
        local_version: 1,
        local_mark: mark,
        vault_key: None,
        follows: None,
    };
    store::sealing::beat(&app.pool, &other).await.unwrap();
    let held_up = app.admin().post(&format!("{KEYS}/rotate"), &json!({})).await.problem(409, "conflict");
    assert!(held_up["detail"].as_str().unwrap().contains("process 7 on elsewhere"), "{held_up}");
    assert_eq!(keys(&app).await["keys"][0]["is_current"], true, "the first version still seals");
    // The file was copied: the same version is taken.
    let mark = app.sealer.keyring().mark(2).unwrap();
    let told = store::sealing::Process { local_version: 2, local_mark: mark, ..other };
    store::sealing::beat(&app.pool, &told).await.unwrap();
    let rotated = app.admin().post(&format!("{KEYS}/rotate"), &json!({})).await.ok(200);
    let versions: Vec<_> = rotated["keys"].as_array().unwrap().iter().map(|key| &key["key"]).collect();
    assert_eq!(versions, ["local:1", "local:2"]);
}
