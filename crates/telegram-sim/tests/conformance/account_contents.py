"""Everything that accounts send beside text, and what they do to messages and chats, through Telethon."""

import hashlib
import io

from telethon import errors, events, functions, types, utils

from account_case import collect, control, ok, raises, wait_for

PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000020000000100806000000")


def picture(size=400):
    return PNG + bytes(range(250)) * (size // 250 + 1)


def named(data, name):
    file = io.BytesIO(data)
    file.name = name
    return file


def stored(user):
    """The newest message of a user as the simulator has it."""
    return control("GET", f"/messages?from={user}&limit=1000")["messages"][-1]


async def files(alice, bob, alice_id, bob_id):
    """Each kind of file arrives as what it is, byte for byte."""
    heard = collect(bob, events.NewMessage(incoming=True))
    video = types.DocumentAttributeVideo(duration=7, w=640, h=360, supports_streaming=True)
    audio = types.DocumentAttributeAudio(duration=5, title="Song", performer="Band")
    voice = types.DocumentAttributeAudio(duration=5, voice=True)
    cases = [
        ("photo", "a.png", {}),
        ("video", "b.mp4", {"attributes": [video]}),
        ("document", "c.pdf", {"force_document": True}),
        ("audio", "d.mp3", {"attributes": [audio]}),
        ("voice", "e.ogg", {"attributes": [voice], "voice_note": True}),
        ("animation", "f.mp4", {"attributes": [video, types.DocumentAttributeAnimated()]}),
    ]
    for count, (kind, name, more) in enumerate(cases, 1):
        data = picture(3000) + name.encode()
        sent = await alice.send_file(bob_id, named(data, name), caption="**A** caption", parse_mode="md", **more)
        known = stored(alice_id)
        assert known["media"]["kind"] == kind, known
        assert known["media"]["sha256"] == hashlib.sha256(data).hexdigest()
        assert known["text"] == "A caption" and known["entities"][0]["type"] == "bold"
        await wait_for(lambda: len(heard) == count, f"the {kind}")
        assert await heard[-1].download_media(bytes) == data, kind
        again = await alice.send_file(bob_id, sent.media)
        assert stored(alice_id)["media"]["sha256"] == known["media"]["sha256"]
        await wait_for(lambda: len(heard) == count + 1, "the file again")
        heard.pop()
        assert again.file.size == len(data)
    ok("every kind of file")

    fresh = await alice.send_file(bob_id, named(b"content", "x.bin"), force_document=True)
    control("POST", "/files/expire", {})
    await raises(errors.FileReferenceExpiredError, alice.send_file(bob_id, fresh.media))
    # A download asks for the message anew by itself.
    assert await alice.download_media(fresh, bytes) == b"content"
    fresh = await alice.get_messages(bob_id, ids=fresh.id)
    await alice.send_file(bob_id, fresh.media)
    await raises(errors.ImageProcessFailedError, alice.send_file(bob_id, named(b"no picture", "x.png")))
    part = functions.upload.SaveFilePartRequest(77, 0, bytes(1024))
    assert await alice(part)
    missing = types.InputMediaUploadedDocument(types.InputFile(77, 2, "x", ""), "text/plain", [])
    entity = await alice.get_input_entity(bob_id)
    await raises(errors.FilePartMissingError, alice(functions.messages.SendMediaRequest(entity, missing, "")))
    ok("file references and broken uploads")


async def albums(alice, bob, alice_id, bob_id):
    got = collect(bob, events.Album())
    pictures = [named(picture(400 + index), f"{index}.png") for index in range(3)]
    sent = await alice.send_file(bob_id, pictures, caption=["one", "two", ""])
    assert len(sent) == 3 and len({message.grouped_id for message in sent}) == 1
    await wait_for(lambda: got, "the album")
    assert [message.raw_text for message in got[0].messages] == ["one", "two", ""]
    albums = {message["album"] for message in control("GET", f"/messages?from={alice_id}&limit=1000")["messages"][-3:]}
    assert len(albums) == 1 and None not in albums
    edited = await alice.edit_message(bob_id, sent[0].id, "other words")
    assert edited.raw_text == "other words" and edited.photo
    media = await alice.edit_message(bob_id, sent[1].id, file=named(picture(999), "new.png"))
    assert await media.download_media(bytes) == picture(999)
    ok("albums and edits of their parts")


async def polls_and_places(alice, alice_id):
    words = lambda text: types.TextWithEntities(text, [])
    answers = [types.PollAnswer(words(text), bytes([number])) for number, text in enumerate(("yes", "no"))]
    poll = types.Poll(id=0, question=words("Tea?"), answers=answers, hash=0)
    await alice.send_message("me", file=types.InputMediaPoll(poll))
    assert stored(alice_id)["poll"]["options"] == ["yes", "no"]
    alone = types.Poll(id=0, question=words("Tea?"), answers=[], hash=0)
    await raises(errors.PollAnswersInvalidError, alice.send_message("me", file=types.InputMediaPoll(alone)))
    await alice.send_message("me", file=types.InputMediaGeoPoint(types.InputGeoPoint(lat=55.75, long=37.5)))
    assert stored(alice_id)["location"]["latitude"] == 55.75
    ok("polls and places")


async def posts(alice, bob, alice_id, bob_id):
    """Pins, forwards and rights in a channel, and an invite link to it."""
    members = [{"user_id": alice_id, "status": "creator"}]
    channel_id = control("POST", "/chats", {"kind": "channel", "title": "News", "members": members})["id"]
    channel = None
    async for dialog in alice.iter_dialogs():
        if dialog.id == channel_id:
            channel = dialog.input_entity
    assert channel is not None, "the channel is among the chats"
    link = await alice(functions.messages.ExportChatInviteRequest(channel))
    secret = link.link.rsplit("+", 1)[1]
    seen = await bob(functions.messages.CheckChatInviteRequest(secret))
    assert isinstance(seen, types.ChatInvite) and seen.title == "News" and seen.broadcast
    await bob(functions.messages.ImportChatInviteRequest(secret))
    await raises(errors.UserAlreadyParticipantError, bob(functions.messages.ImportChatInviteRequest(secret)))
    await raises(errors.InviteHashExpiredError, bob(functions.messages.CheckChatInviteRequest("AAAAAAAAAAAAAAAA")))

    heard = collect(bob, events.NewMessage(chats=channel_id))
    post = await alice.send_file(channel, named(picture(), "a.png"), caption="a post")
    await wait_for(lambda: heard, "the post")
    theirs = heard[0].message
    await alice.pin_message(channel, post)
    full = await alice(functions.channels.GetFullChannelRequest(channel))
    assert full.full_chat.pinned_msg_id == post.id and full.full_chat.participants_count == 2
    forwarded = await bob.forward_messages("me", theirs)
    assert forwarded.forward.channel_post == post.id and forwarded.raw_text == "a post"
    own = await bob.get_permissions(theirs.peer_id, "me")
    assert not own.is_admin
    inside = await bob.get_input_entity(theirs.peer_id)
    await raises(errors.ChatWriteForbiddenError, bob.send_message(inside, "x"))
    await raises(errors.ChatAdminRequiredError, bob.pin_message(inside, theirs))
    await raises(errors.MessageAuthorRequiredError, bob.edit_message(inside, theirs.id, "x"))
    await raises(errors.MessageDeleteForbiddenError, bob.delete_messages(inside, [theirs.id]))

    standing = f"/chats/{channel_id}/members/{bob_id}"
    control("PUT", standing, {"status": "administrator", "rights": {"edit": False, "delete": False}})
    own = await bob.get_permissions(theirs.peer_id, "me")
    assert own.is_admin and own.post_messages and not own.edit_messages
    mine = await bob.send_message(inside, "by Bob")
    assert await bob.edit_message(inside, mine.id, "by Bob, again")
    control("PUT", standing, {"status": "administrator", "rights": {"post": False}})
    await raises(errors.ChatAdminRequiredError, bob.send_message(inside, "x"))
    control("PATCH", f"/chats/{channel_id}", {"protected": True, "title": "Renamed"})
    await raises(errors.ChatForwardsRestrictedError, bob.forward_messages("me", theirs))
    control("PUT", standing, {"status": "kicked"})
    await raises(errors.ChannelPrivateError, bob.send_message(inside, "x"))
    entity = await alice.get_entity(channel)
    assert entity.title == "Renamed" and utils.get_peer_id(entity) == channel_id
    assert await alice.delete_messages(channel, [post.id])
    ok("channels: invite links, pins, forwards, rights and their errors")


async def groups(alice, bob, alice_id, bob_id):
    members = [{"user_id": alice_id, "status": "creator"}, {"user_id": bob_id, "status": "member"}]
    made = control("POST", "/chats", {"kind": "supergroup", "title": "Team", "username": "team_of_two", "members": members})
    group = await bob.get_input_entity("team_of_two")
    control("PATCH", f"/chats/{made['id']}", {"permissions": {"photos": False}, "slow_mode": 60})
    await raises(errors.ChatSendPhotosForbiddenError, bob.send_file(group, named(picture(), "a.png")))
    await bob.send_message(group, "one")
    slow = await raises(errors.SlowModeWaitError, bob.send_message(group, "two"))
    assert 1 <= slow.seconds <= 60
    entity = await bob.get_entity(group)
    assert entity.default_banned_rights.send_photos and not entity.default_banned_rights.send_messages
    control("PUT", f"/chats/{made['id']}/members/{bob_id}", {"status": "restricted"})
    await raises(errors.UserBannedInChannelError, bob.send_message(group, "x"))
    control("PUT", f"/chats/{made['id']}/members/{bob_id}", {"status": "left"})
    await raises(errors.UserNotParticipantError, bob(functions.channels.GetParticipantRequest(group, "me")))
    ok("groups: permissions, slow mode and their errors")


async def check(alice, bob, alice_id, bob_id):
    await files(alice, bob, alice_id, bob_id)
    await albums(alice, bob, alice_id, bob_id)
    await polls_and_places(alice, alice_id)
    await posts(alice, bob, alice_id, bob_id)
    await groups(alice, bob, alice_id, bob_id)
