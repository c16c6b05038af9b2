"""What the door knows of its node: followed all the time, so that a stranger's question makes no work behind it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from abci_app.block import Event
from dta.base.errors import DtaError, RpcError
from dta.client.ledger import requests
from dta.client.ledger.requests import BlockResults, Status
from dta.client.ledger.rpc import AsyncRpc
from dta.http.guard import address_key
from dta.node.door.index import Index
from dta.node.door.names import Names

POLL_S: Final = 0.5
AGENT_EVERY_S: Final = 5.0
RESOLVE_EVERY_S: Final = 300.0
STALE_S: Final = 15.0
"""What was not heard again for so long is not so any more, for all that the door knows."""
NEAR_BLOCKS: Final = 3
BLOCKS_AT_ONCE: Final = 200
"""So many are read before the node is asked again how it is."""
_MOST_AGENT_BYTES: Final = 64 << 10
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Known:
    """What the node said last, and when by a clock that never goes back. ``fiduciaries``: keys of their addresses."""

    status: Status | None = None
    status_at_s: float = 0.0
    agent: dict[str, Any] = field(default_factory=dict)
    agent_at_s: float = 0.0
    fiduciaries: frozenset[str] = frozenset()

    def has_ledger(self, now_s: float) -> bool:
        """Whether the node's CometBFT answers, and is not catching up."""
        return self.status is not None and not self.status.catching_up and now_s - self.status_at_s < STALE_S

    def has_blocks(self, now_s: float) -> bool:
        """Whether the agent's gateway answers."""
        return bool(self.agent_at_s) and now_s - self.agent_at_s < STALE_S + AGENT_EVERY_S


class Follower:
    """Keeps :class:`Known` and the index up to date. ``run`` until cancelled."""

    def __init__(
        self, rpc: AsyncRpc, agent: aiohttp.ClientSession, index: Index, chain_id: str, always: frozenset[str]
    ) -> None:
        self._always = frozenset(map(address_key, always))
        self.known = Known(fiduciaries=self._always)
        self._names = Names(self._heard)
        self._has_names = False
        self._rpc = rpc
        self._agent = agent
        self._index = index
        self._chain_id = chain_id
        self._grown = asyncio.Event()

    async def run(self) -> None:
        """Follow the chain and the agent. Trouble of theirs is logged, and is over when they are back."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._every(POLL_S, self._follow_chain))
                group.create_task(self._every(AGENT_EVERY_S, self._follow_agent))
                group.create_task(self._every(RESOLVE_EVERY_S, self._find_fiduciaries))
        finally:
            self._names.close()

    async def grown(self) -> None:
        """Return when the index has another block."""
        await self._grown.wait()

    async def _every(self, seconds: float, work: Any) -> None:
        while True:
            try:
                await work()
            except (DtaError, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                _log.warning("%s: %s", work.__name__, error)
            except Exception:  # a full disk, say: the index waits, and the door says that it is behind
                _log.exception("%s failed", work.__name__)
            await asyncio.sleep(seconds)

    async def _follow_chain(self) -> None:
        status = await self._rpc.call(requests.status())
        if status.chain_id != self._chain_id:
            raise ValueError(f"the CometBFT at {self._rpc.url} is of the chain {status.chain_id}")
        self.known.status, self.known.status_at_s = status, time.monotonic()
        if self._index.height + 1 < status.earliest_height:
            await asyncio.to_thread(self._index.begin_at, status.earliest_height)
        for _ in range(min(BLOCKS_AT_ONCE, status.latest_height - self._index.height)):
            height = self._index.height + 1
            try:
                results = await self._rpc.call(requests.block_results(height))
            except RpcError:
                if height < status.latest_height:
                    raise
                return  # the newest block's are written a moment after it is there
            await asyncio.to_thread(self._index.add, results.height, events_of(results))
            grown, self._grown = self._grown, asyncio.Event()
            grown.set()

    async def _follow_agent(self) -> None:
        self.known.agent = await self._ask_agent("/v1/status")
        self.known.agent_at_s = time.monotonic()
        if not self._has_names:  # it was not there yet, or had not read the ledger
            await self._find_fiduciaries()

    async def _find_fiduciaries(self) -> None:
        said = (await self._ask_agent("/v1/gateways")).get("gateways", [])
        hosts = {urlsplit(str(url)).hostname for url in said} if isinstance(said, list) else set()
        names = frozenset(host for host in hosts if host)
        if names:  # there are always fiduciaries: an agent that knows of none makes nobody forget them
            self._has_names = True
            self._names.look(names)

    def _heard(self, addresses: frozenset[str]) -> None:
        self.known.fiduciaries = self._always | addresses

    async def _ask_agent(self, path: str) -> dict[str, Any]:
        async with self._agent.get(path) as response:
            response.raise_for_status()
            found = json.loads(await read_answer(response, _MOST_AGENT_BYTES))
        if not isinstance(found, dict):
            raise ValueError(f"the agent's {path} is no object")
        return found


def events_of(results: BlockResults) -> list[Event]:
    """A block's events, numbered as everybody numbers them: its transactions' in order, then its own."""
    return [event for tx in results.tx_results for event in tx.events] + [*results.events]


async def read_answer(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """An answer's body. Raises ValueError where it is longer."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            raise ValueError(f"an answer of more than {limit_bytes} bytes")
    return bytes(body)


def agent_at(path: Path) -> aiohttp.ClientSession:
    """A session that asks the agent's gateway at its socket. Not decompressing: nothing it says is unpacked."""
    return aiohttp.ClientSession(
        "http://agent", connector=aiohttp.UnixConnector(str(path), limit=0, force_close=True), auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=60, sock_connect=5),
    )  # fmt: skip
