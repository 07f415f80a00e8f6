//! `message_stats`: what became of messages, by day.
//!
//! - [`counting`]: counts what the stream of events tells, each event once;
//! - [`latency`]: how long messages took, as counts of spans;
//! - [`shown`]: what a caller asks for.

pub mod counting;
pub mod latency;
pub mod shown;

pub use counting::{Progress, count_next};
pub use latency::Latency;
pub use shown::{GroupBy, StatsFilter, StatsRow, counted_until, list};
