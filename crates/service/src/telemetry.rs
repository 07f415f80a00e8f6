//! The log: ECS JSON for machines, text for people.
//!
//! Only `serve` writes its log to standard output; a command whose output is its result leaves the log off.

mod ecs;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, fmt};

pub use ecs::EcsLayer;

use crate::settings::{LogFormat, LogSettings};

/// The service's name in logs.
pub const SERVICE: &str = "integrations";

/// Starts to log to standard output, and logs panics as errors from now on. Fails when a log is already there.
pub fn init(settings: &LogSettings) -> Result<(), TryInitError> {
    let terminal = std::io::stdout().is_terminal();
    // The settings were checked; a filter that does not parse would have been refused there.
    let registry = tracing_subscriber::registry().with(EnvFilter::new(&settings.level));
    match settings.format {
        LogFormat::Auto if !terminal => registry.with(EcsLayer::new(std::io::stdout)).try_init()?,
        LogFormat::Json => registry.with(EcsLayer::new(std::io::stdout)).try_init()?,
        LogFormat::Auto | LogFormat::Text => registry.with(fmt::layer().with_ansi(terminal)).try_init()?,
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// An error with the errors that caused it, joined by colons.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Some errors already say their cause.
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let (file, line) = info.location().map(|place| (place.file(), place.line())).unwrap_or_default();
    let message = info.payload_as_str().unwrap_or("a panic without a text");
    let thread = std::thread::current();
    tracing::error!(
        error.message = message,
        error.r#type = "panic",
        error.stack_trace = %std::backtrace::Backtrace::capture(),
        log.origin.file.name = file,
        log.origin.file.line = line,
        process.thread.name = thread.name().unwrap_or_default(),
        "panic at {file}:{line}: {message}"
    );
}
