//! Hints as text, as both carriers carry them.

use uuid::Uuid;

use super::Hint;

/// A hint has at most so many bytes.
pub const MAX_BYTES: usize = 65;

/// Writes one hint; several stand one after the other.
pub fn encode(hint: Hint) -> String {
    match hint {
        Hint::Work(id) => format!("w{}", id.simple()),
        Hint::Changed(id) => format!("c{}", id.simple()),
        Hint::Moved { sender_id, from, to } => format!("m{}{from:016x}{to:016x}", sender_id.simple()),
    }
}

/// Reads up to what is no hint: others may write to a carrier too.
pub fn decode(payload: &str) -> impl Iterator<Item = Hint> + '_ {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let (kind, id) = (rest.get(..1)?, rest.get(1..33)?);
        let id = Uuid::try_parse(id).ok()?;
        let chat_id = |text: &str| u64::from_str_radix(text, 16).ok().map(u64::cast_signed);
        let (hint, length) = match kind {
            "w" => (Hint::Work(id), 33),
            "c" => (Hint::Changed(id), 33),
            "m" => {
                let (from, to) = (chat_id(rest.get(33..49)?)?, chat_id(rest.get(49..65)?)?);
                (Hint::Moved { sender_id: id, from, to }, MAX_BYTES)
            }
            _ => return None,
        };
        rest = &rest[length..];
        Some(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_survive_the_wire_and_garbage_does_not() {
        let moved = Hint::Moved { sender_id: Uuid::now_v7(), from: -5, to: -1_000_000_000_005 };
        let hints = [Hint::Work(Uuid::now_v7()), moved, Hint::Changed(Uuid::now_v7())];
        let payload: String = hints.into_iter().map(encode).collect();
        assert_eq!(decode(&payload).collect::<Vec<_>>(), hints);
        for garbage in ["", "w", "x0190", "w0190c2f7zzzz7bd08d1cb3b2cc1d0d4b", "ёёёё"] {
            assert_eq!(decode(garbage).count(), 0, "{garbage}");
        }
    }
}
