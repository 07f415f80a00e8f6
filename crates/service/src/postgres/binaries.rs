//! Finds the installed server binaries.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::PostgresError;

/// The oldest major version that is supported.
const OLDEST: u32 = 15;

/// A folder with server binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder.
    pub folder: PathBuf,
    /// The major version.
    pub major: u32,
}

impl Binaries {
    /// The newest installed server, or the one that fits the cluster of version `wanted` at `cluster`.
    /// A configured folder is the only one looked at.
    pub fn find(configured: Option<&Path>, cluster: &Path, wanted: Option<u32>) -> Result<Self, PostgresError> {
        let folders = configured.map_or_else(usual_folders, |folder| vec![folder.to_owned()]);
        let mut found: Vec<Self> = folders.into_iter().filter_map(Self::look).collect();
        // Stable: of the same version, the one found first stays first.
        found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
        let Some(newest) = found.first() else {
            return Err(
                configured.map_or(PostgresError::NoBinaries, |path| PostgresError::BadBinDir { path: path.into() })
            );
        };
        let Some(wanted) = wanted else { return Ok(newest.clone()) };
        found.iter().find(|binaries| binaries.major == wanted).cloned().ok_or_else(|| PostgresError::OtherVersion {
            path: cluster.to_owned(),
            wanted,
            found: found.iter().map(|binaries| binaries.major.to_string()).collect::<Vec<_>>().join(", "),
        })
    }

    /// The path of one of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn look(folder: PathBuf) -> Option<Self> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
        (major >= OLDEST).then_some(Self { folder, major })
    }
}

/// The major version of the cluster, `None` when there is no cluster yet.
pub fn cluster_version(cluster: &Path) -> Option<u32> {
    std::fs::read_to_string(cluster.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Debian's and Red Hat's folders of each version, then the search path.
fn usual_folders() -> Vec<PathBuf> {
    let below = |parent: &str| std::fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
    let debian = below("/usr/lib/postgresql").map(|version| version.join("bin"));
    let red_hat =
        below("/usr").filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgsql-")));
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    debian.chain(red_hat.map(|version| version.join("bin"))).chain(std::env::split_paths(&search_path)).collect()
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits = version.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("postgres (PostgreSQL) 17\n"), Some(17));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn an_empty_folder_is_named() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(empty.path()), Path::new("/c"), None).unwrap_err();
        assert!(error.to_string().contains(&empty.path().display().to_string()), "{error}");
    }

    #[test]
    fn a_cluster_of_a_missing_version_is_explained() {
        let error = Binaries::find(None, Path::new("/c"), Some(9)).unwrap_err();
        assert!(error.to_string().starts_with("the database in /c was made by PostgreSQL 9, but only "), "{error}");
    }
}
