//! What is measured at the same idle point of each cycle, and whether it is flat.

use std::collections::BTreeMap;

/// What was measured, by name.
pub type Sample = BTreeMap<String, f64>;

/// By how much something may be larger in the last third of the samples than in the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// In its own unit.
    pub plain: f64,
    /// As a part of the first third; the larger of the two counts.
    pub part: f64,
}

/// How something went.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The median of the first third.
    pub first: f64,
    /// The median of the last third.
    pub last: f64,
    /// The largest of all.
    pub max: f64,
    /// By how much it may grow.
    pub allowed: f64,
}

impl Trend {
    /// Compares the thirds; `None` with fewer than three samples.
    pub fn of(values: &[f64], tolerance: Tolerance) -> Option<Self> {
        let third = values.len() / 3;
        if third == 0 {
            return None;
        }
        let first = median(&values[..third]);
        let last = median(&values[values.len() - third..]);
        let max = values.iter().copied().fold(f64::MIN, f64::max);
        Some(Self { first, last, max, allowed: tolerance.plain.max(first * tolerance.part) })
    }

    /// Whether it did not grow by more than it may.
    pub fn is_flat(&self) -> bool {
        self.last - self.first <= self.allowed
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITTLE: Tolerance = Tolerance { plain: 2.0, part: 0.1 };

    #[test]
    fn what_grows_steadily_is_found() {
        let leak: Vec<f64> = (0..12).map(|n| 50.0 + f64::from(n)).collect();
        let trend = Trend::of(&leak, LITTLE).unwrap();
        assert_eq!((trend.first, trend.last, trend.max, trend.allowed), (51.5, 59.5, 61.0, 5.15));
        assert!(!trend.is_flat());
    }

    #[test]
    fn what_goes_up_and_down_or_shrinks_is_flat() {
        let noise = [50.0, 53.0, 49.0, 52.0, 51.0, 54.0, 49.0, 52.0, 51.0];
        assert!(Trend::of(&noise, LITTLE).unwrap().is_flat());
        let shrinks = [90.0, 80.0, 70.0];
        assert!(Trend::of(&shrinks, LITTLE).unwrap().is_flat());
        assert_eq!(Trend::of(&[1.0, 2.0], LITTLE), None);
    }
}
