//! Uploads: parts while they come in, whole files once a message uses them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::mtproto::wire::msg_id::unix_time;
use crate::world::UserId;

/// The longest part, in bytes.
const MAX_PART: usize = 512 << 10;
/// All parts of one upload, in bytes: a simulator need not hold Telegram's 2 GB.
const MAX_FILE: usize = 64 << 20;

/// Why an upload is refused, in Telegram's words.
pub type FileError = &'static str;

/// A file that a message carries.
#[derive(Debug, Clone)]
pub struct StoredFile {
    /// Content.
    pub bytes: Arc<[u8]>,
    /// What has to be shown to get it.
    pub access_hash: i64,
    /// Unix seconds.
    pub date: i32,
    /// The data centre that it was uploaded to.
    pub dc: i32,
}

#[derive(Debug, Default)]
struct Parts {
    parts: BTreeMap<i32, Vec<u8>>,
    size: usize,
}

/// All uploads and files.
#[derive(Debug, Default)]
pub struct Files {
    uploads: HashMap<(UserId, i64), Parts>,
    stored: HashMap<i64, StoredFile>,
    last_id: i64,
}

impl Files {
    /// Takes a part of an upload.
    pub fn save_part(&mut self, user: UserId, upload: i64, part: i32, bytes: Vec<u8>) -> Result<(), FileError> {
        if !(0..4000).contains(&part) {
            return Err("FILE_PART_INVALID");
        }
        if bytes.is_empty() {
            return Err("FILE_PART_EMPTY");
        }
        if bytes.len() > MAX_PART {
            return Err("FILE_PART_TOO_BIG");
        }
        let upload = self.uploads.entry((user, upload)).or_default();
        if upload.size + bytes.len() > MAX_FILE {
            return Err("FILE_PARTS_INVALID");
        }
        upload.size += bytes.len();
        if let Some(before) = upload.parts.insert(part, bytes) {
            upload.size -= before.len();
        }
        Ok(())
    }

    /// Makes a file of an upload whose `count` parts are there. Returns its id and size.
    pub fn finish(&mut self, user: UserId, upload: i64, count: i32, dc: i32) -> Result<(i64, u64), FileError> {
        let parts = self.uploads.get(&(user, upload)).ok_or("FILE_PART_0_MISSING")?;
        if count < 1 || !(0..count).all(|part| parts.parts.contains_key(&part)) {
            return Err("FILE_PARTS_INVALID");
        }
        let parts = self.uploads.remove(&(user, upload)).unwrap_or_default();
        let bytes: Arc<[u8]> = parts.parts.into_values().flatten().collect();
        self.last_id += 1;
        let size = bytes.len() as u64;
        // Ids as large as real ones, so that nobody keeps them in 32 bits.
        let id = 5_000_000_000_000 + self.last_id;
        self.stored.insert(id, StoredFile { bytes, access_hash: rand::random(), date: unix_time(), dc });
        Ok((id, size))
    }

    /// The file with this id.
    pub fn get(&self, id: i64) -> Option<&StoredFile> {
        self.stored.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_of_its_parts() {
        let mut files = Files::default();
        files.save_part(1, 9, 1, vec![3, 4]).unwrap();
        assert_eq!(files.finish(1, 9, 2, 4), Err("FILE_PARTS_INVALID"));
        files.save_part(1, 9, 0, vec![1, 2]).unwrap();
        files.save_part(1, 9, 0, vec![1, 2]).unwrap();
        assert_eq!(files.finish(2, 9, 2, 4), Err("FILE_PART_0_MISSING"));
        let (id, size) = files.finish(1, 9, 2, 4).unwrap();
        assert_eq!((size, &files.get(id).unwrap().bytes[..]), (4, &[1, 2, 3, 4][..]));
        assert_eq!(files.save_part(1, 9, 0, vec![0; MAX_PART + 1]), Err("FILE_PART_TOO_BIG"));
    }
}
