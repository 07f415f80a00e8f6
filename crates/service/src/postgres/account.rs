//! The user that PostgreSQL runs as: it refuses root.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

use super::error::PostgresError;

/// A user of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Name, or the id when there is none.
    pub name: String,
}

impl Account {
    /// The user to run the server as; `None` is the one that this process runs as already.
    ///
    /// As root that is the owner of the cluster when there is one, else `postgres`, else `nobody`.
    pub fn choose(cluster: &Path) -> Result<Option<Self>, PostgresError> {
        let uid = geteuid().as_raw();
        let owner = cluster.metadata().ok();
        if uid != 0 {
            return match owner {
                Some(owner) if owner.uid() != uid => {
                    Err(PostgresError::OtherOwner { path: cluster.to_owned(), owner: owner.uid(), uid })
                }
                _ => Ok(None),
            };
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let account = match owner {
            Some(owner) if owner.uid() != 0 => {
                let name =
                    users.lines().filter_map(Self::parse).find(|user| user.uid == owner.uid()).map(|user| user.name);
                let name = name.unwrap_or_else(|| owner.uid().to_string());
                Some(Self { uid: owner.uid(), gid: owner.gid(), name })
            }
            _ => ["postgres", "nobody"]
                .into_iter()
                .find_map(|name| users.lines().filter_map(Self::parse).find(|user| user.name == name)),
        };
        account.map(Some).ok_or(PostgresError::NoUser)
    }

    /// Checks that the user can pass through `folder` and all above it.
    pub fn check_reach(&self, folder: &Path) -> Result<(), PostgresError> {
        for above in folder.ancestors() {
            let metadata = above.metadata().map_err(PostgresError::system("inspect", above))?;
            let bit = match () {
                () if metadata.uid() == self.uid => 0o100,
                () if metadata.gid() == self.gid => 0o010,
                () => 0o001,
            };
            if metadata.mode() & bit == 0 {
                return Err(PostgresError::Unreachable { folder: above.to_owned(), user: self.name.clone() });
            }
        }
        Ok(())
    }

    /// Makes the user the owner of `path`.
    pub fn give(&self, path: &Path) -> Result<(), PostgresError> {
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
            .map_err(PostgresError::system("change the owner of", path))
    }

    /// Reads a line of `/etc/passwd`.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { uid, gid, name })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn lines_of_the_user_table_are_read() {
        let user =
            Account::parse("postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash").unwrap();
        assert_eq!(user, Account { uid: 101, gid: 104, name: "postgres".into() });
        assert_eq!(Account::parse("# a comment"), None);
    }

    #[test]
    fn a_folder_in_the_way_is_named() {
        let base = tempfile::tempdir().unwrap();
        let closed = base.path().join("closed");
        std::fs::create_dir_all(closed.join("data")).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account { uid: 4_000_000, gid: 4_000_000, name: "stranger".into() };
        let error = stranger.check_reach(&closed.join("data")).unwrap_err();
        assert!(matches!(error, PostgresError::Unreachable { folder, .. } if folder == closed));
    }
}
