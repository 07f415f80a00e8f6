//! Metrics in the text format of Prometheus.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The names of the metrics. Dashboards and alerts rely on them.
pub mod name {
    /// Gauge, label `type`: sessions that exist.
    pub const SESSIONS_TOTAL: &str = "telegram_sessions_total";
    /// Gauge, label `type`: sessions that work, proven end to end.
    pub const SESSIONS_ACTIVE: &str = "telegram_sessions_active";
    /// Gauge, label `type`: sessions that need a login or are banned.
    pub const SESSIONS_ERROR: &str = "telegram_sessions_error";
    /// Gauge, label `session_id`: whether a bot or an account works; only while there are not too many.
    pub const SESSION_UP: &str = "integrations_session_up";
    /// Counter, label `result` (alive, dead, no_answer): bots that were asked for a sign of life.
    pub const BOT_PROBES: &str = "integrations_bot_probes_total";
    /// Counter, labels `way` (polling, webhook) and `result` (new, known): updates of bots that were taken.
    pub const BOT_UPDATES: &str = "integrations_bot_updates_total";
    /// Gauge, label `status` (active, no_sender, gone, off): channels and groups that are connected.
    pub const CHANNELS: &str = "integrations_channels";
    /// Counter, label `type` (account, bot, channel: the route called): messages that reached the platform.
    pub const MESSAGES_SENT: &str = "telegram_messages_sent_total";
    /// Counter, label `type`: messages that failed for good or whose outcome is unknown.
    pub const MESSAGES_ERROR: &str = "telegram_messages_error_total";
    /// Histogram in seconds, label `endpoint` (the route's pattern): time to the head of the response.
    pub const API_DURATION: &str = "api_request_duration_seconds";
    /// Counter, label `endpoint`: requests answered.
    pub const API_TOTAL: &str = "api_request_total";
    /// Counter, label `endpoint`: requests answered with a 5xx status.
    pub const API_ERROR: &str = "api_request_error_total";
    /// Counter, labels `endpoint`, `method` and `status`: requests answered, in detail.
    pub const API_RESPONSES: &str = "integrations_api_responses_total";
    /// Counter, label `queue` (high, mid, low): tasks and sends that were claimed.
    pub const TASKS_TOTAL: &str = "celery_tasks_total";
    /// Counter, label `queue`: tasks and sends that failed.
    pub const TASKS_ERROR: &str = "celery_tasks_error_total";
    /// Counter, label `carrier` (database, broker): hints given to other processes.
    pub const HINTS_PUBLISHED: &str = "integrations_hints_published_total";
    /// Counter, label `carrier`: hints that came from other processes.
    pub const HINTS_RECEIVED: &str = "integrations_hints_received_total";
    /// Histogram in seconds, label `task`: how long one run of a task took.
    pub const TASK_DURATION: &str = "integrations_task_seconds";
    /// Gauge, label `task`: tasks that failed for good and wait for an operator.
    pub const TASKS_DEAD: &str = "integrations_tasks_dead";
    /// Gauge: files that are stored.
    pub const FILES: &str = "integrations_files";
    /// Gauge: bytes that they have together.
    pub const FILES_BYTES: &str = "integrations_files_bytes";
    /// Counter, labels `way` (upload, url) and `result` (new, known: its content was stored already): files that were taken.
    pub const FILES_TAKEN: &str = "integrations_files_taken_total";
    /// Counter, labels likewise: bytes that they had.
    pub const FILES_TAKEN_BYTES: &str = "integrations_files_taken_bytes_total";
    /// Counter: files that were removed because nothing needed them.
    pub const FILES_REMOVED: &str = "integrations_files_removed_total";
    /// Gauge, label `upstream` (telegram_bot_api, redis, s3): 0 while calls pass, 1 while one finds out, 2 while it is left alone.
    pub const CIRCUIT_STATE: &str = "integrations_circuit_state";
    /// Gauge: senders that are left alone because their sends get no answer.
    pub const SENDER_CIRCUITS_OPEN: &str = "integrations_sender_circuits_open";
    /// Counter, label `result` (near: from memory, far: from Redis, miss): reads that may be answered without the database's rows.
    pub const HOT_READS: &str = "integrations_hot_reads_total";
    /// Counter, labels `operation` (encrypt, decrypt) and `result` (ok, error): requests to Vault for data keys.
    pub const VAULT_REQUESTS: &str = "integrations_vault_requests_total";
    /// Histogram in seconds: how long one of them took.
    pub const VAULT_SECONDS: &str = "integrations_vault_request_seconds";
    /// Gauge: whether Vault worked when it was last asked.
    pub const VAULT_UP: &str = "integrations_vault_up";
    /// Counter, labels `column` and `result` (done, failed): rows that were sealed anew with the current key.
    pub const RESEALED: &str = "integrations_resealed_total";
    /// Gauge, label `key` (current, other): rows by whether the current key has sealed them, as last counted.
    pub const SEALED_ROWS: &str = "integrations_sealed_rows";
    /// Histogram in seconds: time to connect, without the waits for people.
    pub const CONNECT_DURATION: &str = "integrations_connect_seconds";
    /// Histogram in seconds: from accepted or due to sent, without the waits that the platform imposed.
    pub const DELIVERY_DURATION: &str = "integrations_delivery_seconds";
}

/// Upper bounds in seconds: from a cached answer to a request that is about to time out.
const API_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds in seconds, with the promised 1 s (send) and 5 s (connect) as bounds.
const JOB_BUCKETS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Between two scrapes, samples of histograms are folded into their buckets this often.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    /// Which senders are up. Beside the recorder, which cannot forget one that is gone.
    sessions: Arc<Mutex<Vec<(Uuid, bool)>>>,
}

impl Metrics {
    /// Installs the recorder for the whole process. Fails when there is one already.
    pub fn install() -> Result<Self, BuildError> {
        let handle = builder()?.install_recorder()?;
        describe();
        Ok(Self { handle, sessions: Arc::default() })
    }

    /// Everything measured so far.
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        text.push_str(&render_sessions(&self.sessions.lock().unwrap_or_else(PoisonError::into_inner)));
        text
    }

    /// Sets which senders are up; those that are not named have no metric any more.
    pub fn set_sessions(&self, sessions: Vec<(Uuid, bool)>) {
        *self.sessions.lock().unwrap_or_else(PoisonError::into_inner) = sessions;
    }

    /// Keeps memory bounded while nobody scrapes. Runs until the token is cancelled.
    pub async fn keep_up(self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
            self.handle.run_upkeep();
        }
    }
}

fn render_sessions(sessions: &[(Uuid, bool)]) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    let name = name::SESSION_UP;
    let mut text = format!("# HELP {name} Whether a bot or an account works: 1 or 0.\n# TYPE {name} gauge\n");
    for (id, up) in sessions {
        // Memory takes any text.
        let _ = writeln!(text, "{name}{{session_id=\"{id}\"}} {}", u8::from(*up));
    }
    text
}

/// Sets the gauges of accounts, by the document's names: `error` needs a login or is banned.
pub fn set_senders(counts: &[(String, String, i64)]) {
    let accounts = |wanted: &dyn Fn(&str) -> bool| -> f64 {
        let matching = counts.iter().filter(|(kind, status, _)| kind == "account" && wanted(status));
        // Summed as integers: the sum of no floats is -0.
        as_f64(matching.map(|(_, _, count)| *count).sum())
    };
    metrics::gauge!("telegram_sessions_total", "type" => "account").set(accounts(&|_| true));
    metrics::gauge!("telegram_sessions_active", "type" => "account").set(accounts(&|status| status == "active"));
    let broken = |status: &str| status == "needs_login" || status == "banned";
    metrics::gauge!("telegram_sessions_error", "type" => "account").set(accounts(&broken));
    for status in ["active", "token_revoked", "off"] {
        let count = counts.iter().find(|(kind, s, _)| kind == "bot" && s == status).map_or(0, |(_, _, count)| *count);
        metrics::gauge!("integrations_bots", "status" => status).set(as_f64(count));
    }
}

/// Sets the gauges of channels and groups.
pub fn set_channels(counts: &[(String, i64)]) {
    for status in ["active", "no_sender", "gone", "off"] {
        let count = counts.iter().find(|(counted, _)| counted == status).map_or(0, |(_, count)| *count);
        metrics::gauge!(name::CHANNELS, "status" => status).set(as_f64(count));
    }
}

/// Sets the gauges of waiting messages.
pub fn set_queue_depth(depth: &[(i16, i64)]) {
    for priority in platform::Priority::ALL {
        let count = depth.iter().find(|(rank, _)| *rank == priority.rank()).map_or(0, |(_, count)| *count);
        metrics::gauge!("integrations_queue_depth", "queue" => priority.name()).set(as_f64(count));
    }
}

/// Sets the gauges of stored files.
pub fn set_files((files, bytes): (i64, i64)) {
    metrics::gauge!(name::FILES).set(as_f64(files));
    metrics::gauge!(name::FILES_BYTES).set(as_f64(bytes));
}

/// Sets the gauges of dead tasks. `before` is what was set last: a kind of which none is dead any more gets 0.
pub fn set_dead_tasks(before: &mut Vec<String>, counts: Vec<(String, i64)>) {
    for name in before.drain(..).filter(|name| counts.iter().all(|(counted, _)| counted != name)) {
        metrics::gauge!(name::TASKS_DEAD, "task" => name).set(0.0);
    }
    for (name, count) in counts {
        metrics::gauge!(name::TASKS_DEAD, "task" => name.clone()).set(as_f64(count));
        before.push(name);
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts stay far below 2^53")]
pub(crate) fn as_f64(count: i64) -> f64 {
    count as f64
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(name::API_DURATION.into()), &API_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(name::VAULT_SECONDS.into()), &API_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(name::CONNECT_DURATION.into()), &JOB_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(name::TASK_DURATION.into()), &JOB_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(name::DELIVERY_DURATION.into()), &JOB_BUCKETS)
}

fn describe() {
    describe_gauge!(name::SESSIONS_TOTAL, "Sessions that exist.");
    describe_gauge!(name::SESSIONS_ACTIVE, "Sessions that work, proven end to end.");
    describe_gauge!(name::SESSIONS_ERROR, "Sessions that need a login or are banned.");
    describe_counter!(name::BOT_PROBES, "Bots that were asked for a sign of life, by result.");
    describe_counter!(name::BOT_UPDATES, "Updates of bots that were taken, by way and by whether they were known.");
    describe_counter!(name::VAULT_REQUESTS, "Requests to Vault for data keys, by operation and result.");
    describe_histogram!(name::VAULT_SECONDS, "How long requests to Vault for data keys took.");
    describe_gauge!(name::VAULT_UP, "Whether Vault worked when it was last asked.");
    describe_counter!(name::RESEALED, "Rows that were sealed anew with the current key, by column and result.");
    describe_gauge!(name::SEALED_ROWS, "Rows by whether the current key has sealed them, as last counted.");
    describe_gauge!(name::CHANNELS, "Channels and groups that are connected, by state.");
    describe_counter!(name::MESSAGES_SENT, "Messages that reached the platform, by the route called.");
    describe_counter!(
        name::MESSAGES_ERROR,
        "Messages that failed for good or whose outcome is unknown, by the route called."
    );
    describe_histogram!(name::API_DURATION, "Time to the head of the response, by route pattern.");
    describe_counter!(name::API_TOTAL, "Requests answered, by route pattern.");
    describe_counter!(name::API_ERROR, "Requests answered with a 5xx status, by route pattern.");
    describe_counter!(name::API_RESPONSES, "Requests answered, by route pattern, method and status.");
    describe_counter!(name::TASKS_TOTAL, "Tasks and sends that were claimed, by queue.");
    describe_counter!(name::TASKS_ERROR, "Tasks and sends that failed, by queue.");
    describe_counter!(name::HINTS_PUBLISHED, "Hints given to other processes, by carrier.");
    describe_counter!(name::HINTS_RECEIVED, "Hints that came from other processes, by carrier.");
    describe_histogram!(name::TASK_DURATION, "How long one run of a background task took, by task.");
    describe_gauge!(name::TASKS_DEAD, "Background tasks that failed for good, by task.");
    describe_gauge!(name::FILES, "Files that are stored.");
    describe_gauge!(name::FILES_BYTES, "Bytes that the stored files have together.");
    describe_counter!(
        name::FILES_TAKEN,
        "Files that were taken, by way and by whether their content was stored already."
    );
    describe_counter!(name::FILES_TAKEN_BYTES, "Bytes of the files that were taken, likewise.");
    describe_counter!(name::FILES_REMOVED, "Files that were removed because nothing needed them.");
    describe_gauge!(name::CIRCUIT_STATE, "Circuits of upstreams: 0 closed, 1 half-open, 2 open.");
    describe_gauge!(name::SENDER_CIRCUITS_OPEN, "Senders that are left alone because their sends get no answer.");
    describe_counter!(name::HOT_READS, "Reads that may be answered from the cache, by where the answer was.");
    describe_histogram!(name::CONNECT_DURATION, "Time to connect an account, without the waits for people.");
    describe_histogram!(name::DELIVERY_DURATION, "Time from due to sent, without the waits that the platform imposed.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_has_a_line() {
        let (up, down) = (Uuid::now_v7(), Uuid::now_v7());
        let text = render_sessions(&[(up, true), (down, false)]);
        assert!(text.contains("# TYPE integrations_session_up gauge\n"));
        assert!(text.contains(&format!("integrations_session_up{{session_id=\"{up}\"}} 1\n")));
        assert!(text.contains(&format!("integrations_session_up{{session_id=\"{down}\"}} 0\n")));
        assert_eq!(render_sessions(&[]), "");
    }

    #[test]
    fn durations_are_histograms_and_everything_is_described() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::histogram!(name::API_DURATION, "endpoint" => "/x").record(0.003);
            metrics::histogram!(name::DELIVERY_DURATION).record(0.7);
            metrics::counter!(name::API_TOTAL, "endpoint" => "/x").increment(1);
        });
        let text = handle.render();
        for line in [
            "# TYPE api_request_duration_seconds histogram",
            "api_request_duration_seconds_bucket{endpoint=\"/x\",le=\"0.005\"} 1",
            "integrations_delivery_seconds_bucket{le=\"1\"} 1",
            "# HELP api_request_total Requests answered, by route pattern.",
            "api_request_total{endpoint=\"/x\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
    }
}
