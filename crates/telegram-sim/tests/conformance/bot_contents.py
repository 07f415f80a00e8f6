"""Everything that bots send beside text, and what they do to messages and chats, through python-telegram-bot."""

import hashlib
import io

from telegram import (
    ChatPermissions,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaAudio,
    InputMediaDocument,
    InputMediaPhoto,
    InputMediaVideo,
    InputPollOption,
    MessageEntity,
    ReplyParameters,
    Update,
)
from telegram.constants import ChatMemberStatus, ParseMode, PollType
from telegram.error import BadRequest, Forbidden, NetworkError

from bot_case import control, fails

PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000020000000100806000000")


def picture(size=400):
    return PNG + bytes(range(250)) * (size // 250 + 1)


def unlimited():
    control("/settings", {"limits": {"enabled": False}}, method="PATCH")


def stored(case):
    """The newest message as the simulator has it."""
    return control(f"/messages?from={case.bot_id}&limit=1000", method="GET")["messages"][-1]


async def download(case, file):
    got = await (await case.bot.get_file(file.file_id)).download_as_bytearray()
    return bytes(got)


async def files(case):
    unlimited()
    lasts = {"duration": 7}
    sides = {"width": 640, "height": 360}
    cases = [
        ("photo", case.bot.send_photo, "a.png", {"has_spoiler": True, "show_caption_above_media": True}),
        ("video", case.bot.send_video, "b.mp4", {**lasts, **sides, "supports_streaming": True, "thumbnail": picture(99)}),
        ("document", case.bot.send_document, "c.pdf", {"thumbnail": picture(99)}),
        ("audio", case.bot.send_audio, "d.mp3", {**lasts, "title": "Song", "performer": "Band"}),
        ("voice", case.bot.send_voice, "e.ogg", lasts),
        ("animation", case.bot.send_animation, "f.gif", {**lasts, **sides}),
    ]
    for kind, send, name, more in cases:
        data = picture(3000) + name.encode()
        sent = await send(case.user, data, filename=name, caption="<b>A</b> caption", parse_mode=ParseMode.HTML, **more)
        file = sent.photo[-1] if kind == "photo" else getattr(sent, kind)
        assert sent.caption == "A caption" and sent.caption_entities[0].type == MessageEntity.BOLD, sent
        assert file.file_size == len(data) and await download(case, file) == data, kind
        if kind in ("video", "animation"):
            assert (file.width, file.height) == (640, 360)
        if kind == "photo":
            assert sent.has_media_spoiler and sent.show_caption_above_media and (file.width, file.height) == (32, 16)
        if kind == "audio":
            assert (file.title, file.performer) == ("Song", "Band")
        known = stored(case)
        assert known["media"]["sha256"] == hashlib.sha256(data).hexdigest() and known["media"]["kind"] == kind
        again = await send(case.user, file)
        same = again.photo[-1] if kind == "photo" else getattr(again, kind)
        assert same.file_unique_id == file.file_unique_id


async def file_refusals(case):
    unlimited()
    await fails(BadRequest, case.bot.send_photo(case.user, b"no picture"), "Image_process_failed")
    await fails(BadRequest, case.bot.send_photo(case.user, picture(11 << 20)), "is too big for a photo")
    await fails(BadRequest, case.bot.send_document(case.user, "AgADBA"), "Wrong remote file identifier specified")
    await fails(BadRequest, case.bot.send_document(case.user, b"x", caption="x" * 1025), "Message caption is too long")
    await fails(NetworkError, case.bot.send_document(case.user, io.BytesIO(bytes(51 << 20))), "Request Entity Too Large")
    await fails(BadRequest, case.bot.get_file("AgADBA"), "Invalid file_id")
    assert control(f"/messages?bot_id={case.bot_id}", method="GET")["count"] == 0


async def albums(case):
    unlimited()
    media = [
        InputMediaPhoto(picture(), caption="*A*", parse_mode=ParseMode.MARKDOWN_V2, has_spoiler=True),
        InputMediaVideo(b"video", width=4, height=3, duration=2, thumbnail=picture(99)),
        InputMediaPhoto(picture()),
    ]
    sent = await case.bot.send_media_group(case.user, media, protect_content=True)
    assert len(sent) == 3 and len({message.media_group_id for message in sent}) == 1 and sent[0].media_group_id
    assert sent[0].caption == "A" and sent[0].has_media_spoiler and sent[1].video.duration == 2
    again = [InputMediaPhoto(sent[0].photo[-1]), InputMediaPhoto(sent[2].photo[-1])]
    second = await case.bot.send_media_group(case.user, again, caption="shared")
    assert second[0].caption == "shared" and second[0].media_group_id != sent[0].media_group_id
    mixed = [InputMediaPhoto(picture()), InputMediaDocument(b"x")]
    await fails(BadRequest, case.bot.send_media_group(case.user, mixed), "Document can't be mixed with other media types")
    mixed = [InputMediaAudio(b"x"), InputMediaDocument(b"x")]
    await fails(BadRequest, case.bot.send_media_group(case.user, mixed), "can't be mixed with other media types")
    assert len(await case.bot.send_media_group(case.user, [InputMediaDocument(b"x"), InputMediaDocument(b"y")])) == 2


async def polls_and_places(case):
    unlimited()
    sent = await case.bot.send_poll(
        case.user, "Tea?", ["yes", InputPollOption("no")], type=PollType.QUIZ, correct_option_ids=[1], explanation="because"
    )
    assert sent.poll.question == "Tea?" and [option.text for option in sent.poll.options] == ["yes", "no"]
    assert sent.poll.type == PollType.QUIZ and sent.poll.is_anonymous and sent.poll.correct_option_ids == (1,)
    await fails(BadRequest, case.bot.send_poll(case.user, "Tea?", []), "Poll must have at least 1 option")
    sent = await case.bot.send_location(case.user, 55.75, 37.5, horizontal_accuracy=10)
    assert (sent.location.latitude, sent.location.longitude) == (55.75, 37.5)
    await fails(BadRequest, case.bot.send_location(case.user, 100, 0), "Invalid location specified")


async def edits(case):
    unlimited()
    photo = await case.bot.send_photo(case.user, picture(), caption="before")
    edited = await photo.edit_caption("<i>after</i>", parse_mode=ParseMode.HTML)
    assert edited.caption == "after" and edited.edit_date
    await fails(BadRequest, photo.edit_caption("<i>after</i>", parse_mode=ParseMode.HTML), "Message is not modified")
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Press", callback_data="x")]])
    assert (await photo.edit_reply_markup(keyboard)).reply_markup == keyboard
    edited = await photo.edit_media(InputMediaDocument(b"bytes", filename="b.txt", caption="now"))
    assert edited.document.file_name == "b.txt" and edited.caption == "now" and not edited.photo
    assert await download(case, edited.document) == b"bytes"
    await fails(BadRequest, photo.edit_text("text"), "There is no text in the message to edit")
    assert stored(case)["edits"] == 3
    text = await case.bot.send_message(case.user, "text")
    await fails(BadRequest, text.edit_caption("x"), "There is no caption in the message to edit")
    assert await case.bot.delete_messages(case.user, [photo.message_id, text.message_id, 999999])
    await fails(BadRequest, text.delete(), "Message to delete not found")


async def pins_and_forwards(case):
    unlimited()
    channel = case.chat("channel", "administrator")
    post = await case.bot.send_photo(channel, picture(), caption="a post")
    assert await post.pin(disable_notification=True)
    pinned = (await case.bot.get_chat(channel)).pinned_message
    assert pinned.message_id == post.message_id
    forwarded = await post.forward(case.user)
    origin = forwarded.forward_origin
    assert origin.chat.id == channel and origin.message_id == post.message_id and forwarded.caption == "a post"
    copied = await post.copy(case.user, caption="mine")
    assert stored(case)["text"] == "mine" and stored(case)["forwarded"] is None and copied.message_id
    both = [post.message_id, (await case.bot.send_message(channel, "text")).message_id]
    assert len(await case.bot.forward_messages(case.user, channel, both)) == 2
    assert len(await case.bot.copy_messages(case.user, channel, both)) == 2
    secret = await case.bot.send_message(channel, "secret", protect_content=True)
    await fails(BadRequest, secret.forward(case.user), "The message can't be forwarded")
    assert await case.bot.unpin_chat_message(channel)
    assert (await case.bot.get_chat(channel)).pinned_message is None
    await fails(BadRequest, case.bot.pin_chat_message(channel, 999), "Message to pin not found")


async def rights(case):
    unlimited()
    await case.bot.get_updates(allowed_updates=[Update.MY_CHAT_MEMBER, Update.CHANNEL_POST])
    channel = case.chat("channel", "administrator")
    member = f"/chats/{channel}/members/{case.bot_id}"
    control(member, {"status": "administrator", "rights": {"post": False}}, method="PUT")
    await fails(BadRequest, case.bot.send_message(channel, "x"), "Need administrator rights in the channel chat")
    own = await case.bot.get_chat_member(channel, case.bot_id)
    assert own.status == ChatMemberStatus.ADMINISTRATOR and not own.can_post_messages and own.can_edit_messages
    assert len(await case.bot.get_chat_administrators(channel)) == 2
    control(member, {"status": "kicked"}, method="PUT")
    await fails(Forbidden, case.bot.send_message(channel, "x"), "bot was kicked from the channel chat")
    changes = await case.bot.get_updates()
    assert [change.my_chat_member.new_chat_member.status for change in changes] == ["administrator", "kicked"]
    assert changes[0].my_chat_member.old_chat_member.can_post_messages

    group = case.chat("supergroup", "member")
    changed = {"permissions": {"photos": False}, "slow_mode": 30, "about": "About", "is_forum": True}
    control(f"/chats/{group}", changed, method="PATCH")
    await fails(BadRequest, case.bot.send_photo(group, picture()), "Not enough rights to send photos to the chat")
    await fails(BadRequest, case.bot.export_chat_invite_link(group), "Not enough rights to manage chat invite link")
    chat = await case.bot.get_chat(group)
    assert isinstance(chat.permissions, ChatPermissions) and not chat.permissions.can_send_photos
    assert chat.description == "About" and chat.is_forum
    topic = control(f"/chats/{group}/topics", {"title": "News"})["id"]
    in_topic = await case.bot.send_message(group, "x", message_thread_id=topic)
    assert in_topic.is_topic_message and in_topic.message_thread_id == topic
    await fails(BadRequest, case.bot.send_message(group, "x", message_thread_id=99), "Message thread not found")
    answer = await case.bot.send_message(group, "y", reply_parameters=ReplyParameters(in_topic.message_id), message_thread_id=topic)
    assert answer.reply_to_message.message_id == in_topic.message_id
    control(f"/chats/{group}", method="DELETE")
    await fails(Forbidden, case.bot.send_message(group, "x"), "bot was kicked from the supergroup chat")


CHECKS = [files, file_refusals, albums, polls_and_places, edits, pins_and_forwards, rights]
