//! One JSON object per line, in the Elastic Common Schema.
//!
//! A field whose name has a dot (`http.request.id`, `trace.id`) is an ECS field and stays as it is; `error` becomes
//! `error.message`; any other name goes under `labels`, ECS's place for what it does not define. Fields of the spans
//! around an event are part of the event; the inner one wins.

use std::fmt::Debug;
use std::io::Write;

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The version of the schema that the lines follow.
const ECS_VERSION: &str = "8.11.0";

/// Writes events as ECS JSON.
#[derive(Debug)]
pub struct EcsLayer<W> {
    writer: W,
}

impl<W> EcsLayer<W> {
    /// A layer that writes to `writer`, one `write` per line.
    pub fn new(writer: W) -> Self {
        Self { writer }
    }
}

/// The fields of a span, kept with it.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl<S, W> Layer<S> for EcsLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = head(event);
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().into_iter().rev() {
            if let Some(Fields(fields)) = span.extensions().get::<Fields>() {
                line.0.extend(fields.clone());
            }
        }
        event.record(&mut line);
        let mut bytes = serde_json::to_vec(&line.0).unwrap_or_default();
        bytes.push(b'\n');
        // There is nowhere left to report that the log itself cannot be written.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(&bytes);
    }
}

/// What each line has.
fn head(event: &Event<'_>) -> Fields {
    let metadata = event.metadata();
    let fields = [
        ("@timestamp", json!(Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true))),
        ("log.level", json!(metadata.level().as_str().to_lowercase())),
        ("message", json!("")),
        ("ecs.version", json!(ECS_VERSION)),
        ("service.name", json!(super::SERVICE)),
        ("service.version", json!(env!("CARGO_PKG_VERSION"))),
        ("event.dataset", json!("integrations.log")),
        ("log.logger", json!(metadata.target())),
    ];
    Fields(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = match field.name() {
            "error" => "error.message".to_owned(),
            name if name == "message" || name.contains('.') => name.to_owned(),
            name => format!("labels.{name}"),
        };
        self.0.insert(name, value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, json!(super::with_causes(value)));
    }
}
