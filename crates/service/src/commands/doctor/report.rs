//! What was found, as a table.

use std::fmt::{self, Display};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Fail,
}

/// The result of one check.
#[derive(Debug)]
pub struct Finding {
    name: &'static str,
    state: State,
    found: String,
    advice: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(name: &'static str, found: impl Display) -> Self {
        Self { name, state: State::Ok, found: found.to_string(), advice: None }
    }

    /// It works, but not for long, or not well.
    pub fn warn(name: &'static str, found: impl Display, advice: impl Display) -> Self {
        Self { name, state: State::Warn, found: found.to_string(), advice: Some(advice.to_string()) }
    }

    /// The service cannot work like this.
    pub fn fail(name: &'static str, found: impl Display, advice: impl Display) -> Self {
        Self { name, state: State::Fail, found: found.to_string(), advice: Some(advice.to_string()) }
    }
}

/// All findings.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Adds one.
    pub fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Whether nothing failed.
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.state != State::Fail)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
        for finding in &self.findings {
            let state = match finding.state {
                State::Ok => "ok  ",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            writeln!(f, "{state}  {:width$}  {}", finding.name, finding.found)?;
            if let Some(advice) = &finding.advice {
                writeln!(f, "{:indent$}-> {advice}", "", indent = width + 8)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_makes_it_unhealthy_and_says_what_to_do() {
        let mut report = Report::default();
        report.add(Finding::ok("settings", "fine"));
        report.add(Finding::warn("disk", "little", "free some"));
        assert!(report.is_healthy());
        report.add(Finding::fail("db", "gone", "start it"));
        assert!(!report.is_healthy());
        let table = "ok    settings  fine\nwarn  disk      little\n                -> free some\n\
                     FAIL  db        gone\n                -> start it\n";
        assert_eq!(report.to_string(), table);
    }
}
