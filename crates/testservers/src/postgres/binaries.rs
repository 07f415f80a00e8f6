//! Where the PostgreSQL server is installed.

use std::path::PathBuf;

/// The folder of the newest installed server.
///
/// # Panics
/// There is none.
pub fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("initdb").exists())
        .collect();
    versions.sort();
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = || std::env::split_paths(&search_path).find(|folder| folder.join("initdb").exists());
    let found = versions.pop().map(|(_, folder)| folder).or_else(in_path);
    found.expect("the PostgreSQL server is installed: `make setup` does that")
}
