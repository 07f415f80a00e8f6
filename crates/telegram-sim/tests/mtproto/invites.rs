//! Invite links.

use grammers_tl_types::{enums, functions};
use telegram_sim::world::{ChatKind, Content, Media, Member, MemberStatus, NewChat};

use crate::device::{Device, account, peer, picture, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_looked_at_and_followed() {
    let sim = simulator().await;
    let (owner, user) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let (device, guest) = (Device::signed_in(&sim, "15550001").await, Device::signed_in(&sim, "15550002").await);
    let members = vec![(owner, MemberStatus::Creator)];
    let (kind, title) = (ChatKind::Channel, "Hidden".to_owned());
    let id = sim.world().lock().add_chat(NewChat { kind, id: None, title, username: None, members });
    let photo = {
        let mut world = sim.world().lock();
        let photo = world.files_mut().add(Content::from(&picture(99)[..]), Media::default(), 2).file_id;
        world.set_chat_photo(id, Some(photo), owner);
        photo
    };
    let export = functions::messages::ExportChatInvite {
        legacy_revoke_permanent: false,
        request_needed: false,
        peer: peer(&sim, id),
        expire_date: None,
        usage_limit: None,
        title: None,
        subscription_pricing: None,
    };
    let enums::ExportedChatInvite::ChatInviteExported(exported) = device.invoke(&export).await.unwrap() else {
        panic!("a link expected")
    };
    let hash = exported.link.strip_prefix("https://t.me/+").unwrap().to_owned();
    let check = functions::messages::CheckChatInvite { hash: hash.clone() };
    let enums::ChatInvite::Invite(seen) = guest.invoke(&check).await.unwrap() else { panic!("an invitation expected") };
    assert_eq!((seen.title.as_str(), seen.broadcast, seen.participants_count), ("Hidden", true, 1));
    assert!(matches!(seen.photo, enums::Photo::Photo(seen) if seen.id == photo));
    let import = functions::messages::ImportChatInvite { hash: hash.clone() };
    guest.invoke(&import).await.unwrap();
    assert!(matches!(guest.invoke(&check).await.unwrap(), enums::ChatInvite::Already(_)));
    assert_eq!(guest.error(&import).await, "400 USER_ALREADY_PARTICIPANT");
    let location =
        grammers_tl_types::types::InputPeerPhotoFileLocation { big: true, peer: peer(&sim, id), photo_id: photo };
    assert_eq!(guest.download(location.into()).await.unwrap(), picture(99));
    assert_eq!(guest.error(&export).await, "400 CHAT_ADMIN_REQUIRED");

    sim.world().lock().set_member(id, user, Member::new(MemberStatus::Kicked), owner);
    assert_eq!(guest.error(&import).await, "400 INVITE_HASH_EXPIRED");
    let hash_of = |hash: &str| functions::messages::CheckChatInvite { hash: hash.to_owned() };
    assert_eq!(guest.error(&hash_of("")).await, "400 INVITE_HASH_EMPTY");
    assert_eq!(guest.error(&hash_of("not/a/hash")).await, "400 INVITE_HASH_INVALID");
    sim.world().lock().revoke_invite(id);
    assert_eq!(device.error(&check).await, "400 INVITE_HASH_EXPIRED");
}
