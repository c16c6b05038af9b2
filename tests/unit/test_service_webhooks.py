"""Webhooks: signed for whoever has the secret, sent where they were meant to go, none left out, none waited for."""

from __future__ import annotations

import asyncio
import hmac
import json
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from dta.base.errors import Unreachable, UsageError
from dta.base.secret import SecretBytes
from dta.service import build, webhooks
from dta.service.news import Place, Told
from dta.service.settings import ServeFile
from dta.service.webhooks import (
    _MAX_FILE_BYTES,
    _MAX_WAITS,
    FIRST_RETRY_S,
    GIVE_UP_S,
    LAST_RETRY_S,
    MAX_ANSWER_BYTES,
    MAX_SECRET_BYTES,
    MIN_SECRET_BYTES,
    AddressRefused,
    Delivered,
    checked_address,
    load_secret,
    signature,
)
from tests.support.certificates import Authority
from tests.unit.webhook_harness import NOW_S, SECRETS, Enough, Receiver, answered, concern, taken


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    made = Receiver(tmp_path, taken)
    asyncio.run(made.sender().once())  # what was there before is nobody's news
    return made


def test_an_event_says_which_record_and_nothing_of_it_signed_by_each_secret(receiver: Receiver) -> None:
    receiver.total = 1
    asyncio.run(receiver.sender().once())
    [request] = receiver.got
    assert json.loads(request.content) == {"type": "concern.order", "data": concern(1).model_dump(by_alias=True)}
    id_, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert (id_, at) == ("alice.1", str(NOW_S))
    signed = f"{id_}.{at}.".encode() + request.content
    expected = ["v1," + b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in SECRETS]
    assert request.headers["webhook-signature"].split(" ") == expected


def test_a_call_goes_to_the_address_that_was_checked_under_the_name_that_was_meant(receiver: Receiver) -> None:
    receiver.total = 1
    asyncio.run(receiver.sender().once())
    [request] = receiver.got
    assert (request.url.host, request.url.path, request.url.query) == ("93.184.216.34", "/in", b"x=1")
    assert request.headers["Host"] == "hooks.example"
    assert request.extensions["sni_hostname"] == "hooks.example"


def test_events_come_each_once_and_in_their_order_also_after_a_restart(receiver: Receiver) -> None:
    for total in (3, 3, 5):
        receiver.total = total
        asyncio.run(receiver.sender().once())
    assert [request.headers["webhook-id"] for request in receiver.got] == [f"alice.{n}" for n in range(1, 6)]
    assert all("DTA-Repeat" not in request.headers for request in receiver.got)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: answered(500),
        lambda _: answered(302, Location="http://127.0.0.1/"),
        lambda request: (_ for _ in ()).throw(httpx.ConnectTimeout("slow", request=request)),
    ],
    ids=["fails", "redirects", "is slow"],
)
def test_a_receiver_that_does_not_take_it_is_asked_again_and_given_up_after_a_day(
    receiver: Receiver, answer: Any
) -> None:
    receiver.total = 2
    receiver.answer = lambda request: answer(request) if request.headers["webhook-id"] == "alice.1" else taken(request)
    asyncio.run(receiver.sender().once())
    first = [request for request in receiver.got if request.headers["webhook-id"] == "alice.1"]
    assert GIVE_UP_S <= receiver.slept_s < 2 * GIVE_UP_S
    assert 20 < len(first) < 50
    assert [("DTA-Repeat" in request.headers) for request in first] == [False] + [True] * (len(first) - 1)
    assert {request.url.host for request in receiver.got} == {"93.184.216.34"}
    assert receiver.got[-1].headers["webhook-id"] == "alice.2"


def test_the_day_of_an_event_begins_with_its_first_try_also_after_a_restart(receiver: Receiver) -> None:
    receiver.total = 1
    Delivered(Place(0), int(NOW_S - GIVE_UP_S)).save(receiver.home / "serve" / "webhooks" / "ci.json")
    receiver.answer = lambda _: answered(500)
    asyncio.run(receiver.sender().once())
    assert len(receiver.got) == 1
    assert receiver.got[0].headers["DTA-Repeat"] == "true"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1",
        "fe80::1", "fc00::1", "::ffff:93.184.216.34", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "ff02::1",
        "fec0::1", "::127.0.0.1", "::ffff:0:127.0.0.1", "5f00::1", "64:ff9b:1::1", "2001:0:7f00:1::1", "2001:20::1",
        "3fff::1", "2001:db8::1", "4000::1", "192.0.0.9", "192.88.99.1", "198.18.0.1", "240.0.0.1", "255.255.255.255",
    ],
)  # fmt: skip
def test_an_address_that_is_nobodys_business_is_refused_unless_it_is_listed(receiver: Receiver, address: str) -> None:
    with pytest.raises(AddressRefused):
        checked_address("hooks.example", ["93.184.216.34", address], [])
    assert checked_address("hooks.example", [address], [address]) == address
    receiver.total, receiver.addresses = 1, [address]
    asyncio.run(receiver.sender().once())
    assert receiver.got == []


def test_an_address_is_listed_however_it_is_written(receiver: Receiver) -> None:
    assert checked_address("hooks.example", ["fd00:0::1"], ["fd00::0:1"]) == "fd00:0::1"
    for public in ("93.184.216.34", "2606:2800:220:1::1"):
        assert checked_address("hooks.example", [public], []) == public
    with pytest.raises(ValueError, match="address"):
        receiver.sender(allow=["hooks.example"])


def test_without_tls_every_address_has_to_be_listed(receiver: Receiver) -> None:
    addresses = ["10.0.0.1", "93.184.216.34"]
    with pytest.raises(AddressRefused):
        checked_address("hooks.example", addresses, addresses[:1], is_tls=False)
    assert checked_address("hooks.example", addresses, addresses, is_tls=False) == "10.0.0.1"
    receiver.total, receiver.port = 1, 80
    asyncio.run(receiver.sender(url="http://hooks.example/", allow=["10.0.0.1"]).once())
    assert receiver.got == []
    receiver.addresses = ["10.0.0.1"]
    receiver.total = 2
    asyncio.run(receiver.sender(url="http://hooks.example/", allow=["10.0.0.1"]).once())
    assert [request.headers["webhook-id"] for request in receiver.got] == ["alice.2"]


def test_a_name_that_is_not_resolved_in_time_is_tried_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "ATTEMPT_S", 0.05)
    receiver.total, asked = 1, []

    async def first_hangs(host: str, port: int) -> list[str]:
        asked.append(host)
        if len(asked) == 1:
            await asyncio.sleep(30)
        return receiver.addresses

    receiver.resolve = first_hangs  # type: ignore[method-assign]

    async def main() -> None:
        async with asyncio.timeout(20):
            await receiver.sender().once()

    asyncio.run(main())
    assert [request.headers["DTA-Repeat"] for request in receiver.got] == ["true"]


def test_of_a_receiver_s_answer_no_more_is_read_than_it_may_be(receiver: Receiver) -> None:
    """It is no answer's length that decides whether an event was taken, and one without an end ends."""
    read: list[int] = []

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                read.append(1_024)
                yield bytes(1_024)

    receiver.total = 1
    receiver.answer = lambda _: httpx.Response(200, stream=Endless())
    asyncio.run(receiver.sender().once())
    assert len(receiver.got) == 1
    assert sum(read) == MAX_ANSWER_BYTES + 1_024


def test_a_receiver_is_asked_again_after_twice_as_long_each_time_up_to_an_hour(receiver: Receiver) -> None:
    receiver.total, pauses = 1, []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        receiver.slept_s += seconds

    receiver.sleep, receiver.answer = sleep, lambda _: answered(500)  # type: ignore[method-assign]
    asyncio.run(receiver.sender().once())
    assert pauses == [min(FIRST_RETRY_S * 2**number, LAST_RETRY_S) for number in range(len(pauses))]
    assert pauses.count(LAST_RETRY_S) > 20


@pytest.mark.parametrize("over", [0, 1])
def test_what_waits_is_kept_as_far_as_a_file_has_room_and_an_agent_starts_with_it(
    receiver: Receiver, over: int
) -> None:
    """(!) Whoever has one among its contacts places orders for it; the file that they filled kept its agent down."""
    waits = frozenset(f"{number:016x}" for number in range(_MAX_WAITS + over))
    path = receiver.home / "serve" / "webhooks" / "ci.json"
    Delivered(Place(7, waits), NOW_S).save(path)
    receiver.sender()
    kept = Delivered.load(path)
    assert kept is not None
    assert (kept.place.number, kept.since_s) == (7, NOW_S)
    assert len(kept.place.waits) == _MAX_WAITS
    assert kept.place.waits <= waits
    assert path.stat().st_size < _MAX_FILE_BYTES


# --- over real connections --------------------------------------------------------------------------------------
DRIPS = {"in the head": b"HTTP/1.1 200 OK\r\nX: ", "in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"}


class Listening:
    """A receiver on loopback with a certificate of these names, that hangs somewhere when it is first called.

    ``heads``: what came to it through TLS.
    """

    def __init__(self, receiver: Receiver, names: Sequence[str], hangs: str = "nowhere") -> None:
        directory = receiver.home / "tls"
        self.ours = Authority(directory, "ours")
        self.ours.write(directory / "certificate", directory / "key", names)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(directory / "certificate", directory / "key")
        self._receiver = receiver
        self._hangs = hangs
        self.called = 0
        self.heads: list[bytes] = []

    async def once(self, authority: Path) -> None:
        """The sender's round, which takes this authority's certificates."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        receiver = self._receiver
        receiver.port = server.sockets[0].getsockname()[1]
        receiver.addresses, receiver.transport = ["127.0.0.1"], None
        url = f"https://hooks.example:{receiver.port}/in"
        async with server, asyncio.timeout(20):
            await receiver.sender(url=url, allow=["127.0.0.1"], ca_file=str(authority)).once()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.called += 1
        hangs = self._hangs if self.called == 1 else "nowhere"
        with suppress(OSError):
            if hangs == "in the handshake":
                await asyncio.Event().wait()
            await writer.start_tls(self._tls)
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if hangs == "before its answer":
                await asyncio.Event().wait()
            writer.write(DRIPS.get(hangs, b"HTTP/1.1 204 No Content\r\n\r\n"))
            while hangs in DRIPS:
                await writer.drain()
                await asyncio.sleep(0.01)
                writer.write(b"x")
            await writer.drain()
        writer.close()


@pytest.mark.parametrize("hangs", ["in the handshake", "before its answer", *DRIPS])
def test_a_receiver_that_hangs_is_left_after_its_time_and_told_again(
    receiver: Receiver, hangs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "ATTEMPT_S", 0.5)
    receiver.total = 1
    listening = Listening(receiver, ["hooks.example"], hangs)
    asyncio.run(listening.once(listening.ours.file))
    assert listening.called > 1
    assert b"\r\nDTA-Repeat: true\r\n" in listening.heads[-1]
    assert Delivered.load(receiver.home / "serve" / "webhooks" / "ci.json") == Delivered(Place(1))


@pytest.mark.parametrize(
    ("names", "vouched", "is_taken"),
    [
        (["hooks.example"], "ours", True),
        (["127.0.0.1", "another.example"], "ours", False),
        (["hooks.example", "127.0.0.1"], "others", False),
    ],
)
def test_a_certificate_is_for_the_name_that_was_meant_and_not_for_the_address_it_leads_to(
    receiver: Receiver, names: list[str], vouched: str, is_taken: bool
) -> None:
    receiver.total = 1
    listening = Listening(receiver, names)
    others = Authority(receiver.home / "tls", "others")
    asyncio.run(listening.once(others.file if vouched == "others" else listening.ours.file))
    assert listening.called > 0
    assert len(listening.heads) == is_taken
    assert (receiver.slept_s < GIVE_UP_S) == is_taken


def test_an_authority_s_file_that_is_none_is_said_at_the_start(receiver: Receiver) -> None:
    (receiver.home / "none").write_text("none")
    for named in ("none", "nowhere"):
        with pytest.raises(UsageError, match=named):
            receiver.sender(ca_file=named)


@pytest.mark.parametrize("error", [OSError(28, "full"), ValueError("a secret"), Unreachable("down")], ids=repr)
def test_whatever_goes_wrong_a_sender_goes_on_and_its_log_says_no_more_than_what_kind_it_was(
    receiver: Receiver, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.total, looks = 1, []
    look = receiver.look

    async def fails_first(place: Place | None) -> Told:
        looks.append(place)
        if len(looks) == 1:
            raise error
        return await look(place)

    async def pause(seconds: float) -> None:
        if receiver.got:
            raise Enough

    receiver.look, receiver.sleep = fails_first, pause  # type: ignore[method-assign]
    with pytest.raises(Enough):
        asyncio.run(receiver.sender().run())
    assert len(receiver.got) == 1
    assert str(error) not in caplog.text
    assert "can't be read" in caplog.text


def test_what_was_verified_is_kept_again_after_it_could_not_be() -> None:
    kept = []

    class Looks:
        async def here(self, work: Callable[[], None]) -> None:
            kept.append(work)
            if len(kept) == 1:
                raise OSError(28, "full")

    async def pause(seconds: float) -> None:
        if len(kept) == 2:
            raise Enough

    agent = SimpleNamespace(looks=Looks(), workplace=SimpleNamespace(keep_trust=lambda: None))
    with pytest.raises(Enough):
        asyncio.run(build._keep_trust(agent, pause))  # type: ignore[arg-type]
    assert len(kept) == 2


HOOK = {"name": "ci", "url": "https://a.example", "identity": "alice", "secret_files": ["x"]}
GRANT = {"identities": ["alice"], "scopes": ["read"]}
ISSUER = {"issuer": "https://i.example", "audience": "dta", "jwks": "https://i.example/k"}


@pytest.mark.parametrize(
    "tables",
    [
        {"webhooks": [HOOK, {**HOOK, "url": "https://b.example"}]},
        {"certificates": [{"sha256": "ab" * 32, **GRANT}, {"sha256": "ab" * 32, **GRANT, "scopes": ["admin"]}]},
        {"issuers": [{**ISSUER, "subjects": [{"subject": "a", **GRANT}]}] * 2},
        {"issuers": [{**ISSUER, "subjects": [{"subject": "a", **GRANT}, {"subject": "a", **GRANT}]}]},
        {"trusted_proxies": ["proxy.example"]},
    ],
    ids=["webhooks", "certificates", "issuers", "subjects", "a proxy's name"],
)
def test_what_is_named_twice_in_serve_toml_is_refused(tables: Any) -> None:
    with pytest.raises(ValueError, match=r"two tables|address"):
        ServeFile.model_validate(tables)


def test_a_url_without_tls_and_a_secret_that_is_none_are_refused(receiver: Receiver, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        receiver.sender(url="http://hooks.example/")
    path = tmp_path / "weak"
    for content in (b"whsec_" + b64encode(b"short"), b64encode(b"a" * 24), b"whsec_!!!"):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(UsageError) as refused:
            load_secret(path)
        assert content.decode() not in refused.value.message
    for length, is_one in (
        (MIN_SECRET_BYTES - 1, False), (MIN_SECRET_BYTES, True), (MAX_SECRET_BYTES, True), (MAX_SECRET_BYTES + 1, False)
    ):  # fmt: skip
        path.write_bytes(b"whsec_" + b64encode(b"a" * length))
        if is_one:
            assert load_secret(path) == SecretBytes(b"a" * length)
        else:
            with pytest.raises(UsageError):
                load_secret(path)
    path.chmod(0o640)
    with pytest.raises(UsageError, match="open to others"):
        load_secret(path)


def test_a_signature_is_of_id_time_and_body() -> None:
    key = [SecretBytes(SECRETS[0])]
    made = {
        signature(key, id_, at_s, body)
        for id_, at_s, body in (("a", 1, b"x"), ("b", 1, b"x"), ("a", 2, b"x"), ("a", 1, b"y"))
    }
    assert len(made) == 4
    assert all(len(b64decode(one.removeprefix("v1,"))) == 32 for one in made)
