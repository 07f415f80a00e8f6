//! The table of what was measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::scenarios::Plan;
use crate::tally::Tally;

/// A scenario that was played.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// How long the fault lasted.
    pub lasted: Duration,
    /// From the beginning of the fault until the last late message had arrived.
    pub recovered: Duration,
    /// What became of the messages.
    pub tally: Tally,
    /// How many messages may be `unknown`.
    pub may_be_unknown: usize,
    /// What single tries failed of.
    pub failures: BTreeMap<String, usize>,
}

const HEAD: &str = "\
| scenario | lasted, s | accepted | arrived | doubled | unknown (on the wire) | p50, ms | p99, ms | worst, ms | well again after, s | API, % | of these at once | single tries that failed |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

impl Row {
    /// As a line of the table.
    pub fn line(&self) -> String {
        let Tally { accepted, arrived, duplicates, unknown, .. } = &self.tally;
        let (p50, p99, worst) = (self.tally.latency(500), self.tally.latency(990), self.tally.latency(1000));
        let failures: Vec<String> = self.failures.iter().map(|(what, count)| format!("{count} {what}")).collect();
        format!(
            "| {} | {:.1} | {accepted} | {arrived} | {duplicates} | {unknown} ({}) | {p50} | {p99} | {worst} | {:.1} | {:.2} | {:.2} | {} |",
            self.name,
            self.lasted.as_secs_f64(),
            self.may_be_unknown,
            self.recovered.as_secs_f64(),
            self.tally.success(),
            self.tally.success_at_once(),
            failures.join(", "),
        )
    }
}

/// Prints the table, leaves it in `target/tmp/reliability.md`, and returns what is wrong.
pub fn print(rows: &[Row], plan: &Plan) -> Vec<String> {
    let mut table = format!("{} messages a second, RELIABILITY_SEED={}\n\n{HEAD}", plan.per_second, plan.seed);
    for row in rows {
        writeln!(table, "{}", row.line()).unwrap();
    }
    println!("\n{table}");
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("reliability.md"), table).unwrap();
    let words = |row: &Row| row.tally.wrong.iter().map(|wrong| format!("{}: {wrong}", row.name)).collect::<Vec<_>>();
    rows.iter().flat_map(words).collect()
}
