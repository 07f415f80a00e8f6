//! Which queue gets the next free place.

use super::Queue;

/// Of ten places, as long as all queues have tasks: six for the high one, three for the mid one, one for the low one.
const WEIGHTS: [i32; 3] = [6, 3, 1];

/// Deals places to queues by their weights, as evenly as they allow. What it dealt is remembered, so that also a single place goes
/// to the low queue in its turn.
#[derive(Debug, Default)]
pub(super) struct Shares([i32; 3]);

impl Shares {
    /// Deals so many places among the queues that have tasks.
    pub fn deal(&mut self, places: usize, with_tasks: &[Queue]) -> [usize; 3] {
        let mut dealt = [0; 3];
        let total: i32 = with_tasks.iter().map(|queue| WEIGHTS[*queue as usize]).sum();
        for _ in 0..places {
            for queue in with_tasks {
                self.0[*queue as usize] += WEIGHTS[*queue as usize];
            }
            // The first of equals is the highest one.
            let Some(next) = with_tasks.iter().copied().rev().max_by_key(|queue| self.0[*queue as usize]) else {
                break;
            };
            self.0[next as usize] -= total;
            dealt[next as usize] += 1;
        }
        dealt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_comes_first_and_low_is_never_starved() {
        let mut shares = Shares::default();
        assert_eq!(shares.deal(1, &Queue::ALL), [1, 0, 0]);
        // One place at a time, as when long tasks end one by one.
        let mut one_by_one = [0; 3];
        for _ in 0..100 {
            let dealt = shares.deal(1, &Queue::ALL);
            for (sum, dealt) in one_by_one.iter_mut().zip(dealt) {
                *sum += dealt;
            }
        }
        assert_eq!(one_by_one, [60, 30, 10]);
        assert_eq!(shares.deal(10, &Queue::ALL), [6, 3, 1]);
    }

    #[test]
    fn places_that_nobody_needs_go_to_the_others() {
        let mut shares = Shares::default();
        assert_eq!(shares.deal(8, &[Queue::Low]), [0, 0, 8]);
        assert_eq!(shares.deal(8, &[]), [0, 0, 0]);
        let [high, mid, low] = shares.deal(7, &[Queue::High, Queue::Low]);
        assert_eq!((high, mid, low), (6, 0, 1));
    }
}
