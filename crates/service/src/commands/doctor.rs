//! `integrations doctor`: checks the settings and every dependency, and says what to do.

mod database;
mod files;
mod keys;
mod network;
mod report;

use std::path::Path;
use std::process::ExitCode;

use crate::data_dir::DataDir;
use crate::settings::Settings;

use super::Loaded;
use report::{Finding, Report};

/// Warn below this much free space, and fail below that much, in bytes.
const LITTLE_SPACE: u64 = 2 << 30;
const NO_SPACE: u64 = 200 << 20;

/// Checks everything and prints what was found; exit code 1 when something is wrong.
pub async fn run(settings: Loaded) -> ExitCode {
    let report = check(settings).await;
    print!("{report}");
    if report.is_healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn check(settings: Loaded) -> Report {
    let mut report = Report::default();
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            for problem in error.problems() {
                report.add(Finding::fail("settings", problem, "correct the key where it is set"));
            }
            return report;
        }
    };
    report.add(Finding::ok("settings", "all keys are known and their values valid"));
    check_folder(&settings, &mut report);
    let database_clock = database::check(&settings, &mut report).await;
    files::check(&settings, &mut report).await;
    keys::check(&settings, &mut report).await;
    let remote_clock = network::check(&settings, &mut report).await;
    report.add(network::clock(remote_clock.or(database_clock)));
    report
}

fn check_folder(settings: &Settings, report: &mut Report) {
    let path = settings.data_dir.as_path();
    let name = "data folder";
    let shown = path.display();
    report.add(match DataDir::user(path) {
        Some(Some(pid)) => Finding::ok(name, format!("{shown}, in use by process {pid}")),
        Some(None) => Finding::ok(name, format!("{shown}, in use by another process")),
        None if path.exists() => match DataDir::open(path) {
            Ok(_) => Finding::ok(name, format!("{shown}, not in use")),
            Err(error) => Finding::fail(name, "cannot be used", error),
        },
        None => Finding::ok(name, format!("{shown} will be made at the first start")),
    });
    report.add(check_space(path));
}

/// Looks at the disk that the folder is on, or will be on.
fn check_space(path: &Path) -> Finding {
    let name = "disk space";
    let current = std::env::current_dir().unwrap_or_default().join(path);
    let Some(existing) = current.ancestors().find(|path| path.exists()) else {
        return Finding::fail(name, "there is no such disk", "check INTEGRATIONS_DATA_DIR");
    };
    let free = match rustix::fs::statvfs(existing) {
        Ok(disk) => disk.f_bavail * disk.f_frsize,
        Err(error) => return Finding::fail(name, error, "check the disk"),
    };
    let found = format!("{} MiB free on the disk of {}", free >> 20, existing.display());
    let advice = "free space, or move the data folder to a larger disk";
    match free {
        ..NO_SPACE => Finding::fail(name, found, advice),
        NO_SPACE..LITTLE_SPACE => Finding::warn(name, found, advice),
        _ => Finding::ok(name, found),
    }
}
