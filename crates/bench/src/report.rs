//! The lines of JSON and the table.

use std::fmt::{self, Write};
use std::fs;

use serde::Serialize;

use crate::cli::Options;
use crate::processes::{Part, Usage};
use crate::scenario::{Measured, Scenario};
use crate::summary::{Percentiles, Spread};

/// What the figures depend on.
#[derive(Debug, Serialize)]
pub struct Machine {
    at: String,
    processor: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    load_average: String,
    telegram_ms: u64,
}

/// This machine, now.
pub fn machine(options: &Options) -> Machine {
    let after = |text: &str, key: &str| {
        let value = text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start_matches([' ', '\t', ':'])));
        value.unwrap_or("unknown").to_owned()
    };
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    Machine {
        at: chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
        processor: after(&read("/proc/cpuinfo"), "model name"),
        cores: std::thread::available_parallelism().map_or(1, Into::into),
        memory_mib: memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        load_average: load_average(),
        telegram_ms: options.telegram_ms,
    }
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, processor, cores, memory_mib, kernel, load_average, telegram_ms } = self;
        write!(f, "{at}: {cores} x {processor}, {memory_mib} MiB, Linux {kernel}, load average {load_average}, ")?;
        write!(f, "sendMessage takes {telegram_ms} ms")
    }
}

/// One run.
#[derive(Debug, Serialize)]
pub struct Record {
    #[serde(skip)]
    index: usize,
    scenario: String,
    system: &'static str,
    repeat: u32,
    at: String,
    load_average: String,
    #[serde(flatten)]
    measured: Measured,
}

impl Record {
    /// What a run of the scenario with this index gave.
    pub fn new(index: usize, scenario: &Scenario, system: &'static str, repeat: u32, measured: Measured) -> Self {
        let at = chrono::Utc::now().to_rfc3339();
        Self { index, scenario: scenario.to_string(), system, repeat, at, load_average: load_average(), measured }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { answered_per_s, arrived_per_s, post, arrival, messages, used, statuses } = &self.measured;
        write!(f, "{} [{}] {}: {answered_per_s:.0}/s answered {statuses:?}", self.repeat, self.system, self.scenario)?;
        if let Some(post) = post {
            write!(f, ", POST p50 {:.1} p99 {:.1}", post.p50, post.p99)?;
        }
        if let (Some(arrival), Some(counts)) = (arrival, messages) {
            write!(
                f,
                ", {arrived_per_s:.0}/s arrived, p50 {:.1} p99 {:.1} max {:.1}",
                arrival.p50, arrival.p99, arrival.max
            )?;
            write!(f, ", lost {} doubles {}", counts.lost, counts.doubles)?;
        }
        for (part, usage) in &used.parts {
            write!(f, ", {part:?} {:.1} % {:.0} MiB", usage.cpu, usage.pss)?;
        }
        write!(f, ", other {:.0} %", used.other_cpu)
    }
}

type Figure = (&'static str, fn(&Measured) -> Option<f64>);

/// The rows of a scenario's block.
const FIGURES: [Figure; 24] = [
    ("answered, per second", |m| m.post.map(|_| m.answered_per_s)),
    ("arrived meanwhile, per second", |m| m.messages.map(|_| m.arrived_per_s)),
    ("accepted", |m| m.messages.map(|c| count(c.accepted))),
    ("arrived in the end", |m| m.messages.map(|c| count(c.arrived))),
    ("lost", |m| m.messages.map(|c| count(c.lost))),
    ("doubles", |m| m.messages.map(|c| count(c.doubles))),
    ("request p50, ms", |m| post(m).map(|p| p.p50)),
    ("request p99, ms", |m| post(m).map(|p| p.p99)),
    ("request p99.9, ms", |m| post(m).map(|p| p.p999)),
    ("request max, ms", |m| post(m).map(|p| p.max)),
    ("arrival p50, ms", |m| arrival(m).map(|p| p.p50)),
    ("arrival p99, ms", |m| arrival(m).map(|p| p.p99)),
    ("arrival p99.9, ms", |m| arrival(m).map(|p| p.p999)),
    ("arrival max, ms", |m| arrival(m).map(|p| p.max)),
    ("service CPU, % of a core", |m| part(m, Part::Service).map(|u| u.cpu)),
    ("PostgreSQL CPU, %", |m| part(m, Part::Postgres).map(|u| u.cpu)),
    ("broker and cache CPU, %", |m| part(m, Part::Broker).map(|u| u.cpu)),
    ("service RSS peak, MiB", |m| part(m, Part::Service).map(|u| u.rss_peak)),
    ("service PSS, MiB", |m| part(m, Part::Service).map(|u| u.pss)),
    ("PostgreSQL RSS peak, MiB", |m| part(m, Part::Postgres).map(|u| u.rss_peak)),
    ("PostgreSQL PSS, MiB", |m| part(m, Part::Postgres).map(|u| u.pss)),
    ("broker and cache PSS, MiB", |m| part(m, Part::Broker).map(|u| u.pss)),
    ("load generator CPU, %", |m| Some(m.used.bench_cpu)),
    ("other CPU, %", |m| Some(m.used.other_cpu)),
];

fn post(measured: &Measured) -> Option<Percentiles> {
    measured.post
}

fn arrival(measured: &Measured) -> Option<Percentiles> {
    measured.arrival.filter(|_| measured.messages.is_some())
}

fn part(measured: &Measured, part: Part) -> Option<Usage> {
    measured.used.parts.get(&part).copied()
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(count: usize) -> f64 {
    count as f64
}

/// A block for each scenario: medians over the repeats, with the smallest and the largest; with several systems, also the ratios of
/// their medians, each by the last.
pub fn table(scenarios: &[Scenario], records: &[Record]) -> String {
    let mut systems: Vec<&'static str> = Vec::new();
    for record in records {
        if !systems.contains(&record.system) {
            systems.push(record.system);
        }
    }
    let mut text = String::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let title = systems.iter().fold(scenario.to_string(), |title, system| format!("{title:<52} {system:<28}"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}{}", title.trim_end(), if systems.len() > 1 { "  by the last" } else { "" });
        for (name, figure) in FIGURES {
            let spread = |system: &str| {
                let of = records.iter().filter(|record| record.index == index && record.system == system);
                Spread::of(of.filter_map(|record| figure(&record.measured)))
            };
            let spreads: Vec<Option<Spread>> = systems.iter().map(|system| spread(system)).collect();
            if spreads.iter().all(Option::is_none) {
                continue;
            }
            let mut line = format!("  {name:<50}");
            for spread in &spreads {
                let _ = write!(line, " {:<28}", cell(*spread));
            }
            if let Some((Some(last), others)) = spreads.split_last() {
                for spread in others.iter().flatten().filter(|_| last.median > 0.0) {
                    let _ = write!(line, " {:.2}", spread.median / last.median);
                }
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.push('\n');
    }
    text
}

fn cell(spread: Option<Spread>) -> String {
    let Some(Spread { median, min, max }) = spread else { return "-".into() };
    let is_count = max.fract() == 0.0 && min.fract() == 0.0;
    let decimals = usize::from(max < 100.0 && !is_count);
    format!("{median:.decimals$} ({min:.decimals$}-{max:.decimals$})")
}
