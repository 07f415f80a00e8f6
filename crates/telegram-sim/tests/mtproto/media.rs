//! Every kind of content, from an account, to an account and to a bot.

use grammers_tl_types::{enums, functions, types};
use serde_json::{Value, json};
use telegram_sim::world::{Body, ChatKind, Media, MediaKind, MemberStatus, NewChat};
use telegram_sim::{Sim, SimOptions};

use crate::device::{Device, account, document, message, messages_in, peer, photo, picture, simulator, with_media};

fn body(sim: &Sim) -> Body {
    let world = sim.world().lock();
    world.messages().by_uid(world.messages().arrived()).unwrap().body.clone()
}

fn video(duration: f64) -> enums::DocumentAttribute {
    types::DocumentAttributeVideo {
        round_message: false,
        supports_streaming: true,
        nosound: false,
        duration,
        w: 640,
        h: 360,
        preload_prefix_size: None,
        video_start_ts: None,
        video_codec: None,
    }
    .into()
}

fn audio(voice: bool) -> enums::DocumentAttribute {
    let (title, performer) = (Some("T".to_owned()), None);
    types::DocumentAttributeAudio { voice, duration: 5, title, performer, waveform: None }.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_document_is_known_by_its_attributes() {
    let sim = simulator().await;
    account(&sim, "15550001", 2);
    let alice = Device::signed_in(&sim, "15550001").await;
    let cases = [
        (MediaKind::Document, "text/plain", vec![]),
        (MediaKind::Video, "video/mp4", vec![video(7.4)]),
        (MediaKind::Animation, "video/mp4", vec![video(2.0), enums::DocumentAttribute::Animated]),
        (MediaKind::Audio, "audio/mpeg", vec![audio(false)]),
        (MediaKind::Voice, "audio/ogg", vec![audio(true)]),
    ];
    for (random_id, (kind, mime, mut attributes)) in (1..).zip(cases) {
        attributes.push(types::DocumentAttributeFilename { file_name: "named.bin".to_owned() }.into());
        let file = alice.upload("a.bin", b"content").await;
        let thumb = Some(alice.upload("t.png", &picture(60)).await);
        let media =
            types::InputMediaUploadedDocument { thumb, spoiler: true, ..document(file, mime, attributes.clone()) };
        let request = with_media(enums::InputPeer::PeerSelf, media, "caption", random_id);
        let shown = messages_in(alice.invoke(&request).await.unwrap()).remove(0);
        let known = body(&sim).media.unwrap();
        assert_eq!((known.kind, known.name.as_str(), known.spoiler), (kind, "named.bin", true), "{known:?}");
        assert!(known.thumbnail.is_some());
        let Some(enums::MessageMedia::Document(media)) = shown.media else { panic!("a document expected") };
        let Some(enums::Document::Document(file)) = media.document else { panic!("a document expected") };
        assert_eq!(
            (media.spoiler, media.voice, media.video),
            (true, kind == MediaKind::Voice, kind == MediaKind::Video)
        );
        assert_eq!((file.mime_type.as_str(), file.attributes.len()), (mime, attributes.len()));
    }
    let file = alice.upload("b.png", &picture(500)).await;
    let request = with_media(enums::InputPeer::PeerSelf, photo(file), "a photo", 50);
    let request = functions::messages::SendMedia { invert_media: true, ..request };
    let shown = messages_in(alice.invoke(&request).await.unwrap()).remove(0);
    assert!(shown.invert_media);
    let Media { width, height, .. } = body(&sim).media.unwrap();
    assert_eq!((width, height), (Some(32), Some(16)));
    let long = with_media(enums::InputPeer::PeerSelf, enums::InputMedia::Empty, &"x".repeat(1025), 51);
    assert_eq!(alice.error(&long).await, "400 MEDIA_EMPTY");
    let place = |lat| types::InputMediaGeoPoint {
        geo_point: types::InputGeoPoint { lat, long: 2.0, accuracy_radius: Some(9) }.into(),
    };
    let long = with_media(enums::InputPeer::PeerSelf, place(1.0), &"x".repeat(1025), 51);
    assert_eq!(alice.error(&long).await, "400 MEDIA_CAPTION_TOO_LONG");
    alice.invoke(&with_media(enums::InputPeer::PeerSelf, place(1.5), "", 52)).await.unwrap();
    let location = body(&sim).location.unwrap();
    assert!((location.latitude - 1.5).abs() < 1e-9 && location.accuracy == Some(9.0));
    assert_eq!(
        alice.error(&with_media(enums::InputPeer::PeerSelf, place(95.0), "", 53)).await,
        "400 GEO_POINT_INVALID"
    );
}

fn poll(quiz: bool, options: &[&str], correct: Option<Vec<i32>>) -> types::InputMediaPoll {
    let words = |text: &str| -> enums::TextWithEntities {
        types::TextWithEntities { text: text.to_owned(), entities: Vec::new() }.into()
    };
    let answer = |(index, text): (usize, &&str)| -> enums::PollAnswer {
        let option = index.to_string().into_bytes();
        types::PollAnswer { text: words(text), option, media: None, added_by: None, date: None }.into()
    };
    let poll = types::Poll {
        id: 0,
        closed: false,
        public_voters: true,
        multiple_choice: false,
        quiz,
        open_answers: false,
        revoting_disabled: false,
        shuffle_answers: false,
        hide_results_until_close: false,
        creator: false,
        subscribers_only: false,
        question: words("Tea?"),
        answers: options.iter().enumerate().map(answer).collect(),
        close_period: None,
        close_date: None,
        countries_iso2: None,
        hash: 0,
    };
    types::InputMediaPoll {
        poll: poll.into(),
        correct_answers: correct,
        attached_media: None,
        solution: None,
        solution_entities: None,
        solution_media: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_and_previews_are_sent() {
    let sim = simulator().await;
    let alice = account(&sim, "15550001", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    let to_self = || enums::InputPeer::PeerSelf;
    let quiz = poll(true, &["yes", "no"], Some(vec![1]));
    let shown = messages_in(device.invoke(&with_media(to_self(), quiz, "", 1)).await.unwrap()).remove(0);
    let Some(enums::MessageMedia::Poll(media)) = shown.media else { panic!("a poll expected") };
    let enums::Poll::Poll(seen) = media.poll;
    assert_eq!((seen.quiz, seen.answers.len()), (true, 2));
    let known = body(&sim).poll.unwrap();
    assert_eq!(
        (known.question.as_str(), known.options, known.correct),
        ("Tea?", vec!["yes".into(), "no".into()], vec![1])
    );
    for (media, error) in [
        (poll(false, &[], None), "400 POLL_ANSWERS_INVALID"),
        (poll(false, &["one", ""], None), "400 POLL_ANSWER_INVALID"),
        (poll(true, &["one", "two"], None), "400 QUIZ_CORRECT_ANSWERS_EMPTY"),
    ] {
        assert_eq!(device.error(&with_media(to_self(), media, "", 2)).await, error);
    }
    let members = vec![(alice, MemberStatus::Creator)];
    let (kind, title) = (ChatKind::Channel, "News".to_owned());
    let channel = sim.world().lock().add_chat(NewChat { kind, id: None, title, username: None, members });
    let public = with_media(peer(&sim, channel), poll(false, &["one", "two"], None), "", 2);
    assert_eq!(device.error(&public).await, "400 BROADCAST_PUBLIC_VOTERS_FORBIDDEN");

    let url = "https://example.com/a".to_owned();
    let page = types::InputMediaWebPage { force_large_media: true, force_small_media: false, optional: true, url };
    let request = with_media(to_self(), page, &"x".repeat(4096), 3);
    let request = functions::messages::SendMedia { invert_media: true, ..request };
    device.invoke(&request).await.unwrap();
    let preview = body(&sim).link_preview.unwrap();
    assert_eq!((preview.url.as_deref(), preview.prefer_large_media), (Some("https://example.com/a"), Some(true)));
    assert_eq!(preview.show_above_text, Some(true));
    let none = functions::messages::SendMessage { no_webpage: true, ..message(to_self(), "https://x.y", 4) };
    device.invoke(&none).await.unwrap();
    assert_eq!(body(&sim).link_preview.unwrap().is_disabled, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_and_accounts_see_the_same_files() {
    let sim = Sim::start(SimOptions { control: None, ..SimOptions::default() }).await.unwrap();
    let alice = account(&sim, "15550001", 2);
    let mut device = Device::signed_in(&sim, "15550001").await;
    device.me().await.unwrap();
    let token = sim.add_bot();
    let bot = sim.world().lock().bot_by_token(&token).unwrap();
    let file = device.upload("a.png", &picture(900)).await;
    device.invoke(&with_media(peer(&sim, bot), photo(file), "from Alice", 1)).await.unwrap();
    let url = |what: &str| format!("{}/bot{token}/{what}", sim.bot_api_url());
    let http = reqwest::Client::new();
    let call = async |method: &str, body: Value| -> Value {
        http.post(url(method)).json(&body).send().await.unwrap().json().await.unwrap()
    };
    let updates = call("getUpdates", json!({})).await;
    let received = &updates["result"][0]["message"];
    assert_eq!(received["caption"], "from Alice", "{updates}");
    let id = &received["photo"][0]["file_id"];
    let path = call("getFile", json!({ "file_id": id })).await["result"]["file_path"].as_str().unwrap().to_owned();
    let download = format!("{}/file/bot{token}/{path}", sim.bot_api_url());
    assert_eq!(http.get(download).send().await.unwrap().bytes().await.unwrap(), picture(900));

    let part = reqwest::multipart::Part::bytes(b"from the bot".to_vec()).file_name("b.txt");
    let form = reqwest::multipart::Form::new().text("chat_id", alice.to_string()).part("document", part);
    http.post(url("sendDocument")).multipart(form).send().await.unwrap().error_for_status().unwrap();
    let document = |message| match message {
        enums::Message::Message(types::Message { media: Some(enums::MessageMedia::Document(media)), .. }) => {
            Some(media)
        }
        _ => None,
    };
    let media = device
        .wait_for(|update| match update {
            enums::Update::NewMessage(update) => document(update.message),
            _ => None,
        })
        .await;
    let Some(enums::Document::Document(file)) = media.document else { panic!("a document expected") };
    let (id, access_hash, file_reference) = (file.id, file.access_hash, file.file_reference);
    let place = types::InputDocumentFileLocation { id, access_hash, file_reference, thumb_size: String::new() };
    assert_eq!(device.download(place.into()).await.unwrap(), b"from the bot");
}
