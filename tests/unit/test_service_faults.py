"""An agent whose node is down, of another chain or behind, or whose own clock is wrong: each said by its kind."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dta.base.errors import Unreachable
from dta.client.ledger.flow import Request
from tests.support.disk import little_room
from tests.support.order_flow import LiveChain
from tests.support.served import Served, said

LOOKS = ("/v1/order", "/v1/vault", "/v1/inbox", "/v1/identity/alice", "/v1/request", "/v1/authority", "/v1/realm")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


def down(_: Any) -> None:
    raise Unreachable("no node answers")


def test_with_all_nodes_down_calls_say_so_and_the_status_still_answers(served: Served) -> None:
    client = served.client_of(served.home("alice"))

    async def main() -> None:
        said(await client.get("/v1/order"))
        served.before = down
        for path in LOOKS:
            answer = await client.get(path)
            assert said(answer, 503)["type"] == "urn:dta:problem:unreachable", path
            assert int(answer.headers["Retry-After"]) > 0
        assert said(await client.post("/v1/order", json={}), 503)["type"] == "urn:dta:problem:unreachable"
        assert said(await client.get("/v1/status"))["ledger"]["nodeHeight"] == 0
        served.before = lambda _: None
        assert said(await client.get("/v1/status"))["ledger"]["nodeHeight"] > 0
        said(await client.post("/v1/order", json={}))

    asyncio.run(main())


def test_a_node_of_another_chain_proves_nothing(served: Served, tmp_path: Path) -> None:
    home = served.home("alice")
    other = Served(tmp_path / "other", LiveChain(fiduciaries=2))
    other.home("alice")
    served.node = other.node
    client = served.client_of(home)

    async def main() -> None:
        for path in LOOKS:
            problem = said(await client.get(path), 502)
            assert problem["type"] == "urn:dta:problem:not-verified", path
        assert said(await client.post("/v1/order", json={}), 502)["type"] == "urn:dta:problem:not-verified"

    asyncio.run(main())
    other.close()


@pytest.mark.parametrize("offset_s", [-10 * 86_400.0, 60 * 86_400.0])
def test_a_wrong_clock_is_not_taken_for_a_ledger_that_stands_still(served: Served, offset_s: float) -> None:
    home = served.home("alice")
    served.offset_s = offset_s
    client = served.client_of(home)

    async def main() -> None:
        problem = said(await client.get("/v1/order"), 502)
        assert problem["type"] == "urn:dta:problem:not-verified"
        assert "clock" in problem["hint"] + problem["detail"]

    asyncio.run(main())


def test_a_node_that_catches_up_is_said_to(served: Served) -> None:
    client = served.client_of(served.home("alice"))
    status = served.node.do_status

    def behind(params: dict[str, Any]) -> Any:
        answer = status(params)
        answer["sync_info"]["catching_up"] = True
        return answer

    async def main() -> None:
        assert not said(await client.get("/v1/status"))["ledger"]["nodeCatchingUp"]
        served.node.do_status = behind  # type: ignore[method-assign]
        assert said(await client.get("/v1/status"))["ledger"]["nodeCatchingUp"]

    asyncio.run(main())


def test_what_can_t_be_noted_is_not_done(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = served.home("alice")
    agent = served.agent(alice)
    client = served.client(agent, served.token(alice))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        monkeypatch.setattr(agent.audit, "note", full)
        height = served.chain.height
        problem = said(await client.post("/v1/vault", json={}), 503)
        assert problem["type"] == "urn:dta:problem:place"
        assert served.chain.height == height

    asyncio.run(main())


def test_a_call_of_whose_line_a_part_found_room_is_not_carried_out_and_the_next_line_is_whole(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = served.home("alice")
    left = little_room(monkeypatch)
    first, restarted = (served.client_of(alice) for _ in range(2))

    async def torn(client: httpx.AsyncClient) -> None:
        left.room_bytes = 20
        height = served.chain.height
        problem = said(await client.post("/v1/vault", json={}), 503)
        assert (problem["type"], problem["data"]["errno"]) == ("urn:dta:problem:place", "ENOSPC")
        assert said(await client.post("/v1/vault", json={}), 503)["type"] == "urn:dta:problem:place"  # no room at all
        assert served.chain.height == height
        left.room_bytes = None

    async def main() -> None:
        await torn(first)  # of an empty file
        said(await first.post("/v1/vault", json={}))
        for client in (first, restarted):
            await torn(first)
            said(await client.post("/v1/vault", json={}))

    asyncio.run(main())
    lines = (alice.path / "serve" / "audit.jsonl").read_text().splitlines()
    assert [len(line) == 20 for line in lines] == [True, False, False] * 3
    whole = [json.loads(line) for line in lines if len(line) != 20]
    assert [(line["event"], line.get("status")) for line in whole] == [("begun", None), ("ended", 200)] * 3


def test_of_what_is_done_and_can_t_be_noted_the_key_says_what_was_made(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = served.home("alice")
    client, left, key = served.client_of(alice), little_room(monkeypatch), {"Idempotency-Key": "one"}

    def full(effect: Any) -> None:
        if isinstance(effect, Request) and effect.method == "broadcast_tx_sync":
            left.room_bytes = 0

    async def main() -> None:
        served.before = full
        said(await client.post("/v1/vault", json={}, headers=key), 503)
        left.room_bytes = None
        again = await client.post("/v1/vault", json={}, headers=key)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert [said(again)["vault"]] == [one["vault"] for one in said(await client.get("/v1/vault"))["vaults"]]

    asyncio.run(main())
    noted = [(line["event"], line.get("status")) for line in served.noted(alice)]
    assert noted == [("begun", None), ("begun", None), ("ended", 200)]


def test_a_database_that_can_t_be_written_is_this_machine_s_trouble(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = served.home("alice")
    agent = served.agent(alice)
    client = served.client(agent, served.token(alice))

    def full(*_: Any, **__: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    async def main() -> None:
        monkeypatch.setattr(agent.store, "call", full)
        answer = await client.post("/v1/vault", json={}, headers={"Idempotency-Key": "a"})
        assert said(answer, 503)["type"] == "urn:dta:problem:place"

    asyncio.run(main())


def test_a_keystore_that_is_gone_while_the_agent_runs_is_said_and_used_again_when_it_is_back(served: Served) -> None:
    home = served.home("alice")
    agent = served.agent(home)
    client = served.client(agent, served.token(home))
    keys = home.path / "alice-operator.keys"

    async def main() -> None:
        vault = {"vault": said(await client.post("/v1/vault", json={}))["vault"]}
        keys.rename(home.path / "away")
        agent.workplace.ring.close()  # as a token that is pulled: what was open is not any more
        problem = said(await client.post("/v1/order", json=vault), 503)
        assert problem["type"] == "urn:dta:problem:keystore"
        assert said(await client.get("/v1/order"))["orders"] == []  # a look needs no key
        (home.path / "away").rename(keys)
        assert said(await client.post("/v1/order", json=vault))["status"] == "active"

    asyncio.run(main())
