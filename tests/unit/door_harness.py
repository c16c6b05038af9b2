"""A door that listens on loopback, before a CometBFT and an agent's gateway that tests pretend or run."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from gateway_harness import GID, NOW_S, PORTS

from abci_app.block import Event
from dta.blocks.embedded import EmbeddedStore
from dta.http.guard import Listening, guarded_by
from dta.node.door.config import DoorConfig
from dta.node.door.index import Index
from dta.node.door.server import Door
from dta.node.gateway.server import Gateway, GatewayConfig
from tests.support.patience import PATIENCE_S

CHAIN_ID = "door-chain"
IDENTITY = bytes(range(32))
MINE, OTHERS = "ab" * 32, "cd" * 32


def order_event(id_: str, action: str, principal: str = MINE) -> Event:
    return Event("order", (("id", id_), ("action", action), ("principal", principal)))


def events_json(events: tuple[Event, ...]) -> list[dict[str, Any]]:
    return [
        {"type": event.kind, "attributes": [{"key": key, "value": value} for key, value in event.attributes]}
        for event in events
    ]


@dataclass
class Comet:
    """What stands where CometBFT does: counts what reaches it. ``answers``: what it says to a method, whole."""

    blocks: list[tuple[Event, ...]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    catching_up: bool = False
    earliest: int = 1
    held: asyncio.Event | None = None
    """Where it is set, the calls that ``holds`` names wait for it."""
    holds: Callable[[dict[str, Any]], bool] = lambda asked: asked["method"] == "abci_query"
    inside: int = 0
    most_inside: int = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = json.loads(await request.read())
        method, params = asked["method"], asked["params"]
        if method not in ("status", "block_results") or asked["id"] != 0:
            self.calls.append(asked)
        if self.held is not None and self.holds(asked):
            self.inside += 1
            self.most_inside = max(self.inside, self.most_inside)
            await self.held.wait()
            self.inside -= 1
        if method in self.answers:
            body = self.answers[method]
            return web.Response(body=body) if isinstance(body, bytes) else self._result(asked, body)
        if method == "status":
            return self._result(asked, self._status())
        if method == "block_results":
            height = int(params["height"])
            own = events_json(self.blocks[height - 1])
            return self._result(
                asked, {"height": str(height), "txs_results": None, "finalize_block_events": own}
            )
        return self._result(asked, {"said": method})

    @staticmethod
    def _result(asked: dict[str, Any], result: Any) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": result})

    def _status(self) -> Any:
        return {
            "node_info": {"network": CHAIN_ID, "id": "ab" * 20, "moniker": "node", "version": "0.39.4"},
            "sync_info": {
                "latest_block_height": str(len(self.blocks)), "latest_block_time": "2026-01-01T00:00:00Z",
                "latest_block_hash": "", "earliest_block_height": str(self.earliest), "catching_up": self.catching_up,
            },
            "validator_info": {"address": "AB" * 20},
        }  # fmt: skip


@dataclass
class Open:
    """An open door, what is behind it, and a client at it."""

    door: Door
    comet: Comet
    store: EmbeddedStore
    client: httpx.AsyncClient
    address: tuple[str, int]
    clock: list[float]

    async def call(self, method: str, /, **params: Any) -> httpx.Response:
        return await self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})

    async def post(self, value: Any, **headers: str) -> httpx.Response:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        return await self.client.post("/rpc", content=content, headers={"Content-Type": "application/json", **headers})

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Until it holds: a deadline many times what it takes."""
        for _ in range(1_000):
            if holds():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"waited for {what}")


@dataclass(frozen=True)
class _Bounds:
    host: str = "127.0.0.1"
    port: int = 0
    connection_s: float = 60.0
    max_connections: int = 1_000
    max_connections_per_address: int = 1_000
    trusted_proxies: frozenset[str] = frozenset()


async def pretended_comet(comet: Comet) -> Listening:
    from dta.http.guard import bind

    return await bind(guarded_by(comet.handle, _Bounds()), _Bounds())


@asynccontextmanager
async def opened(
    directory: Path, comet: Comet | None = None, tls: ssl.SSLContext | None = None, most_events: int = 1_000,
    verify: ssl.SSLContext | bool = True, **changes: Any,
) -> AsyncIterator[Open]:  # fmt: skip
    comet = comet or Comet()
    clock = [0.0]
    behind = await pretended_comet(comet)
    store = EmbeddedStore(directory / "blocks")
    socket = directory / "gateway.sock"
    gateway = Gateway(
        store, GID, PORTS, GatewayConfig(socket=socket, trusted_proxies=frozenset({""})),
        now_s=lambda: NOW_S + clock[0], monotonic_s=lambda: clock[0],
    )  # fmt: skip
    await gateway.start()
    host, port = behind.address
    config = replace(
        DoorConfig(f"http://{host}:{port}", socket, CHAIN_ID, IDENTITY, port=0), **changes
    )
    index = Index(directory / "events.sqlite", CHAIN_ID, most_events)
    door = Door(config, index, tls, monotonic_s=lambda: clock[0])
    address = await door.start()
    scheme = "https" if tls else "http"
    try:
        async with httpx.AsyncClient(
            base_url=f"{scheme}://{address[0]}:{address[1]}", trust_env=False, verify=verify, timeout=PATIENCE_S
        ) as client:
            yield Open(door, comet, store, client, address, clock)
    finally:
        await door.stop()
        await gateway.stop()
        await behind.stop()
        store.close()
        index.close()


Scenario = Callable[[Open], Awaitable[None]]


def play(directory: Path, scenario: Scenario, comet: Comet | None = None, **changes: Any) -> None:
    async def run() -> None:
        async with opened(directory, comet, **changes) as door:
            await asyncio.wait_for(scenario(door), PATIENCE_S)

    asyncio.run(run())
