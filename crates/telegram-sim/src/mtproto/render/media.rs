//! Files, polls, places on the map and previews of links.

use grammers_tl_types::{Serializable, enums, types};

use super::{View, entities_to_api, no_flags, sparse};
use crate::world::{BOT_DC, Body, FileId, LinkPreview, Location, Media, MediaKind, Poll};

fn number(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn side(value: Option<u32>) -> i32 {
    number(value.unwrap_or(0).into())
}

fn text(text: &str, entities: &[crate::world::Entity]) -> enums::TextWithEntities {
    let entities = entities_to_api(entities).unwrap_or_default();
    types::TextWithEntities { text: text.to_owned(), entities }.into()
}

impl View<'_> {
    /// Whatever a message carries beside text.
    pub fn attachment(&self, body: &Body) -> Option<enums::MessageMedia> {
        if let Some(media) = &body.media {
            return Some(self.media(media));
        }
        if let Some(poll) = &body.poll {
            return Some(render_poll(poll));
        }
        if let Some(location) = body.location {
            return Some(types::MessageMediaGeo { geo: geo_point(location) }.into());
        }
        body.link_preview.as_ref().and_then(web_page)
    }

    /// An attached file.
    pub fn media(&self, media: &Media) -> enums::MessageMedia {
        if media.kind == MediaKind::Photo {
            let mut object: types::MessageMediaPhoto = sparse(&[no_flags()]);
            object.photo = Some(self.photo(media.file_id));
            object.spoiler = media.spoiler;
            return object.into();
        }
        let mut object: types::MessageMediaDocument = sparse(&[no_flags()]);
        object.document = Some(self.document(media));
        object.spoiler = media.spoiler;
        object.video = media.kind == MediaKind::Video;
        object.voice = media.kind == MediaKind::Voice;
        object.into()
    }

    /// Access hash, date and data centre of a file.
    fn stored(&self, id: FileId) -> (i64, i32, i32) {
        let file = self.world.files().get(id);
        file.map_or((0, 0, BOT_DC), |file| {
            (file.access_hash_for(self.viewer), i32::try_from(file.date).unwrap_or(i32::MAX), file.dc)
        })
    }

    /// A photo.
    pub fn photo(&self, id: FileId) -> enums::Photo {
        let (access_hash, date, dc_id) = self.stored(id);
        types::Photo {
            has_stickers: false,
            id,
            access_hash,
            file_reference: self.world.files().reference(id),
            date,
            sizes: vec![self.photo_size(id, "x")],
            video_sizes: None,
            dc_id,
        }
        .into()
    }

    fn photo_size(&self, id: FileId, name: &str) -> enums::PhotoSize {
        let content = self.world.files().get(id).map(|file| &file.content);
        let (w, h) = content.and_then(|content| content.picture).unwrap_or_default();
        let size = number(content.map_or(0, |content| content.size));
        types::PhotoSize { r#type: name.to_owned(), w: side(Some(w)), h: side(Some(h)), size }.into()
    }

    fn document(&self, media: &Media) -> enums::Document {
        let (access_hash, date, dc_id) = self.stored(media.file_id);
        types::Document {
            id: media.file_id,
            access_hash,
            file_reference: self.world.files().reference(media.file_id),
            date,
            mime_type: media.mime_type.clone(),
            size: i64::try_from(media.size).unwrap_or(i64::MAX),
            thumbs: media.thumbnail.map(|thumbnail| vec![self.photo_size(thumbnail, "m")]),
            video_thumbs: None,
            dc_id,
            attributes: attributes(media),
        }
        .into()
    }
}

fn attributes(media: &Media) -> Vec<enums::DocumentAttribute> {
    let mut attributes: Vec<enums::DocumentAttribute> = Vec::new();
    let duration = side(media.duration);
    if matches!(media.kind, MediaKind::Video | MediaKind::Animation) {
        let mut video: types::DocumentAttributeVideo = sparse(&[
            no_flags(),
            f64::from(duration).to_bytes(),
            side(media.width).to_bytes(),
            side(media.height).to_bytes(),
        ]);
        video.supports_streaming = media.streaming;
        video.nosound = media.kind == MediaKind::Animation;
        attributes.push(video.into());
    }
    if matches!(media.kind, MediaKind::Audio | MediaKind::Voice) {
        let voice = media.kind == MediaKind::Voice;
        let (title, performer) = (media.title.clone(), media.performer.clone());
        attributes.push(types::DocumentAttributeAudio { voice, duration, title, performer, waveform: None }.into());
    }
    if !media.name.is_empty() {
        attributes.push(types::DocumentAttributeFilename { file_name: media.name.clone() }.into());
    }
    if media.kind == MediaKind::Animation {
        attributes.push(enums::DocumentAttribute::Animated);
    }
    attributes
}

fn geo_point(location: Location) -> enums::GeoPoint {
    #[expect(clippy::cast_possible_truncation, reason = "at most 1500 metres")]
    let accuracy_radius = location.accuracy.map(|metres| metres as i32);
    types::GeoPoint { long: location.longitude, lat: location.latitude, access_hash: 0, accuracy_radius }.into()
}

/// The name of an answer, which votes would be given by.
fn option_name(index: usize) -> Vec<u8> {
    index.to_string().into_bytes()
}

fn render_poll(poll: &Poll) -> enums::MessageMedia {
    let answer = |(index, option): (usize, &String)| -> enums::PollAnswer {
        types::PollAnswer {
            text: text(option, &[]),
            option: option_name(index),
            media: None,
            added_by: None,
            date: None,
        }
        .into()
    };
    let answers: Vec<enums::PollAnswer> = poll.options.iter().enumerate().map(answer).collect();
    let mut object: types::Poll = sparse(&[
        poll.id.to_bytes(),
        no_flags(),
        text(&poll.question, &poll.question_entities).to_bytes(),
        answers.to_bytes(),
        0i64.to_bytes(),
    ]);
    object.closed = poll.closed;
    object.public_voters = !poll.anonymous;
    object.multiple_choice = poll.multiple;
    object.quiz = poll.quiz;
    object.revoting_disabled = !poll.revoting;
    object.close_period = poll.open_period;
    object.close_date = poll.close_date;
    let mut results: types::PollResults = sparse(&[no_flags()]);
    results.total_voters = Some(0);
    results.solution.clone_from(&poll.explanation);
    results.solution_entities = poll.explanation.as_ref().map(|_| Vec::new());
    let mut media: types::MessageMediaPoll = sparse(&[
        no_flags(),
        enums::Poll::Poll(object).to_bytes(),
        enums::PollResults::Results(Box::new(results)).to_bytes(),
    ]);
    media.attached_media = None;
    media.into()
}

/// A preview that was asked for by its address; nothing is ever fetched for it.
fn web_page(preview: &LinkPreview) -> Option<enums::MessageMedia> {
    let url = preview.url.clone().filter(|_| preview.is_disabled != Some(true))?;
    Some(
        types::MessageMediaWebPage {
            force_large_media: preview.prefer_large_media == Some(true),
            force_small_media: preview.prefer_small_media == Some(true),
            manual: true,
            safe: false,
            webpage: types::WebPageEmpty { id: 0, url: Some(url) }.into(),
        }
        .into(),
    )
}
