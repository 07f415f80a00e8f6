//! The client against a server that breaks in every way that decides between "not sent" and "unknown".

mod calls;
mod sends;
mod server;

use std::fmt::Debug;
use std::time::Duration;

use platform::{Outcome, Text, TextMessage};
use secrecy::SecretString;

use self::server::{Script, Server};
use super::BotApi;

const TOKEN: &str = "4242:AAsecretsecretsecret";

/// Long enough for any exchange that is meant to end otherwise.
const PATIENT: Duration = Duration::from_secs(20);
/// For exchanges that must run into the time-out.
const IMPATIENT: Duration = Duration::from_millis(300);

fn token() -> SecretString {
    SecretString::from(TOKEN)
}

fn hello() -> TextMessage {
    TextMessage { text: Text { text: "hello".to_owned(), entities: Vec::new() }, ..TextMessage::default() }
}

fn api(server: &Server, timeout: Duration) -> BotApi {
    BotApi::new(&server.url, timeout).expect("an address")
}

/// Sends one message to a server with these scripts.
async fn send(scripts: Vec<Script>, timeout: Duration) -> (Outcome, Server) {
    let server = Server::start(scripts).await;
    let outcome = api(&server, timeout).send_message(&token(), 7, &hello()).await;
    assert_no_secret(&outcome);
    (outcome, server)
}

fn assert_no_secret(value: &impl Debug) {
    let text = format!("{value:?} {value:#?}");
    assert!(!text.contains("AAsecret"), "{text}");
}
