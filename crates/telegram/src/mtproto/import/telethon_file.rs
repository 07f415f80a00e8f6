//! Telethon's session file: an SQLite database. It is read from memory, so that its key never touches our disk, and
//! with what keeps a hostile file harmless: read-only, nothing of its schema trusted, only plain tables, few rows.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _};
use zeroize::Zeroizing;

use super::{ImportError, session};
use crate::mtproto::peer::{CachedPeer, PeerId};
use crate::mtproto::session_data::{SelfUser, SessionData};

/// Size of the largest file that is read, in bytes. A session with a hundred thousand known peers has about 10 MB.
pub const MAX_FILE: usize = 64 << 20;

/// How many known peers are taken over.
const PEERS: u32 = 1_000;

const MAGIC: &[u8] = b"SQLite format 3\0";

/// Reads a `.session` file of Telethon 1.x. Takes some milliseconds: keep it off the event loop.
pub fn telethon_file(bytes: &[u8]) -> Result<SessionData, ImportError> {
    if !bytes.starts_with(MAGIC) {
        return Err(ImportError::NotTelethonFile("it is no SQLite database"));
    }
    if bytes.len() > MAX_FILE {
        return Err(ImportError::NotTelethonFile("it is larger than 64 MiB"));
    }
    let database = open(bytes).map_err(|_| ImportError::NotTelethonFile("the database is damaged"))?;
    let (dc_id, key) = read_session(&database)?;
    let mut data = session(dc_id, &key)?;
    // Peers only spare a look-up later: a file without them, or of an older layout, is as good.
    if let Ok(peers) = read_peers(&database) {
        data.user = peers.iter().find(|(id, _)| *id == SELF).map(|(_, id)| SelfUser { id: *id, access_hash: None });
        data.peers = peers.into_iter().rev().filter_map(|(id, hash)| known_peer(id, hash)).collect();
    }
    Ok(data)
}

/// Telethon keeps the id of the logged-in user as the "hash" of a peer with this id.
const SELF: i64 = 0;

fn open(bytes: &[u8]) -> rusqlite::Result<Connection> {
    let mut database = Connection::open_in_memory()?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    database.deserialize_read_exact("main", bytes, bytes.len(), true)?;
    Ok(database)
}

fn read_session(database: &Connection) -> Result<(i64, Zeroizing<Vec<u8>>), ImportError> {
    let damaged = |_| ImportError::NotTelethonFile("the database is damaged");
    if !has_table(database, "sessions").map_err(damaged)? {
        return Err(ImportError::NotTelethonFile("it has no table of sessions"));
    }
    let unlike = |_| ImportError::NotTelethonFile("its table of sessions has other columns");
    let mut statement = database.prepare("SELECT dc_id, auth_key FROM sessions LIMIT 2").map_err(unlike)?;
    let mut rows = statement.query([]).map_err(damaged)?;
    let Some(row) = rows.next().map_err(damaged)? else {
        return Err(ImportError::NotLoggedIn);
    };
    let dc_id = row.get(0).map_err(unlike)?;
    let key = Zeroizing::new(row.get::<_, Option<Vec<u8>>>(1).map_err(unlike)?.unwrap_or_default());
    if rows.next().map_err(damaged)?.is_some() {
        return Err(ImportError::NotTelethonFile("it holds more than one session"));
    }
    if key.is_empty() {
        return Err(ImportError::NotLoggedIn);
    }
    Ok((dc_id, key))
}

fn read_peers(database: &Connection) -> rusqlite::Result<Vec<(i64, i64)>> {
    if !has_table(database, "entities")? {
        return Ok(Vec::new());
    }
    let mut statement = database.prepare("SELECT id, hash FROM entities ORDER BY id = 0 DESC, date DESC LIMIT ?1")?;
    statement.query_map([PEERS], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn has_table(database: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 AND sql NOT LIKE 'CREATE VIRTUAL%'";
    Ok(database.query_row(sql, [name], |_| Ok(())).optional()?.is_some())
}

fn known_peer(id: i64, hash: i64) -> Option<CachedPeer> {
    let id = PeerId::try_from(id).ok()?;
    Some(CachedPeer::with_hash(id, hash))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mtproto::auth_key::AuthKey;

    /// The tables as Telethon 1.x makes them.
    const TABLES: &str = "
        CREATE TABLE version (version integer primary key);
        CREATE TABLE sessions (dc_id integer primary key, server_address text, port integer, auth_key blob,
            takeout_id integer);
        CREATE TABLE entities (id integer primary key, hash integer not null, username text, phone integer, name text,
            date integer);
        INSERT INTO version VALUES (7);";

    fn file(sql: &str) -> Vec<u8> {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(sql).unwrap();
        database.serialize("main").unwrap().to_vec()
    }

    fn session_row(dc: i64, key: &[u8]) -> String {
        format!("INSERT INTO sessions VALUES ({dc}, '149.154.167.51', 443, x'{}', NULL);", hex::encode(key))
    }

    #[test]
    fn a_file_is_read_with_its_peers_and_its_user() {
        let row = session_row(4, &[9; 256]);
        let peers = "INSERT INTO entities VALUES (0, 42, NULL, NULL, NULL, 1), (42, 77, NULL, NULL, NULL, 2),
            (-1000000000005, -8, NULL, NULL, NULL, 3);";
        let data = telethon_file(&file(&format!("{TABLES}{row}{peers}"))).unwrap();
        assert_eq!(data.home_dc, 4);
        assert_eq!(data.data_centers[&4].auth_key, AuthKey::from_slice(&[9; 256]));
        assert_eq!(data.user, Some(SelfUser { id: 42, access_hash: None }));
        let channel = CachedPeer::with_hash(PeerId::channel(5).unwrap(), -8);
        assert_eq!(data.peers, [CachedPeer::with_hash(PeerId::user(42).unwrap(), 77), channel]);
    }

    #[test]
    fn a_file_of_an_older_layout_is_read_without_peers() {
        let tables = "CREATE TABLE sessions (dc_id integer primary key, server_address text, port integer,
            auth_key blob); CREATE TABLE entities (id integer primary key, hash integer);";
        let row = format!("INSERT INTO sessions VALUES (1, '', 443, x'{}');", hex::encode([9; 256]));
        assert_eq!(telethon_file(&file(&format!("{tables}{row}"))).unwrap().peers, []);
    }

    #[test]
    fn faults_are_told_apart() {
        let refused = |sql: &str| telethon_file(&file(sql)).unwrap_err();
        assert_eq!(
            telethon_file(b"text").unwrap_err().to_string().split(": ").nth(1),
            Some("it is no SQLite database")
        );
        assert!(refused("CREATE TABLE other (a)").to_string().contains("no table of sessions"));
        assert!(refused("CREATE TABLE sessions (a)").to_string().contains("other columns"));
        assert_eq!(refused(TABLES), ImportError::NotLoggedIn);
        assert_eq!(refused(&format!("{TABLES}{}", session_row(2, &[]))), ImportError::NotLoggedIn);
        assert_eq!(refused(&format!("{TABLES}{}", session_row(2, &[1; 255]))), ImportError::Damaged);
        assert_eq!(refused(&format!("{TABLES}{}", session_row(7, &[1; 256]))), ImportError::UnknownDataCenter(7));
        let two = format!("{TABLES}{}{}", session_row(1, &[1; 256]), session_row(2, &[2; 256]));
        assert!(refused(&two).to_string().contains("more than one"));
    }

    #[test]
    fn a_view_in_place_of_the_table_is_not_run() {
        let endless = "CREATE VIEW sessions AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n)
            SELECT i AS dc_id, i AS auth_key FROM n";
        assert!(telethon_file(&file(endless)).unwrap_err().to_string().contains("no table of sessions"));
    }

    proptest! {
        #[test]
        fn damage_anywhere_is_an_error_or_still_a_session(
            flips in prop::collection::vec((0..16_384_usize, any::<u8>()), 1..40), cut in 0..20_000_usize,
        ) {
            let mut bytes = file(&format!("{TABLES}{}", session_row(2, &[9; 256])));
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            bytes.truncate(cut.max(16));
            if let Ok(data) = telethon_file(&bytes) {
                prop_assert!((1..=5).contains(&data.home_dc));
            }
        }
    }
}
