use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// Collects what is written.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Buffer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The lines that `work` logs.
fn logged(work: impl FnOnce()) -> Vec<Value> {
    let buffer = Buffer::default();
    let subscriber = tracing_subscriber::registry().with(EcsLayer::new(buffer.clone()));
    tracing::subscriber::with_default(subscriber, work);
    let bytes = buffer.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_line_has_the_ecs_fields() {
    let lines = logged(|| tracing::warn!(bot_id = 7, "almost \"full\"\nnow"));
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(line["message"], "almost \"full\"\nnow");
    assert_eq!(line["log.level"], "warn");
    assert_eq!(line["ecs.version"], "8.11.0");
    assert_eq!(line["service.name"], "integrations");
    assert_eq!(line["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(line["event.dataset"], "integrations.log");
    assert_eq!(line["labels.bot_id"], 7);
    let time = line["@timestamp"].as_str().unwrap();
    assert!(time.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
}

#[test]
fn fields_of_spans_are_part_of_the_event_and_the_inner_one_wins() {
    let lines = logged(|| {
        let outer =
            tracing::info_span!("request", http.request.id = "r1", trace.id = "t1", user = tracing::field::Empty);
        outer.record("user", 7);
        let _outer = outer.entered();
        let _inner = tracing::info_span!("send", trace.id = "t2").entered();
        tracing::info!(event.dataset = "integrations.access", "sent");
    });
    assert_eq!(lines[0]["http.request.id"], "r1");
    assert_eq!(lines[0]["trace.id"], "t2");
    assert_eq!(lines[0]["labels.user"], 7);
    assert_eq!(lines[0]["event.dataset"], "integrations.access");
}

#[test]
fn an_error_is_logged_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the drawer")]
    struct Outer(#[source] std::io::Error);
    let outer = Outer(std::io::Error::other("it is stuck"));
    let lines = logged(|| {
        tracing::error!(error = &outer as &dyn Error, "no spoon");
        tracing::error!(error = %outer, "no fork");
    });
    assert_eq!(lines[0]["error.message"], "cannot open the drawer: it is stuck");
    assert_eq!(lines[1]["error.message"], "cannot open the drawer");
}

#[test]
fn a_panic_is_logged_as_an_error() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(log_panic));
    let lines = logged(|| {
        let _ = std::panic::catch_unwind(|| panic!("number {}", 7));
    });
    std::panic::set_hook(before);
    assert_eq!(lines[0]["log.level"], "error");
    assert_eq!(lines[0]["error.message"], "number 7");
    assert_eq!(lines[0]["error.type"], json!("panic"));
    assert!(lines[0]["message"].as_str().unwrap().contains("telemetry/tests.rs"));
}
