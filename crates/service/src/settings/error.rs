//! What is wrong with the settings, in words that say what to change.

use std::fmt;
use std::path::{Path, PathBuf};

/// The settings cannot be used; holds every problem found, not only the first.
#[derive(Debug)]
pub struct SettingsError {
    problems: Vec<Problem>,
}

impl SettingsError {
    /// The problems, in the order found; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Vec<Problem>> for SettingsError {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}

impl From<Problem> for SettingsError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl std::error::Error for SettingsError {}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] => write!(f, "settings: {one}"),
            many => {
                write!(f, "settings: {} problems", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, as the system says it.
        reason: String,
    },
    /// The file is no TOML. The text at fault is not shown: it could be a secret.
    #[error("{} line {line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// Why, as the parser says it.
        reason: String,
    },
    /// No such key.
    #[error("unknown key {key} (from {origin}){}", suggest(nearest.as_deref()))]
    Unknown {
        /// The key, dotted.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// The most similar key, named as that origin would name it.
        nearest: Option<String>,
    },
    /// A key has a value that it cannot have.
    #[error("{key}{} (from {origin}): expected {expected}", shown(given.as_deref()))]
    Value {
        /// The key, dotted.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// The value, unless it is a secret.
        given: Option<String>,
        /// What the value should be.
        expected: String,
    },
    /// Keys that do not go together.
    #[error("{0}")]
    Together(String),
}

fn suggest(nearest: Option<&str>) -> String {
    nearest.map(|key| format!("; did you mean {key}?")).unwrap_or_default()
}

fn shown(given: Option<&str>) -> String {
    given.map(|value| format!(" = {value}")).unwrap_or_default()
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The file that is compiled in.
    Default,
    /// A settings file.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
}

impl Origin {
    /// A settings file.
    pub(super) fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
        }
    }
}
