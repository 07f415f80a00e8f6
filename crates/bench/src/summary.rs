//! Percentiles of a run, and medians over its repeats.

use std::time::Duration;

use serde::Serialize;

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// 999 of 1000 are at most this.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

impl Percentiles {
    /// Of these times; `None` when there are none.
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let last = *times.last()?;
        // The nearest rank: a value that was measured.
        let at = |per_mille: usize| times[(times.len() * per_mille).div_ceil(1000).clamp(1, times.len()) - 1];
        Some(Self { p50: millis(at(500)), p99: millis(at(990)), p999: millis(at(999)), max: millis(last) })
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The middle of some values and their range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these values; `None` when there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times = (1..=1000).rev().map(Duration::from_millis).collect();
        assert_eq!(Percentiles::of(times), Some(Percentiles { p50: 500.0, p99: 990.0, p999: 999.0, max: 1000.0 }));
        let one = Percentiles::of(vec![Duration::from_millis(3)]).unwrap();
        assert_eq!(one, Percentiles { p50: 3.0, p99: 3.0, p999: 3.0, max: 3.0 });
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn a_spread_has_the_middle_and_the_ends() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of([1.0, 2.0]), Some(Spread { median: 1.5, min: 1.0, max: 2.0 }));
        assert_eq!(Spread::of([]), None);
    }
}
