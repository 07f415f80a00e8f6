//! Who sends, who writes to accounts and bots, who reads events, and what goes wrong in between.

use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;
use telegram_sim::bot_api;
use telegram_sim::mtproto::faults::{Action, Fault};
use telegram_sim::world::Body;
use tokio::net::TcpStream;

use super::stage::{AWAY, Caller, Person, Stage};
use crate::Result;

/// Nobody has this id.
const NOBODY: i64 = 4_000_000_000;

async fn pause(rng: &mut StdRng, milliseconds: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(milliseconds))).await;
}

fn known(person: &Person) -> Option<String> {
    person.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Sends through accounts and bots, one message after another, each until it is accepted or refused.
pub async fn send(stage: &Stage, mut rng: StdRng) -> Result<()> {
    let mut caller = Caller::default();
    while !stage.is_over() {
        pause(&mut rng, 50..350).await;
        let (path, chat) = if rng.random_bool(0.6) {
            let Some(id) = stage.people.choose(&mut rng).and_then(known) else { continue };
            // A few go to nobody, which is refused when it is tried.
            let friend = stage.friends.choose(&mut rng).copied().unwrap_or(NOBODY);
            let chat = if rng.random_bool(0.05) { NOBODY } else { friend };
            (format!("/api/integrations/telegram/accounts/{id}/send"), chat)
        } else {
            let Some(bot) = stage.bots.choose(&mut rng) else { continue };
            let Some(chat) = bot.chats.choose(&mut rng) else { continue };
            (format!("/api/integrations/telegram/bots/{}/send", bot.id), *chat)
        };
        let text = stage.text();
        let body = json!({ "chat_id": chat, "text": text });
        let key = text.replace(' ', "-");
        let (status, answer) = caller.insist(stage, Method::POST, &path, Some(&body), Some(&key)).await?;
        if status != 202 {
            stage.count("sends refused");
            continue;
        }
        stage.count("sends accepted");
        let id = answer["id"].as_str().unwrap_or_default().to_owned();
        stage.notes().accepted.insert(text, id.clone());
        if rng.random_bool(0.1) {
            let (status, again) = caller.insist(stage, Method::POST, &path, Some(&body), Some(&key)).await?;
            stage.count("sends repeated with their key");
            // The account may have been disconnected in between: the repeat finds none.
            if status != 404 && (status != 202 || again["id"].as_str() != Some(&id)) {
                stage.wrong(format!("a repeat of {id} with its key was answered with {status} {again}"));
            }
        }
    }
    Ok(())
}

/// People write to accounts and bots.
pub async fn write(stage: &Stage, mut rng: StdRng) -> Result<()> {
    while !stage.is_over() {
        pause(&mut rng, 20..120).await;
        if rng.random_bool(0.7) {
            let (Some(person), Some(friend)) = (stage.people.choose(&mut rng), stage.friends.choose(&mut rng)) else {
                continue;
            };
            stage.sim.accounts().deliver(*friend, person.user, "a message to an account")?;
        } else if let Some(bot) = stage.bots.choose(&mut rng)
            && let Some(user) = bot.chats.first()
        {
            let body = Body { text: "a message to a bot".to_owned(), ..Body::default() };
            stage.sim.world().lock().send(*user, bot.user, body)?;
        }
        stage.count("messages received");
    }
    Ok(())
}

/// Reads the stream of events for a while, leaves, and comes back.
pub async fn read_events(stage: &Stage, mut rng: StdRng) -> Result<()> {
    while !stage.is_over() {
        let stay = Duration::from_millis(rng.random_range(300..6000));
        // The service may be away, or end meanwhile.
        let reading = async { (read_stream(stage).await, tokio::time::sleep(AWAY).await) };
        let until_over = async {
            while !stage.is_over() {
                tokio::time::sleep(AWAY).await;
            }
        };
        tokio::select! {
            _ = reading => {}
            () = tokio::time::sleep(stay) => {}
            () = until_over => {}
        }
        stage.count("event streams");
    }
    Ok(())
}

async fn read_stream(stage: &Stage) -> Result<()> {
    let endpoint = stage.endpoint();
    let stream = TcpStream::connect(endpoint.address).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .uri("/api/integrations/events")
        .header(HOST, endpoint.address.to_string())
        .header(AUTHORIZATION, endpoint.authorization)
        .body(Empty::<Bytes>::new())?;
    let reading = async {
        let mut body = sender.send_request(request).await?.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Result::Ok(())
    };
    // The connection ends with the reader.
    tokio::select! {
        read = reading => read,
        closed = connection => closed.map_err(Into::into),
    }
}

/// Cuts, silences, waits and other trouble at Telegram.
pub async fn trouble(stage: &Stage, mut rng: StdRng) -> Result<()> {
    let accounts = stage.sim.accounts();
    while !stage.is_over() {
        pause(&mut rng, 200..1500).await;
        let (Some(person), Some(bot)) = (stage.people.choose(&mut rng), stage.bots.choose(&mut rng)) else { continue };
        let fault =
            |action| accounts.add_fault(Fault::new("messages.sendMessage", action).for_user(person.user).times(1));
        let seconds: u32 = rng.random_range(1..4);
        match rng.random_range(0..100) {
            0..25 => {
                accounts.cut(Some(person.user))?;
                stage.count("connections cut");
            }
            25..35 => {
                accounts.silence(Some(person.user), true)?;
                stage.count("connections silenced");
            }
            35..38 => {
                accounts.cut(None)?;
                stage.count("all connections cut");
            }
            38..42 => {
                accounts.change_salts();
                stage.count("salts changed");
            }
            42..60 => {
                fault(Action::Error { code: 420, message: format!("FLOOD_WAIT_{seconds}") });
                stage.count("flood waits");
            }
            60..75 => {
                fault(Action::TakeThenCut);
                stage.count("sends taken, then cut");
            }
            75..85 => {
                fault(Action::Cut);
                stage.count("sends cut");
            }
            _ => {
                let action = bot_api::FaultAction::Error {
                    error_code: 429,
                    description: format!("Too Many Requests: retry after {seconds}"),
                    parameters: Some(json!({ "retry_after": seconds })),
                };
                stage.sim.add_fault(bot_api::Fault::new(action).method("sendMessage").bot(bot.user).times(1));
                stage.count("waits of bots");
            }
        }
    }
    Ok(())
}
