//! Files on their way in and out.

use grammers_tl_types::{enums, functions, types};
use telegram_sim::world::{Content, Filter, MediaKind};

use crate::device::{Device, account, document, messages_in, peer, photo, picture, simulator, with_media};

fn small(id: i64, parts: i32, md5: &str) -> enums::InputFile {
    types::InputFile { id, parts, name: "a.bin".to_owned(), md5_checksum: md5.to_owned() }.into()
}

fn location(media: Option<enums::MessageMedia>) -> enums::InputFileLocation {
    let Some(enums::MessageMedia::Document(media)) = media else { panic!("a document expected: {media:?}") };
    let Some(enums::Document::Document(file)) = media.document else { panic!("a document expected") };
    let (id, access_hash, file_reference) = (file.id, file.access_hash, file.file_reference);
    types::InputDocumentFileLocation { id, access_hash, file_reference, thumb_size: String::new() }.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_comes_in_parts_and_is_hashed() {
    let sim = simulator().await;
    account(&sim, "15550001", 2);
    let alice = Device::signed_in(&sim, "15550001").await;
    let content: Vec<u8> = (0..11_000_000u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let file = alice.upload("big.bin", &content).await;
    assert!(matches!(file, enums::InputFile::Big(_)));
    let sent = with_media(enums::InputPeer::PeerSelf, document(file.clone(), "application/zip", vec![]), "big", 1);
    let message = messages_in(alice.invoke(&sent).await.unwrap()).remove(0);
    let stored = {
        let world = sim.world().lock();
        let found = world.messages().find(&Filter::default()).next().unwrap().body.media.clone().unwrap();
        assert!(world.files().get(found.file_id).unwrap().content.bytes.is_none(), "of a large file only the hash");
        found
    };
    assert_eq!((stored.size, stored.kind, stored.name.as_str()), (11_000_000, MediaKind::Document, "big.bin"));
    assert_eq!(stored.sha256, Content::from(&content[..]).sha256);
    assert_eq!(alice.download(location(message.media)).await.unwrap_err(), "400 LOCATION_NOT_AVAILABLE");

    sim.world().lock().files_mut().set_keep_bytes(20 << 20);
    let file = alice.upload("big.bin", &content).await;
    let sent = with_media(enums::InputPeer::PeerSelf, document(file, "application/zip", vec![]), "kept", 2);
    let message = messages_in(alice.invoke(&sent).await.unwrap()).remove(0);
    assert_eq!(alice.download(location(message.media)).await.unwrap(), content);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_checksums_are_checked() {
    let sim = simulator().await;
    account(&sim, "15550001", 2);
    let alice = Device::signed_in(&sim, "15550001").await;
    let save = |file_id, file_part, bytes: Vec<u8>| functions::upload::SaveFilePart { file_id, file_part, bytes };
    let send = |file: enums::InputFile, random_id| {
        with_media(enums::InputPeer::PeerSelf, document(file, "application/zip", vec![]), "", random_id)
    };
    assert_eq!(alice.error(&save(5, 0, vec![0; (512 << 10) + 1])).await, "400 FILE_PART_TOO_BIG");
    assert_eq!(alice.error(&save(5, 0, vec![])).await, "400 FILE_PART_EMPTY");
    assert_eq!(alice.error(&save(5, 4000, vec![1])).await, "400 FILE_PART_INVALID");
    let big = functions::upload::SaveBigFilePart { file_id: 6, file_part: 0, file_total_parts: 4001, bytes: vec![1] };
    assert_eq!(alice.error(&big).await, "400 FILE_PARTS_INVALID");
    assert_eq!(
        alice.error(&send(small(5, 1, ""), 1)).await,
        "400 FILE_PART_MISSING_0",
        "as grammers reads FILE_PART_0_MISSING"
    );
    alice.invoke(&save(5, 0, vec![1; 1024])).await.unwrap();
    assert_eq!(alice.error(&send(small(5, 2, ""), 1)).await, "400 FILE_PART_MISSING_1");
    alice.invoke(&save(5, 1, b"end".to_vec())).await.unwrap();
    // The digit is part of the name, but grammers takes it for a value.
    assert_eq!(alice.error(&send(small(5, 2, &"0".repeat(32)), 1)).await, "400 MD5_CHECKSUM_INVALID_5");
    let content = [vec![1; 1024], b"end".to_vec()].concat();
    let md5 = Content::from(&content[..]).md5.unwrap();
    alice.invoke(&send(small(5, 2, &md5), 1)).await.unwrap();
    assert_eq!(sim.world().lock().messages().arrived(), 1);

    let text = alice.upload("a.png", b"no picture").await;
    let as_photo = |file, random_id| with_media(enums::InputPeer::PeerSelf, photo(file), "", random_id);
    assert_eq!(alice.error(&as_photo(text, 2)).await, "400 IMAGE_PROCESS_FAILED");
    let named = alice.upload("a.txt", &picture(99)).await;
    assert_eq!(alice.error(&as_photo(named, 2)).await, "400 PHOTO_EXT_INVALID");
    let huge = alice.upload("a.png", &picture((10 << 20) + 1)).await;
    assert_eq!(alice.error(&as_photo(huge, 2)).await, "400 PHOTO_SAVE_FILE_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_again_until_its_reference_expires() {
    let sim = simulator().await;
    let bob = account(&sim, "15550002", 2);
    account(&sim, "15550001", 2);
    let alice = Device::signed_in(&sim, "15550001").await;
    let file = alice.upload("a.txt", b"content").await;
    let sent = with_media(enums::InputPeer::PeerSelf, document(file, "text/plain", vec![]), "", 1);
    let message = messages_in(alice.invoke(&sent).await.unwrap()).remove(0);
    let place = location(message.media.clone());
    let enums::InputFileLocation::InputDocumentFileLocation(known) = &place else { panic!("a document expected") };
    let again = |access_hash, file_reference: Vec<u8>, random_id| {
        let id = types::InputDocument { id: known.id, access_hash, file_reference }.into();
        let media = types::InputMediaDocument {
            spoiler: false,
            id,
            video_cover: None,
            video_timestamp: None,
            ttl_seconds: None,
            query: None,
        };
        with_media(peer(&sim, bob), media, "again", random_id)
    };
    let reference = known.file_reference.clone();
    alice.invoke(&again(known.access_hash, reference.clone(), 2)).await.unwrap();
    assert_eq!(alice.error(&again(1, reference.clone(), 3)).await, "400 MEDIA_EMPTY");
    let other = Device::signed_in(&sim, "15550002").await;
    let not_hers = functions::messages::SendMedia {
        peer: enums::InputPeer::PeerSelf,
        ..again(known.access_hash, reference.clone(), 3)
    };
    assert_eq!(other.error(&not_hers).await, "400 MEDIA_EMPTY", "a file is known to each account by a hash of its own");
    assert_eq!(alice.error(&again(known.access_hash, vec![], 3)).await, "400 FILE_REFERENCE_EMPTY");
    assert_eq!(alice.error(&again(known.access_hash, vec![9; 12], 3)).await, "400 FILE_REFERENCE_INVALID");
    sim.world().lock().files_mut().expire_references();
    assert_eq!(alice.error(&again(known.access_hash, reference.clone(), 3)).await, "400 FILE_REFERENCE_EXPIRED");
    assert_eq!(alice.download(place.clone()).await.unwrap_err(), "400 FILE_REFERENCE_EXPIRED");
    // The message shows a fresh one.
    let get = functions::messages::GetMessages { id: vec![types::InputMessageId { id: message.id }.into()] };
    let enums::messages::Messages::Messages(list) = alice.invoke(&get).await.unwrap() else { panic!("a list") };
    let enums::Message::Message(fresh) = &list.messages[0] else { panic!("a message") };
    let enums::InputFileLocation::InputDocumentFileLocation(fresh) = location(fresh.media.clone()) else {
        panic!("a document expected")
    };
    alice.invoke(&again(fresh.access_hash, fresh.file_reference.clone(), 3)).await.unwrap();
    let unfit = functions::upload::GetFile {
        precise: false,
        cdn_supported: false,
        location: fresh.into(),
        offset: 1024,
        limit: 4096,
    };
    assert_eq!(alice.error(&unfit).await, "400 OFFSET_INVALID");
}
