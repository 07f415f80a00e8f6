//! The data folder: one process at a time, and what is private in it stays private.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

/// The file whose lock is the folder's lock; it holds the pid of its owner.
const LOCK_FILE: &str = "lock";

/// The data folder, locked for this process until dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error(
        "the data folder {} is in use by {}: stop that process, or give this one its own folder with INTEGRATIONS_DATA_DIR",
        path.display(), holder(*pid)
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process that has it, when it could be read.
        pid: Option<u32>,
    },
    /// Something else than a folder has its name.
    #[error("{} is not a folder: move it away, or choose another folder with INTEGRATIONS_DATA_DIR", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// A private folder is a link, which could lead anywhere.
    #[error("{} is a symbolic link: replace it by a folder (the data folder as a whole may be a link)", path.display())]
    Link {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses.
    #[error(
        "cannot {action} {}: {source}. This process runs as uid {}; {}",
        path.display(), geteuid().as_raw(), advice(source)
    )]
    System {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            "make that user its owner (chown), or choose a folder that it may write with INTEGRATIONS_DATA_DIR"
        }
        ErrorKind::ReadOnlyFilesystem => "choose a folder on a writable disk with INTEGRATIONS_DATA_DIR",
        ErrorKind::StorageFull => "free space on that disk",
        _ => "check the folder that INTEGRATIONS_DATA_DIR names",
    }
}

impl DataDir {
    /// Makes the folder if it is missing, and locks it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let path = Self::make(path)?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Makes the folder if it is missing; its path, absolute and free of links.
    ///
    /// A new folder can be passed through by others, since PostgreSQL may run as another user and must reach its own
    /// subfolder; the mode of one that exists is left alone. Nothing but private subfolders and files belongs into it.
    pub fn make(path: &Path) -> Result<PathBuf, DataDirError> {
        let fail = |action, source| DataDirError::System { action, path: path.to_owned(), source };
        let is_new = !path.exists();
        std::fs::create_dir_all(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => DataDirError::NotAFolder { path: path.to_owned() },
            _ => fail("create", error),
        })?;
        let path = path.canonicalize().map_err(|error| fail("enter", error))?;
        if is_new {
            set_mode(&path, 0o755)?;
        }
        Ok(path)
    }

    /// The process that has the folder now, if any; `Some(None)` when it did not leave its pid.
    pub fn user(path: &Path) -> Option<Option<u32>> {
        let mut file = File::open(path.join(LOCK_FILE)).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => Some(read_pid(&mut file)),
            _ => None,
        }
    }

    /// The folder, absolute and free of links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A subfolder that only its owner may enter; made if it is missing, its mode repaired if it is wider.
    pub fn private(&self, name: &str) -> Result<PathBuf, DataDirError> {
        let path = self.path.join(name);
        private_folder(&path)?;
        Ok(path)
    }
}

/// Makes `path` a folder that only its owner may enter. Its parent must exist.
pub(crate) fn private_folder(path: &Path) -> Result<(), DataDirError> {
    let fail = |action, source| DataDirError::System { action, path: path.to_owned(), source };
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(fail("create", error)),
        _ => {}
    }
    let metadata = path.symlink_metadata().map_err(|error| fail("inspect", error))?;
    if metadata.is_symlink() {
        return Err(DataDirError::Link { path: path.to_owned() });
    }
    if !metadata.is_dir() {
        return Err(DataDirError::NotAFolder { path: path.to_owned() });
    }
    if metadata.mode() & 0o777 == 0o700 { Ok(()) } else { set_mode(path, 0o700) }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), DataDirError> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|source| DataDirError::System {
        action: "set the permissions of",
        path: path.to_owned(),
        source,
    })
}

fn lock(folder: &Path) -> Result<File, DataDirError> {
    let path = folder.join(LOCK_FILE);
    let fail = |action, source| DataDirError::System { action, path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(&path)
        .map_err(|error| fail("open", error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(DataDirError::InUse { path: folder.to_owned(), pid: read_pid(&mut file) });
        }
        Err(error) => return Err(fail("lock", error.into())),
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
    written.map_err(|error| fail("write", error))?;
    Ok(file)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn it_is_made_with_its_parents_and_can_be_passed_through() {
        let base = tempfile::tempdir().unwrap();
        let folder = DataDir::open(&base.path().join("a/b")).unwrap();
        assert_eq!(mode(folder.path()), 0o755);
        let private = folder.private("keys").unwrap();
        assert_eq!(mode(&private), 0o700);
    }

    #[test]
    fn only_the_modes_of_its_own_folders_are_repaired() {
        let base = tempfile::tempdir().unwrap();
        set_mode(base.path(), 0o700).unwrap();
        let folder = DataDir::open(base.path()).unwrap();
        assert_eq!(mode(base.path()), 0o700);
        let private = folder.private("keys").unwrap();
        set_mode(&private, 0o777).unwrap();
        folder.private("keys").unwrap();
        assert_eq!(mode(&private), 0o700);
    }

    #[test]
    fn a_second_user_is_refused_and_told_who_has_it() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(DataDir::user(base.path()), None);
        let first = DataDir::open(base.path()).unwrap();
        let error = DataDir::open(base.path()).unwrap_err();
        assert!(error.to_string().contains(&format!("in use by process {}", std::process::id())), "{error}");
        assert_eq!(DataDir::user(base.path()), Some(Some(std::process::id())));
        drop(first);
        assert_eq!(DataDir::user(base.path()), None);
        DataDir::open(base.path()).unwrap();
    }

    #[test]
    fn what_is_no_folder_is_explained() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(DataDir::open(&file), Err(DataDirError::NotAFolder { .. })));
        assert!(matches!(DataDir::open(&file.join("below")), Err(DataDirError::NotAFolder { .. })));

        let folder = DataDir::open(&base.path().join("data")).unwrap();
        std::os::unix::fs::symlink("/tmp", folder.path().join("keys")).unwrap();
        assert!(matches!(folder.private("keys"), Err(DataDirError::Link { .. })));
    }

    #[test]
    fn a_system_that_refuses_is_explained() {
        let error = DataDir::open(Path::new("/proc/integrations")).unwrap_err();
        assert!(error.to_string().starts_with("cannot create /proc/integrations: "), "{error}");
    }
}
