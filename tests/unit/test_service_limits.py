"""What the agent's API bears: of strangers, of one credential, of all together, and of one call; each at its bound.

What stands nearer to what it bounds is tried there: docs/spec/rest.md, Who can fill what, names the test of each limit.
"""

from __future__ import annotations

import asyncio
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from dta.base.errors import TimedOut
from dta.service import access
from dta.service.access import Caller, Credential
from dta.service.agent import MAX_RECENT, MAX_TROUBLES, STRANGERS_PER_MINUTE, Recent
from dta.service.app import api, application
from dta.service.calls import wait_of
from dta.service.errors import RateLimited
from dta.service.guard import Listener
from dta.service.idempotency import MAX_KEY_CHARS
from dta.service.jobs import DECISIONS_AT_ONCE, Jobs
from dta.service.models.base import MAX_BASE64_CHARS, MAX_LIMIT, MAX_POLL_S, MAX_SECRET_BYTES, MAX_WAIT_S
from dta.service.routes.inbox import _MAX_NUMBER_DIGITS, MAX_STREAMS, STREAMS_OF_ONE
from dta.service.workplace import MAX_IDLE_LEDGERS
from tests.support.served import BASE, Served, said

HELD_S = 60.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


# --- of strangers ---------------------------------------------------------------------------------------------
def test_an_address_without_a_credential_has_its_rate_and_takes_nobody_s(served: Served) -> None:
    home = served.home("alice")
    agent = served.agent(home)
    app, token = application(agent, Listener()), served.token(home)

    async def status_from(address: str, token: str = "dta_" + "A" * 43) -> int:
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return (await client.get("/v1/contacts", headers={"Authorization": f"Bearer {token}"})).status_code

    async def main() -> None:
        tried = [await status_from("192.0.2.1") for _ in range(STRANGERS_PER_MINUTE + 1)]
        assert tried == [401] * STRANGERS_PER_MINUTE + [429]
        assert await status_from("192.0.2.1", token) == 200, "who has one is asked for nothing of it"
        assert await status_from("192.0.2.2") == 401
        network = [await status_from(f"2001:db8::{number:x}") for number in range(STRANGERS_PER_MINUTE + 1)]
        assert network == [401] * STRANGERS_PER_MINUTE + [429], "an IPv6 network is one"

    asyncio.run(main())


# --- of one credential, and of all together -------------------------------------------------------------------
def test_decisions_have_so_many_threads_and_one_credential_half_of_them() -> None:
    may_go = threading.Event()

    async def main() -> None:
        jobs = Jobs(1)
        half = DECISIONS_AT_ONCE // 2

        def decide(who: str) -> asyncio.Future[bool]:
            return jobs.start(lambda: may_go.wait(HELD_S), who, decides=True)

        try:
            begun = [decide("a") for _ in range(half)]
            with pytest.raises(RateLimited, match="of this credential"):
                decide("a")
            begun += [decide("b") for _ in range(half)]
            with pytest.raises(RateLimited, match=f"{DECISIONS_AT_ONCE} decisions"):
                decide("c")
            assert await jobs.start(lambda: "placed", "a") == "placed"
            may_go.set()
            assert all(await asyncio.gather(*begun))
            assert await decide("a"), "there is room again"
        finally:
            may_go.set()
            jobs.close()

    asyncio.run(main())


def test_one_credential_s_streams_and_all_together_s_have_their_bounds(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = served.home("alice")
    agent = served.agent(home)
    clients = [served.client(agent, served.token(home)) for _ in range(MAX_STREAMS // STREAMS_OF_ONE + 1)]
    going_on = asyncio.Event()

    async def pause(_: float) -> None:
        await going_on.wait()

    monkeypatch.setattr(agent, "pause", pause)

    async def main() -> None:
        streams: list[asyncio.Task[httpx.Response]] = []
        async with asyncio.timeout(HELD_S):
            for client in clients[:-1]:
                streams += [asyncio.create_task(client.get("/v1/events")) for _ in range(STREAMS_OF_ONE)]
                while agent.streams < len(streams):
                    await asyncio.sleep(0.01)
                if len(streams) < MAX_STREAMS:
                    assert "of this credential" in said(await client.get("/v1/events"), 429)["detail"]
            assert (len(streams), agent.streams) == (MAX_STREAMS, MAX_STREAMS)
            assert f"{MAX_STREAMS} event streams" in said(await clients[-1].get("/v1/events"), 429)["detail"]
            said(await clients[-1].get("/v1/contacts"))
            for stream in streams:
                stream.cancel()
            await asyncio.wait(streams)
        assert (agent.streams, agent.streams_of.total()) == (0, 0)

    asyncio.run(main())


def test_troubles_and_what_was_found_out_lately_are_kept_of_the_newest_alone(served: Served) -> None:
    agent = served.agent(served.home("alice"))
    alice, failed = Caller(Credential("token", frozenset(), ("*",)), "alice"), TimedOut("late")
    ids = [number.to_bytes(4, "big") for number in range(1, MAX_TROUBLES + 2)]
    for id_ in ids:
        agent._remember(alice, id_, failed)

    async def troubles() -> list[bool]:
        access._calling.set(alice)
        return [agent.trouble(id_) is failed for id_ in ids]

    assert asyncio.run(troubles()) == [False] + [True] * MAX_TROUBLES
    recent: Recent[int] = Recent()
    for number in range(MAX_RECENT + 1):
        recent.keep(b"%d" % number, number)
    assert [recent.find(b"%d" % number) for number in (0, 1, MAX_RECENT)] == [None, 1, MAX_RECENT]


def test_so_many_ledgers_are_kept_for_the_next_call_and_more_are_let_go(served: Served) -> None:
    workplace = served.agent(served.home("alice")).workplace
    with ExitStack() as at_once:
        ledgers = [at_once.enter_context(workplace.ledger()) for _ in range(MAX_IDLE_LEDGERS + 2)]
    assert len(workplace._idle) == MAX_IDLE_LEDGERS
    closed = [ledger for ledger in ledgers if ledger.rpc._http.is_closed]
    assert len(closed) == 2
    assert not set(map(id, closed)) & set(map(id, workplace._idle))


# --- of one call ----------------------------------------------------------------------------------------------
def test_how_long_to_wait_and_how_much_to_list_have_bounds_on_every_path(served: Served) -> None:
    client = served.client_of(served.home("alice"))
    most_of = {"wait": MAX_POLL_S, "limit": MAX_LIMIT, "perPage": MAX_LIMIT}
    asked = [
        (path, one["name"]) for path, methods in api().openapi()["paths"].items()
        for one in methods.get("get", {}).get("parameters", []) if one["name"] in most_of
    ]  # fmt: skip

    async def wrong(path: str, name: str, value: int) -> list[dict[str, str]]:
        answer = await client.get(re.sub(r"\{\w+\}", "ab" * 32, path), params={name: value})
        return list(answer.json().get("data", {}).get("fields", [])) if answer.status_code == 422 else []

    async def main() -> None:
        for path, name in asked:
            assert await wrong(path, name, most_of[name]) == [], path
            beyond = [{"at": f"query/{name}", "wrong": "less_than_equal"}]
            assert await wrong(path, name, most_of[name] + 1) == beyond, path

    asyncio.run(main())
    assert {name for _, name in asked} == most_of.keys()


def test_who_would_wait_longer_than_there_is_waits_as_long_as_there_is() -> None:
    assert [wait_of(f"wait={seconds}") for seconds in (0, MAX_WAIT_S, MAX_WAIT_S + 1, 999_999)] == [
        0, MAX_WAIT_S, MAX_WAIT_S, MAX_WAIT_S
    ]  # fmt: skip
    assert (wait_of(None), wait_of("respond-async")) == (MAX_WAIT_S, 0)


def test_a_secret_of_the_greatest_length_is_placed_and_received_and_one_of_a_byte_more_is_refused(
    served: Served,
) -> None:
    client = served.client_of(served.home("alice"))
    largest = bytes(range(250)) * (MAX_SECRET_BYTES // 250)
    as_bytes = {"Content-Type": "application/octet-stream"}

    async def place(secret: bytes) -> httpx.Response:
        return await client.post("/v1/order", json={"secret": b64encode(secret).decode()})

    async def main() -> None:
        assert (len(largest), len(b64encode(largest))) == (MAX_SECRET_BYTES, MAX_BASE64_CHARS)
        raw = await client.post("/v1/order/raw", content=largest, headers=as_bytes)
        for order in (said(raw), said(await place(largest))):
            asked = {"orderReference": order["orderReference"]}
            answer = await client.post("/v1/order/secret", json=asked, headers={"Accept": "application/octet-stream"})
            assert (answer.status_code, answer.content == largest) == (200, True)
        more = largest + b"x"
        assert (await client.post("/v1/order/raw", content=more, headers=as_bytes)).status_code == 413
        assert said(await place(more), 422)["data"]["fields"][0]["wrong"] == "string_too_long"
        text = {"extension": {"plainText": "é" * (MAX_SECRET_BYTES // 2) + "x"}}
        said(await client.post("/v1/order", json=text), 413)
        assert len(said(await client.get("/v1/order"))["orders"]) == 2

    asyncio.run(main())


def test_an_idempotency_key_has_its_length_and_can_be_printed(served: Served) -> None:
    client = served.client_of(served.home("alice"))

    async def main() -> None:
        for key, status in (("~" * MAX_KEY_CHARS, 200), ("~" * (MAX_KEY_CHARS + 1), 422), ("", 400), ("a\tb", 400)):
            answer = await client.post("/v1/vault", json={}, headers={"Idempotency-Key": key})
            assert answer.status_code == status, key
        assert len(said(await client.get("/v1/vault"))["vaults"]) == 1

    asyncio.run(main())


def test_the_number_of_an_event_has_so_many_digits(served: Served) -> None:
    client = served.client_of(served.home("alice"))

    async def detail(after: str) -> str:
        return str(said(await client.get("/v1/events", params={"after": after}), 422)["detail"])

    async def main() -> None:
        assert "entries" in await detail("9" * _MAX_NUMBER_DIGITS)
        assert "no id" in await detail("9" * (_MAX_NUMBER_DIGITS + 1))

    asyncio.run(main())
