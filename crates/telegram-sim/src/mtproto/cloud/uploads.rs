//! Uploads: parts while they come in, in whatever order. They are hashed as they come, so that a large file costs no
//! memory; only parts that are ahead of a missing one wait.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::world::{Content, Receiver, UserId};

/// The longest part, in bytes; shorter ones divide it.
const MAX_PART: usize = 512 << 10;
/// The most parts of one upload: 2 GB, what accounts without Premium may send.
const MAX_PARTS: usize = 4000;
/// Larger files come in big parts, in bytes.
const MAX_SMALL: u64 = 10 << 20;
/// What may wait of one upload for a missing part, in bytes.
const MAX_WAITING: usize = 256 << 20;

/// So many finished uploads can be used again; older ones are forgotten.
const MAX_FINISHED: usize = 128;

/// Why an upload is refused, in Telegram's words.
pub type FileError = String;

/// A part of a file as it comes.
#[derive(Debug)]
pub struct Part {
    /// The client's number of the upload.
    pub upload: i64,
    /// Number of the part, from 0.
    pub number: i32,
    /// For a big file: how many parts there are, or -1 if that is not known yet.
    pub total: Option<i32>,
    /// What is in it.
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
struct Upload {
    receiver: Receiver,
    /// Sizes of the parts that came, by number.
    sizes: BTreeMap<usize, usize>,
    /// The next part to hash.
    next: usize,
    /// Parts that came before their turn.
    waiting: BTreeMap<usize, Vec<u8>>,
    waiting_bytes: usize,
    is_big: bool,
}

/// An upload that is complete.
#[derive(Debug)]
struct Finished {
    content: Content,
    parts: usize,
    is_big: bool,
}

/// All uploads of all accounts.
#[derive(Debug, Default)]
pub struct Uploads {
    coming: HashMap<(UserId, i64), Upload>,
    finished: HashMap<(UserId, i64), Finished>,
    finished_order: VecDeque<(UserId, i64)>,
}

impl Uploads {
    /// Takes a part; a file of at most `keep` bytes keeps its bytes.
    pub fn save_part(&mut self, user: UserId, part: Part, keep: usize) -> Result<(), FileError> {
        let number = check_part(&part)?;
        if self.finished.contains_key(&(user, part.upload)) {
            return Ok(());
        }
        let is_big = part.total.is_some();
        // Only small files come with a checksum.
        let receiver = || if is_big { Receiver::new(keep) } else { Receiver::new(keep).with_md5() };
        let upload = self.coming.entry((user, part.upload)).or_insert_with(|| Upload {
            receiver: receiver(),
            sizes: BTreeMap::new(),
            next: 0,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            is_big,
        });
        if upload.is_big != is_big {
            return Err("FILE_PARTS_INVALID".to_owned());
        }
        upload.take(number, part.bytes)
    }

    /// The content of an upload of so many parts. It can be asked for again, as a client does whose send was refused.
    pub fn finish(&mut self, user: UserId, upload: i64, parts: i32, is_big: bool) -> Result<Content, FileError> {
        let key = (user, upload);
        let invalid = || "FILE_PARTS_INVALID".to_owned();
        let count = usize::try_from(parts).ok().filter(|count| (1..=MAX_PARTS).contains(count)).ok_or_else(invalid)?;
        if !self.finished.contains_key(&key) {
            let coming = self.coming.get(&key).ok_or_else(|| "FILE_PART_0_MISSING".to_owned())?;
            coming.check(count)?;
            if let Some(done) = self.coming.remove(&key) {
                let finished = Finished { content: done.receiver.finish(), parts: count, is_big: done.is_big };
                self.finished.insert(key, finished);
                self.finished_order.push_back(key);
                while self.finished_order.len() > MAX_FINISHED {
                    self.finished_order.pop_front().map(|oldest| self.finished.remove(&oldest));
                }
            }
        }
        let finished = self.finished.get(&key).filter(|done| done.parts == count && done.is_big == is_big);
        let content = &finished.ok_or_else(invalid)?.content;
        if !is_big && content.size > MAX_SMALL {
            return Err(invalid());
        }
        Ok(content.clone())
    }
}

/// What is wrong with a part by itself; its number.
fn check_part(part: &Part) -> Result<usize, FileError> {
    let number = usize::try_from(part.number).ok().filter(|number| *number < MAX_PARTS);
    let number = number.ok_or_else(|| "FILE_PART_INVALID".to_owned())?;
    if part.bytes.is_empty() {
        return Err("FILE_PART_EMPTY".to_owned());
    }
    if part.bytes.len() > MAX_PART {
        return Err("FILE_PART_TOO_BIG".to_owned());
    }
    let total = part.total.filter(|total| *total != -1);
    let total = total.map(|total| usize::try_from(total).unwrap_or(0));
    if total.is_some_and(|total| total == 0 || total > MAX_PARTS || number >= total) {
        return Err("FILE_PARTS_INVALID".to_owned());
    }
    if total.is_some_and(|total| number + 1 < total) && !is_part_size(part.bytes.len()) {
        return Err("FILE_PART_SIZE_INVALID".to_owned());
    }
    Ok(number)
}

fn is_part_size(size: usize) -> bool {
    size.is_multiple_of(1024) && MAX_PART.is_multiple_of(size)
}

impl Upload {
    fn take(&mut self, number: usize, bytes: Vec<u8>) -> Result<(), FileError> {
        // All parts but the last have one size, so none is smaller than a later one.
        let before = self.sizes.range(..number).next_back().map(|(_, size)| *size);
        let after = self.sizes.range(number + 1..).next().map(|(_, size)| *size);
        let (size, same) = (bytes.len(), self.sizes.get(&number).copied());
        let changed = before.is_some_and(|before| size > before)
            || after.is_some_and(|after| size < after)
            || same.is_some_and(|same| same != size);
        if changed {
            return Err("FILE_PART_SIZE_CHANGED".to_owned());
        }
        if same.is_some() {
            return Ok(());
        }
        if number != self.next && self.waiting_bytes + size > MAX_WAITING {
            return Err("FILE_PARTS_INVALID".to_owned());
        }
        self.sizes.insert(number, size);
        self.waiting_bytes += size;
        self.waiting.insert(number, bytes);
        while let Some(bytes) = self.waiting.remove(&self.next) {
            self.waiting_bytes -= bytes.len();
            self.receiver.push(&bytes);
            self.next += 1;
        }
        Ok(())
    }

    /// Whether exactly these parts are there, and fit together.
    fn check(&self, count: usize) -> Result<(), FileError> {
        if let Some(missing) = (0..count).find(|part| !self.sizes.contains_key(part)) {
            return Err(format!("FILE_PART_{missing}_MISSING"));
        }
        if self.sizes.len() != count {
            return Err("FILE_PARTS_INVALID".to_owned());
        }
        let first = self.sizes.get(&0).copied().unwrap_or_default();
        let all_but_last = self.sizes.values().take(count - 1);
        if count > 1 && !is_part_size(first) {
            return Err("FILE_PART_SIZE_INVALID".to_owned());
        }
        if all_but_last.into_iter().any(|size| *size != first) {
            return Err("FILE_PART_SIZE_CHANGED".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: i32, bytes: Vec<u8>) -> Part {
        Part { upload: 9, number, total: None, bytes }
    }

    #[test]
    fn a_file_is_made_of_its_parts_in_any_order() {
        let mut uploads = Uploads::default();
        assert_eq!(uploads.finish(1, 9, 2, false).unwrap_err(), "FILE_PART_0_MISSING");
        uploads.save_part(1, part(1, vec![3, 4]), 9000).unwrap();
        assert_eq!(uploads.finish(1, 9, 2, false).unwrap_err(), "FILE_PART_0_MISSING");
        uploads.save_part(1, part(0, vec![1; 1024]), 9000).unwrap();
        uploads.save_part(1, part(0, vec![1; 1024]), 9000).unwrap();
        assert_eq!(uploads.finish(1, 9, 3, false).unwrap_err(), "FILE_PART_2_MISSING");
        assert_eq!(uploads.finish(2, 9, 2, false).unwrap_err(), "FILE_PART_0_MISSING");
        let content = uploads.finish(1, 9, 2, false).unwrap();
        assert_eq!((content.size, content.bytes.unwrap()[1024]), (1026, 3));
        assert_eq!(uploads.finish(1, 9, 2, false).unwrap().size, 1026, "it can be asked for again");
        assert_eq!(uploads.finish(1, 9, 2, true).unwrap_err(), "FILE_PARTS_INVALID");
    }

    #[test]
    fn parts_have_one_size() {
        let mut uploads = Uploads::default();
        let mut refused = |part| uploads.save_part(1, part, 0).err();
        let is = |error: &str| Some(error.to_owned());
        assert_eq!(refused(part(0, vec![0; MAX_PART + 1])), is("FILE_PART_TOO_BIG"));
        assert_eq!(refused(part(0, Vec::new())), is("FILE_PART_EMPTY"));
        assert_eq!(refused(part(4000, vec![0])), is("FILE_PART_INVALID"));
        let big = |number, total, size| Part { upload: 5, number, total: Some(total), bytes: vec![0; size] };
        assert_eq!(refused(big(0, 4001, 1024)), is("FILE_PARTS_INVALID"));
        assert_eq!(refused(big(0, 3, 1000)), is("FILE_PART_SIZE_INVALID"));
        assert_eq!(refused(big(0, 3, 3 << 10)), is("FILE_PART_SIZE_INVALID"));
        assert_eq!(refused(big(0, 3, 4 << 10)), None);
        assert_eq!(refused(big(1, 3, 8 << 10)), is("FILE_PART_SIZE_CHANGED"));
        assert_eq!(refused(part(0, vec![0; 1000])), None);
        assert_eq!(refused(part(1, vec![0; 1000])), None);
        assert_eq!(uploads.finish(1, 9, 2, false).unwrap_err(), "FILE_PART_SIZE_INVALID");
    }

    #[test]
    fn what_was_hashed_is_not_kept() {
        let mut uploads = Uploads::default();
        for number in 0..64 {
            let bytes = vec![7; MAX_PART];
            uploads.save_part(1, Part { upload: 3, number, total: Some(64), bytes }, 1 << 20).unwrap();
        }
        let coming = &uploads.coming[&(1, 3)];
        assert_eq!((coming.waiting.len(), coming.waiting_bytes), (0, 0));
        let content = uploads.finish(1, 3, 64, true).unwrap();
        assert_eq!((content.size, content.bytes), (32 << 20, None));
    }
}
