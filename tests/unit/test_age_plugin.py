"""``age-plugin-dta`` over a whole ledger in one process: files encrypted offline, opened once a policy is fulfilled."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from abci_app.crypto.curve import G2
from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.age import bech32, plugin
from dta.age.plugin import Keys
from dta.age.protocol import Conversation
from dta.age.recipient import (
    NotARecipient,
    Recipient,
    decode_identity,
    decode_recipient,
)
from dta.age.unwrapping import Unwrapper
from dta.base.errors import UsageError
from dta.base.secret import SecretBytes
from dta.client.custody import asking, keyfile, orders
from dta.client.custody.orders import NewOrder
from dta.custodians.mpc_bls import MpcBls
from tests.support.actors import Actor, seeded
from tests.support.age import Age, encoded
from tests.support.authority import CUSTODY
from tests.support.custody import k_of, single
from tests.support.order_flow import World, make_world
from tests.support.sdk import names_of

FILE_KEY = seeded("file key")[:16]
ANY = bech32.encode("age-plugin-dta-", b"").upper()


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path)
    made.chain.deal(CUSTODY)
    made.chain.make_block()
    made.chain.make_block()
    return made


def recipient(world: World, **changes: Any) -> Recipient:
    """What ``dta age recipient`` prints."""
    key = next(iter(world.chain.dealt.values()))
    bob = world.bob.identity
    new = NewOrder(b"", SecretBytes(b"x"), single(bob), pb.BeneficiaryRule(identity=bob), authority=key.id)
    record = orders.place(world.session(world.alice), MpcBls(), replace(new, **changes)).record
    public = world.session(world.alice).ledger.authority_members(key.id).record.public_key_g2
    return Recipient(world.chain.replica.gid, key.id, record.id, record.identity, G2.decode(public))


def encrypted(to: Recipient, *file_keys: bytes) -> list[bytes]:
    """The stanzas of files that are encrypted to it, as age hands them to the plugin again."""
    keys = [encoded("wrap-file-key", body=one) for one in file_keys or (FILE_KEY,)]
    said = Age([encoded("add-recipient", to.encode()), *keys]).talk(plugin.wrap)
    assert [stanza.kind for stanza in said] == ["recipient-stanza"] * len(keys)
    return [encoded(stanza.kind, *stanza.arguments, body=stanza.body) for stanza in said]


def opener(world: World, actor: Actor, wait_s: float = 60) -> Callable[[Conversation], Any]:
    @contextmanager
    def open_keys(conversation: Conversation) -> Iterator[Keys]:
        yield Unwrapper(world.session(actor), names_of(world), conversation, wait_s)

    return open_keys


def decrypted(
    world: World,
    stanzas: list[bytes],
    identity: str = ANY,
    actor: Actor | None = None,
    confirmed: bytes | None = None,
    **more: Any,
) -> Age:
    """``confirmed``: what age answers where a person is asked, a yes by default."""
    age = Age([encoded("add-identity", identity), *stanzas])
    if confirmed is not None:
        said = confirmed
        age.answer = lambda stanza: said if stanza.kind == "confirm" else encoded("ok")
    open_keys = opener(world, actor or world.bob, **more)
    age.talk(lambda conversation: plugin.unwrap_files(conversation, open_keys))
    return age


def keys_given(age: Age) -> dict[str, bytes]:
    return {stanza.arguments[0]: stanza.body for stanza in age.of_kind("file-key")}


def about(age: Age) -> list[tuple[str, ...]]:
    """What the plugin's errors were about."""
    return [tuple(stanza.arguments) for stanza in age.of_kind("error")]


def test_a_file_is_encrypted_offline_and_opened_by_the_order_s_beneficiary(world: World) -> None:
    to = recipient(world)
    for identity in (ANY, to.encode_identity()):
        age = decrypted(world, encrypted(to), identity)
        assert (keys_given(age), about(age)) == ({"0": FILE_KEY}, [])


def test_one_release_opens_every_file_of_the_recipient_with_one_request(world: World) -> None:
    to = recipient(world)
    first, second = encrypted(to, seeded("one")[:16], seeded("two")[:16])
    age = decrypted(world, [first, second])
    assert keys_given(age) == {"0": seeded("one")[:16], "1": seeded("two")[:16]}
    assert keys_given(decrypted(world, encrypted(to))) == {"0": FILE_KEY}
    assert world.session(world.bob).ledger.order(to.order).requests == 1


def test_what_is_not_fulfilled_says_whom_it_waits_for_and_goes_on_when_it_is_run_again(world: World) -> None:
    policy = k_of(2, world.bob.identity, world.carol.identity)
    to = recipient(world, policy=policy)
    stanzas = encrypted(to)
    age = decrypted(world, stanzas, wait_s=0)
    assert keys_given(age) == {}
    assert about(age) == [("internal",)]
    told = [stanza.body.decode() for stanza in (*age.of_kind("msg"), *age.of_kind("error"))]
    assert len(told) == 2
    assert all("carol" in text and "bob" not in text for text in told)
    carol = world.session(world.carol)
    [request] = keyfile.asked_by(world.session(world.bob).directory, world.bob.identity)
    asking.approve(carol, asking.content(carol, request))
    assert keys_given(decrypted(world, stanzas)) == {"0": FILE_KEY}
    assert world.session(world.bob).ledger.order(to.order).requests == 1


def test_a_request_that_was_made_and_never_sent_is_sent(world: World) -> None:
    """kill -9 between the two leaves a request's keys in the home, and nothing on the ledger."""
    to = recipient(world)
    made = asking.prepare(world.session(world.bob), to.order)
    assert keys_given(decrypted(world, encrypted(to))) == {"0": FILE_KEY}
    assert list(keyfile.asked_by(world.session(world.bob).directory, world.bob.identity)) == [made.request]


def test_after_a_veto_the_plugin_asks_anew(world: World) -> None:
    policy = k_of(1, world.bob.identity)
    policy.veto_window_s = 600
    to = recipient(world, policy=policy)
    stanzas = encrypted(to)
    age = decrypted(world, stanzas, wait_s=0)
    assert "veto window" in age.of_kind("error")[0].body.decode()
    bob, alice = world.session(world.bob), world.session(world.alice)
    [request] = keyfile.asked_by(bob.directory, world.bob.identity)
    asking.veto(alice, asking.content(alice, request))
    for _ in range(2):  # until then the veto is in no state that can be proved
        world.chain.make_block()
    decrypted(world, stanzas, wait_s=0)
    assert bob.ledger.order(to.order).requests == 2


# --- a file is a stranger's: the order that it names is not yet one that somebody wants
@pytest.mark.parametrize("answer", [("ok", "no"), ("ok",), ("fail",), ("unsupported",)], ids=" ".join)
def test_for_any_order_nothing_is_asked_that_nobody_confirmed(world: World, answer: tuple[str, ...]) -> None:
    """(!) A stanza names an order and has whatever else: its file alone releases nothing, though bob is beneficiary."""
    to = recipient(world)
    age = decrypted(world, [stanza(to, body=damaged(to, -1))], confirmed=encoded(*answer))
    assert (keys_given(age), about(age)) == ({}, [("internal",)])
    assert f"dta order request {to.order.hex()}" in age.of_kind("error")[0].body.decode()
    bob = world.session(world.bob)
    assert bob.ledger.order(to.order).requests == 0
    assert not keyfile.asked_by(bob.directory, world.bob.identity)
    [question] = age.of_kind("confirm")
    assert to.order.hex() in question.body.decode()
    assert "alice" in question.body.decode()
    assert [b64decode(word + "==") for word in question.arguments] == [b"ask", b"do not ask"]


def test_an_order_that_was_named_or_asked_for_before_needs_no_confirmation(world: World) -> None:
    to = recipient(world)
    refusing = encoded("fail")
    assert keys_given(decrypted(world, encrypted(to), to.encode_identity(), confirmed=refusing)) == {"0": FILE_KEY}
    age = decrypted(world, encrypted(to), confirmed=refusing)
    assert (keys_given(age), age.of_kind("confirm")) == ({"0": FILE_KEY}, [])


@pytest.mark.parametrize("who", ["carol", "closed"])
def test_who_may_not_open_it_is_told_why(world: World, who: str) -> None:
    to = recipient(world)
    if who == "closed":
        orders.close(world.session(world.alice), to.order)
    age = decrypted(world, encrypted(to), actor=world.carol if who == "carol" else world.bob)
    assert (keys_given(age), about(age)) == ({}, [("internal",)])
    assert keyfile.pending(world.session(world.bob).directory) == []


def test_an_order_that_its_principal_has_to_authorise_says_so(world: World) -> None:
    to = recipient(world, rule=pb.BeneficiaryRule())
    age = decrypted(world, encrypted(to))
    assert about(age) == [("internal",)]
    assert b"authorise" in age.of_kind("error")[0].body


# --- what is wrong with a file
def stanza(
    to: Recipient, *, version: str = "1", gid: bytes = b"", order: bytes = b"", body: bytes | None = None
) -> bytes:
    made = to.wrap(SecretBytes(FILE_KEY))
    ids = [b64encode(one).decode().rstrip("=") for one in (gid or to.gid, order or to.order)]
    return encoded("recipient-stanza", "0", "dta", version, *ids, body=made.body if body is None else body)


def damaged(to: Recipient, place: int) -> bytes:
    body = bytearray(to.wrap(SecretBytes(FILE_KEY)).body)
    body[place] ^= 1
    return bytes(body)


@pytest.mark.parametrize("place", [5, 100, 130, 165, -1], ids=["U", "V", "W", "key", "tag"])
def test_a_stanza_that_was_changed_is_named_and_gives_no_key(world: World, place: int) -> None:
    to = recipient(world)
    age = decrypted(world, [stanza(to, body=damaged(to, place))])
    assert (keys_given(age), about(age)) == ({}, [("stanza", "0", "0")])


def test_a_stanza_does_not_open_under_another_order_s_name(world: World) -> None:
    """(!) What was wrapped for one order is handed out by no other's release, though one key is behind both."""
    to, other = recipient(world), recipient(world)
    age = decrypted(world, [stanza(to, order=other.order)])
    assert (keys_given(age), about(age)) == ({}, [("stanza", "0", "0")])


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": "2"}, {"body": b""}, {"body": b"x" * 191}, {"body": b"x" * 193}, {"gid": b"short"},
        {"order": b"x" * 33},
    ],
)  # fmt: skip
def test_a_malformed_stanza_is_named_and_its_file_is_not_opened(world: World, wrong: dict[str, Any]) -> None:
    to = recipient(world)
    good = encrypted(to)[0]
    age = decrypted(world, [good, stanza(to, **wrong)])
    assert (keys_given(age), about(age)) == ({}, [("stanza", "0", "1")])


def test_a_malformed_file_does_not_keep_another_from_being_opened(world: World) -> None:
    to = recipient(world)
    other = encoded("recipient-stanza", "1", *encrypted(to)[0].decode().split("\n")[0].split(" ")[3:], body=_body(to))
    age = decrypted(world, [stanza(to, version="2"), other])
    assert keys_given(age) == {"1": FILE_KEY}


def _body(to: Recipient) -> bytes:
    return to.wrap(SecretBytes(FILE_KEY)).body


def test_stanzas_of_others_and_of_other_ledgers_are_passed_over(world: World) -> None:
    to = recipient(world)
    foreign = replace(to, gid=seeded("another ledger"))
    strangers = [encoded("recipient-stanza", "0", "X25519", "abc", body=b"x" * 32), stanza(foreign)]
    age = decrypted(world, strangers)
    assert age.heard == []
    age = decrypted(world, [*strangers, encrypted(to)[0]])
    assert keys_given(age) == {"0": FILE_KEY}


def test_an_identity_of_another_order_opens_nothing_and_asks_nobody(world: World) -> None:
    to, other = recipient(world), recipient(world)
    age = decrypted(world, encrypted(to), other.encode_identity())
    assert age.heard == []
    assert keyfile.pending(world.session(world.bob).directory) == []


def test_an_identity_of_another_ledger_than_the_home_s_says_so(world: World) -> None:
    foreign = replace(recipient(world), gid=seeded("another ledger"))
    age = decrypted(world, [stanza(foreign)], foreign.encode_identity())
    assert about(age) == [("internal",)]
    assert b"another ledger" in age.of_kind("error")[0].body


def test_a_malformed_identity_is_named_and_no_file_is_opened(world: World) -> None:
    to = recipient(world)
    age = Age([encoded("add-identity", ANY), encoded("add-identity", to.encode()), *encrypted(to)])
    age.talk(lambda conversation: plugin.unwrap_files(conversation, opener(world, world.bob)))
    assert (keys_given(age), about(age)) == ({}, [("identity", "1")])


# --- recipients
def test_a_recipient_and_an_identity_are_read_as_they_were_written(world: World) -> None:
    to = recipient(world)
    assert to.encode().startswith("age1dta1")
    assert to.encode_identity().startswith("AGE-PLUGIN-DTA-1")
    assert decode_recipient(to.encode()) == to == decode_identity(to.encode_identity())
    assert decode_identity(ANY) is None


def content(world: World) -> bytes:
    return bech32.decode(recipient(world).encode())[1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"\x02" + data[1:], "version"), (lambda data: b"", "version"),
        (lambda data: data[:-1], "length"), (lambda data: data + b"\0", "length"),
        (lambda data: data[:-96] + bytes(96), "key"), (lambda data: data[:-96] + b"\xc0" + bytes(95), "key"),
    ],
)  # fmt: skip
def test_a_recipient_of_another_form_is_refused(world: World, change: Callable[[bytes], bytes], reason: str) -> None:
    text = bech32.encode("age1dta", change(content(world)))
    with pytest.raises(NotARecipient) as caught:
        decode_recipient(text)
    assert caught.value.reason == reason
    age = Age([encoded("add-recipient", recipient(world).encode()), encoded("add-recipient", text)])
    age.first = [*age.first, encoded("wrap-file-key", body=FILE_KEY)]
    age.talk(plugin.wrap)
    assert about(age) == [("recipient", "1")]
    assert not age.of_kind("recipient-stanza"), "not one stanza where one recipient is wrong"


def test_a_file_key_of_another_length_is_not_wrapped(world: World) -> None:
    age = Age([encoded("add-recipient", recipient(world).encode()), encoded("wrap-file-key", body=b"short")])
    age.talk(plugin.wrap)
    assert [stanza.kind for stanza in age.heard] == ["error"]


def test_grease_is_passed_over_and_an_identity_can_be_encrypted_to(world: World) -> None:
    to = recipient(world)
    grease = encoded(f"grease-{secrets.token_hex(4)}", "x", body=b"y" * 70)
    age = Age([grease, encoded("add-identity", to.encode_identity()), encoded("wrap-file-key", body=FILE_KEY), grease])
    [made] = age.talk(plugin.wrap)
    assert keys_given(decrypted(world, [encoded(made.kind, *made.arguments, body=made.body)])) == {"0": FILE_KEY}
    nowhere = Age([encoded("add-identity", ANY), encoded("wrap-file-key", body=FILE_KEY)])
    nowhere.talk(plugin.wrap)
    assert about(nowhere) == [("identity", "0")]


def test_an_order_in_a_vault_is_no_recipient(world: World) -> None:
    from dta.client.custody import vaults
    from dta.custodians.hsm_realm import HsmRealm

    alice, bob = world.session(world.alice), world.bob.identity
    vault = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    new = NewOrder(vault, SecretBytes(b"x"), single(bob), pb.BeneficiaryRule(identity=bob))
    record = orders.place(alice, HsmRealm(), new).record
    named = replace(recipient(world), order=record.id).names
    unwrapper = Unwrapper(world.session(world.bob), names_of(world), Conversation(BytesIO(), BytesIO()))
    with pytest.raises(UsageError):
        unwrapper.key(named, is_meant=True)
