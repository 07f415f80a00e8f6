//! The table at the end, and whether the run is passed.

use super::flat::{Sample, Tolerance, Trend};
use super::stage::Stage;
use crate::Result;

/// What a process measures by itself: comparable within its life only.
const OF_A_PROCESS: [&str; 5] = [
    "service without buffers, MiB",
    "PostgreSQL, MiB",
    "descriptors but those to Telegram",
    "threads",
    "database connections",
];
/// Follow the number of people who are connected: shown for each cycle, and judged without their part.
const SHOWN: [&str; 2] = ["service, MiB", "descriptors"];
/// Fewer cycles of one process say nothing of its memory.
const ENOUGH: usize = 9;
/// Grows by design, as the roadmap says: nothing removes old rows yet.
const GROWS: &str = "rows of audit_log";

/// What was measured in a cycle, and in which life of the service.
pub struct Measured {
    /// Counts the service's processes.
    pub life: u32,
    /// What was measured.
    pub sample: Sample,
}

/// A cycle in one line.
pub fn line(sample: &Sample) -> String {
    let of = |what: &str| sample.get(what).copied().unwrap_or_default();
    let rows: f64 = sample.iter().filter(|(what, _)| what.starts_with("rows of ")).map(|(_, rows)| rows).sum();
    format!(
        "service {:.1} MiB, {} descriptors, {} threads; PostgreSQL {:.1} MiB, {} connections; {} connections to Telegram; \
         {rows} rows, database {:.1} MiB",
        of("service, MiB"),
        of("descriptors"),
        of("threads"),
        of("PostgreSQL, MiB"),
        of("database connections"),
        of("connections to Telegram"),
        of("database but audit_log, MiB"),
    )
}

fn tolerance(what: &str) -> Tolerance {
    let (plain, part) = match what {
        // At equal numbers of connections it goes up and down by 7 MiB.
        "service without buffers, MiB" => (16.0, 0.0),
        "PostgreSQL, MiB" => (16.0, 0.1),
        "descriptors but those to Telegram" => (12.0, 0.0),
        "threads" => (2.0, 0.0),
        "database connections" => (8.0, 0.0),
        "database but audit_log, MiB" => (4.0, 0.1),
        // People come and go: at most so many more are there at the end.
        "connections to Telegram" | "rows of sender_leases" | "rows of telegram_sessions" => (30.0, 0.0),
        "rows of account_positions" => (60.0, 0.0),
        _ => (20.0, 0.1),
    };
    Tolerance { plain, part }
}

/// Prints what was done and what was measured; an error says what grew or went wrong.
pub fn pass(stage: &Stage, measured: &[Measured]) -> Result<()> {
    let notes = stage.notes();
    println!("\ndone:");
    for (what, times) in &notes.done {
        println!("  {times:>7} {what}");
    }
    let longest = longest_life(measured);
    println!(
        "\nmedians of the first and the last third ({} cycles; {} of one process):",
        measured.len(),
        longest.len()
    );
    let mut grew = Vec::new();
    let names: Vec<&String> = measured.first().map(|first| first.sample.keys().collect()).unwrap_or_default();
    for name in names.into_iter().filter(|name| !SHOWN.contains(&name.as_str())) {
        let of_a_process = OF_A_PROCESS.contains(&name.as_str());
        let (samples, enough) = if of_a_process { (longest, ENOUGH) } else { (measured, 3) };
        if samples.len() < enough {
            println!("  {name}: too few cycles to tell");
            continue;
        }
        let values: Vec<f64> = samples.iter().filter_map(|one| one.sample.get(name).copied()).collect();
        let Some(trend) = Trend::of(&values, tolerance(name)) else { continue };
        println!(
            "  {name}: {:.1} to {:.1}, max {:.1} (may grow by {:.1})",
            trend.first, trend.last, trend.max, trend.allowed
        );
        if !trend.is_flat() && name != GROWS {
            grew.push(format!("{name} grew from {:.1} to {:.1}", trend.first, trend.last));
        }
    }
    if !notes.wrong.is_empty() {
        let some: Vec<&str> = notes.wrong.iter().take(5).map(String::as_str).collect();
        grew.push(format!("{} things went wrong, such as: {}", notes.wrong.len(), some.join("; ")));
    }
    if grew.is_empty() {
        println!("\nflat: nothing grew, nothing was lost or doubled, nothing went wrong");
        return Ok(());
    }
    Err(format!("not flat: {}", grew.join("; ")).into())
}

/// The cycles of the process that lived longest, without its first one or two, in which it warms up.
fn longest_life(measured: &[Measured]) -> &[Measured] {
    let life = measured.chunk_by(|one, next| one.life == next.life).max_by_key(|life| life.len()).unwrap_or_default();
    let warm = if life.len() > ENOUGH { 2 } else { life.len().min(1) };
    &life[warm..]
}
