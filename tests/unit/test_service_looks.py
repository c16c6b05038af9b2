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
from dta.service import agent as agents
from dta.service import looks
from dta.service.errors import RateLimited
from dta.service.looks import FOLLOWING, KEPT_FREE, MAX_WAITING, OF_FOLLOWING, OF_ONE, Looks
from tests.support.light_chain import ClockedRpc
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
        assert self.going_on.wait(60)


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


def test_who_follows_has_threads_of_their_own() -> None:
    async def main(made: Looks, slow: Slow) -> None:
        ask(made, slow, FOLLOWING, 64)
        await begun(slow, OF_FOLLOWING)
        assert await made.at_nodes(lambda: 1, "a") == 1

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
    rpc.call(requests.status())
    monkeypatch.setattr(agents, "LOOK_S", 0.0)
    client = served.client_of(served.home("alice"))
    assert said(asyncio.run(client.get("/v1/order")), 504)["type"] == "urn:dta:problem:timeout"
