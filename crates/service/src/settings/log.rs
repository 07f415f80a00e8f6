//! Section `log`.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;

use super::reader::Reader;

/// Logging.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// Which lines are written: a level, or a filter by module.
    pub level: String,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// ECS JSON.
    Json,
    /// Readable text.
    Text,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(()),
        }
    }
}

impl LogSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        Self {
            format: from.parse("format", "auto, json or text"),
            level: from.required(
                "level",
                "error, warn, info, debug, trace, or a filter such as info,service=debug",
                |text| !text.trim().is_empty() && is_filter(text),
            ),
        }
    }
}

/// A bare word that is no level would be taken as the name of a module, which silences everything else.
fn is_filter(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    EnvFilter::try_new(text).is_ok()
        && text
            .split(',')
            .all(|part| part.contains(['=', ':', '[']) || LEVELS.contains(&part.trim().to_lowercase().as_str()))
}
