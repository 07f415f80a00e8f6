//! The client against a server that breaks in every way that decides between "not sent" and "unknown".

mod calls;
mod media;
mod sends;
mod server;

use std::fmt::Debug;
use std::time::Duration;

use platform::{Content, Message, Options, Outcome, Text, TextContent};
use secrecy::SecretString;

use self::server::{Script, Server};
use super::BotApi;
use crate::media::testing::Shelf;

const TOKEN: &str = "4242:AAsecretsecretsecret";

/// Long enough for any exchange that is meant to end otherwise.
const PATIENT: Duration = Duration::from_secs(20);
/// For exchanges that must run into the time-out.
const IMPATIENT: Duration = Duration::from_millis(300);

fn token() -> SecretString {
    SecretString::from(TOKEN)
}

fn hello() -> Message {
    let text = TextContent { text: Text::plain("hello"), link_preview: None };
    Message { content: Content::Text(text), options: Options::default() }
}

fn api(server: &Server, timeout: Duration) -> BotApi {
    BotApi::new(&server.url, timeout).expect("an address")
}

/// Sends one message to a server with these scripts.
async fn send(scripts: Vec<Script>, timeout: Duration) -> (Outcome, Server) {
    let server = Server::start(scripts).await;
    let outcome = api(&server, timeout).send(&token(), 7, &hello(), &Shelf::default()).await;
    assert_no_secret(&outcome);
    (outcome, server)
}

fn assert_no_secret(value: &impl Debug) {
    let text = format!("{value:?} {value:#?}");
    assert!(!text.contains("AAsecret"), "{text}");
}
