"""What the checks of MTProto share: accounts with phones, clients, the control API."""

import asyncio
import json
import os
import urllib.request

from telethon import TelegramClient
from telethon.sessions import StringSession

CONTROL = os.environ["SIM_CONTROL"]
API_ID, API_HASH = 12345, "0123456789abcdef0123456789abcdef"
WAIT = 20


def control(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(CONTROL + path, data=data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as response:
        text = response.read().decode()
    return text if path.endswith(".pem") else json.loads(text)


class Phone:
    """The person: an account with a phone in the hand."""

    def __init__(self, phone, **account):
        self.phone = phone
        self.account = control("POST", "/mtproto/accounts", {"phone": phone, **account})
        self.id = self.account["user_id"]

    def code(self):
        return control("GET", f"/mtproto/codes/{self.phone}")["code"]

    def scan(self, link):
        control("POST", f"/mtproto/accounts/{self.id}/scan", {"link": link})


def client(session=None, dc=2):
    if session is None:
        session = StringSession()
        host, port = control("GET", "/mtproto/dcs")[str(dc)].rsplit(":", 1)
        session.set_dc(dc, host, int(port))
    # An error is an error: nothing is repeated by itself.
    options = {"request_retries": 1, "raise_last_call_error": True, "flood_sleep_threshold": 0}
    return TelegramClient(session, API_ID, API_HASH, device_model="Conformance", app_version="1.0", **options)


async def raises(error, call):
    try:
        await call
    except error as caught:
        return caught
    raise AssertionError(f"{error.__name__} expected")


def collect(c, kind, what=lambda event: event):
    """What a client hears of one kind from now on."""
    heard = []

    async def handler(event):
        heard.append(what(event))

    c.add_event_handler(handler, kind)
    return heard


def ok(what):
    print("ok", what, flush=True)


async def wait_for(predicate, what):
    for _ in range(WAIT * 20):
        if predicate():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")
