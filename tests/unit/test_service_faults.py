"""An agent whose node is down, of another chain or behind, or whose own clock is wrong: each said by its kind."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dta.base.errors import Unreachable
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
