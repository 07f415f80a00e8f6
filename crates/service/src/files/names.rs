//! Names and media types that are safe to show, to store and to send.

use crate::{Code, Error, Result};

/// How much of a file is looked at to see what it is.
pub const HEAD: usize = 8192;

/// The longest name, in bytes: what file systems take.
const LONGEST: usize = 255;
/// What is kept of a name's end when it is too long.
const LONGEST_EXTENSION: usize = 16;
/// The name of a file without one.
const NAMELESS: &str = "file";
/// The type of a file of which nothing is known.
const UNKNOWN: &str = "application/octet-stream";
/// What HTTP clients say of a body when nobody told them what it is.
const UNSAID: &str = "application/x-www-form-urlencoded";

/// A name without folders, control characters and marks that change the direction of writing, not too long.
pub fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|c| !c.is_control() && !changes_direction(*c)).collect();
    let kept = kept.trim().trim_end_matches('.').trim_end();
    if kept.trim_matches('.').is_empty() { NAMELESS.to_owned() } else { shorten(kept) }
}

/// They can make `exe.gpj` look like `jpg.exe` and the other way round.
fn changes_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// Shortens a name in front of its extension.
fn shorten(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let extension = name.rfind('.').map(|dot| &name[dot..]).filter(|end| end.len() <= LONGEST_EXTENSION);
    let extension = extension.unwrap_or_default();
    let mut end = LONGEST - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &name[..end])
}

/// The media type of a file, from what its sender says and from its first bytes. What claims to be a picture, a film or sound, and
/// is not, is refused: platforms would refuse it later.
pub fn media_type(claimed: Option<&str>, head: &[u8]) -> Result<String> {
    let claimed = claimed.and_then(essence).filter(|kind| kind != UNKNOWN && kind != UNSAID);
    let found = infer::get(head).map(|kind| kind.mime_type());
    let Some(claimed) = claimed else { return Ok(found.unwrap_or(UNKNOWN).to_owned()) };
    let Some(class) = media_class(&claimed) else { return Ok(claimed) };
    match found {
        // The same container holds sound, or film with sound.
        Some(found) if class != "image" && container(found).is_some() && container(found) == container(&claimed) => {
            Ok(claimed)
        }
        Some(found) if (media_class(found) == Some("image")) == (class == "image") && media_class(found).is_some() => {
            Ok(found.to_owned())
        }
        None if !infer::is_mime_supported(&claimed) => Ok(claimed),
        _ => {
            let detail = format!(
                "The file is said to be `{claimed}`, but {}. Send the right content type, or none.",
                found.map_or("is not".to_owned(), |found| format!("is `{found}`"))
            );
            Err(Error::new(Code::FileTypeMismatch, detail))
        }
    }
}

/// `type/subtype` in lower case, without parameters; `None` for what is no media type.
fn essence(text: &str) -> Option<String> {
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_token =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    let (kind, subtype) = essence.split_once('/')?;
    (essence.len() <= 127 && is_token(kind) && is_token(subtype)).then_some(essence)
}

fn media_class(kind: &str) -> Option<&str> {
    kind.split('/').next().filter(|class| ["image", "video", "audio"].contains(class))
}

/// The container format that a type of film or sound is kept in.
fn container(kind: &str) -> Option<&'static str> {
    Some(match kind.split('/').nth(1)?.trim_start_matches("x-") {
        "mp4" | "m4a" | "m4v" | "quicktime" | "3gpp" | "3gpp2" => "mp4",
        "ogg" | "opus" | "vorbis" => "ogg",
        "webm" | "matroska" => "matroska",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
    const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";
    const OGG: &[u8] = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead\x01";
    const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0";

    #[test]
    fn a_name_has_no_folders_and_nothing_that_misleads() {
        for (given, kept) in [
            ("report.pdf", "report.pdf"),
            ("отчёт 1.pdf", "отчёт 1.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\a\\b.txt", "b.txt"),
            ("a\u{202e}gpj.exe", "agpj.exe"),
            ("a\r\nb\0.txt", "ab.txt"),
            (" a. ", "a"),
            ("", "file"),
            ("..", "file"),
            ("/", "file"),
            (".htaccess", ".htaccess"),
        ] {
            assert_eq!(safe(given), kept, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension_and_is_cut_between_letters() {
        let long = safe(&format!("{}.jpeg", "ж".repeat(300)));
        assert!(long.len() <= LONGEST && long.ends_with("ж.jpeg"), "{long}");
        assert_eq!(safe(&"x".repeat(1000)).len(), LONGEST);
    }

    #[test]
    fn the_content_decides_between_pictures_and_between_films() {
        for (claimed, head, kind) in [
            (Some("image/png"), PNG, "image/png"),
            (Some("image/jpg"), JPEG, "image/jpeg"),
            (Some("image/png"), JPEG, "image/jpeg"),
            (Some("IMAGE/JPEG; q=1"), JPEG, "image/jpeg"),
            (None, PNG, "image/png"),
            (Some("application/octet-stream"), PNG, "image/png"),
            (Some("application/x-www-form-urlencoded"), PNG, "image/png"),
            (Some("nonsense"), PNG, "image/png"),
            (Some("application/pdf"), PNG, "application/pdf"),
            (Some("text/plain"), b"hello", "text/plain"),
            (None, b"hello", UNKNOWN),
            (Some("video/mp4"), MP4, "video/mp4"),
            (Some("audio/mp4"), MP4, "audio/mp4"),
            (Some("video/quicktime"), MP4, "video/quicktime"),
            (Some("audio/mpeg"), MP4, "video/mp4"),
            (Some("audio/ogg"), OGG, "audio/ogg"),
            (Some("image/svg+xml"), b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "image/svg+xml"),
        ] {
            assert_eq!(media_type(claimed, head).unwrap(), kind, "{claimed:?}");
        }
    }

    #[test]
    fn what_only_claims_to_be_a_picture_is_refused() {
        for (claimed, head) in [
            ("image/png", &b"hello"[..]),
            ("image/jpeg", ZIP),
            ("video/mp4", JPEG),
            ("image/png", MP4),
            ("audio/ogg", b"hello"),
            ("image/svg+xml", ZIP),
        ] {
            assert_eq!(media_type(Some(claimed), head).unwrap_err().code, Code::FileTypeMismatch, "{claimed}");
        }
    }
}
