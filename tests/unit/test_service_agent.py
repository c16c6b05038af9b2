"""What the agent does with a call that changes something: how long it asks nodes, whom it tells, what is noted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dta.base.errors import TimedOut
from dta.client.ledger.flow import Request as RpcRequest
from dta.service import access
from dta.service import agent as agents
from dta.service.access import Caller, Credential
from tests.support.served import Served, said

HELD_S = 60.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


def test_what_changes_something_asks_nodes_for_a_while_and_no_longer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "WORK_S", 0.0)
    sent: list[str] = []
    served.before = lambda effect: sent.append(effect.method) if isinstance(effect, RpcRequest) else None
    client = served.client_of(served.home("alice"))
    assert said(asyncio.run(client.post("/v1/vault", json={})), 504)["type"] == "urn:dta:problem:timeout"
    assert "broadcast_tx_sync" not in sent


def test_a_placing_that_is_at_work_when_the_agent_stops_goes_on_though_nobody_can_be_told(served: Served) -> None:
    alice = served.home("alice")
    agent = served.agent(alice)
    client = served.client(agent, served.token(alice))
    begun, may_go = threading.Event(), threading.Event()

    def held(_: Any) -> None:
        begun.set()
        may_go.wait(HELD_S)

    async def main() -> None:
        vault = said(await client.post("/v1/vault", json={}))["vault"]
        served.before = held
        placing = asyncio.ensure_future(client.post("/v1/order", json={"vault": vault}))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        placing.cancel()  # as a server does that has waited long enough for its calls
        await asyncio.wait([placing])

    asyncio.run(main())
    may_go.set()
    agent.jobs.close()
    last = served.noted(alice)[-1]
    assert (last["event"], last["call"], last["status"]) == ("ended", "POST /v1/order", 200)


def test_a_call_is_noted_by_its_path_whatever_the_host_says(served: Served) -> None:
    alice = served.home("alice")
    client = served.client_of(alice)
    host = {"Host": "localhost:80/v1/order?"}
    said(asyncio.run(client.post("/v1/vault", json={}, headers=host)))
    said(asyncio.run(client.post("/v1/identity", json={"name": "x y"}, headers=host)), 400)
    assert {line["call"] for line in served.noted(alice)} == {"POST /v1/vault", "POST /v1/identity"}


def test_two_lines_of_prefer_mean_what_one_does(served: Served) -> None:
    client = served.client_of(served.home("alice"))

    async def main() -> None:
        said(await client.post("/v1/vault", json={}))
        headers = [("Prefer", "wait=20"), ("Prefer", "respond-async")]
        said(await client.post("/v1/order", json={}, headers=headers), 202)

    asyncio.run(main())


def test_what_one_identity_is_at_with_a_thing_says_nothing_of_another_s(served: Served) -> None:
    agent = served.agent(served.home("alice"))
    alice, bob = (Caller(Credential("token", frozenset(), ("*",)), name) for name in ("alice", "bob"))
    failed = TimedOut("late")
    agent._at_work.add(("alice", b"thing"))
    agent._remember(alice, b"thing", failed)
    agent._remember(bob, b"thing", None)  # bob's went well, which says nothing of alice's

    async def seen(caller: Caller) -> tuple[bool, object]:
        access._calling.set(caller)
        return agent.is_at_work(b"thing"), agent.trouble(b"thing")

    assert asyncio.run(seen(alice)) == (True, failed)
    assert asyncio.run(seen(bob)) == (False, None)
