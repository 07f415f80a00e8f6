//! What a message carries beside text, as clients name it.

use grammers_tl_types::{enums, types};

use super::{Call, Reply, RpcError};
use crate::mtproto::render::entities_from_api;
use crate::world::{
    Body, Content, File, LinkPreview, Location, Media, MediaKind, PhotoProblem, Poll, ReferenceError, UserId,
};

/// Limits of polls.
const MAX_QUESTION: usize = 255;
const MAX_OPTION: usize = 100;
const MAX_OPTIONS: usize = 12;
/// What photos may be called.
const PHOTO_NAMES: &[&str] = &["bmp", "gif", "jpeg", "jpg", "png", "webp"];

/// Puts what `input` names into a message.
pub fn attach(call: &Call<'_>, input: &enums::InputMedia, body: &mut Body) -> Reply<()> {
    use enums::InputMedia as M;
    match input {
        M::UploadedPhoto(input) => body.media = Some(new_photo(call, input)?),
        M::UploadedDocument(input) => body.media = Some(new_document(call, input)?),
        M::Photo(input) => body.media = Some(known_photo(call, input)?),
        M::Document(input) => body.media = Some(known_document(call, input)?),
        M::Poll(input) => body.poll = Some(read_poll(input, call.me()?)?),
        M::GeoPoint(input) => body.location = Some(read_point(&input.geo_point)?),
        M::WebPage(input) => body.link_preview = Some(read_web_page(input)?),
        // The simulator fetches nothing, so every address is one that does not answer.
        M::PhotoExternal(_) | M::DocumentExternal(_) => return Err(RpcError::bad("WEBPAGE_CURL_FAILED")),
        M::Empty => return Err(RpcError::bad("MEDIA_EMPTY")),
        _ => return Err(RpcError::bad("MEDIA_INVALID")),
    }
    Ok(())
}

/// A finished upload and its name.
fn finish(call: &Call<'_>, file: &enums::InputFile) -> Reply<(Content, String)> {
    let me = call.me()?;
    let (upload, parts, name, is_big) = match file {
        enums::InputFile::File(file) => (file.id, file.parts, &file.name, false),
        enums::InputFile::Big(file) => (file.id, file.parts, &file.name, true),
        enums::InputFile::StoryDocument(_) => return Err(RpcError::bad("MEDIA_INVALID")),
    };
    let content = call.cloud().uploads.finish(me, upload, parts, is_big);
    let content = content.map_err(|error| RpcError::new(400, error))?;
    if let enums::InputFile::File(file) = file
        && !file.md5_checksum.is_empty()
        && content.md5.as_ref().is_none_or(|md5| !md5.eq_ignore_ascii_case(&file.md5_checksum))
    {
        return Err(RpcError::bad("MD5_CHECKSUM_INVALID"));
    }
    Ok((content, name.clone()))
}

fn store(call: &Call<'_>, content: Content, media: Media) -> Media {
    call.core.world.lock().files_mut().add(content, media, call.link.dc)
}

fn new_photo(call: &Call<'_>, input: &types::InputMediaUploadedPhoto) -> Reply<Media> {
    let (content, name) = finish(call, &input.file)?;
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
    if extension.is_some_and(|extension| !PHOTO_NAMES.contains(&extension.as_str())) {
        return Err(RpcError::bad("PHOTO_EXT_INVALID"));
    }
    if let Some(problem) = content.photo_problem() {
        return Err(RpcError::bad(match problem {
            PhotoProblem::TooBig => "PHOTO_SAVE_FILE_INVALID",
            PhotoProblem::NoPicture => "IMAGE_PROCESS_FAILED",
            PhotoProblem::Dimensions => "PHOTO_INVALID_DIMENSIONS",
        }));
    }
    let mime_type = mime_guess::from_path(&name).first_raw().unwrap_or("image/jpeg").to_owned();
    let photo = Media { kind: MediaKind::Photo, name, mime_type, spoiler: input.spoiler, ..Media::default() };
    Ok(store(call, content, photo))
}

fn new_document(call: &Call<'_>, input: &types::InputMediaUploadedDocument) -> Reply<Media> {
    let (content, name) = finish(call, &input.file)?;
    let mut media = Media { name, mime_type: input.mime_type.clone(), spoiler: input.spoiler, ..Media::default() };
    for attribute in &input.attributes {
        describe(&mut media, attribute);
    }
    if input.force_file {
        media.kind = MediaKind::Document;
    }
    if let Some(thumbnail) = &input.thumb {
        let (content, name) = finish(call, thumbnail)?;
        if content.picture.is_some() {
            let mime_type = "image/jpeg".to_owned();
            let photo = Media { kind: MediaKind::Photo, name, mime_type, ..Media::default() };
            media.thumbnail = Some(store(call, content, photo).file_id);
        }
    }
    Ok(store(call, content, media))
}

/// Takes up what an attribute says of a document.
fn describe(media: &mut Media, attribute: &enums::DocumentAttribute) {
    use enums::DocumentAttribute as A;
    match attribute {
        A::Filename(name) => media.name.clone_from(&name.file_name),
        A::ImageSize(size) => {
            (media.width, media.height) = (u32::try_from(size.w).ok(), u32::try_from(size.h).ok());
        }
        A::Animated => media.kind = MediaKind::Animation,
        A::Video(video) => {
            if media.kind != MediaKind::Animation {
                media.kind = MediaKind::Video;
            }
            (media.width, media.height) = (u32::try_from(video.w).ok(), u32::try_from(video.h).ok());
            media.streaming = video.supports_streaming;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just before")]
            let seconds = video.duration.clamp(0.0, 1e9).round() as u32;
            media.duration = Some(seconds);
        }
        A::Audio(audio) => {
            media.kind = if audio.voice { MediaKind::Voice } else { MediaKind::Audio };
            media.duration = u32::try_from(audio.duration).ok();
            (media.title, media.performer) = (audio.title.clone(), audio.performer.clone());
        }
        A::HasStickers | A::Sticker(_) | A::CustomEmoji(_) => {}
    }
}

fn known_photo(call: &Call<'_>, input: &types::InputMediaPhoto) -> Reply<Media> {
    let enums::InputPhoto::Photo(file) = &input.id else { return Err(RpcError::bad("MEDIA_EMPTY")) };
    let media = known_file(call, file.id, file.access_hash, &file.file_reference, true)?;
    Ok(Media { spoiler: input.spoiler, ..media })
}

fn known_document(call: &Call<'_>, input: &types::InputMediaDocument) -> Reply<Media> {
    let enums::InputDocument::Document(file) = &input.id else { return Err(RpcError::bad("MEDIA_EMPTY")) };
    let media = known_file(call, file.id, file.access_hash, &file.file_reference, false)?;
    Ok(Media { spoiler: input.spoiler, ..media })
}

fn known_file(call: &Call<'_>, id: i64, access_hash: i64, reference: &[u8], is_photo: bool) -> Reply<Media> {
    let me = call.me()?;
    let world = call.core.world.lock();
    let right =
        |file: &&File| file.access_hash_for(me) == access_hash && (file.media.kind == MediaKind::Photo) == is_photo;
    let file = world.files().get(id).filter(right).ok_or(RpcError::bad("MEDIA_EMPTY"))?;
    world.files().check_reference(id, reference).map_err(reference_error)?;
    Ok(file.media.clone())
}

/// What Telegram says of a reference that is not good.
pub fn reference_error(error: ReferenceError) -> RpcError {
    RpcError::bad(match error {
        ReferenceError::Empty => "FILE_REFERENCE_EMPTY",
        ReferenceError::Invalid => "FILE_REFERENCE_INVALID",
        ReferenceError::Expired => "FILE_REFERENCE_EXPIRED",
    })
}

fn read_point(point: &enums::InputGeoPoint) -> Reply<Location> {
    match point {
        enums::InputGeoPoint::Point(point)
            if (-90.0..=90.0).contains(&point.lat) && (-180.0..=180.0).contains(&point.long) =>
        {
            let accuracy = point.accuracy_radius.map(f64::from);
            Ok(Location { latitude: point.lat, longitude: point.long, accuracy })
        }
        _ => Err(RpcError::bad("GEO_POINT_INVALID")),
    }
}

fn read_web_page(input: &types::InputMediaWebPage) -> Reply<LinkPreview> {
    if !input.url.starts_with("http://") && !input.url.starts_with("https://") {
        return Err(RpcError::bad("WEBPAGE_URL_INVALID"));
    }
    Ok(LinkPreview {
        url: Some(input.url.clone()),
        prefer_small_media: input.force_small_media.then_some(true),
        prefer_large_media: input.force_large_media.then_some(true),
        ..LinkPreview::default()
    })
}

fn read_poll(input: &types::InputMediaPoll, me: UserId) -> Reply<Poll> {
    let enums::Poll::Poll(poll) = &input.poll;
    let enums::TextWithEntities::Entities(question) = &poll.question;
    if question.text.trim().is_empty() || question.text.chars().count() > MAX_QUESTION {
        return Err(RpcError::bad("POLL_QUESTION_INVALID"));
    }
    let units = u32::try_from(question.text.encode_utf16().count()).unwrap_or(u32::MAX);
    let question_entities = entities_from_api(&question.entities, units, me);
    let options = read_options(&poll.answers)?;
    let given = input.correct_answers.as_deref().unwrap_or_default();
    let known = |answer: &i32| usize::try_from(*answer).ok().filter(|answer| *answer < options.len());
    let correct: Option<Vec<usize>> = given.iter().filter(|_| poll.quiz).map(known).collect();
    let correct = correct.ok_or(RpcError::bad("QUIZ_CORRECT_ANSWER_INVALID"))?;
    if poll.quiz && correct.is_empty() {
        return Err(RpcError::bad("QUIZ_CORRECT_ANSWERS_EMPTY"));
    }
    Ok(Poll {
        id: rand::random_range(1..i64::MAX),
        question: question.text.clone(),
        question_entities: question_entities.ok_or(RpcError::bad("ENTITY_BOUNDS_INVALID"))?,
        options,
        anonymous: !poll.public_voters,
        multiple: poll.multiple_choice,
        quiz: poll.quiz,
        correct,
        revoting: !poll.revoting_disabled,
        explanation: input.solution.clone().filter(|text| !text.is_empty()),
        open_period: poll.close_period,
        close_date: poll.close_date,
        closed: poll.closed,
    })
}

fn read_options(answers: &[enums::PollAnswer]) -> Reply<Vec<String>> {
    if !(1..=MAX_OPTIONS).contains(&answers.len()) {
        return Err(RpcError::bad("POLL_ANSWERS_INVALID"));
    }
    let mut names: Vec<&[u8]> = Vec::new();
    let mut options = Vec::new();
    for answer in answers {
        let text = match answer {
            enums::PollAnswer::Answer(answer) => {
                if answer.option.is_empty() || answer.option.len() > MAX_OPTION {
                    return Err(RpcError::bad("POLL_OPTION_INVALID"));
                }
                if names.contains(&answer.option.as_slice()) {
                    return Err(RpcError::bad("POLL_OPTION_DUPLICATE"));
                }
                names.push(&answer.option);
                &answer.text
            }
            enums::PollAnswer::InputPollAnswer(answer) => &answer.text,
        };
        let enums::TextWithEntities::Entities(text) = text;
        if text.text.trim().is_empty() || text.text.chars().count() > MAX_OPTION {
            return Err(RpcError::bad("POLL_ANSWER_INVALID"));
        }
        options.push(text.text.clone());
    }
    Ok(options)
}
