"""Whom the door takes for fiduciaries: by names, whose resolver may be slow or gone, and holds nothing else up."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import door_harness
import pytest
from door_harness import Comet, Open, order_event, play

from dta.node.door import follow
from dta.node.door.names import THREADS, Names
from tests.support.patience import PATIENCE_S

Resolver = Callable[[str], str]


def resolving(monkeypatch: pytest.MonkeyPatch, resolver: Resolver) -> list[str]:
    """Names under .example lead where ``resolver`` says, others as ever; which were looked up."""
    real = socket.getaddrinfo
    asked: list[str] = []

    def pretended(host: Any, *given: Any, **named: Any) -> Any:
        if not str(host).endswith(".example"):
            return real(host, *given, **named)
        asked.append(str(host))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (resolver(str(host)), 0))]

    monkeypatch.setattr(socket, "getaddrinfo", pretended)
    return asked


def nowhere(host: str) -> str:
    raise socket.gaierror(socket.EAI_AGAIN, "no answer")


@pytest.fixture
def answers() -> Iterator[threading.Event]:
    """Until it is set, the resolver of a test does not answer."""
    event = threading.Event()
    yield event
    event.set()


def gateways(monkeypatch: pytest.MonkeyPatch, count: int) -> list[None]:
    """The agent names so many; how often it was asked."""
    asked: list[None] = []

    def given() -> list[str]:
        asked.append(None)
        return [f"https://f{number}.example:8443" for number in range(count)]

    monkeypatch.setattr(door_harness, "PORTS", replace(door_harness.PORTS, gateways=given))
    return asked


def test_a_resolver_that_does_not_answer_holds_up_no_search_and_no_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: threading.Event
) -> None:
    """(!) More names than anybody has threads."""
    gateways(monkeypatch, 40)

    def silent(host: str) -> str:
        answers.wait(PATIENCE_S)
        return nowhere(host)

    asked = resolving(monkeypatch, silent)

    async def scenario(door: Open) -> None:
        await door.until(lambda: len(asked) >= THREADS, "the lookups")
        door.comet.blocks.append((order_event("01" * 32, "placed"),))
        await door.until(lambda: door.door._index.height == 1, "the block")
        found = await door.client.get("/v1/search")
        assert [event["at"] for event in found.json()["events"]] == ["1.0"]
        assert len(asked) == THREADS
        answers.set()

    play(tmp_path, scenario, Comet())


async def looked(names: Names, hosts: Iterable[str]) -> None:
    names.look(frozenset(hosts))
    for _ in range(1_000):
        if not names._running:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited for the lookups")


def test_a_name_that_leads_nowhere_now_keeps_its_addresses_and_one_that_is_gone_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leads = {"a.example": "192.0.2.1", "b.example": "192.0.2.2"}
    resolving(monkeypatch, lambda host: leads.get(host) or nowhere(host))
    heard: list[frozenset[str]] = []

    async def run() -> None:
        names = Names(heard.append)
        await looked(names, leads)
        assert heard[-1] == {"192.0.2.1", "192.0.2.2"}
        del leads["a.example"]
        leads["b.example"] = "192.0.2.3"
        await looked(names, ["a.example", "b.example"])
        assert heard[-1] == {"192.0.2.1", "192.0.2.3"}
        await looked(names, ["b.example"])
        assert heard[-1] == {"192.0.2.3"}
        names.close()

    asyncio.run(run())


def test_a_name_has_one_lookup_at_a_time(monkeypatch: pytest.MonkeyPatch, answers: threading.Event) -> None:
    def late(_host: str) -> str:
        answers.wait(PATIENCE_S)
        return "192.0.2.1"

    asked = resolving(monkeypatch, late)
    heard: list[frozenset[str]] = []

    async def run() -> None:
        names = Names(heard.append)
        for _ in range(THREADS):
            names.look(frozenset({"a.example"}))
        names.look(frozenset({"a.example", "b.example"}))
        while "b.example" not in asked:
            await asyncio.sleep(0.01)
        answers.set()
        await looked(names, ["a.example", "b.example"])
        assert sorted(asked) == ["a.example", "b.example"]
        assert heard[-1] == {"192.0.2.1"}
        names.close()

    asyncio.run(run())


@pytest.mark.parametrize("over", [0, 1])
def test_an_answer_of_the_agent_s_that_is_longer_than_any_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: int
) -> None:
    """Whatever runs in the agent's place, the door's memory is its own."""
    around = len(json.dumps({"gateways": [""]}))
    url = "https://127.0.9.9:8443/"
    padded = url.ljust(follow._MOST_AGENT_BYTES + over - around, "x")
    given: list[None] = []

    def gateways() -> list[str]:
        given.append(None)
        return [padded]

    monkeypatch.setattr(follow, "AGENT_EVERY_S", 0.05)
    monkeypatch.setattr(door_harness, "PORTS", replace(door_harness.PORTS, gateways=gateways))

    async def scenario(door: Open) -> None:
        known = door.door.follower.known
        if over:
            await door.until(lambda: len(given) >= 3, "the agent's answers")
            assert known.fiduciaries == frozenset()
        else:
            await door.until(lambda: known.fiduciaries == {"127.0.9.9"}, "the fiduciary")

    play(tmp_path, scenario)


def test_fiduciaries_named_in_the_configuration_are_known_at_once_and_names_are_not_looked_up_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "AGENT_EVERY_S", 0.05)
    given = gateways(monkeypatch, 1)
    resolving(monkeypatch, nowhere)

    async def scenario(door: Open) -> None:
        known = door.door.follower.known
        assert known.fiduciaries == {"127.0.9.9"}
        for _ in range(5):
            before_s = known.agent_at_s
            await door.until(lambda before_s=before_s: known.agent_at_s > before_s, "the agent")  # type: ignore[misc]
        assert 1 <= len(given) <= 2  # by the two tasks that begin with it
        assert known.fiduciaries == {"127.0.9.9"}

    play(tmp_path, scenario, fiduciary_addresses=frozenset({"127.0.9.9"}))
