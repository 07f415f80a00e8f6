//! Files that messages carry: found, fetched, and checked against what Telegram takes.

use std::collections::{HashMap, HashSet};

use platform::{FileRef, Media, MediaKind, Text};
use uuid::Uuid;

use super::{SenderKind, unsupported};
use crate::{
    Code, Error, Result,
    files::{Files, names},
    usecases::{Caller, draft::Medium},
};

const MIB: u64 = 1024 * 1024;
/// What the Bot API takes in one request.
pub const MOST_THROUGH_BOT: u64 = 50 * MIB;
/// What Telegram takes from an account: 4000 parts of 512 KiB.
const MOST_THROUGH_ACCOUNT: u64 = 4000 * 512 * 1024;
/// What Telegram takes as a photo.
const MOST_OF_PHOTO: u64 = 10 * MIB;
/// The longest title or name of a performer.
const LONGEST_TITLE: usize = 256;
/// The largest measure: what Telegram keeps in 31 bits.
const LARGEST: u32 = i32::MAX as u32;

/// Where the files of one message come from.
pub struct Shelf<'a> {
    /// The stored files.
    pub files: &'a Files,
    /// Who sends.
    pub caller: &'a Caller,
    /// Through what.
    pub sender: SenderKind,
    /// The files of the parts of the request, by the names of the parts.
    attached: HashMap<String, FileRef>,
    /// The parts that the message names, so far.
    named: HashSet<String>,
    /// The files that it needs, so far.
    used: Vec<FileRef>,
}

impl<'a> Shelf<'a> {
    /// For a message with these files.
    pub fn new(files: &'a Files, caller: &'a Caller, sender: SenderKind, attached: HashMap<String, FileRef>) -> Self {
        Self { files, caller, sender, attached, named: HashSet::new(), used: Vec::new() }
    }

    /// A file that was sent along for nothing is a mistake.
    pub fn check_all_named(&self) -> Result<()> {
        match self.attached.keys().find(|part| !self.named.contains(*part)) {
            None => Ok(()),
            Some(part) => {
                let part = part.escape_debug();
                let detail =
                    format!("The form has a part `{part}` that the message does not name: use it with `attach`.");
                Err(Error::new(Code::InvalidBody, detail))
            }
        }
    }

    /// A medium with its file; `at` is its pointer.
    pub async fn media(&mut self, kind: MediaKind, medium: Medium, caption: Text, at: &str) -> Result<Media> {
        check_fields(kind, &medium, at)?;
        let mut file = self.find(&medium, at).await?;
        if let Some(name) = &medium.name {
            file.name = names::safe(name);
        }
        self.check_file(kind, &file, at)?;
        self.used.push(file.clone());
        Ok(Media {
            file,
            caption,
            caption_above: medium.caption_above.unwrap_or_default(),
            spoiler: medium.spoiler.unwrap_or_default(),
            width: medium.width,
            height: medium.height,
            duration: medium.duration,
            title: medium.title,
            performer: medium.performer,
        })
    }

    async fn find(&mut self, medium: &Medium, at: &str) -> Result<FileRef> {
        match (medium.file_id, &medium.url, &medium.attach) {
            (Some(id), None, None) => self.stored(id, at).await,
            (None, Some(url), None) => {
                let user_id = self.caller.identity.user_id;
                self.files.fetch(user_id, url, medium.name.as_deref()).await.map_err(|mut error| {
                    // Where several are fetched, the caller wants to know which one failed.
                    error.fields.clear();
                    let detail = error.detail.clone();
                    error.with_field(format!("{at}/url"), detail)
                })
            }
            (None, None, Some(part)) => {
                let file = self.attached.get(part).cloned().ok_or_else(|| {
                    let rule =
                        "must be the name of a part of this request that holds a file: send a form with that part";
                    Error::invalid_field(format!("{at}/attach"), rule)
                })?;
                self.named.insert(part.clone());
                Ok(file)
            }
            _ => Err(Error::invalid_field(at, "must have exactly one of `file_id`, `url` and `attach`")),
        }
    }

    async fn stored(&self, id: Uuid, at: &str) -> Result<FileRef> {
        let file = self.files.find(self.caller.owner(), id).await?;
        file.ok_or_else(|| Error::invalid_field(format!("{at}/file_id"), "is no file of yours: upload it first"))
    }

    fn check_file(&self, kind: MediaKind, file: &FileRef, at: &str) -> Result<()> {
        let unfit = |detail: String| Err(Error::new(Code::MediaUnfit, detail.clone()).with_field(at, detail));
        let class = file.media_type.split('/').next().unwrap_or_default();
        let (fits, wanted) = match kind {
            MediaKind::Photo => (class == "image", "a picture"),
            MediaKind::Video => (class == "video", "a film"),
            MediaKind::Animation => (class == "video" || file.media_type == "image/gif", "a GIF or a silent film"),
            MediaKind::Audio | MediaKind::Voice => (class == "audio" || file.media_type == "application/ogg", "sound"),
            MediaKind::Document => (true, "a file"),
        };
        let is_known = matches!(class, "image" | "video" | "audio" | "text");
        if !fits && is_known {
            return unfit(format!("The file is `{}`, not {wanted}: send it as a document.", file.media_type));
        }
        if kind == MediaKind::Photo && file.size_bytes > MOST_OF_PHOTO {
            return unfit("The picture is larger than 10 MB: send it as a document.".to_owned());
        }
        if file.size_bytes > MOST_THROUGH_ACCOUNT {
            return unfit("The file is larger than 2 GB, which Telegram does not take.".to_owned());
        }
        self.check_size(file.size_bytes, at, "cannot send more than 50 MB")
    }

    /// Checks all files of the message together: one request carries them.
    pub fn check_together(&self, at: &str) -> Result<()> {
        let all = self.used.iter().map(|file| file.size_bytes).sum();
        self.check_size(all, at, "cannot send more than 50 MB in one album")
    }

    fn check_size(&self, size: u64, at: &str, what: &str) -> Result<()> {
        if self.sender == SenderKind::Bot && size > MOST_THROUGH_BOT {
            return Err(unsupported(
                at,
                &format!("is a bot, which {what}"),
                "an account can, up to 2 GB for each file",
            ));
        }
        Ok(())
    }
}

/// Checks that what is said of a file goes with its kind.
fn check_fields(kind: MediaKind, medium: &Medium, at: &str) -> Result<()> {
    use MediaKind::{Animation, Audio, Photo, Video, Voice};
    let fields: [(&str, bool, &[MediaKind]); 7] = [
        ("spoiler", medium.spoiler.is_some(), &[Photo, Video, Animation]),
        ("caption_above", medium.caption_above.is_some(), &[Photo, Video, Animation]),
        ("width", medium.width.is_some(), &[Video, Animation]),
        ("height", medium.height.is_some(), &[Video, Animation]),
        ("duration", medium.duration.is_some(), &[Video, Animation, Audio, Voice]),
        ("title", medium.title.is_some(), &[Audio]),
        ("performer", medium.performer.is_some(), &[Audio]),
    ];
    for (field, given, kinds) in fields {
        if given && !kinds.contains(&kind) {
            let rule = "does not go with this kind of medium: leave it out";
            return Err(Error::invalid_field(format!("{at}/{field}"), rule));
        }
    }
    for (field, value) in [("width", medium.width), ("height", medium.height), ("duration", medium.duration)] {
        if value.is_some_and(|value| value > LARGEST) {
            return Err(Error::invalid_field(format!("{at}/{field}"), format!("must be at most {LARGEST}")));
        }
    }
    for (field, value) in [("title", &medium.title), ("performer", &medium.performer)] {
        if value.as_ref().is_some_and(|value| value.chars().count() > LONGEST_TITLE) {
            let rule = format!("must have at most {LONGEST_TITLE} characters");
            return Err(Error::invalid_field(format!("{at}/{field}"), rule));
        }
    }
    Ok(())
}
