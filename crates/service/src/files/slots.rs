//! How many files are taken at the same time: in all, so that other requests do not starve, and of one user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::{Code, Error, Result};

/// A place may be free again after so long.
const RETRY: Duration = Duration::from_secs(2);

/// The places of a process.
#[derive(Debug)]
pub struct Slots {
    total: usize,
    per_user: usize,
    taken: Arc<Mutex<HashMap<i32, usize>>>,
}

/// A place, free again when it is dropped.
#[derive(Debug)]
pub struct Slot {
    user_id: i32,
    taken: Arc<Mutex<HashMap<i32, usize>>>,
}

impl Slots {
    /// So many places, of which one user gets so many.
    pub fn new(total: usize, per_user: usize) -> Self {
        Self { total, per_user, taken: Arc::default() }
    }

    /// Takes a place.
    pub fn take(&self, user_id: i32) -> Result<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&user_id).copied().unwrap_or_default();
        let refuse = |detail: String| Err(Error::new(Code::Overloaded, detail).with_retry_after(RETRY));
        if own >= self.per_user {
            return refuse(format!("{own} of your files are arriving now, and more are not taken. Nothing was done."));
        }
        if taken.values().sum::<usize>() >= self.total {
            return refuse("More files are arriving than the service takes at once. Nothing was done.".to_owned());
        }
        taken.insert(user_id, own + 1);
        Ok(Slot { user_id, taken: self.taken.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.user_id) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.user_id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_for_one_user_and_in_all_and_come_back() {
        let slots = Slots::new(3, 2);
        let (first, second) = (slots.take(1).unwrap(), slots.take(1).unwrap());
        assert_eq!(slots.take(1).unwrap_err().code, Code::Overloaded);
        let third = slots.take(2).unwrap();
        assert_eq!(slots.take(3).unwrap_err().code, Code::Overloaded);
        drop((first, second));
        let fourth = slots.take(3).unwrap();
        slots.take(1).unwrap();
        drop((third, fourth));
        assert!(slots.taken.lock().unwrap().is_empty());
    }
}
