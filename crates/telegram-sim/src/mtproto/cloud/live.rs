//! Which connection each key speaks through.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::Cloud;
use crate::mtproto::connection::Command;

/// The newest connection of a key.
pub struct Live {
    /// Number of the connection.
    pub connection: u64,
    /// Its session.
    pub session_id: i64,
    /// Whether it asked for updates.
    pub wants_updates: bool,
    /// Where it listens.
    pub commands: UnboundedSender<Command>,
}

impl Cloud {
    /// Makes a connection the newest of its key; an older one that is still open is superseded.
    pub fn attach(&mut self, key_id: i64, live: Live) {
        if let Some(older) = self.live.insert(key_id, live) {
            // If it is closing by itself, nobody hears this.
            let _ = older.commands.send(Command::Supersede);
        }
    }

    /// A connection ended.
    pub fn detach(&mut self, key_id: i64, connection: u64) {
        if self.live.get(&key_id).is_some_and(|live| live.connection == connection) {
            self.live.remove(&key_id);
        }
    }

    /// Cuts the connection of a key.
    pub fn close(&mut self, key_id: i64) {
        self.command(key_id, Command::Close);
    }

    /// Sends a command to the connection of a key; whether there is one.
    pub fn command(&self, key_id: i64, command: Command) -> bool {
        self.live.get(&key_id).is_some_and(|live| live.commands.send(command).is_ok())
    }

    /// Pushes an object to the connection of a key, if it wants updates.
    pub fn push(&self, key_id: i64, object: Arc<[u8]>) {
        if self.live.get(&key_id).is_some_and(|live| live.wants_updates) {
            self.command(key_id, Command::Push(object));
        }
    }
}
