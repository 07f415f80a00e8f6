//! Section `files`: where files are stored, and how much.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::reader::{Reader, is_http_url};

const DAY: Duration = Duration::from_hours(24);

/// The largest file at an S3 store: 10,000 parts of 5 MiB.
const LARGEST: u64 = 10_000 * (5 << 20);

/// Files.
#[derive(Debug, Clone)]
pub struct FilesSettings {
    /// Where they are stored; `None` is the folder `files` in the data folder.
    pub store: Option<StoreSettings>,
    /// The largest file, in bytes.
    pub max_bytes: u64,
    /// The most bytes that a user's files may have together.
    pub user_bytes: Option<i64>,
    /// Files that a process takes at the same time.
    pub max_concurrent: usize,
    /// How many of them may be one user's.
    pub max_concurrent_per_user: usize,
    /// The time for one file to arrive.
    pub transfer: Duration,
    /// How long nothing of it may arrive.
    pub stall: Duration,
    /// How long a file is kept after its last use.
    pub keep: Duration,
}

/// Where files are stored.
#[derive(Debug, Clone)]
pub enum StoreSettings {
    /// In this folder.
    Folder(PathBuf),
    /// At an S3-compatible store.
    S3(S3Settings),
}

/// An S3-compatible store.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// What the names of all objects begin with; without slashes at its ends.
    pub prefix: String,
    /// Where it is; `None` is Amazon's own.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// Who we are there.
    pub access_key_id: String,
    /// The proof.
    pub secret_access_key: SecretString,
    /// It may be reached without TLS.
    pub allow_http: bool,
}

impl FilesSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        let user_bytes = from.integer("user_bytes", 0..=i64::MAX);
        Self {
            store: store(&mut from),
            max_bytes: from.integer("max_bytes", 1..=LARGEST),
            user_bytes: (user_bytes > 0).then_some(user_bytes),
            max_concurrent: from.integer("max_concurrent", 1..=10_000),
            max_concurrent_per_user: from.integer("max_concurrent_per_user", 1..=10_000),
            // What takes longer than a day is given up by whoever removes what broke off.
            transfer: from.seconds("transfer_seconds", 1..=43_200),
            stall: from.seconds("stall_seconds", 1..=3600),
            keep: DAY * from.integer("keep_days", 1..=36_500),
        }
    }
}

fn store(from: &mut Reader<'_>) -> Option<StoreSettings> {
    let url = from.optional("url", "empty, a folder such as /srv/files, or s3://bucket/prefix", is_store);
    let endpoint = from.optional("endpoint", "an address such as https://minio.example.com:9000", is_http_url);
    let region = from.required("region", "a region, such as eu-central-1", |text| !text.is_empty());
    let access_key_id = from.optional("access_key_id", "the id of a key", |_| true);
    let secret_access_key = from.secret("secret_access_key", "the secret of a key", |_| true);
    let allow_http = from.flag("allow_http");
    let url = url?;
    let Some(place) = url.strip_prefix("s3://") else { return Some(StoreSettings::Folder(url.into())) };
    let (Some(access_key_id), Some(secret_access_key)) = (access_key_id, secret_access_key) else {
        from.together("files.url is an S3 store, but files.access_key_id or files.secret_access_key is not set");
        return None;
    };
    if !allow_http && endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://")) {
        from.together("files.endpoint is without TLS: use https://, or set files.allow_http");
    }
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    Some(StoreSettings::S3(S3Settings {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        endpoint: endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
        region,
        access_key_id,
        secret_access_key,
        allow_http,
    }))
}

fn is_store(text: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match text.strip_prefix("s3://") {
        Some(place) => place.trim_end_matches('/').split('/').all(is_name),
        None => text.starts_with('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_folder_or_a_bucket() {
        assert!(["/srv/files", "s3://bucket", "s3://bucket/", "s3://b-1.x/a/b"].into_iter().all(is_store));
        assert!(!["files", "s3://", "s3:///a", "s3://b//a", "s3://b/a b", "http://x"].into_iter().any(is_store));
    }
}
