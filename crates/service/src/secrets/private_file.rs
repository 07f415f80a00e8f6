//! A small file that only its owner may read, and that is either the old or the new one after a crash.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

const OWNER_ONLY: u32 = 0o600;

/// Why a private file is not used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Others could read or change it.
    #[error(
        "has the mode {0:o}, so that others may use it: run `chmod 600` on it, and replace its keys if others could read it"
    )]
    Open(u32),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the file, unless others have any right to it.
pub fn read(path: &Path) -> Result<Zeroizing<String>, FileError> {
    let mut file = File::open(path)?;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & !OWNER_ONLY != 0 {
        return Err(FileError::Open(mode));
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Replaces the file: written aside, synced, renamed, and the folder synced.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let aside = path.with_extension("new");
    // A leftover of a crash may have other rights.
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Excludes other writers of the file, in this and other processes, until the result is dropped.
pub fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(path.with_extension("lock"))?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_written_file_is_private_and_a_leftover_does_not_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.json");
        std::fs::write(folder.path().join("secret.new"), "left over").unwrap();
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(read(&path).unwrap().as_str(), "two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder.path().join("secret.new").exists());
    }

    #[test]
    fn wider_permissions_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.json");
        write(&path, "x").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o700] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&path), Err(FileError::Open(found)) if found == mode));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read(&path).is_ok());
    }
}
