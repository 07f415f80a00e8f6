//! The one error of the service: a stable public code, a text for the caller, and an internal cause that stays inside.
//!
//! - [`code`]: the table of codes with status, title and explanation;
//! - [`problem`]: rendering as `application/problem+json` (RFC 9457);
//! - [`page`]: the reference of all codes, as Markdown and HTML.

pub mod code;
pub mod page;
pub mod problem;

use std::fmt;
use std::time::Duration;

pub use code::Code;
use serde::Serialize;

/// The shorthand for everything that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How long a caller should wait when a dependency is away.
const DEPENDENCY_RETRY: Duration = Duration::from_secs(2);

/// One thing that is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where: a JSON pointer (RFC 6901) into the body, or the name of a query parameter, path parameter or header.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// An error of the service. It knows nothing of HTTP; [`problem`] renders it.
///
/// `detail` and `fields` reach the caller, so they never hold a secret; the source reaches the log only.
#[derive(Debug)]
pub struct Error {
    /// The stable public code.
    pub code: Code,
    /// What happened and what to change, for a person.
    pub detail: String,
    /// The parts of the input that are wrong, if any.
    pub fields: Vec<FieldError>,
    /// When it makes sense to try again.
    pub retry_after: Option<Duration>,
    source: Option<Cause>,
}

impl Error {
    /// An error with a text of its own.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), fields: Vec::new(), retry_after: None, source: None }
    }

    /// Something that should not happen. The caller learns nothing but the request id.
    pub fn internal(source: impl Into<Cause>) -> Self {
        Self::new(Code::Internal, "The request failed for an internal reason. Its id leads to the cause in the log.")
            .with_source(source)
    }

    /// The thing named does not exist, or belongs to somebody else.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}."))
    }

    /// One field of the body is wrong. `pointer` is a JSON pointer such as `/settings/name`.
    pub fn invalid_field(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidBody, "The body is not valid.").with_field(pointer, message)
    }

    /// A query parameter, path parameter or header is wrong.
    pub fn invalid_parameter(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameter, "A parameter is not valid.").with_field(name, message)
    }

    /// Adds one thing that is wrong with the input.
    #[must_use]
    pub fn with_field(mut self, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        self.fields.push(FieldError { pointer: pointer.into(), message: message.into() });
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Keeps the internal cause for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Cause>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The internal cause with the causes behind it, for the log.
    pub fn cause(&self) -> Option<String> {
        let mut cause: &(dyn std::error::Error + 'static) = self.source.as_deref()?;
        let mut text = cause.to_string();
        while let Some(next) = cause.source() {
            text = format!("{text}: {next}");
            cause = next;
        }
        Some(text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.detail)?;
        for field in &self.fields {
            write!(f, " {}: {}.", field.pointer, field.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if !database_is_away(&error) {
            return Self::internal(error);
        }
        Self::new(Code::DatabaseUnavailable, "The database does not answer at the moment.")
            .with_retry_after(DEPENDENCY_RETRY)
            .with_source(error)
    }
}

/// True for a lost connection, a full pool and a server that starts, stops or has no connection left.
pub(crate) fn database_is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_) => true,
        // SQLSTATE class 08: connection exception; 57P01-57P03: shutting down or starting; 53300: too many connections.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || matches!(code.as_ref(), "57P01" | "57P02" | "57P03" | "53300")
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pool_and_a_lost_connection_ask_to_try_again() {
        let lost = sqlx::Error::Io(std::io::Error::other("connection reset"));
        for error in [sqlx::Error::PoolTimedOut, lost] {
            let error = Error::from(error);
            assert_eq!(error.code, Code::DatabaseUnavailable);
            assert_eq!(error.retry_after, Some(DEPENDENCY_RETRY));
        }
    }

    #[test]
    fn any_other_database_error_is_internal_and_keeps_its_cause() {
        let error = Error::from(sqlx::Error::ColumnNotFound("secret_column".into()));
        assert_eq!(error.code, Code::Internal);
        assert!(!error.detail.contains("secret_column"));
        assert!(error.cause().unwrap().contains("secret_column"));
    }

    #[test]
    fn the_text_for_the_log_names_code_and_fields() {
        let error = Error::invalid_field("/text", "is required");
        assert_eq!(error.to_string(), "invalid_body: The body is not valid. /text: is required.");
    }
}
