"""Telethon, a client that is not ours, against the simulator: the real key exchange, and everything an account does.

Run by the Rust test `conformance`, which gives the control API's address in SIM_CONTROL; that API plays the person's
phone. The first assertion that fails ends it with a traceback.
"""

import asyncio

from telethon import errors, events, functions, types
from telethon.crypto import rsa
from telethon.sessions import StringSession

import account_contents
from account_case import WAIT, Phone, client, collect, control, ok, raises, wait_for

async def code_login(person):
    """By code, with a wrong code first; the phone's data centre is not the one that the client begins with."""
    c = client(dc=2)
    await c.connect()
    assert not await c.is_user_authorized()
    sent = await c.send_code_request(person.phone)
    assert c.session.dc_id == person.account["dc"], "PHONE_MIGRATE was followed"
    assert isinstance(sent.type, types.auth.SentCodeTypeSms), sent
    wrong = "00000" if person.code() != "00000" else "11111"
    await raises(errors.PhoneCodeInvalidError, c.sign_in(person.phone, wrong))
    me = await c.sign_in(person.phone, person.code())
    assert (me.id, me.phone) == (person.id, person.phone)
    assert await c.is_user_authorized()
    return c


async def password_login(person, password):
    """By code and password: the second device gets its code in the app of the first, and a wrong password first."""
    c = client(dc=person.account["dc"])
    await c.connect()
    await c.send_code_request(person.phone)
    await raises(errors.SessionPasswordNeededError, c.sign_in(person.phone, person.code()))
    info = await c(functions.account.GetPasswordRequest())
    assert info.has_password and info.hint == "pet", info
    await raises(errors.PasswordHashInvalidError, c.sign_in(password="wrong"))
    me = await c.sign_in(password=password)
    assert me.id == person.id
    return c


async def qr_login(person, password=None):
    """By QR, from a data centre that is not the account's."""
    c = client(dc=2)
    await c.connect()
    qr = await c.qr_login()
    assert qr.url.startswith("tg://login?token=")
    waiting = asyncio.ensure_future(qr.wait(WAIT))
    await asyncio.sleep(0.2)
    person.scan(qr.url)
    if password is None:
        me = await waiting
    else:
        await raises(errors.SessionPasswordNeededError, waiting)
        me = await c.sign_in(password=password)
    assert me.id == person.id
    assert c.session.dc_id == person.account["dc"], "the login moved to the account's data centre"
    return c


async def talk(alice, bob, bob_id):
    """Both ways, with formatting, a reply, a file, an edit and a deletion; pushes arrive as they happen."""
    heard = collect(bob, events.NewMessage(incoming=True))
    edited = collect(bob, events.MessageEdited())
    deleted = collect(bob, events.MessageDeleted())

    contact = types.InputPhoneContact(1, "+15550002", "Bob", "")
    found = await alice(functions.contacts.ImportContactsRequest([contact]))
    assert [user.id for user in found.users] == [bob_id]
    sent = await alice.send_message(bob_id, "**hello** from Alice", parse_mode="md")
    await wait_for(lambda: heard, "the message")
    assert heard[0].raw_text == "hello from Alice"
    assert isinstance(heard[0].entities[0], types.MessageEntityBold)
    reply = await heard[0].reply("hello back")
    assert reply.out and reply.reply_to.reply_to_msg_id == heard[0].id

    await alice.edit_message(bob_id, sent.id, "hello again")
    await wait_for(lambda: edited, "the edit")
    assert edited[0].raw_text == "hello again"

    data = bytes(range(256)) * 600
    message = await alice.send_file(bob_id, data, caption="a file", attributes=[types.DocumentAttributeFilename("x.bin")])
    await wait_for(lambda: len(heard) == 2, "the file")
    assert heard[1].raw_text == "a file"
    assert await heard[1].download_media(bytes) == data

    await alice.delete_messages(bob_id, [message.id])
    await wait_for(lambda: deleted, "the deletion")
    texts = [message.raw_text async for message in alice.iter_messages(bob_id)]
    assert texts == ["hello back", "hello again"], texts
    dialogs = [dialog.id for dialog in await alice.get_dialogs()]
    assert bob_id in dialogs, dialogs

    request = functions.messages.SendMessageRequest(await alice.get_input_entity(bob_id), "once", random_id=77)
    await alice(request)
    await raises(errors.RandomIdDuplicateError, alice(request))
    stranger = types.InputPeerUser(bob_id, 1)
    await raises(errors.PeerIdInvalidError, alice.send_message(stranger, "no"))


async def difference(bob, alice, bob_id):
    """What happens while a client is away is there when it comes back."""
    session = StringSession(bob.session.save())
    state = await bob(functions.updates.GetStateRequest())
    await bob.disconnect()
    for text in ("missed 1", "missed 2"):
        await alice.send_message(bob_id, text)
    again = client(session=session)
    await again.connect()
    missed = await again(functions.updates.GetDifferenceRequest(pts=state.pts, date=state.date, qts=state.qts))
    assert [message.message for message in missed.new_messages] == ["missed 1", "missed 2"], missed
    assert missed.state.pts == state.pts + 2
    # Without asking, too.
    heard = collect(again, events.NewMessage(incoming=True), lambda event: event.raw_text)
    await alice.send_message(bob_id, "live again")
    await wait_for(lambda: "live again" in heard, "the push after coming back")
    # A cut is survived.
    control("POST", f"/mtproto/accounts/{bob_id}/cut")
    await asyncio.sleep(0.2)
    await alice.send_message(bob_id, "after the cut")
    await wait_for(lambda: "after the cut" in heard, "the push after the cut")
    return again


async def main():
    rsa.add_key(control("GET", "/mtproto/rsa.pem"), old=False)
    alice_phone = Phone("15550001", dc=4, first_name="Alice", username="alice_conformance")
    bob_phone = Phone("15550002", dc=2, first_name="Bob")
    carol_phone = Phone("15550003", dc=5, first_name="Carol", password="hunter2", hint="pet")

    alice = await code_login(alice_phone)
    ok("code, after a wrong one and a migration")
    bob = await qr_login(bob_phone)
    ok("QR")
    carol = await qr_login(carol_phone, password="hunter2")
    ok("QR, migration and password")
    second = await password_login(carol_phone, "hunter2")
    codes = [message.raw_text async for message in carol.iter_messages(777000)]
    assert codes and carol_phone.code() in codes[0], "the code came to the other device"
    ok("code and password, after a wrong one")
    devices = await second(functions.account.GetAuthorizationsRequest())
    assert len(devices.authorizations) == 2
    ok("list of devices")

    await second.edit_2fa(current_password="hunter2", new_password="better", hint="new")
    third = await qr_login(carol_phone, password="better")
    ok("change of the password")

    await talk(alice, bob, bob_phone.id)
    ok("messages, files, edits, deletions, errors")
    bob = await difference(bob, alice, bob_phone.id)
    ok("difference after an absence and after a cut")

    await account_contents.check(alice, bob, alice_phone.id, bob_phone.id)

    resolved = await carol.get_entity("alice_conformance")
    assert resolved.id == alice_phone.id
    await raises(ValueError, carol.get_entity("nobody_has_this_name"))
    ok("names")

    for c in (alice, bob, carol, second, third):
        assert await c.log_out()
    for person in (alice_phone, bob_phone, carol_phone):
        left = control("GET", f"/mtproto/accounts/{person.id}/sessions")
        assert left == [], left
    ok("log out")


asyncio.run(asyncio.wait_for(main(), 240))
