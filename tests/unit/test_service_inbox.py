"""What waits, and what is new, over HTTP: each from a list that no node can shorten, and told again to nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from abci_app.state.as_of import Moment
from dta.base.errors import TimedOut, Unreachable
from dta.client.inbox.items import Action, Deadline, Inbox, Item, ItemKind
from dta.client.ledger.concerns import Concern, Concerns
from dta.service import news
from dta.service.agent import Agent
from dta.service.models.base import MAX_LIMIT
from dta.service.models.inbox import Waits
from dta.service.news import Place, Told
from dta.service.routes import inbox as inbox_routes
from tests.support.served import Served, said


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


async def order_for_bob(client: httpx.AsyncClient, **terms: Any) -> str:
    body = {"beneficiary": "bob", "extension": {"plainText": "x"}, **terms}
    return str(said(await client.post("/v1/order", json=body))["orderReference"])


def test_an_inbox_has_what_waits_with_the_call_that_decides_it_and_a_poll_ends_when_it_changes(served: Served) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    for_alice, for_bob = served.client_of(alice), served.client_of(bob)

    async def main() -> None:
        empty = said(await for_bob.get("/v1/inbox"))
        assert (empty["items"], empty["outside"], empty["outsideLeft"]) == ([], [], 0)
        said(await for_bob.get("/v1/inbox", params={"wait": 30}), 422)
        polling = asyncio.ensure_future(for_bob.get("/v1/inbox", params={"wait": 30, "state": empty["state"]}))
        order = await order_for_bob(for_alice)
        await polling
        found = said(await for_bob.get("/v1/inbox"))
        assert found["state"] != empty["state"]
        [item] = found["items"]
        assert (item["kind"], item["subject"], item["actions"]) == ("order", order, ["request"])
        assert item["calls"] == ["POST /v1/order/secret"]
        received = said(await for_bob.post("/v1/order/secret", json={"orderReference": order}))
        [receipt] = said(await for_bob.get("/v1/inbox"))["items"]
        assert (receipt["kind"], receipt["subject"]) == ("receipt", received["request"])
        method, _, path = receipt["calls"][0].partition(" ")
        assert said(await for_bob.request(method, path))["secret"] == received["secret"]
        said(await for_bob.post(f"/v1/order/secret/{received['request']}/done"))
        assert said(await for_bob.get("/v1/inbox"))["items"] == []

    asyncio.run(main())


def test_what_comes_from_strangers_is_apart(served: Served) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    (bob.path / "contacts.toml").unlink()
    for_alice, for_bob = served.client_of(alice), served.client_of(bob)

    async def main() -> None:
        order = await order_for_bob(for_alice)
        found = said(await for_bob.get("/v1/inbox"))
        assert found["items"] == []
        assert [one["subject"] for one in found["outside"]] == [order]

    asyncio.run(main())


def test_a_node_that_leaves_something_out_is_refused(served: Served) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    for_alice, for_bob = served.client_of(alice), served.client_of(bob)

    async def main() -> None:
        await order_for_bob(for_alice)
        answers = served.node.do_abci_query

        def hides(params: dict[str, Any]) -> Any:
            answer = answers(params)
            if bytes.fromhex(params["data"].removeprefix("0x")).startswith(b"concern/"):
                answer["response"]["value"] = None
            return answer

        served.node.do_abci_query = hides  # type: ignore[method-assign]
        for path in ("/v1/inbox", "/v1/order", "/v1/events"):
            problem = said(await for_bob.get(path), 502)
            assert problem["type"] in ("urn:dta:problem:not-verified", "urn:dta:problem:bad-answer"), path

    asyncio.run(main())


def test_a_look_that_is_cut_says_so_and_the_next_ones_get_to_the_end(served: Served) -> None:
    """(!) A stranger's flood was read from its beginning in each look: none got to its end, for ever."""
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    (bob.path / "contacts.toml").unlink()
    for_alice, for_bob = served.client_of(alice), served.client_of(bob)
    left = 0

    def within(effect: Any) -> None:
        nonlocal left
        if getattr(effect, "method", "") != "abci_query":
            return
        if left <= 0:
            raise TimedOut("the nodes took too long in all")
        left -= 1

    async def main() -> None:
        nonlocal left
        flood = [await order_for_bob(for_alice) for _ in range(6)]
        served.before, cuts = within, 0
        for _ in range(20):
            left = 8
            answer = await for_bob.get("/v1/inbox")
            if answer.status_code == 200:
                break
            assert said(answer, 504)["type"] == "urn:dta:problem:timeout"
            cuts += 1
        found = said(answer)
        assert cuts > 0
        assert ([one["subject"] for one in found["outside"]], found["entries"]) == (flood, 6)

    asyncio.run(main())


# --- news -----------------------------------------------------------------------------------------------------
def told(agent: Agent, name: str, place: Place | None) -> Any:
    with agent.workplace.at_work(name) as session:
        return news.since(session, agent.waiting, place) if place else news.now(session, agent.waiting)


def test_news_are_entries_and_what_began_to_wait_each_told_once(served: Served) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    agent = served.agent(alice)
    for_alice, for_bob = served.client(agent, served.token(alice)), served.client_of(bob)

    async def main() -> None:
        before = told(agent, "alice", None)
        order = await order_for_bob(for_alice, policy="all:alice,bob")
        first = told(agent, "alice", before)
        assert [one.type for one in first.news] == ["concern.vault", "concern.order"]
        said(
            await for_bob.post("/v1/order/secret", json={"orderReference": order}, headers={"Prefer": "wait=0"}), 202
        )
        while not (found := told(agent, "alice", first.place).news):  # until the ledger has it, provably
            with served.lock:
                served.chain.make_block()
        [new] = found
        assert (new.type, new.data.parent) == ("waits.request", order)
        after = news.reached(first.place, [new])
        assert list(told(agent, "alice", after).news) == []
        [again] = told(agent, "alice", Place(after.number)).news
        assert again.key == new.key

    asyncio.run(main())


def many(count: int, *, outside: int = 0) -> Inbox:
    """An inbox with so many items."""
    items = [
        Item(ItemKind.ORDER, number.to_bytes(32, "big"), "active", (Action.REQUEST,), Deadline(), number)
        for number in range(count)
    ]  # fmt: skip
    return Inbox(bytes(32), items[outside:], items[:outside], 0, count, 9, Moment(9, 9))


class Followed:
    """Somebody who follows an identity with so many entries, for whom that inbox waits."""

    def __init__(self, inbox: Inbox, entries: int = 0) -> None:
        self.inbox = inbox
        concerns = [Concern(number, 1, bytes(32), (1,), 7) for number in range(1, entries + 1)]  # type: ignore[arg-type]

        def page(identity: bytes, after: int, limit: int) -> Concerns:
            return Concerns(identity, after, tuple(concerns[after : after + limit]), entries, 9)

        ledger = SimpleNamespace(concerns_page=page)
        self.session: Any = SimpleNamespace(ledger=ledger, party=SimpleNamespace(identity=bytes(32)))
        self.waiting: Any = SimpleNamespace(read=lambda _: self.inbox)

    def since(self, place: Place) -> Told:
        return news.since(self.session, self.waiting, place)

    def after(self, id_: str) -> Place:
        """Where a stream goes on after the event with this id."""
        agent: Any = SimpleNamespace(waiting=self.waiting)
        return inbox_routes._beginning(self.session, agent, id_)


@pytest.mark.parametrize("entries", [0, 250])
def test_what_waits_comes_in_pages_and_what_all_of_it_is_is_worked_out_once_for_each(
    monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    """(!) Of 8,000 items that waited each event kept a set of all before it: 1.5 GB, and all were sorted for each."""
    worked_out: list[int] = []
    state_of = news.state_of

    def counted(waits: frozenset[str]) -> str:
        worked_out.append(len(waits))
        return state_of(waits)

    monkeypatch.setattr(news, "state_of", counted)
    who, place, pages = Followed(many(250, outside=30), entries), Place(0), list[Told]()
    while not pages or not pages[-1].is_all:
        pages.append(who.since(place))
        place = pages[-1].place
    told = [one for page in pages for one in page.news]
    sizes = [sum(one.type.startswith("waits.") for one in page.news) for page in pages]
    assert [size for size in sizes if size] == [MAX_LIMIT, MAX_LIMIT, 50]
    assert max(len(page.news) for page in pages) <= 2 * MAX_LIMIT
    assert len({one.key for one in told}) == len(told) == entries + 250
    assert [one.key for one in told[:entries]] == [str(number) for number in range(1, entries + 1)]
    assert sum(isinstance(one.data, Waits) and one.data.is_outside for one in told[entries:]) == 30
    assert place == Place(entries, news.waiting(who.inbox))
    assert len(worked_out) <= 3 * len(pages)
    assert who.since(place) == Told([], place, True)
    assert news.reached(Place(0), told) == place


@pytest.mark.parametrize("waits", [50, 250])
def test_who_goes_on_after_any_event_of_a_page_is_left_out_of_none(waits: int) -> None:
    every = many(waits)
    who = Followed(every, 3)
    first = who.since(Place(0))
    for count, one in enumerate(first.news, start=1):
        rest, place = list(first.news[:count]), who.after(one.id)
        while True:
            page = who.since(place)
            rest, place = [*rest, *page.news], page.place
            if page.is_all:
                break
        assert {one.key for one in rest} == {"1", "2", "3"} | news.waiting(every), one.key
    last = first
    while not last.is_all:
        last = who.since(last.place)
    assert who.since(who.after(last.news[-1].id)).news == []


async def events_of(client: httpx.AsyncClient, **params: str) -> AsyncIterator[tuple[str, str, Any]]:
    """Each event's kind, id and data. (httpx's ASGI transport gives a stream once it has ended.)"""
    answer = await client.get("/v1/events", params=params)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    for block in answer.text.split("\n\n"):
        said_ = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "event" in said_:
            yield said_["event"], said_.get("id", ""), json.loads(said_["data"])


def test_a_stream_begins_where_it_is_told_goes_on_after_an_event_and_ends(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_routes, "STREAM_S", 20.0)
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    for_alice, for_bob = served.client_of(alice), served.client_of(bob)

    async def main() -> None:
        order = await order_for_bob(for_alice)
        every = [one async for one in events_of(for_bob, after="0")]
        assert [kind for kind, _, _ in every] == ["concern.order", "waits.order"]
        assert {data["subject"] for _, _, data in every} == {order}
        assert [one async for one in events_of(for_bob)] == []
        assert [one async for one in events_of(for_bob, after=every[-1][1])] == []
        rest = [one async for one in events_of(for_bob, after=every[0][1])]
        assert rest == every[1:]
        answer = await for_bob.get("/v1/events", headers={"Last-Event-ID": every[0][1]})
        assert "waits.order" in answer.text
        for wrong in ("x", "-1", "99", "1" * 30):
            said(await for_bob.get("/v1/events", params={"after": wrong}), 422)

    asyncio.run(main())


@pytest.mark.parametrize("trouble", [Unreachable("no node answers"), OSError(28, "full")], ids=repr)
def test_streams_have_a_bound_and_what_goes_wrong_is_told_in_the_stream(
    served: Served, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def down(_: Any) -> None:
        raise trouble

    monkeypatch.setattr(inbox_routes, "STREAM_S", 20.0)
    alice = served.home("alice")
    agent = served.agent(alice)
    client = served.client(agent, served.token(alice))

    async def main() -> None:
        agent.streams = inbox_routes.MAX_STREAMS
        said(await client.get("/v1/events"), 429)
        agent.streams = 0
        with monkeypatch.context() as patched:
            patched.setattr(inbox_routes, "STREAMS_OF_ONE", 0)
            assert "of this credential" in said(await client.get("/v1/events"), 429)["detail"]
        since = inbox_routes._since

        def fails(*given: Any, **named: Any) -> Any:
            monkeypatch.setattr(inbox_routes, "_since", since)
            served.before = down
            try:
                return since(*given, **named)
            finally:
                served.before = lambda _: None

        monkeypatch.setattr(inbox_routes, "_since", fails)
        kinds = [kind async for kind, _, _ in events_of(client)]
        assert kinds == ["trouble"]
        assert (agent.streams, agent.streams_of.total()) == (0, 0)

    asyncio.run(main())
