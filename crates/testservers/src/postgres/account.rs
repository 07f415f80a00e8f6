//! The user that PostgreSQL runs as: it refuses root.

use std::os::unix::fs::lchown;
use std::path::Path;
use std::process::Command;

/// Another user than the one who runs the tests.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` unless the tests run as root.
    pub fn needed() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let find = |name: &str| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut ids = line.split(':').skip(2).map(str::parse);
            Some(Self { uid: ids.next()?.ok()?, gid: ids.next()?.ok()? })
        };
        Some(find("postgres").or_else(|| find("nobody")).expect("this system has a user postgres or nobody"))
    }

    /// Makes the user the owner of a folder.
    pub fn give(self, folder: &Path) {
        lchown(folder, Some(self.uid), Some(self.gid)).expect("root may give folders away");
    }
}

/// A program that runs as the account, if there is one, without this process's surroundings.
pub fn command(program: &Path, account: Option<Account>) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8");
    command.current_dir("/").process_group(0).stdin(std::process::Stdio::null());
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}
