//! `integrations openapi`: prints the document that describes the API.

use std::error::Error;
use std::process::ExitCode;

use crate::api;

/// Prints it, pretty, and nothing else.
pub fn run() -> Result<ExitCode, Box<dyn Error>> {
    println!("{}", api::openapi::document().to_pretty_json()?);
    Ok(ExitCode::SUCCESS)
}
