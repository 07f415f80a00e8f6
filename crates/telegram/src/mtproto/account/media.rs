//! Media in Telegram's form: uploaded just now, or known from before.

use grammers_tl_types as tl;
use platform::{Location, Media, MediaKind, Poll};
use serde::{Deserialize, Serialize};

use super::entities;

/// What Telegram calls a photo or document. The reference expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    id: i64,
    access_hash: i64,
    #[serde(with = "hex::serde")]
    file_reference: Vec<u8>,
}

impl Known {
    /// Of a medium that Telegram told of.
    pub(super) fn of(media: &tl::enums::MessageMedia) -> Option<Self> {
        match media {
            tl::enums::MessageMedia::Photo(media) => match media.photo.as_ref()? {
                tl::enums::Photo::Photo(photo) => Some(Self {
                    id: photo.id,
                    access_hash: photo.access_hash,
                    file_reference: photo.file_reference.clone(),
                }),
                tl::enums::Photo::Empty(_) => None,
            },
            tl::enums::MessageMedia::Document(media) => match media.document.as_ref()? {
                tl::enums::Document::Document(document) => Some(Self {
                    id: document.id,
                    access_hash: document.access_hash,
                    file_reference: document.file_reference.clone(),
                }),
                tl::enums::Document::Empty(_) => None,
            },
            _ => None,
        }
    }

    /// To be sent again.
    pub(super) fn input(self, kind: MediaKind, spoiler: bool) -> tl::enums::InputMedia {
        let Self { id, access_hash, file_reference } = self;
        if kind == MediaKind::Photo {
            let id = tl::types::InputPhoto { id, access_hash, file_reference }.into();
            return tl::types::InputMediaPhoto { spoiler, live_photo: false, id, ttl_seconds: None, video: None }
                .into();
        }
        let id = tl::types::InputDocument { id, access_hash, file_reference }.into();
        tl::types::InputMediaDocument {
            spoiler,
            id,
            video_cover: None,
            video_timestamp: None,
            ttl_seconds: None,
            query: None,
        }
        .into()
    }
}

/// A file that was uploaded, to be sent as this kind.
pub(super) fn uploaded(kind: MediaKind, media: &Media, file: tl::enums::InputFile) -> tl::enums::InputMedia {
    let spoiler = media.spoiler;
    if kind == MediaKind::Photo {
        return tl::types::InputMediaUploadedPhoto {
            spoiler,
            live_photo: false,
            file,
            stickers: None,
            ttl_seconds: None,
            video: None,
        }
        .into();
    }
    tl::types::InputMediaUploadedDocument {
        nosound_video: kind == MediaKind::Animation,
        // Else Telegram shows a film that is sent as a document as a film.
        force_file: kind == MediaKind::Document,
        spoiler,
        file,
        thumb: None,
        mime_type: media.file.media_type.clone(),
        attributes: attributes(kind, media),
        stickers: None,
        video_cover: None,
        video_timestamp: None,
        ttl_seconds: None,
    }
    .into()
}

fn attributes(kind: MediaKind, media: &Media) -> Vec<tl::enums::DocumentAttribute> {
    let name = tl::types::DocumentAttributeFilename { file_name: media.file.name.clone() };
    let mut attributes = vec![name.into()];
    let small = |number: Option<u32>| number.and_then(|n| i32::try_from(n).ok()).unwrap_or_default();
    let duration = small(media.duration);
    let is_film =
        kind == MediaKind::Video || (kind == MediaKind::Animation && media.file.media_type.starts_with("video/"));
    if is_film {
        attributes.push(
            tl::types::DocumentAttributeVideo {
                round_message: false,
                supports_streaming: kind == MediaKind::Video,
                nosound: kind == MediaKind::Animation,
                duration: duration.into(),
                w: small(media.width),
                h: small(media.height),
                preload_prefix_size: None,
                video_start_ts: None,
                video_codec: None,
            }
            .into(),
        );
    }
    match kind {
        MediaKind::Animation => attributes.push(tl::enums::DocumentAttribute::Animated),
        MediaKind::Audio | MediaKind::Voice => attributes.push(
            tl::types::DocumentAttributeAudio {
                voice: kind == MediaKind::Voice,
                duration,
                title: media.title.clone(),
                performer: media.performer.clone(),
                waveform: None,
            }
            .into(),
        ),
        MediaKind::Photo | MediaKind::Video | MediaKind::Document => {}
    }
    attributes
}

/// A poll or quiz. Telegram gives the answers their keys.
pub(super) fn poll(poll: &Poll) -> tl::enums::InputMedia {
    let plain = |text: &str| tl::types::TextWithEntities { text: text.to_owned(), entities: Vec::new() }.into();
    let answer = |text: &String| tl::types::InputPollAnswer { text: plain(text), media: None }.into();
    let seconds = poll.open_seconds.and_then(|seconds| i32::try_from(seconds).ok());
    let explanation = Some(&poll.explanation).filter(|text| !text.is_empty());
    tl::types::InputMediaPoll {
        poll: tl::types::Poll {
            id: 0,
            closed: false,
            public_voters: poll.public,
            multiple_choice: poll.multiple,
            quiz: poll.correct.is_some(),
            open_answers: false,
            revoting_disabled: false,
            shuffle_answers: false,
            hide_results_until_close: false,
            creator: false,
            subscribers_only: false,
            question: plain(&poll.question),
            answers: poll.answers.iter().map(answer).collect(),
            close_period: seconds,
            close_date: None,
            countries_iso2: None,
            hash: 0,
        }
        .into(),
        correct_answers: poll.correct.map(|index| vec![i32::from(index)]),
        attached_media: None,
        solution: explanation.map(|text| text.text.clone()),
        solution_entities: explanation.map(|text| entities::to_tl(&text.entities, |_| None)),
        solution_media: None,
    }
    .into()
}

/// A point on the map.
pub(super) fn location(location: &Location) -> tl::enums::InputMedia {
    #[expect(clippy::cast_possible_truncation, reason = "at most 1500, as checked when the message was accepted")]
    let accuracy_radius = location.accuracy.map(|metres| metres.clamp(1.0, 1500.0) as i32);
    let (lat, long) = (location.latitude, location.longitude);
    let geo_point = tl::types::InputGeoPoint { lat, long, accuracy_radius }.into();
    tl::types::InputMediaGeoPoint { geo_point }.into()
}

#[cfg(test)]
mod tests {
    use platform::{FileRef, Text};
    use tl::enums::DocumentAttribute;
    use uuid::Uuid;

    use super::*;

    fn media(name: &str, media_type: &str) -> Media {
        let file = FileRef { id: Uuid::nil(), name: name.into(), media_type: media_type.into(), size_bytes: 1 };
        let (caption, title, performer) = (Text::default(), Some("Song".to_owned()), None);
        let (width, height, duration) = (Some(4), Some(3), Some(7));
        Media { file, caption, caption_above: false, spoiler: true, width, height, duration, title, performer }
    }

    fn document(kind: MediaKind, media: &Media) -> tl::types::InputMediaUploadedDocument {
        let file = tl::types::InputFileBig { id: 1, parts: 1, name: media.file.name.clone() }.into();
        match uploaded(kind, media, file) {
            tl::enums::InputMedia::UploadedDocument(document) => document,
            other => panic!("no document: {other:?}"),
        }
    }

    #[test]
    fn each_kind_has_its_attributes() {
        let film = document(MediaKind::Video, &media("a.mp4", "video/mp4"));
        assert!(!film.force_file && !film.nosound_video && film.spoiler);
        assert!(film.attributes.iter().any(|a| matches!(a, DocumentAttribute::Video(v) if v.w == 4 && v.h == 3)));
        let gif = document(MediaKind::Animation, &media("a.gif", "image/gif"));
        assert!(gif.nosound_video && gif.attributes.contains(&DocumentAttribute::Animated));
        assert!(!gif.attributes.iter().any(|a| matches!(a, DocumentAttribute::Video(_))));
        let voice = document(MediaKind::Voice, &media("a.ogg", "audio/ogg"));
        assert!(
            voice.attributes.iter().any(|a| matches!(a, DocumentAttribute::Audio(v) if v.voice && v.duration == 7))
        );
        let plain = document(MediaKind::Document, &media("a.mp4", "video/mp4"));
        assert!(plain.force_file && plain.attributes.len() == 1);
    }

    #[test]
    fn what_is_known_survives_being_stored() {
        let known = Known { id: -5, access_hash: i64::MAX, file_reference: vec![0, 255] };
        let json = serde_json::to_value(&known).unwrap();
        assert_eq!(json["file_reference"], "00ff");
        assert_eq!(serde_json::from_value::<Known>(json).unwrap(), known);
    }
}
