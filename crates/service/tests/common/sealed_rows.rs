//! Many rows with envelopes in every column that has them, beside the service; nothing works with them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use service::logins::{qr_purpose, state_purpose};
use service::platforms::telegram_accounts::session_purpose;
use service::platforms::telegram_client::proxy_purpose;
use service::secrets::columns::COLUMNS;
use service::secrets::{Envelope, Sealer, purpose};
use service::usecases::bots::token_purpose;
use sqlx::PgPool;
use telegram::accounts::table::Proxy;
use uuid::Uuid;

/// What is in a row, in the clear.
fn secret(id: Uuid, what: &str) -> String {
    format!("secret-of-{what}-{id}")
}

fn proxy() -> Proxy {
    Proxy { host: "proxy.example".to_owned(), port: 1080, username: Some("u".to_owned()), sealed_password: None }
}

/// A client with a proxy whose password is sealed.
async fn client(sealer: &Sealer, id: Uuid) -> Value {
    let mut proxy = proxy();
    let password = sealer.seal(&proxy_purpose(&proxy), secret(id, "proxy").as_bytes()).await.unwrap();
    proxy.sealed_password = Some(password.to_text());
    json!({ "proxy": proxy })
}

/// So many bots of user 7 that are off, and a tenth as many of everything else.
pub async fn insert(pool: &PgPool, sealer: &Sealer, bots: usize) {
    let ids: Vec<Uuid> = (0..bots).map(|_| Uuid::now_v7()).collect();
    for ids in ids.chunks(1000) {
        let sealing = ids.iter().map(async |id| sealer.seal(&token_purpose(*id), secret(*id, "bot").as_bytes()).await);
        let tokens: Vec<String> =
            futures::future::join_all(sealing).await.into_iter().map(|token| token.unwrap().to_text()).collect();
        sqlx::query(
            "INSERT INTO telegram_bots (id, user_id, telegram_bot_id, username, bot_token, is_active, status)
             SELECT id, 7, 9000000000 + row_number() OVER () + (SELECT count(*) FROM telegram_bots), 'bot', token, FALSE, 'off'
             FROM unnest($1::uuid[], $2::text[]) AS n(id, token)",
        )
        .bind(ids)
        .bind(tokens)
        .execute(pool)
        .await
        .unwrap();
    }
    for row in 0..bots / 10 {
        others(pool, sealer, row).await;
    }
}

async fn others(pool: &PgPool, sealer: &Sealer, row: usize) {
    let (account, former, login) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let seal =
        async |purpose: String, id: Uuid, what: &str| sealer.seal(&purpose, secret(id, what).as_bytes()).await.unwrap();
    sqlx::query(
        "INSERT INTO telegram_sessions (id, user_id, phone, session_data, client, is_active, status, telegram_user_id)
         VALUES ($1, 7, '+79160000000', $2, $3, FALSE, 'off', $4)",
    )
    .bind(account)
    .bind(json!(seal(session_purpose(account), account, "session").await))
    .bind(client(sealer, account).await)
    .bind(i64::try_from(row).unwrap() + 8_000_000_000)
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO telegram_former_sessions (id, session_data, client, next_try_at)
         VALUES ($1, $2, $3, now() + interval '1 day')",
    )
    .bind(former)
    .bind(json!(seal(purpose("telegram_former_sessions", former, "session_data"), former, "former").await))
    .bind(client(sealer, former).await)
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO logins (id, user_id, platform, method, status, step, expires_at, state, qr, client)
         VALUES ($1, 7, 'telegram', 'qr', 'cancelled', '{\"type\": \"cancelled\"}', now(), $2, $3, $4)",
    )
    .bind(login)
    .bind(json!(seal(state_purpose(login), login, "state").await))
    .bind(seal(qr_purpose(login), login, "qr").await.to_text())
    .bind(client(sealer, login).await)
    .execute(pool)
    .await
    .unwrap();
}

/// Opens every envelope of the database; returns how many each key has sealed. What [`insert`] wrote must be what it was.
pub async fn open_all(pool: &PgPool, sealer: &Sealer) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    for column in COLUMNS {
        // No key has this name.
        let rows = store::sealing::old(pool, column.place, "", Uuid::nil(), i64::MAX).await.unwrap();
        let opening = rows.iter().map(async |row| {
            let envelope = Envelope::parse(&row.sealed).unwrap();
            let opened = sealer.open(&column.purpose(row.id, row.more.as_ref()).unwrap(), &envelope).await;
            let opened = opened.unwrap_or_else(|error| panic!("{} {}: {error}", column.place.name, row.id));
            let text = String::from_utf8_lossy(&opened);
            assert!(!text.starts_with("secret-of-") || text.ends_with(&row.id.to_string()), "{}", column.place.name);
            envelope.key
        });
        for key in futures::future::join_all(opening).await {
            *keys.entry(key).or_default() += 1;
        }
    }
    keys
}
