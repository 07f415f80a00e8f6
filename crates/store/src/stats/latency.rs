//! How long messages took: not each time, but how many times lie between fixed bounds. Such counts can be added over senders and days,
//! which percentiles cannot.

/// Up to how many milliseconds each count reaches, its bound included; a last count takes what is longer. Rows in the database are
/// counted by these bounds: they never change. Neighbours lie so close that a percentile is off by less than a third of itself.
const BOUNDS_MS: [i64; 59] = [
    0,
    1,
    2,
    3,
    4,
    6,
    8, // milliseconds
    10,
    15,
    20,
    30,
    40,
    60,
    80,
    100,
    150,
    200,
    300,
    400,
    600,
    800, // up to a second
    1_000,
    1_500,
    2_000,
    3_000,
    4_000,
    6_000,
    8_000,
    10_000,
    15_000,
    20_000,
    30_000,
    40_000,
    60_000,
    80_000, // minutes
    100_000,
    150_000,
    200_000,
    300_000,
    400_000,
    600_000,
    800_000,
    1_000_000,
    1_500_000,
    2_000_000,
    3_000_000,
    4_000_000,
    6_000_000,
    8_000_000, // hours
    10_000_000,
    15_000_000,
    20_000_000,
    30_000_000,
    40_000_000,
    60_000_000,
    80_000_000,
    100_000_000,
    200_000_000,
    400_000_000, // days
];

/// Times of messages, counted by their length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latency {
    counts: Vec<i64>,
    sum_ms: i64,
}

impl Latency {
    /// Counts and sum as the database keeps them.
    pub fn stored(counts: Vec<i64>, sum_ms: i64) -> Self {
        Self { counts, sum_ms }
    }

    /// Counts one time.
    pub fn add(&mut self, ms: i64) {
        let place = BOUNDS_MS.partition_point(|bound| *bound < ms);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.sum_ms += ms;
    }

    /// Adds those of others.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum_ms += other.sum_ms;
    }

    /// How many there are by length, without zeros at the end.
    pub fn counts(&self) -> &[i64] {
        &self.counts
    }

    /// All of them together.
    pub fn sum_ms(&self) -> i64 {
        self.sum_ms
    }

    /// The mean; `None` of nothing.
    pub fn mean_ms(&self) -> Option<f64> {
        let all: i64 = self.counts.iter().sum();
        (all > 0).then(|| as_float(self.sum_ms) / as_float(all))
    }

    /// The time within which this share of the messages was done, such as 0.95; `None` of nothing.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        let all: i64 = self.counts.iter().sum();
        let wanted = as_float(all) * share;
        let mut below = 0;
        for (place, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            if as_float(below + count) >= wanted {
                let from = if place == 0 { 0 } else { BOUNDS_MS[place - 1] };
                // Nothing is known of the longest ones but that they are longer than the last bound.
                let to = BOUNDS_MS.get(place).copied().unwrap_or(from);
                let within = ((wanted - as_float(below)) / as_float(*count)).clamp(0.0, 1.0);
                return Some(as_float(from) + as_float(to - from) * within);
            }
            below += count;
        }
        None
    }
}

/// Counts and milliseconds are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn as_float(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = i64>) -> Latency {
        let mut latency = Latency::default();
        times.into_iter().for_each(|ms| latency.add(ms));
        latency
    }

    #[test]
    fn bounds_grow_and_lie_close() {
        assert!(BOUNDS_MS.windows(2).all(|pair| pair[0] < pair[1]));
        // Of a few milliseconds nobody wants to know a third, nor of days.
        let (close, far) = (4, 24 * 3_600_000);
        let matter = BOUNDS_MS.windows(2).filter(|pair| pair[0] >= close && pair[1] <= far);
        assert!(matter.clone().count() > 30);
        assert!(matter.clone().all(|pair| pair[1] * 2 <= pair[0] * 3), "{:?}", matter.collect::<Vec<_>>());
    }

    #[test]
    fn of_nothing_nothing_is_known() {
        assert_eq!((Latency::default().mean_ms(), Latency::default().percentile_ms(0.5)), (None, None));
    }

    #[test]
    fn no_wait_is_no_wait() {
        let waits = of(std::iter::repeat_n(0, 99).chain([30_000]));
        assert_eq!((waits.percentile_ms(0.5), waits.percentile_ms(0.99)), (Some(0.0), Some(0.0)));
        assert_eq!((waits.percentile_ms(1.0), waits.mean_ms()), (Some(30_000.0), Some(300.0)));
    }

    #[test]
    fn percentiles_are_near_the_true_ones() {
        let latency = of(1..=1000);
        assert_eq!(latency.mean_ms(), Some(500.5));
        for (share, ms) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let told: f64 = latency.percentile_ms(share).unwrap_or_default();
            assert!((told - ms).abs() < ms / 10.0, "{share}: {told}");
        }
    }

    #[test]
    fn what_is_longer_than_all_bounds_is_counted_too() {
        let latency = of([i64::MAX / 2]);
        assert_eq!((latency.counts().len(), latency.percentile_ms(0.99)), (60, Some(400_000_000.0)));
    }

    #[test]
    fn counts_of_several_add_up() {
        let mut both = of([1, 5]);
        both.merge(&of([5, 40, 40_000]));
        assert_eq!(both, of([1, 5, 5, 40, 40_000]));
        assert_eq!(Latency::stored(both.counts().to_vec(), both.sum_ms()), both);
    }
}
