//! A reader of the event stream.

use futures::StreamExt as _;
use reqwest::Method;
use serde_json::Value;

use super::PATIENCE;
use super::client::Client;

/// One event as it came over the wire.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: String,
    pub kind: String,
    pub data: Value,
}

impl Event {
    /// What it happened to.
    pub fn resource(&self) -> &str {
        self.data["resource_id"].as_str().expect("an event has a resource")
    }
}

/// An open stream.
pub struct EventStream {
    response: futures::stream::BoxStream<'static, reqwest::Result<Vec<u8>>>,
    buffer: Vec<u8>,
}

impl EventStream {
    /// Opens the stream; it must be answered with 200.
    pub async fn open(caller: &Client, path: &str, last: Option<&str>) -> Self {
        let request = caller.request(Method::GET, path);
        let request = if let Some(last) = last { request.header("Last-Event-ID", last) } else { request };
        let response = request.send().await.expect("the service answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let response = response.bytes_stream().map(|bytes| bytes.map(Vec::from)).boxed();
        Self { response, buffer: Vec::new() }
    }

    /// The next event; comments that keep the connection alive are skipped.
    pub async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("an event was expected")
    }

    /// Reads up to and including the first event that fits.
    pub async fn until(&mut self, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            events.push(self.next().await);
            if events.last().is_some_and(&fits) {
                return events;
            }
        }
    }

    /// Waits for the end of the stream.
    pub async fn end(mut self) {
        let rest = async { while self.response.next().await.is_some_and(|bytes| bytes.is_ok()) {} };
        tokio::time::timeout(PATIENCE, rest).await.expect("the end was expected");
    }

    async fn read(&mut self) -> Event {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(event) = parse(std::str::from_utf8(&block).expect("the stream is UTF-8")) {
                    return event;
                }
            }
            let bytes = self.response.next().await.expect("the stream goes on").expect("the connection stands");
            self.buffer.extend(bytes);
        }
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
    let data = serde_json::from_str(field("data:")?).expect("the data is JSON");
    Some(Event { id: field("id:")?.to_owned(), kind: field("event:")?.to_owned(), data })
}
