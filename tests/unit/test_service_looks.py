"""Looks: nobody's slow ones hold up anybody else's, what asks no node, or who may call at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dta.base.errors import TimedOut
from dta.client.ledger import requests
from dta.service import access, looks
from dta.service import agent as agents
from dta.service.access import Caller, Credential
from dta.service.errors import RateLimited
from dta.service.looks import (
    FOLLOWING_AT_ONCE,
    HERE_AT_ONCE,
    KEPT_FREE,
    KEPT_FREE_OF_FEW,
    MAX_WAITING,
    OF_ONE,
    OF_ONE_OF_FEW,
    Looks,
)
from dta.service.server import MAX_CONNECTIONS
from tests.support.light_chain import ClockedRpc
from tests.support.patience import PATIENCE_S
from tests.support.served import Served, said


class Slow:
    """Looks that end when they are let go."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.going_on = threading.Event()
        self.begun = 0

    def look(self) -> None:
        with self.lock:
            self.begun += 1
        assert self.going_on.wait(PATIENCE_S)


def during(main: Callable[[Looks, Slow], Awaitable[None]]) -> None:
    async def run() -> None:
        made, slow = Looks(), Slow()
        try:
            async with asyncio.timeout(60):
                await main(made, slow)
        finally:
            slow.going_on.set()
            made.close()

    asyncio.run(run())


async def begun(slow: Slow, count: int) -> None:
    while slow.begun < count:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert slow.begun == count


def ask(made: Looks, slow: Slow, who: str, count: int) -> list[asyncio.Future[None]]:
    return [asyncio.ensure_future(made.at_nodes(slow.look, who)) for _ in range(count)]


def test_a_credential_has_a_few_threads_and_others_wait_for_none_of_its_looks() -> None:
    async def main(made: Looks, slow: Slow) -> None:
        mine = ask(made, slow, "a", 16)
        await begun(slow, OF_ONE)
        assert await made.at_nodes(lambda: "another's", "b") == "another's"
        assert await made.here(lambda: "here") == "here"
        slow.going_on.set()
        await asyncio.gather(*mine)
        assert slow.begun == 16

    during(main)


def follow(made: Looks, slow: Slow, who: str, count: int) -> list[asyncio.Future[None]]:
    return [asyncio.ensure_future(made.at_nodes(slow.look, who, follows=True)) for _ in range(count)]


def test_who_follows_has_threads_of_their_own() -> None:
    async def main(made: Looks, slow: Slow) -> None:
        for who in ("a", "b", "c", "d"):
            follow(made, slow, who, 16)
        await begun(slow, FOLLOWING_AT_ONCE)
        assert await made.at_nodes(lambda: 1, "a") == 1

    during(main)


def test_the_streams_of_one_credential_leave_threads_to_others_and_to_webhooks() -> None:
    async def main(made: Looks, slow: Slow) -> None:
        follow(made, slow, "a", 16)
        await begun(slow, OF_ONE_OF_FEW)
        follow(made, slow, "b", 16)
        await begun(slow, FOLLOWING_AT_ONCE - 1)
        assert await made.at_nodes(lambda: 1, "webhook", follows=True) == 1

    during(main)


def test_what_one_credential_asks_of_the_home_alone_leaves_threads_to_others() -> None:
    async def main(made: Looks, slow: Slow) -> None:
        async def here(who: str) -> None:
            access._calling.set(Caller(Credential(who, frozenset(), ()), ""))
            await made.here(slow.look if who == "a" else lambda: None)

        mine = [asyncio.ensure_future(here("a")) for _ in range(OF_ONE_OF_FEW + MAX_WAITING)]
        await begun(slow, OF_ONE_OF_FEW)
        await asyncio.ensure_future(here("b"))
        with pytest.raises(RateLimited):
            await here("a")
        slow.going_on.set()
        await asyncio.gather(*mine)

    during(main)


def test_what_asks_no_node_has_so_many_threads_of_which_the_last_is_for_who_has_none() -> None:
    async def main(made: Looks, slow: Slow) -> None:
        async def here(who: str) -> None:
            access._calling.set(Caller(Credential(who, frozenset(), ()), ""))
            await made.here(slow.look)

        asked = [asyncio.ensure_future(here(who)) for who in "a" * OF_ONE_OF_FEW + "b" * OF_ONE_OF_FEW]
        await begun(slow, HERE_AT_ONCE - KEPT_FREE_OF_FEW)
        asked += [asyncio.ensure_future(here("c"))]
        await begun(slow, HERE_AT_ONCE)
        asked += [asyncio.ensure_future(here("d"))]
        await begun(slow, HERE_AT_ONCE)
        slow.going_on.set()
        await asyncio.gather(*asked)
        assert slow.begun == len(asked)

    during(main)


def test_who_goes_away_as_another_s_look_ends_takes_no_place_with_it() -> None:
    async def main(made: Looks, slow: Slow) -> None:
        for ours in (made.nodes, made.following, made.own):
            while ours._may("a"):
                await ours._turn("a")
            waiting = asyncio.ensure_future(ours._turn("a"))
            await asyncio.sleep(0)
            waiting.cancel()  # in the same turn of the loop in which a look ends
            ours._ended("a")
            with pytest.raises(asyncio.CancelledError):
                await waiting
            while ours._at_work["a"]:
                ours._ended("a")
            assert (ours._at_work.total(), ours._waiting) == (0, [])
            assert await ours.run(lambda: 1, "a") == 1

    during(main)


def test_a_few_credentials_do_not_take_all_threads() -> None:
    async def main(made: Looks, slow: Slow) -> None:
        for who in ("a", "b", "c", "d", "e"):
            ask(made, slow, who, OF_ONE)
        await begun(slow, looks.AT_ONCE - KEPT_FREE + 2)
        assert await made.at_nodes(lambda: 1, "f") == 1

    during(main)


def test_so_many_wait_and_who_goes_away_waits_no_more() -> None:
    async def main(made: Looks, slow: Slow) -> None:
        mine = ask(made, slow, "a", OF_ONE + MAX_WAITING)
        await begun(slow, OF_ONE)
        with pytest.raises(RateLimited):
            await made.at_nodes(slow.look, "a")
        for one in mine:
            one.cancel()
        await asyncio.wait(mine)
        slow.going_on.set()
        assert await made.at_nodes(lambda: 1, "a") == 1
        assert slow.begun == OF_ONE

    during(main)


# --- of the agent ---------------------------------------------------------------------------------------------
@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


def test_what_asks_no_node_is_its_caller_s(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    home = served.home("alice")
    agent = served.agent(home)
    whose: list[str] = []
    run = agent.looks.own.run

    async def noted(work: Callable[[], Any], who: str) -> Any:
        whose.append(who)
        return await run(work, who)

    monkeypatch.setattr(agent.looks.own, "run", noted)
    said(asyncio.run(served.client(agent, served.token(home)).get("/v1/contacts")))
    [token] = agent.doorkeeper.tokens.all()
    assert whose == [f"token {token.id}"]


def test_while_a_node_hangs_a_call_is_refused_and_what_asks_no_node_is_answered(served: Served) -> None:
    home, slow = served.home("alice"), Slow()
    agent = served.agent(home)
    client, stranger = served.client(agent, served.token(home)), served.client(agent, "dta_" + "A" * 43)

    def hangs(_: Any) -> None:
        slow.look()

    async def main() -> None:
        served.before = hangs
        hanging = [asyncio.ensure_future(client.get("/v1/vault")) for _ in range(16)]
        try:
            async with asyncio.timeout(60):
                await begun(slow, OF_ONE)
                said(await client.get("/v1/contacts"))
                said(await stranger.get("/v1/vault"), 401)
        finally:
            slow.going_on.set()
        for one in hanging:
            said(await one)

    asyncio.run(main())


def test_a_look_has_its_time_however_many_calls_it_takes(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    rpc = ClockedRpc(served.node)
    with rpc.within(0), pytest.raises(TimedOut):
        rpc.call(requests.status())
    with rpc.within(0), rpc.within(60), pytest.raises(TimedOut):
        rpc.call(requests.status())
    rpc.call(requests.status())
    monkeypatch.setattr(agents, "LOOK_S", 0.0)
    client = served.client_of(served.home("alice"))
    assert said(asyncio.run(client.get("/v1/order")), 504)["type"] == "urn:dta:problem:timeout"


def test_polls_of_one_credential_are_answered_half_as_many_as_there_are_connections(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert agents.CALLS_OF_ONE == MAX_CONNECTIONS // 2
    monkeypatch.setattr(agents, "CALLS_OF_ONE", 2)
    home = served.home("alice")
    agent = served.agent(home)
    one, other = (served.client(agent, served.token(home)) for _ in range(2))
    going_on = asyncio.Event()

    async def pause(_: float) -> None:
        await going_on.wait()

    monkeypatch.setattr(agent, "pause", pause)

    async def main() -> None:
        async with asyncio.timeout(60):
            streams = [asyncio.ensure_future(one.get("/v1/events")) for _ in range(2)]
            while agent.streams < 2:
                await asyncio.sleep(0.01)
            assert "of this credential" in said(await one.get("/v1/contacts"), 429)["detail"]
            said(await other.get("/v1/contacts"))
            for stream in streams:
                stream.cancel()
            await asyncio.wait(streams)
            for path in ("/v1/contacts", "/v1/contacts?no=1", "/v1/contacts"):
                assert (await one.get(path)).status_code in (200, 422)
            assert not agent._answered

    asyncio.run(main())
