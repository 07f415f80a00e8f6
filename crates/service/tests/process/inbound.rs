//! What bots are told, while the service is killed again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use telegram_sim::Sim;
use telegram_sim::bot_api::token_bot_id;
use telegram_sim::world::Body;

use crate::support::{Api, Machine, Telegram, sim, until};

const BOTS: usize = 5;
/// Messages to each bot in each round.
const MESSAGES: usize = 200;
const ROUNDS: usize = 3;

/// People write to all bots, for about a second.
async fn write(sim: &Sim, bots: &[Telegram], round: usize) {
    for n in 0..MESSAGES {
        for bot in bots {
            let to = token_bot_id(&bot.token).unwrap();
            let body = Body { text: format!("{round}/{n}"), ..Body::default() };
            sim.world().lock().send(bot.chats[0], to, body).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_misses_and_doubles_no_update() {
    let sim = sim().await;
    let machine = Machine::new()
        .with("INTEGRATIONS_TELEGRAM__BOT_API_URL", sim.bot_api_url())
        .with("INTEGRATIONS_TELEGRAM__BOT_UPDATES", "polling");
    let bots = Telegram::bots(&sim, BOTS, 1);
    let mut service = machine.serve().await;
    let api = Api::new(&service.url(), &machine.token().await);
    let mut ids = Vec::new();
    for bot in &bots {
        ids.push(api.connect_bot(&bot.token).await);
    }
    for round in 0..ROUNDS {
        let killing = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            service.kill().await;
            machine.serve().await
        };
        ((), service) = tokio::join!(write(&sim, &bots, round), killing);
    }
    let stored = "SELECT resource_id::text, data FROM events WHERE type = 'bot.message_new' ORDER BY events.xid, id";
    until("all of it is stored", async || {
        let mut database = machine.database().await;
        let count = format!("SELECT count(*) FROM ({stored}) AS told");
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut database).await.unwrap();
        usize::try_from(count).unwrap() >= BOTS * ROUNDS * MESSAGES
    })
    .await;
    let told: Vec<(String, Value)> = sqlx::query_as(stored).fetch_all(&mut machine.database().await).await.unwrap();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (bot, data) in told {
        texts.entry(bot).or_default().push(data["text"].as_str().unwrap().to_owned());
    }
    let expected: Vec<String> =
        (0..ROUNDS).flat_map(|round| (0..MESSAGES).map(move |n| format!("{round}/{n}"))).collect();
    assert_eq!(texts.len(), ids.len());
    for (bot, texts) in texts {
        assert_eq!(texts, expected, "{bot}");
    }
    service.stop().await;
}
