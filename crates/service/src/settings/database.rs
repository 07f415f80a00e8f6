//! Section `database`: a PostgreSQL of the operator, or the private one.

use std::path::PathBuf;

use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;

use super::reader::Reader;

/// The database.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Where the operator's database is; `None` is the private one in the data folder.
    pub url: Option<SecretString>,
    /// Connections of this process.
    pub max_connections: u32,
    /// Folder of the server binaries for the private one; `None` searches the usual places.
    pub bin_dir: Option<PathBuf>,
}

impl DatabaseSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        Self {
            url: from.secret("url", "an address such as postgres://user:password@host:5432/database", |text| {
                ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
                    && text.parse::<PgConnectOptions>().is_ok()
            }),
            max_connections: from.integer("max_connections", 2..=1000),
            bin_dir: from.optional("bin_dir", "a folder", |_| true).map(PathBuf::from),
        }
    }
}
