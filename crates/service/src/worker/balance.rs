//! How many senders are this worker's share.

use store::leases::Standing;
use uuid::Uuid;

/// What one worker may own, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How many senders are fair; with so many, a worker takes no more unless nobody else does.
    pub fair: usize,
    /// With more than so many, it gives some away.
    pub most: usize,
    /// How many workers live, this one included.
    pub workers: u32,
}

impl Share {
    /// Of a worker that knows of no other.
    pub const ALL: Self = Self { fair: usize::MAX, most: usize::MAX, workers: 1 };

    /// The share of worker `me` among those that live, with so many senders that nobody owns. A worker that is cut off from its
    /// platform has none, as long as there is another one that is not.
    pub fn of(me: Uuid, standings: &[Standing], unowned: usize) -> Self {
        let workers = u32::try_from(standings.len()).unwrap_or(u32::MAX).max(1);
        let able = |standing: &&Standing| !standing.cut_off;
        let able_count = standings.iter().filter(able).count();
        let is_able = standings.iter().filter(able).any(|standing| standing.worker_id == me);
        let sharing = match (able_count, is_able) {
            // Nobody reaches it: then all of them try.
            (0, _) => standings.len(),
            (_, true) => able_count,
            (_, false) => return Self { fair: 0, most: 0, workers },
        };
        if sharing <= 1 {
            return Self { workers, ..Self::ALL };
        }
        let owned: usize = standings.iter().map(|standing| usize::try_from(standing.owned).unwrap_or(0)).sum();
        let fair = (owned + unowned).div_ceil(sharing);
        // Some play, so that a new sender is taken at once and none is moved for a difference that matters to nobody.
        let slack = (fair / 20).max(2);
        Self { fair: fair + slack / 2, most: fair + slack, workers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(number: u128, owned: i64, cut_off: bool) -> Standing {
        Standing { worker_id: Uuid::from_u128(number), owned, cut_off }
    }

    fn share(me: u128, standings: &[Standing]) -> Share {
        Share::of(Uuid::from_u128(me), standings, 0)
    }

    #[test]
    fn a_worker_alone_takes_all() {
        assert_eq!(share(1, &[standing(1, 5000, false)]).fair, usize::MAX);
        assert_eq!(share(1, &[standing(1, 5000, true)]).fair, usize::MAX, "also when it reaches nobody");
        assert_eq!(share(1, &[]).fair, usize::MAX, "and when it does not see itself");
    }

    #[test]
    fn three_share_evenly_and_every_sender_has_a_place() {
        let standings = [standing(1, 200, false), standing(2, 0, false), standing(3, 0, false)];
        let share = Share::of(Uuid::from_u128(1), &standings, 1);
        assert!(share.fair * 3 >= 201 && share.fair < 75, "{share:?}");
        assert!(share.most > share.fair && share.most < 80, "{share:?}");
    }

    #[test]
    fn one_that_is_cut_off_gives_all_away() {
        let standings = [standing(1, 100, true), standing(2, 100, false), standing(3, 100, false)];
        assert_eq!((share(1, &standings).fair, share(1, &standings).most), (0, 0));
        assert!(share(2, &standings).fair >= 150);
        let both = [standing(1, 100, true), standing(2, 100, false)];
        assert_eq!(share(2, &both).fair, usize::MAX, "the only one that is able takes all");
    }

    #[test]
    fn when_all_are_cut_off_nothing_moves() {
        let standings = [standing(1, 100, true), standing(2, 100, true)];
        assert!(share(1, &standings).most >= 100);
    }
}
