//! Where the cluster, its socket and its log are.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use sha2::{Digest, Sha256};

use super::account::Account;
use super::error::PostgresError;
use crate::data_dir::private_folder;

/// The port is only a part of the socket's name.
pub const PORT: u16 = 5432;

/// The system's limit on the path of a socket, in bytes.
const SOCKET_PATH_LIMIT: usize = 107;

/// The log is cut when it is larger than this, in bytes; one older part is kept.
const LOG_LIMIT: u64 = 10 << 20;

/// The files of the private cluster.
///
/// The folder `postgres` belongs to the service and can be passed through; what the server writes is in two private
/// folders that belong to the server's user. So that user cannot exchange a file that the service, maybe as root, opens.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Parent of all but a socket that had to be elsewhere.
    pub folder: PathBuf,
    /// The cluster.
    pub cluster: PathBuf,
    /// The folder of the socket.
    pub socket: PathBuf,
    /// The server's log.
    pub log: PathBuf,
    /// A name that no other cluster on this machine has.
    pub name: String,
}

impl Layout {
    /// The places in a data folder, by name only.
    pub fn of(data_dir: &Path) -> Self {
        let folder = data_dir.join("postgres");
        let digest = Sha256::digest(folder.as_os_str().as_bytes());
        let name = format!("integrations-{}", hex::encode(&digest[..8]));
        let socket = Some(folder.join("socket")).filter(|socket| fits(socket)).unwrap_or_else(|| {
            let short = if geteuid().is_root() { "/run" } else { "/tmp" };
            Path::new(short).join(&name)
        });
        Self { cluster: folder.join("cluster"), socket, log: folder.join("server.log"), folder, name }
    }

    /// Makes the folders around the cluster, and hands the socket's over to the server's user.
    pub fn prepare(&self, account: Option<&Account>) -> Result<(), PostgresError> {
        std::fs::create_dir_all(&self.folder).map_err(PostgresError::system("create", &self.folder))?;
        if let Some(account) = account {
            account.check_reach(&self.folder)?;
        }
        self.hand_over(&self.socket, account)
    }

    /// Makes a private folder for the server's user.
    pub fn hand_over(&self, folder: &Path, account: Option<&Account>) -> Result<(), PostgresError> {
        private_folder(folder)?;
        let owner = folder.metadata().map_err(PostgresError::system("inspect", folder))?.uid();
        let uid = geteuid().as_raw();
        // In a folder that all may write to, somebody else may have taken the name.
        if owner != uid && account.is_none_or(|account| account.uid != owner) {
            return Err(PostgresError::OtherOwner { path: folder.to_owned(), owner, uid });
        }
        account.map_or(Ok(()), |account| account.give(folder))
    }

    /// The value for `unix_socket_directories`, a list: quoted, so that a comma in the path is no separator.
    pub fn socket_setting(&self) -> String {
        format!("\"{}\"", self.socket.to_string_lossy().replace('"', "\"\""))
    }

    /// Opens the log to be appended to, and says where its end is.
    pub fn open_log(&self) -> Result<(File, u64), PostgresError> {
        let fail = |error| PostgresError::system("open", &self.log)(error);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log).map_err(fail)?;
        let end = file.metadata().map_err(|error| PostgresError::system("inspect", &self.log)(error))?.len();
        Ok((file, end))
    }

    /// The last lines that the server wrote after byte `start`.
    pub fn log_tail(&self, start: u64) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log)
            .and_then(|mut file| file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut text)));
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        match read {
            Ok(_) if !lines.is_empty() => lines[lines.len().saturating_sub(10)..].join("\n"),
            _ => "it wrote nothing to its log".to_owned(),
        }
    }

    /// Keeps the log from growing without a bound. The server appends, so cutting the file under it is fine.
    pub fn bound_log(&self) -> std::io::Result<()> {
        if self.log.metadata()?.len() > LOG_LIMIT {
            std::fs::copy(&self.log, self.log.with_extension("log.1"))?;
            OpenOptions::new().write(true).open(&self.log)?.set_len(0)?;
        }
        Ok(())
    }
}

fn fits(socket: &Path) -> bool {
    socket.as_os_str().len() + format!("/.s.PGSQL.{PORT}").len() <= SOCKET_PATH_LIMIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_data_folder_has_its_socket_elsewhere() {
        let near = Layout::of(Path::new("/srv/data"));
        assert_eq!(near.socket, Path::new("/srv/data/postgres/socket"));
        let long = PathBuf::from("/srv").join("x".repeat(90));
        let far = Layout::of(&long);
        assert!(fits(&far.socket) && !far.socket.starts_with(&long));
        assert_eq!(far.socket, Layout::of(&long).socket);
        assert_ne!(far.socket, Layout::of(&long.join("y")).socket);
    }

    #[test]
    fn the_socket_setting_is_quoted() {
        let layout = Layout::of(Path::new("/srv/a, \"b\""));
        assert_eq!(layout.socket_setting(), "\"/srv/a, \"\"b\"\"/postgres/socket\"");
    }

    #[test]
    fn the_log_is_bounded_and_its_end_can_be_read() {
        let base = tempfile::tempdir().unwrap();
        let layout = Layout { log: base.path().join("server.log"), ..Layout::of(base.path()) };
        assert_eq!(layout.log_tail(0), "it wrote nothing to its log");
        std::fs::write(&layout.log, "first\nsecond\n").unwrap();
        assert_eq!(layout.log_tail(6), "second");
        layout.bound_log().unwrap();
        assert_eq!(layout.log_tail(0), "first\nsecond");

        let (mut server, end) = layout.open_log().unwrap();
        assert_eq!(end, 13);
        File::options().write(true).open(&layout.log).unwrap().set_len(LOG_LIMIT + 1).unwrap();
        layout.bound_log().unwrap();
        std::io::Write::write_all(&mut server, b"after\n").unwrap();
        assert_eq!(std::fs::read(&layout.log).unwrap(), b"after\n");
        assert_eq!(base.path().join("server.log.1").metadata().unwrap().len(), LOG_LIMIT + 1);
    }
}
