//! How a single call to Telegram can fail, free of the library's types.

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// Telegram answered with an error.
    Rpc {
        /// Like a status of HTTP.
        code: i32,
        /// The name, without the number that it carried.
        name: String,
        /// That number.
        value: Option<u32>,
    },
    /// There was no connection to send it on: no byte of it left.
    Unreachable(String),
    /// There was none because the proxy does not let us in.
    ProxyRefused(String),
    /// It was sent, or may have been, and no answer came.
    NoAnswer(String),
}

impl CallError {
    /// An error of Telegram: the number in its name, such as a number of seconds, is taken out.
    pub(super) fn from_rpc(code: i32, message: &str) -> Self {
        let mut numbers = message.split(|c: char| !c.is_ascii_digit());
        match numbers.find_map(|digits| Some((digits, digits.parse().ok()?))) {
            None => Self::Rpc { code, name: message.to_owned(), value: None },
            Some((digits, value)) => {
                Self::Rpc { code, name: message.replace(&format!("_{digits}"), ""), value: Some(value) }
            }
        }
    }

    /// Is it this error of Telegram?
    pub(super) fn is(&self, error: &str) -> bool {
        matches!(self, Self::Rpc { name, .. } if name == error)
    }

    /// The data centre to go on at, when that is what the error says.
    pub(super) fn migrate_to(&self) -> Option<i32> {
        match self {
            Self::Rpc { code: 303, value, .. } => value.and_then(|dc| i32::try_from(dc).ok()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_out_of_names() {
        for (message, name, value) in [
            ("CHAT_INVALID", "CHAT_INVALID", None),
            ("FLOOD_WAIT_31", "FLOOD_WAIT", Some(31)),
            ("INTERDC_2_CALL_ERROR", "INTERDC_CALL_ERROR", Some(2)),
            ("USER_MIGRATE_99999999999", "USER_MIGRATE_99999999999", None),
        ] {
            assert_eq!(CallError::from_rpc(400, message), CallError::Rpc { code: 400, name: name.to_owned(), value });
        }
    }

    #[test]
    fn a_migration_names_its_data_center() {
        assert_eq!(CallError::from_rpc(303, "PHONE_MIGRATE_4").migrate_to(), Some(4));
        assert_eq!(CallError::from_rpc(400, "PHONE_MIGRATE_4").migrate_to(), None);
    }
}
