"""The door's budgets are apart: each is used up in turn, and every other kind of call is answered.

The sizes are those that ship. What fills a budget stays until it is let go: half a request, a stream, or an answer that
what is behind the door holds back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from door_harness import Comet, Open, play
from gateway_harness import ALICE, BLOCK, CID, GID, NOW_S

from abci_app.cid import cid_of
from dta.blocks.auth import put_headers
from dta.node.door.config import DoorConfig
from dta.node.door.events import EventsDoor
from dta.node.door.methods import METHODS, Lane
from dta.node.gateway.server import Gateway
from tests.support.comet_methods import LISTED

CONFIG = DoorConfig("", Path(), "", b"")
FIDUCIARIES = [f"127.9.{number // 200}.{1 + number % 200}" for number in range(CONFIG.max_reserved + 1)]
HELD = cid_of(b"held back")


@dataclass(frozen=True)
class Request:
    """What somebody asks. ``is_half``: its body ends after a byte, and more is announced."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    is_half: bool = False

    def raw(self) -> bytes:
        length = len(self.body) + 8 * self.is_half
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: x", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def call(method: str, id_: str = "call") -> Request:
    content = {"jsonrpc": "2.0", "id": id_, "method": method, "params": LISTED[method]}
    return Request("POST", "/rpc", json.dumps(content).encode(), {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Kind:
    """A kind of call, and whose places it takes while it is answered."""

    request: Request
    takes: frozenset[str]
    is_fiduciary_s: bool = False


def kinds() -> Iterator[tuple[str, Kind]]:
    block = Request("GET", f"/ipfs/{CID}?format=raw")
    yield "a fiduciary's block", Kind(block, frozenset({"ipfs", "reserved"}), is_fiduciary_s=True)
    yield "a block", Kind(block, frozenset({"ipfs"}))
    upload = Request("PUT", f"/ipfs/{CID}", BLOCK, put_headers(GID, CID, ALICE, NOW_S + 60))
    yield "an upload", Kind(upload, frozenset({"ipfs"}))
    lanes = {Lane.LIGHT: {"rpc"}, Lane.QUERY: {"rpc", "queries"}, Lane.BULK: {"rpc", "bulk"}}
    for name, method in METHODS.items():
        yield name, Kind(call(name), frozenset(lanes[method.lane]))
    for path in ("/v1/search", "/v1/status", "/health/live"):
        yield path, Kind(Request("GET", path), frozenset({"reads"}))
    yield "a preflight", Kind(Request("OPTIONS", "/rpc"), frozenset({"reads"}))
    yield "a stream", Kind(Request("GET", "/v1/events"), frozenset({"streams"}))


KINDS = dict(kinds())


@dataclass(frozen=True)
class Fill:
    """What uses up a budget: ``sent``, ``most`` times, of one address ``of_one``."""

    budget: str
    sent: bytes
    most: int
    of_one: int

    def taken(self, door: Open) -> int:
        return door.comet.inside if self.budget == "queries" else len(getattr(door.door.budgets, self.budget))


READ = Request("GET", f"/ipfs/{HELD}?format=raw").raw()
CALL = call("commit", "held").raw()
HALF_CALL = Request("POST", "/rpc", b"x", {"Content-Type": "application/json"}, is_half=True).raw()
HALF_UPLOAD = Request("PUT", f"/ipfs/{CID}", b"x", is_half=True).raw()
SEARCH = Request("GET", "/v1/search?kind=held").raw()
STREAM = Request("GET", "/v1/events").raw()
IPFS, RPC = (CONFIG.max_ipfs, CONFIG.max_ipfs_per_address), (CONFIG.max_rpc, CONFIG.max_rpc_per_address)
BULK = (CONFIG.max_bulk, CONFIG.max_bulk_per_address)
RESERVED = (CONFIG.max_reserved, CONFIG.max_reserved_per_address)
FILLS = {
    "streams": Fill("streams", STREAM, CONFIG.max_streams, CONFIG.max_streams_per_address),
    "reads of blocks": Fill("ipfs", READ, *IPFS),
    "uploads": Fill("ipfs", HALF_UPLOAD, *IPFS),
    "calls on their way": Fill("rpc", HALF_CALL, *RPC),
    "calls": Fill("rpc", CALL, *RPC),
    **{
        name: Fill("bulk", call(name, "held").raw(), *BULK)
        for name, method in METHODS.items() if method.lane is Lane.BULK
    },
    "small reads": Fill("reads", SEARCH, CONFIG.max_reads, CONFIG.max_reads_per_address),
}  # fmt: skip
QUERIES = {
    name: Fill("queries", call(name, "held").raw(), CONFIG.max_queries, CONFIG.max_queries)
    for name, method in METHODS.items() if method.lane is Lane.QUERY
}  # fmt: skip
FIDUCIARIES_OWN = {"reserved": Fill("reserved", READ, *RESERVED), "arriving": Fill("arriving", b"", *RESERVED)}


@dataclass
class World:
    """The door, what holds back answers, and strangers' addresses, each given once."""

    door: Open
    going_on: asyncio.Event
    numbers: Iterator[int] = field(default_factory=count)
    held: list[asyncio.StreamWriter] = field(default_factory=list)

    def stranger(self) -> str:
        number = next(self.numbers)
        return f"127.1.{number // 200}.{1 + number % 200}"

    async def send(self, address: str, content: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.door.address, local_addr=(address, 0))
        writer.write(content)
        return reader, writer

    async def fill(self, fill: Fill, addresses: list[str]) -> None:
        """Every address takes a place more."""
        wanted = min(fill.taken(self.door) + len(addresses), fill.most)
        for address in addresses:
            self.held.append((await self.send(address, fill.sent))[1])
        await self.door.until(lambda: fill.taken(self.door) >= wanted, f"{wanted} {fill.budget}")

    async def let_go(self, fill: Fill) -> None:
        self.going_on.set()
        for writer in self.held:
            writer.transport.abort()
        await self.door.until(lambda: fill.taken(self.door) == 0, "the places")

    async def asked(self, kind: Kind, address: str) -> tuple[int, bool]:
        """The status, and whether it says when to come again."""
        reader, writer = await self.send(address, kind.request.raw())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        writer.close()
        return int(head.split()[1]), "\r\nretry-after: " in head

    async def refused(self, budget: str) -> set[str]:
        """The kinds that have no place now, each asked for by somebody who has nothing; all others are answered."""
        found = set()
        for name, kind in KINDS.items():
            address = FIDUCIARIES[-1] if kind.is_fiduciary_s else self.stranger()
            status, says_when = await self.asked(kind, address)
            assert 200 <= status < 300 or (status, says_when) == (503, True), f"{name} while {budget} are used up"
            if status == 503:
                found.add(name)
        return found


def during(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Any, **changes: Any) -> None:
    going_on = asyncio.Event()
    get, search = Gateway._get, EventsDoor.search

    async def held_get(gateway: Gateway, request: web.BaseRequest, cid: str) -> web.Response:
        if cid == HELD:
            await going_on.wait()
        return await get(gateway, request, cid)

    async def held_search(door: EventsDoor, request: web.BaseRequest) -> web.Response:
        if request.rel_url.query.get("kind") == "held":
            await going_on.wait()
        return await search(door, request)

    monkeypatch.setattr(Gateway, "_get", held_get)
    monkeypatch.setattr(EventsDoor, "search", held_search)

    async def run(door: Open) -> None:
        door.comet.held = going_on
        door.store.put(BLOCK)
        world = World(door, going_on)
        try:
            await scenario(world)
        finally:
            for writer in world.held:
                writer.transport.abort()
            going_on.set()

    long = {"connection_s": 600.0, "body_s": 600.0, "answer_s": 600.0, "upload_s": 600.0, "query_s": 0.1}
    changes = {**long, "fiduciary_addresses": frozenset(FIDUCIARIES), **changes}
    play(tmp_path, run, Comet(blocks=[()], holds=lambda asked: asked["id"] == "held"), **changes)


@pytest.mark.parametrize("name", [*FILLS, *QUERIES])
def test_while_one_budget_is_used_up_every_other_kind_of_call_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By as many addresses as there are places, so that nobody has more than who comes."""
    fill = (FILLS | QUERIES)[name]
    its_own = {kind for kind, one in KINDS.items() if fill.budget in one.takes and "reserved" not in one.takes}
    assert its_own

    async def scenario(world: World) -> None:
        await world.fill(fill, [world.stranger() for _ in range(fill.most)])
        assert fill.taken(world.door) == fill.most
        assert await world.refused(name) == its_own
        await world.let_go(fill)
        assert await world.refused("none") == set()

    during(tmp_path, monkeypatch, scenario)


@pytest.mark.parametrize("name", FIDUCIARIES_OWN)
def test_while_fiduciaries_use_up_what_is_reserved_for_them_every_kind_of_call_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One more fiduciary is answered as anybody is."""
    fill = FIDUCIARIES_OWN[name]

    async def scenario(world: World) -> None:
        await world.fill(fill, FIDUCIARIES[: fill.most])
        assert fill.taken(world.door) == fill.most
        assert await world.refused(name) == set()

    during(tmp_path, monkeypatch, scenario)


def test_while_idle_connections_use_up_all_that_may_wait_fiduciaries_and_who_is_connected_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        client, places = world.door.client, world.door.door._guarded._places
        assert (await client.get("/health/live")).status_code == 200
        for _ in range(CONFIG.max_connections - len(places)):
            world.held.append((await world.send(world.stranger(), b""))[1])
        await world.door.until(lambda: len(places) == CONFIG.max_connections, "idle connections")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await world.asked(KINDS["/health/live"], world.stranger())
        for name, kind in KINDS.items():
            if kind.is_fiduciary_s:
                assert await world.asked(kind, FIDUCIARIES[-1]) == (200, False)
            elif name != "a stream":
                one = kind.request
                answer = await client.request(one.method, one.path, content=one.body, headers=one.headers)
                assert 200 <= answer.status_code < 300, name
        async with client.stream("GET", "/v1/events") as response:
            assert response.status_code == 200
        assert len(places) == CONFIG.max_connections - 1

    during(tmp_path, monkeypatch, scenario)


@pytest.mark.parametrize("name", FILLS)
def test_an_address_that_uses_up_its_own_is_told_so_and_is_answered_whatever_else_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fill = FILLS[name]

    async def scenario(world: World) -> None:
        mine = world.stranger()
        await world.fill(fill, [mine] * fill.of_one)
        for kind_name, kind in KINDS.items():
            if kind.is_fiduciary_s:
                continue
            status, says_when = await world.asked(kind, mine)
            if fill.budget in kind.takes:
                assert (status, says_when) == (429, True), kind_name
            else:
                assert 200 <= status < 300, kind_name
        assert await world.refused(name) == set(), "others have their own"

    during(tmp_path, monkeypatch, scenario)


@pytest.mark.parametrize("name", FILLS)
def test_where_a_few_addresses_use_up_a_budget_who_has_less_takes_a_place_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fill = FILLS[name]

    async def scenario(world: World) -> None:
        few = [world.stranger() for _ in range(fill.most // fill.of_one)]
        await world.fill(fill, few * fill.of_one)
        assert fill.taken(world.door) == fill.most
        assert await world.refused(name) == set()
        await world.door.until(lambda: fill.taken(world.door) == fill.most - 1, "all but one")

    during(tmp_path, monkeypatch, scenario)


def test_a_fiduciary_that_uses_up_its_reserved_places_takes_those_that_an_address_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill, block = FIDUCIARIES_OWN["reserved"], KINDS["a fiduciary's block"]

    async def scenario(world: World) -> None:
        await world.fill(fill, [FIDUCIARIES[0]] * fill.of_one)
        assert await world.asked(block, FIDUCIARIES[0]) == (200, False)
        await world.fill(FILLS["reads of blocks"], [FIDUCIARIES[0]] * CONFIG.max_ipfs_per_address)
        assert await world.asked(block, FIDUCIARIES[0]) == (429, True)
        assert await world.asked(block, FIDUCIARIES[-1]) == (200, False)

    during(tmp_path, monkeypatch, scenario)
