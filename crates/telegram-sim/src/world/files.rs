//! Files: what was uploaded by whichever half, and how it is found again.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::{Media, MediaKind, UserId};

/// Number of a stored file.
pub type FileId = i64;

/// So much of a file's beginning is looked at to find out what picture it is (bytes).
const HEAD: usize = 256 << 10;
/// Files up to this size keep their bytes, unless a setting says otherwise.
const KEEP_EACH: usize = 1 << 20;
/// All kept bytes together; beyond it the oldest go.
const KEEP_ALL: usize = 256 << 20;
/// Largest photo (bytes).
pub const MAX_PHOTO: u64 = 10 << 20;
/// Width and height of a photo together, and how much longer one side may be than the other.
const MAX_SIDES: u32 = 10_000;
const MAX_RATIO: u32 = 20;
/// An odd number with bits all over.
const SPREAD: i64 = 0x1E37_79B9_7F4A_7C15;
/// The data centre of what bots and the control API upload.
pub const BOT_DC: i32 = 2;

/// Takes a file piece by piece: hashes all of it, and keeps the bytes of a small one only.
#[derive(Debug)]
pub struct Receiver {
    sha256: Sha256,
    md5: Option<Md5>,
    size: u64,
    head: Vec<u8>,
    kept: Option<Vec<u8>>,
    keep: usize,
}

/// A file's content, as far as it is known.
#[derive(Debug, Clone)]
pub struct Content {
    /// Hex digits.
    pub sha256: String,
    /// Hex digits, if it was asked for.
    pub md5: Option<String>,
    /// Bytes.
    pub size: u64,
    /// The bytes themselves, if the file is small enough.
    pub bytes: Option<Bytes>,
    /// Width and height, if it is a picture.
    pub picture: Option<(u32, u32)>,
}

impl Receiver {
    /// Keeps the bytes of a file of at most `keep` bytes.
    pub fn new(keep: usize) -> Self {
        Self { sha256: Sha256::new(), md5: None, size: 0, head: Vec::new(), kept: Some(Vec::new()), keep }
    }

    /// Also makes the older hash.
    #[must_use]
    pub fn with_md5(self) -> Self {
        Self { md5: Some(Md5::new()), ..self }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        self.size += bytes.len() as u64;
        let wanted = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..wanted]);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
            if kept.len() > self.keep {
                self.kept = None;
            }
        }
    }

    /// How many bytes came.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The whole content.
    pub fn finish(self) -> Content {
        let picture = imagesize::blob_size(&self.head).ok();
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        Content {
            sha256: hex::encode(self.sha256.finalize()),
            md5: self.md5.map(|md5| hex::encode(md5.finalize())),
            size: self.size,
            bytes: self.kept.map(Bytes::from),
            picture: picture.map(|size| (side(size.width), side(size.height))),
        }
    }
}

/// Why a file cannot be shown as a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoProblem {
    /// It has too many bytes.
    TooBig,
    /// It is no picture.
    NoPicture,
    /// It is too large, or too long for its width.
    Dimensions,
}

impl Content {
    /// Why this cannot be shown as a photo, if so.
    pub fn photo_problem(&self) -> Option<PhotoProblem> {
        if self.size > MAX_PHOTO {
            return Some(PhotoProblem::TooBig);
        }
        let Some((width, height)) = self.picture else { return Some(PhotoProblem::NoPicture) };
        let (short, long) = (width.min(height), width.max(height));
        let fits = short > 0 && width.saturating_add(height) <= MAX_SIDES && long <= short.saturating_mul(MAX_RATIO);
        if fits { None } else { Some(PhotoProblem::Dimensions) }
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        let mut receiver = Receiver::new(usize::MAX).with_md5();
        receiver.push(bytes);
        receiver.finish()
    }
}

/// A file that can be sent, again and again.
#[derive(Debug, Clone)]
pub struct File {
    /// What a message that carries it shows.
    pub media: Media,
    /// Its content.
    pub content: Content,
    /// Of which the access hash of each account is made.
    access_hash: i64,
    /// Unix seconds.
    pub date: i64,
    /// The data centre that it was uploaded to.
    pub dc: i32,
}

impl File {
    /// What this account has to show to get it: no two accounts have the same, so that none uses what another was given.
    pub fn access_hash_for(&self, user: UserId) -> i64 {
        self.access_hash ^ user.wrapping_mul(SPREAD)
    }
}

/// All files.
#[derive(Debug)]
pub struct Files {
    stored: HashMap<FileId, File>,
    last_id: FileId,
    keep_each: usize,
    /// Files with bytes, oldest first.
    kept: VecDeque<FileId>,
    kept_total: usize,
    /// File references are of one epoch; those of earlier ones have expired.
    epoch: u32,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            stored: HashMap::new(),
            last_id: 0,
            keep_each: KEEP_EACH,
            kept: VecDeque::new(),
            kept_total: 0,
            epoch: 1,
        }
    }
}

impl Files {
    /// Stores a content as a new file; `media` describes it. Returns `media` with the number, size and hash of the file.
    pub fn add(&mut self, content: Content, media: Media, dc: i32) -> Media {
        self.last_id += 1;
        // Ids as large as real ones, so that nobody keeps them in 32 bits.
        let id = 5_000_000_000_000 + self.last_id;
        let mut media = Media { file_id: id, size: content.size, sha256: content.sha256.clone(), ..media };
        if matches!(media.kind, MediaKind::Photo)
            && let Some((width, height)) = content.picture
        {
            (media.width, media.height) = (Some(width), Some(height));
        }
        self.kept_total += content.bytes.as_ref().map_or(0, Bytes::len);
        if content.bytes.is_some() {
            self.kept.push_back(id);
        }
        let date = super::state::now();
        let file = File { media: media.clone(), content, access_hash: rand::random(), date, dc };
        self.stored.insert(id, file);
        self.make_room();
        media
    }

    fn make_room(&mut self) {
        while self.kept_total > KEEP_ALL
            && let Some(oldest) = self.kept.pop_front()
        {
            if let Some(bytes) = self.stored.get_mut(&oldest).and_then(|file| file.content.bytes.take()) {
                self.kept_total -= bytes.len();
            }
        }
    }

    /// The file with this number.
    pub fn get(&self, id: FileId) -> Option<&File> {
        self.stored.get(&id)
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.stored.len()
    }

    /// Files up to this size (bytes) keep their bytes.
    pub fn keep_bytes(&self) -> usize {
        self.keep_each
    }

    /// Changes up to which size (bytes) files that come from now on keep their bytes.
    pub fn set_keep_bytes(&mut self, keep: usize) {
        self.keep_each = keep;
    }

    /// The file references that were given out so far are no good any more.
    pub fn expire_references(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// The present reference of a file.
    pub fn reference(&self, id: FileId) -> Vec<u8> {
        [&self.epoch.to_be_bytes()[..], &id.to_be_bytes()].concat()
    }

    /// Whether a reference is of this file, and whether it is still good.
    pub fn check_reference(&self, id: FileId, reference: &[u8]) -> Result<(), ReferenceError> {
        let Some((epoch, file)) = reference.split_first_chunk::<4>() else {
            return Err(if reference.is_empty() { ReferenceError::Empty } else { ReferenceError::Invalid });
        };
        if file != id.to_be_bytes() {
            return Err(ReferenceError::Invalid);
        }
        if u32::from_be_bytes(*epoch) == self.epoch { Ok(()) } else { Err(ReferenceError::Expired) }
    }
}

/// What is wrong with a file reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceError {
    /// There is none.
    Empty,
    /// It is not of this file.
    Invalid,
    /// It was good once.
    Expired,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(keep: usize, parts: &[&[u8]]) -> Content {
        let mut receiver = Receiver::new(keep).with_md5();
        for part in parts {
            receiver.push(part);
        }
        receiver.finish()
    }

    #[test]
    fn a_large_file_is_hashed_and_not_kept() {
        let small = received(3, &[b"a", b"bc"]);
        assert_eq!(small.bytes.as_deref(), Some(&b"abc"[..]));
        assert_eq!(small.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(small.md5.as_deref(), Some("900150983cd24fb0d6963f7d28e17f72"));
        let large = received(2, &[b"a", b"bc"]);
        assert_eq!((large.bytes, large.sha256, large.size), (None, small.sha256, 3));
    }

    #[test]
    fn references_expire() {
        let mut files = Files::default();
        let media = files.add(Content::from(&b"x"[..]), Media::default(), BOT_DC);
        let reference = files.reference(media.file_id);
        assert_eq!(files.check_reference(media.file_id, &reference), Ok(()));
        assert_eq!(files.check_reference(media.file_id + 1, &reference), Err(ReferenceError::Invalid));
        assert_eq!(files.check_reference(media.file_id, &[]), Err(ReferenceError::Empty));
        files.expire_references();
        assert_eq!(files.check_reference(media.file_id, &reference), Err(ReferenceError::Expired));
    }

    #[test]
    fn the_oldest_bytes_go_first() {
        let mut files = Files::default();
        let ids: Vec<_> = (0..3)
            .map(|_| {
                let content = Content { bytes: Some(Bytes::from(vec![0; KEEP_ALL / 2])), ..Content::from(&b"x"[..]) };
                files.add(content, Media::default(), BOT_DC).file_id
            })
            .collect();
        let kept: Vec<bool> = ids.iter().map(|id| files.get(*id).unwrap().content.bytes.is_some()).collect();
        assert_eq!(kept, [false, true, true]);
    }
}
