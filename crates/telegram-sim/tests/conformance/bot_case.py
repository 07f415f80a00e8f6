"""What the checks of the Bot API share: a bot, a person, the control API."""

import json
import os
import urllib.request

from telegram import Bot

BOT_API = os.environ["SIM_BOT_API"]
CONTROL = os.environ["SIM_CONTROL"]


def control(path, body=None, method="POST"):
    request = urllib.request.Request(CONTROL + path, method=method)
    if body is not None or method == "POST":
        request.data = json.dumps(body or {}).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def client(token):
    return Bot(token, base_url=f"{BOT_API}/bot", base_file_url=f"{BOT_API}/file/bot")


async def fails(kind, call, text):
    try:
        await call
    except kind as error:
        assert type(error) is kind, f"{type(error)} is not exactly {kind}"
        # The library changes the case of descriptions.
        assert text.lower() in str(error).lower(), f"{error!r} does not say {text!r}"
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


class Case:
    """A bot, a person who has started it, and the client library's view of the bot."""

    def __init__(self):
        made = control("/bots")
        self.token, self.bot_id = made["token"], made["id"]
        self.user = control("/users", {"first_name": "Ann", "starts": [self.bot_id]})["id"]
        self.bot = client(self.token)

    def write(self, text):
        return control("/messages", {"from": self.user, "chat_id": self.bot_id, "text": text})

    def chat(self, kind, status, **more):
        members = [{"user_id": self.user, "status": "creator"}, {"user_id": self.bot_id, "status": status}]
        return control("/chats", {"kind": kind, "title": "Chat", "members": members, **more})["id"]
