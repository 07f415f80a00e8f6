"""python-telegram-bot against the simulator's Bot API.

Run by the Rust test `conformance`, which gives the addresses in SIM_BOT_API and SIM_CONTROL. Every check is a function;
each gets a bot of its own, so that no limit of one disturbs another.
"""

import asyncio
import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from telegram import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    MessageEntity,
    ReplyParameters,
    Update,
)
from telegram.constants import ChatMemberStatus, ChatType, ParseMode
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter
from telegram.ext import Application, CallbackQueryHandler, MessageHandler, filters

import bot_contents
from bot_case import BOT_API, Case, client, control, fails


async def get_me(case):
    me = await case.bot.get_me()
    assert me.id == case.bot_id and me.is_bot and me.username == f"sim{case.bot_id}_bot"
    assert me.can_join_groups and not me.can_read_all_group_messages


async def send_with_everything(case):
    first = await case.bot.send_message(case.user, "first")
    keyboard = InlineKeyboardMarkup(
        [[InlineKeyboardButton("Docs", url="https://example.com/docs"), InlineKeyboardButton("Yes", callback_data="yes")]]
    )
    entities = [MessageEntity(MessageEntity.BOLD, 3, 4), MessageEntity(MessageEntity.TEXT_LINK, 8, 4, url="https://example.com/")]
    sent = await case.bot.send_message(
        case.user,
        "😀 bold link",
        entities=entities,
        reply_markup=keyboard,
        reply_parameters=ReplyParameters(first.message_id),
        disable_notification=True,
        protect_content=True,
        link_preview_options=LinkPreviewOptions(is_disabled=True),
    )
    assert sent.text == "😀 bold link"
    assert sent.parse_entities() == {sent.entities[0]: "bold", sent.entities[1]: "link"}
    assert sent.entities[1].url == "https://example.com/"
    assert sent.reply_markup == keyboard
    assert sent.reply_to_message.message_id == first.message_id
    assert sent.has_protected_content and sent.link_preview_options.is_disabled
    assert sent.chat.type == ChatType.PRIVATE and sent.from_user.id == case.bot_id
    arrived = control(f"/messages?bot_id={case.bot_id}&contains=bold", method="GET")
    assert arrived["count"] == 1 and arrived["messages"][0]["silent"]


async def parse_modes(case):
    texts = {
        ParseMode.HTML: "<b>a</b> <i>b</i> <code>c</code> <a href='https://example.com/'>d</a> <tg-spoiler>e</tg-spoiler>",
        ParseMode.MARKDOWN_V2: "*a* _b_ `c` [d](https://example.com/) ||e||",
        ParseMode.MARKDOWN: "*a* _b_ `c` [d](https://example.com/) e",
    }
    kinds = [MessageEntity.BOLD, MessageEntity.ITALIC, MessageEntity.CODE, MessageEntity.TEXT_LINK, MessageEntity.SPOILER]
    for mode, text in texts.items():
        sent = await case.bot.send_message(case.user, text, parse_mode=mode)
        assert sent.text == "a b c d e", sent.text
        expected = kinds[:-1] if mode == ParseMode.MARKDOWN else kinds
        assert [entity.type for entity in sent.entities] == expected
    await fails(BadRequest, case.bot.send_message(case.user, "<b>", parse_mode=ParseMode.HTML), "Can't find end tag")
    await fails(BadRequest, case.bot.send_message(case.user, "a.b", parse_mode=ParseMode.MARKDOWN_V2), "is reserved")


async def refusals(case):
    unknown = client(f"{case.bot_id}:{'x' * 35}")
    await fails(InvalidToken, unknown.get_me(), "Unauthorized")
    await fails(BadRequest, case.bot.send_message(987654321, "hi"), "Chat not found")
    await fails(BadRequest, case.bot.send_message(case.user, " "), "Message text is empty")
    await fails(BadRequest, case.bot.send_message(case.user, "x" * 4097), "Message is too long")
    group = case.chat("group", "member")
    supergroup = control(f"/chats/{group}/migrate")["id"]
    error = await fails(ChatMigrated, case.bot.send_message(group, "hi"), "Group migrated")
    assert error.new_chat_id == supergroup
    kicked = case.chat("supergroup", "kicked")
    await fails(Forbidden, case.bot.send_message(kicked, "hi"), "bot was kicked from the supergroup chat")
    control(f"/users/{case.user}/block/{case.bot_id}")
    await fails(Forbidden, case.bot.send_message(case.user, "hi"), "bot was blocked by the user")
    control(f"/bots/{case.bot_id}/revoke")
    await fails(InvalidToken, case.bot.get_me(), "Unauthorized")


async def flood(case):
    for number in range(5):
        await case.bot.send_message(case.user, f"burst {number}")
    error = await fails(RetryAfter, case.bot.send_message(case.user, "burst"), "Retry in")
    wait = error.retry_after
    assert 1 <= (wait if isinstance(wait, int) else wait.total_seconds()) <= 5


async def broken_connections(case):
    for action, taken in [("cut_before", 0), ("cut_after", 1)]:
        fault = {"bot_id": case.bot_id, "method": "sendMessage", "times": 1, "action": {"type": action}}
        control("/faults", fault)
        await fails(NetworkError, case.bot.send_message(case.user, action), "")
        assert control(f"/messages?text={action}", method="GET")["count"] == taken


async def updates(case):
    case.write("one")
    case.write("two")
    got = await case.bot.get_updates()
    assert [update.message.text for update in got] == ["one", "two"]
    assert got[0].message.from_user.id == case.user
    assert await case.bot.get_updates(offset=got[-1].update_id + 1) == ()


async def chats(case):
    channel = case.chat("channel", "administrator", username=f"news{case.bot_id}")
    info = await case.bot.get_chat(f"@news{case.bot_id}")
    assert info.id == channel and info.type == ChatType.CHANNEL
    post = await case.bot.send_message(channel, "extra")
    assert post.sender_chat.id == channel and post.from_user is None
    edited = await post.edit_text("extra, extra")
    assert edited.text == "extra, extra" and edited.edit_date
    assert await post.delete()
    member = await case.bot.get_chat_member(channel, case.bot_id)
    assert member.status == ChatMemberStatus.ADMINISTRATOR and member.can_post_messages
    person = await case.bot.get_chat(case.user)
    assert person.type == ChatType.PRIVATE and person.first_name == "Ann"


async def webhook(case):
    posts = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.put((self.headers["X-Telegram-Bot-Api-Secret-Token"], json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/hook"
    assert await case.bot.set_webhook(url, secret_token="the_Secret-1")
    case.write("over the hook")
    secret, body = await asyncio.to_thread(posts.get, timeout=60)
    assert secret == "the_Secret-1"
    assert Update.de_json(body, case.bot).message.text == "over the hook"
    assert (await case.bot.get_webhook_info()).url == url
    await fails(Conflict, case.bot.get_updates(), "can't use getUpdates method while webhook is active")
    assert await case.bot.delete_webhook()
    server.shutdown()


async def memberships(case):
    allowed = [Update.MESSAGE, Update.MY_CHAT_MEMBER, Update.CHAT_MEMBER]
    await case.bot.get_updates(allowed_updates=allowed)
    group = case.chat("group", "member")
    standing = {"status": "administrator", "rights": {"delete": False}}
    control(f"/chats/{group}/members/{case.bot_id}", standing, method="PUT")
    other = control("/users", {"first_name": "Bob"})["id"]
    control(f"/chats/{group}/members/{other}", {"status": "member"}, method="PUT")
    supergroup = control(f"/chats/{group}/migrate")["id"]
    own, others, moved_to, moved_from = await case.bot.get_updates(allowed_updates=allowed)
    assert own.my_chat_member.new_chat_member.status == ChatMemberStatus.ADMINISTRATOR
    assert not own.my_chat_member.new_chat_member.can_delete_messages
    assert own.my_chat_member.old_chat_member.status == ChatMemberStatus.MEMBER
    assert others.chat_member.new_chat_member.user.id == other
    assert moved_to.message.migrate_to_chat_id == supergroup and moved_to.message.chat.id == group
    assert moved_from.message.migrate_from_chat_id == group and moved_from.message.chat.id == supergroup


async def an_application(case):
    """The library's own long-polling loop, with a button pressed at the end."""
    pressed = asyncio.Event()

    async def on_text(update, _):
        keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Press", callback_data="pressed")]])
        reply = await update.message.reply_text(f"echo {update.message.text}", reply_markup=keyboard)
        uid = control(f"/messages?bot_id={case.bot_id}", method="GET")["messages"][-1]["uid"]
        assert reply.reply_markup == keyboard
        control(f"/messages/{uid}/press", {"user_id": case.user, "data": "pressed"})

    async def on_press(update, _):
        assert update.callback_query.data == "pressed"
        await update.callback_query.answer("thanks")
        pressed.set()

    application = Application.builder().token(case.token).base_url(f"{BOT_API}/bot").build()
    application.add_handler(MessageHandler(filters.TEXT, on_text))
    application.add_handler(CallbackQueryHandler(on_press))
    async with application:
        await application.start()
        await application.updater.start_polling()
        case.write("hello")
        await asyncio.wait_for(pressed.wait(), 60)
        await application.updater.stop()
        await application.stop()
    assert control("/messages?text=echo%20hello", method="GET")["count"] == 1


CHECKS = [
    get_me,
    send_with_everything,
    parse_modes,
    refusals,
    flood,
    broken_connections,
    updates,
    chats,
    webhook,
    memberships,
    an_application,
    *bot_contents.CHECKS,
]


async def main():
    for check in CHECKS:
        case = Case()
        async with case.bot:
            await check(case)
        print("ok", check.__name__, flush=True)


asyncio.run(main())
