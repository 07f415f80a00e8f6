//! The store of files: is it there, does it keep what it is given?

use std::time::Duration;

use tokio::time::timeout;

use super::report::{Finding, Report};
use crate::files::store::Store;
use crate::settings::{Settings, StoreSettings};
use crate::telemetry::with_causes;

const NAME: &str = "files";

/// How long the store may take for a small object.
const ANSWER: Duration = Duration::from_secs(20);

/// Checks the store that is configured, or the folder.
pub async fn check(settings: &Settings, report: &mut Report) {
    let usual = settings.data_dir.join("files");
    let folder = match &settings.files.store {
        Some(StoreSettings::S3(_)) => None,
        Some(StoreSettings::Folder(folder)) => Some(folder),
        None => Some(&usual),
    };
    if let Some(folder) = folder.filter(|folder| !folder.exists()) {
        return report.add(Finding::ok(NAME, format!("{} will be made at the first start", folder.display())));
    }
    let store = match Store::open(settings.files.store.as_ref(), &settings.data_dir) {
        Ok(store) => store,
        Err(error) => return report.add(Finding::fail(NAME, error, "correct INTEGRATIONS_FILES__URL")),
    };
    let name = store.name();
    report.add(match timeout(ANSWER, store.probe()).await {
        Ok(Ok(())) if folder.is_some() && settings.database.url.is_some() => {
            let advice = "processes on other machines do not see it: for those, set INTEGRATIONS_FILES__URL to an S3 store";
            Finding::warn(NAME, format!("{name} keeps what it is given"), advice)
        }
        Ok(Ok(())) => Finding::ok(NAME, format!("{name} keeps what it is given")),
        Ok(Err(error)) => {
            let advice = "check INTEGRATIONS_FILES__…: address, bucket, region and key, and that the key may read, write and delete";
            Finding::fail(NAME, format!("{name}: {}", with_causes(&error)), advice)
        }
        Err(_) => {
            let advice = "check INTEGRATIONS_FILES__ENDPOINT, and that this machine may reach it";
            Finding::fail(NAME, format!("{name}: no answer within {} s", ANSWER.as_secs()), advice)
        }
    });
}
