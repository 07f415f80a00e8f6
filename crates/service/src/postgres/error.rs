//! Why the private PostgreSQL cannot run, and what to do.

use std::io;
use std::path::PathBuf;

use crate::data_dir::DataDirError;

/// How to get the server binaries.
pub const INSTALL_HINT: &str = "install PostgreSQL 15 or newer with its contrib modules (Debian, Ubuntu: \
     `apt-get install postgresql`; Fedora: `dnf install postgresql-server postgresql-contrib`; Alpine: \
     `apk add postgresql postgresql-contrib`), or name the folder of its binaries with INTEGRATIONS_DATABASE__BIN_DIR, \
     or use a database of your own with INTEGRATIONS_DATABASE__URL";

/// The private PostgreSQL cannot run.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No server is installed.
    #[error("found no PostgreSQL server binaries (initdb, postgres) of version 15 or newer: {INSTALL_HINT}")]
    NoBinaries,
    /// The configured folder has no server.
    #[error(
        "database.bin_dir: {} holds no PostgreSQL server binaries (initdb, postgres) of version 15 or newer",
        path.display()
    )]
    BadBinDir {
        /// The configured folder.
        path: PathBuf,
    },
    /// The data was written by a version that is not installed.
    #[error(
        "the database in {} was made by PostgreSQL {wanted}, but only {found} is installed: install PostgreSQL {wanted} \
         again, or move the data over with pg_upgrade", path.display()
    )]
    OtherVersion {
        /// The cluster.
        path: PathBuf,
        /// Its major version.
        wanted: u32,
        /// The installed major versions.
        found: String,
    },
    /// The user that PostgreSQL runs as cannot pass through a folder above its data.
    #[error(
        "PostgreSQL does not run as root, and the user {user}, as which it runs, cannot pass through {}: let others \
         pass (chmod o+x), or choose a data folder elsewhere, such as /var/lib/integrations, with INTEGRATIONS_DATA_DIR",
        folder.display()
    )]
    Unreachable {
        /// The folder in the way.
        folder: PathBuf,
        /// The user.
        user: String,
    },
    /// The cluster belongs to somebody else.
    #[error(
        "the database in {} belongs to the user with uid {owner}, but this process runs as uid {uid}: start it as root \
         or as that user, or choose another data folder with INTEGRATIONS_DATA_DIR", path.display()
    )]
    OtherOwner {
        /// The cluster.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        uid: u32,
    },
    /// There is no user that root could run PostgreSQL as.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user postgres nor nobody: add one, or start as another user"
    )]
    NoUser,
    /// A folder cannot be used.
    #[error(transparent)]
    Folder(#[from] DataDirError),
    /// The system refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    System {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("cannot make the database in {}: {output}", path.display())]
    Init {
        /// The cluster.
        path: PathBuf,
        /// What initdb said.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("PostgreSQL ended before it was ready ({}): {output}", log.display())]
    Ended {
        /// The server's log.
        log: PathBuf,
        /// Its end.
        output: String,
    },
    /// The server does not get ready.
    #[error("PostgreSQL was not ready after {seconds} s ({}): {output}", log.display())]
    Slow {
        /// How long it had.
        seconds: u64,
        /// The server's log.
        log: PathBuf,
        /// Its end.
        output: String,
    },
    /// The server does not answer as it should.
    #[error("PostgreSQL runs, but does not let us in: {0}")]
    Connect(#[from] sqlx::Error),
}

impl PostgresError {
    /// For `map_err`: a system error while doing `action` on `path`.
    pub(super) fn system(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::System { action, path, source }
    }
}
