//! Message identifiers: time of the sender in seconds since 1970, times 2^32, with the kind in the two lowest bits.
//!
//! <https://core.telegram.org/mtproto/description#message-identifier-msg-id>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A client's message may be this much older than the server's time.
const MAX_AGE: i64 = 300;
/// A client's message may be this much ahead of the server's time.
const MAX_LEAD: i64 = 30;

/// What a message of the server is, which decides the two lowest bits of its identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It answers a message of the client.
    Answer,
    /// The server sends it by itself.
    Notice,
}

/// Time since 1970 by the system's clock.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since 1970, as the API's `date` fields hold them.
pub fn unix_time() -> i32 {
    i32::try_from(since_epoch().as_secs()).unwrap_or(i32::MAX)
}

/// Makes the identifiers of one session's messages: they only ever grow.
#[derive(Debug, Default)]
pub struct MsgIds {
    last: i64,
}

impl MsgIds {
    /// The next identifier.
    pub fn next(&mut self, kind: Kind) -> i64 {
        let now = since_epoch();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX >> 32);
        let now = (seconds << 32) | (i64::from(now.subsec_nanos()) << 2);
        let base = now.max((self.last & !3) + 4);
        self.last = base | if kind == Kind::Answer { 1 } else { 3 };
        self.last
    }
}

/// Checks the identifier of a client's message; the error is a code of `bad_msg_notification`.
pub fn check(msg_id: i64, now: i32) -> Result<(), i32> {
    let age = i64::from(now) - (msg_id >> 32);
    if age > MAX_AGE {
        Err(16)
    } else if -age > MAX_LEAD {
        Err(17)
    } else if msg_id & 3 != 0 {
        Err(18)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_grow_and_show_their_kind() {
        let mut ids = MsgIds::default();
        let mut last = 0;
        for _ in 0..1000 {
            let answer = ids.next(Kind::Answer);
            let notice = ids.next(Kind::Notice);
            assert!(last < answer && answer < notice);
            assert_eq!((answer & 3, notice & 3), (1, 3));
            last = notice;
        }
    }

    #[test]
    fn time_and_kind_are_checked() {
        let id = |seconds: i64| seconds << 32;
        assert_eq!(check(id(1000), 1000), Ok(()));
        assert_eq!(check(id(700), 1000), Ok(()));
        assert_eq!(check(id(699), 1000), Err(16));
        assert_eq!(check(id(1030), 1000), Ok(()));
        assert_eq!(check(id(1031), 1000), Err(17));
        assert_eq!(check(id(1000) | 1, 1000), Err(18));
    }
}
