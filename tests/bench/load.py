"""The client: the same for every application. Batches of transactions that were signed and encoded beforehand.

``broadcast_tx_async`` in JSON-RPC batches, to all nodes in turn. A closed loop: so many transactions are under way
(sent and not yet in a block) and never more, so nothing is refused for want of room. What is committed is counted in
blocks, at one node.
"""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import aiohttp

from dta.base.errors import DtaError
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc

POLL_S = 0.02
METAS_MOST = 20
LEAST_BLOCKS = 5
PATIENCE = 5
Spent = tuple[float, float]


@dataclass(slots=True)
class Seen:
    """Blocks as the client saw them: height, monotonic seconds, transactions in it, in order of height.

    ``spent_s``: processor seconds until then of the applications, the CometBFTs and this client.
    """

    heights: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    spent_s: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def committed(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run gave. ``sent_s``: when each transaction was handed over, by its position; 0 for those never sent."""

    seen: Seen
    sent_s: list[float]
    load_from_s: float
    load_until_s: float


def encode_batches(txs: Sequence[bytes], batch: int) -> list[bytes]:
    """The bodies of the requests, made before anything is timed."""
    bodies = []
    for start in range(0, len(txs), batch):
        calls = [
            f'{{"jsonrpc":"2.0","id":{start + offset},"method":"broadcast_tx_async",'
            f'"params":{{"tx":"{b64encode(tx).decode()}"}}}}'
            for offset, tx in enumerate(txs[start : start + batch])
        ]
        bodies.append(f"[{','.join(calls)}]".encode())
    return bodies


def commit_all(url: str, txs: Sequence[bytes], timeout_s: float = 60.0) -> int:
    """Put transactions on the chain; the height by which all are committed with code 0. Raises RuntimeError."""
    height, deadline = 0, time.monotonic() + timeout_s
    with Rpc(url) as rpc:
        for tx in txs:
            answer = rpc.call(requests.broadcast_tx_sync(tx))
            if answer.code:
                raise RuntimeError(f"refused with code {answer.code}: {answer.log}")
        for tx in txs:
            while True:
                try:
                    found = rpc.call(requests.tx(sha256(tx).digest()))
                    break
                except DtaError:  # not indexed yet
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            if found.result.code:
                raise RuntimeError(f"committed with code {found.result.code}: {found.result.log}")
            height = max(height, found.height)
    return height


class Client:
    """One HTTP session to all nodes. ``batch`` is the number of transactions in each of ``bodies``."""

    def __init__(
        self, urls: Sequence[str], bodies: Sequence[bytes], batch: int, total: int, spent_s: Callable[[], Spent]
    ) -> None:
        self._urls = urls
        self._spent_s = spent_s
        self._bodies = bodies
        self._batch = batch
        self._next = 0
        self._sent = 0
        self.sent_s = [0.0] * total
        self.seen = Seen()
        self.failures: list[str] = []

    async def saturate(
        self, window: int, warm_up_s: float, measure_s: float, connections: int, settle_s: float = 60.0
    ) -> Run:
        """Keep ``window`` transactions under way for so long, then wait until all are in blocks.

        Longer where fewer than ``LEAST_BLOCKS`` blocks came after the warm-up, on a slow or busy machine.
        """
        async with aiohttp.ClientSession() as session:
            await self._begin(session)
            started = time.monotonic()

            def goes_on() -> bool:
                elapsed_s = time.monotonic() - started
                if elapsed_s < warm_up_s + measure_s:
                    return True
                measured = sum(at >= started + warm_up_s for at in self.seen.times_s)
                return measured < LEAST_BLOCKS and elapsed_s < warm_up_s + PATIENCE * measure_s

            watcher = asyncio.create_task(self._watch(session))
            urls = [self._urls[number % len(self._urls)] for number in range(connections)]
            await asyncio.gather(*(self._send_loop(session, url, window, goes_on) for url in urls))
            ended = time.monotonic()
            await self._settle(watcher, settle_s)
        return Run(self.seen, self.sent_s, started, ended)

    async def trickle(self, tx_per_s: float, duration_s: float, settle_s: float = 10.0) -> Run:
        """One transaction at a time at a steady pace, whatever becomes of them: what waiting costs without a queue."""
        assert self._batch == 1
        async with aiohttp.ClientSession() as session:
            await self._begin(session)
            watcher = asyncio.create_task(self._watch(session))
            started = time.monotonic()
            sends = []
            for number in range(min(int(duration_s * tx_per_s), len(self._bodies))):
                await asyncio.sleep(max(0.0, started + number / tx_per_s - time.monotonic()))
                self._next += 1
                url = self._urls[number % len(self._urls)]
                sends.append(asyncio.create_task(self._post(session, url, number)))
            await asyncio.gather(*sends)
            ended = time.monotonic()
            await self._settle(watcher, settle_s)
        return Run(self.seen, self.sent_s, started, ended)

    async def _settle(self, watcher: asyncio.Task[None], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self.seen.committed < self._sent and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        if self.failures:
            raise RuntimeError(f"{len(self.failures)} requests failed, the first: {self.failures[0]}")
        if self.seen.committed < self._sent:
            raise RuntimeError(f"{self._sent - self.seen.committed} of {self._sent} transactions were not committed")

    async def _send_loop(
        self, session: aiohttp.ClientSession, url: str, window: int, goes_on: Callable[[], bool]
    ) -> None:
        while goes_on() and self._next < len(self._bodies) and not self.failures:
            if self._sent - self.seen.committed + self._batch > window:
                await asyncio.sleep(POLL_S / 4)
                continue
            number = self._next
            self._next += 1
            await self._post(session, url, number)

    async def _post(self, session: aiohttp.ClientSession, url: str, number: int) -> None:
        start = number * self._batch
        count = min(self._batch, len(self.sent_s) - start)
        self._sent += count
        self.sent_s[start : start + count] = [time.monotonic()] * count
        headers = {"Content-Type": "application/json"}
        async with session.post(url, data=self._bodies[number], headers=headers) as response:
            text = await response.read()
        if response.status != 200 or text.count(b'"error"') or text.count(b'"code":0') != count:
            self.failures.append(text[:500].decode(errors="replace"))

    async def _begin(self, session: aiohttp.ClientSession) -> None:
        """What is in blocks already is not ours."""
        self._height = await self._latest(session)

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        while True:
            if await self._latest(session) > self._height:
                now = time.monotonic()
                spent_s = (*self._spent_s(), time.process_time())
                for height, count in await self._counts(session, self._height + 1):
                    self.seen.heights.append(height)
                    self.seen.times_s.append(now)
                    self.seen.counts.append(count)
                    self.seen.spent_s.append(spent_s)
                    self._height = height
            await asyncio.sleep(POLL_S)

    async def _latest(self, session: aiohttp.ClientSession) -> int:
        result = await self._get(session, "status")
        return int(result["sync_info"]["latest_block_height"])

    async def _counts(self, session: aiohttp.ClientSession, low: int) -> list[tuple[int, int]]:
        found = await self._get(session, f"blockchain?minHeight={low}&maxHeight={low + METAS_MOST - 1}")
        return sorted((int(meta["header"]["height"]), int(meta["num_txs"])) for meta in found["block_metas"])

    async def _get(self, session: aiohttp.ClientSession, path: str) -> Any:
        async with session.get(f"{self._urls[0]}/{path}") as response:
            return json.loads(await response.read())["result"]


async def read_blocks(url: str, heights: Sequence[int]) -> dict[int, tuple[list[str], list[int]]]:
    """Of each block its transactions (base64, as the node writes them) and their codes. After the timing."""
    found = {}
    async with aiohttp.ClientSession() as session:
        for height in heights:
            async with session.get(f"{url}/block?height={height}") as response:
                block = json.loads(await response.read())["result"]["block"]
            async with session.get(f"{url}/block_results?height={height}") as response:
                results = json.loads(await response.read())["result"]["txs_results"] or []
            found[height] = (block["data"]["txs"] or [], [int(one.get("code", 0)) for one in results])
    return found
