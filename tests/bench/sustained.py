"""A closed loop over a whole network: so many transactions under way, each until what it began has come to its end.

The client is told of each block over a websocket of the first node, and then reads the block's results there: nothing
polls. What that reading costs is found out afterwards (:func:`cost_of_watching_s`), so that it can be given apart.
"""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.bench.figures import percentile
from tests.bench.live import Spent

BATCH = 100
RETRY_S = 0.01
SETTLE_S = 240.0
PERCENTS = (50, 95, 99)
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """When something was first said in a block: its height, and when this client was told of that block."""

    height: int
    at_s: float


@dataclass(slots=True)
class Flight:
    """One transaction, and the thing on the ledger (``id_``, in hex) by whose events one sees how far it has come.

    ``weight``: how many of what is counted it stands for.
    """

    tx: bytes
    id_: str
    weight: int = 1
    sent_s: float = 0.0
    begun: Mark | None = None
    done: Mark | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """``kind`` of the events, and which action or status says that a flight has begun, and that it has ended."""

    kind: str
    begun: str
    done: str


@dataclass(frozen=True, slots=True)
class Load:
    """``under_way`` flights at most. Both warm-up and measuring are so long, and one turn of them all."""

    under_way: int
    measure_s: float
    warm_up_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A block as the client saw it, and what the processes had spent by then."""

    height: int
    at_s: float
    spent: Spent


@dataclass(slots=True)
class Run:
    """What a loop gave. ``first`` and ``last``: the positions in ``blocks`` between which it was steady.

    ``codes``: of the transactions in its blocks, hooks' among them (a result that comes twice is refused once).
    """

    flights: list[Flight]
    began: Spent
    codes: Counter[int] = field(default_factory=Counter)
    blocks: list[Seen] = field(default_factory=list)
    first: int = -1
    last: int = -1

    @property
    def window(self) -> tuple[Seen, Seen]:
        """The steady part: from one block to another. Raises RuntimeError where there is none."""
        if not 0 <= self.first < self.last:
            raise RuntimeError("fewer than two blocks while the load was on: measure longer")
        return self.blocks[self.first], self.blocks[self.last]

    def finished(self) -> list[Flight]:
        """The flights that ended in the steady part."""
        begin, end = self.window
        return [one for one in self.flights if one.done is not None and begin.height < one.done.height <= end.height]


async def sustain(
    urls: Sequence[str], flights: Sequence[Flight], words: Words, load: Load, spent: Callable[[], Spent]
) -> Run:
    """Fly all of ``flights`` that the time allows; those sent have ended when this returns.

    Where they run out before the time is over, the steady part is so much shorter. Raises RuntimeError where a
    transaction is refused, and where nothing more ends.
    """
    async with aiohttp.ClientSession() as http:
        return await _Loop(http, urls, list(flights), words, load, spent).fly()


class _Loop:
    def __init__(
        self, http: aiohttp.ClientSession, urls: Sequence[str], flights: list[Flight], words: Words, load: Load,
        spent: Callable[[], Spent],
    ) -> None:  # fmt: skip
        self._http, self._urls, self._words, self._load, self._spent = http, urls, words, load, spent
        self._run = Run(flights, spent())
        self._by_id = {flight.id_: flight for flight in flights}
        self._calls = [_call(number, flight.tx) for number, flight in enumerate(flights)]
        self._sent = 0
        self._ended = 0
        self._turn = 0
        self._posts: set[asyncio.Task[None]] = set()
        self._until_s, self._least = float("inf"), 0

    async def fly(self) -> Run:
        async with self._http.ws_connect(f"{self._urls[0]}/websocket", max_msg_size=0) as socket:
            query = {"query": "tm.event='NewBlockHeader'"}
            await socket.send_json({"jsonrpc": "2.0", "id": 0, "method": "subscribe", "params": query})
            await socket.receive_json()
            started_s = progress_s = time.monotonic()
            self._fill()
            while self._ended < self._sent or self._goes_on(time.monotonic()):
                before = self._ended
                message = await socket.receive()
                now_s, spent = time.monotonic(), self._spent()
                header = json.loads(message.data)["result"]["data"]["value"]["header"]
                await self._take(int(header["height"]), now_s, spent, started_s)
                if self._ended > before:
                    progress_s = now_s
                elif now_s > progress_s + SETTLE_S:
                    raise RuntimeError(
                        f"{self._sent - self._ended} of {self._sent} have not come to {self._words.done}; codes in "
                        f"blocks: {dict(self._run.codes)}"
                    )
            await asyncio.gather(*self._posts)
        return self._run

    @property
    def _is_steady(self) -> bool:
        return self._run.first >= 0

    def _goes_on(self, now_s: float) -> bool:
        """Whether more is to be sent: until the time is over, and one more turn of all has ended."""
        return self._sent < len(self._calls) and (now_s < self._until_s or self._ended < self._least)

    async def _take(self, height: int, now_s: float, spent: Spent, started_s: float) -> None:
        """A block is there: see who has come how far, and send as many as have ended."""
        run, was_on = self._run, self._goes_on(now_s)
        self._mark(await _results(self._http, self._urls[0], height), Mark(height, now_s))
        for post in [post for post in self._posts if post.done()]:
            post.result()  # raises what failed
            self._posts.discard(post)
        run.blocks.append(Seen(height, now_s, spent))
        if not self._is_steady and now_s - started_s >= self._load.warm_up_s and self._ended >= self._load.under_way:
            run.first = len(run.blocks) - 1
            self._until_s, self._least = now_s + self._load.measure_s, self._ended + self._load.under_way
        if self._is_steady and was_on:
            run.last = len(run.blocks) - 1
        if self._goes_on(now_s):
            self._fill()

    def _fill(self) -> None:
        """Send until so many are under way, to all nodes alike."""
        free = min(self._load.under_way - (self._sent - self._ended), len(self._calls) - self._sent)
        share = min(BATCH, -(-free // len(self._urls)))
        while free > 0:
            count = min(share, free)
            first, self._sent, free = self._sent, self._sent + count, free - count
            url, self._turn = self._urls[self._turn % len(self._urls)], self._turn + 1
            self._posts.add(asyncio.create_task(self._post(url, first, count)))

    async def _post(self, url: str, first: int, count: int) -> None:
        at_s = time.monotonic()
        for flight in self._run.flights[first : first + count]:
            flight.sent_s = at_s
        body = b"[" + b",".join(self._calls[first : first + count]) + b"]"
        async with self._http.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
            text = await response.text()
        if text.count('"code":0') != count:
            raise RuntimeError(f"refused: {text[:500]}")

    def _mark(self, results: Json, mark: Mark) -> None:
        for result in results["txs_results"] or []:
            self._run.codes[result["code"]] += 1
            for event in result["events"]:
                if event["type"] == self._words.kind:
                    self._mark_one({pair["key"]: pair["value"] for pair in event["attributes"]}, mark)

    def _mark_one(self, attributes: dict[str, str], mark: Mark) -> None:
        flight = self._by_id.get(attributes.get("id", ""))
        if flight is None:
            return
        said = (attributes.get("action"), attributes.get("status"))
        if flight.begun is None and self._words.begun in said:
            flight.begun = mark
        if flight.done is None and self._words.done in said:
            flight.done = mark
            self._ended += 1


def _call(number: int, tx: bytes) -> bytes:
    encoded = b64encode(tx)
    return b'{"jsonrpc":"2.0","id":%d,"method":"broadcast_tx_sync","params":{"tx":"%s"}}' % (number, encoded)


async def _results(http: aiohttp.ClientSession, url: str, height: int) -> Json:
    while True:
        async with http.get(f"{url}/block_results?height={height}") as response:
            answer: Json = json.loads(await response.read())
        if "result" in answer:
            found: Json = answer["result"]
            return found
        await asyncio.sleep(RETRY_S)


def cost_of_watching_s(url: str, run: Run, spent: Callable[[], Spent]) -> Spent:
    """Processor time of reading the steady part's results once more, on a network that does nothing else."""

    async def read_again() -> None:
        async with aiohttp.ClientSession() as http:
            for seen in run.blocks[run.first + 1 : run.last + 1]:
                await _results(http, url, seen.height)

    before = spent()
    asyncio.run(read_again())
    return spent().since(before)


def steady(run: Run) -> Json:
    """Rate and waiting of the steady part: percentiles of what ended in it; seconds are the client's."""
    begin, end = run.window
    finished = run.finished()
    elapsed_s = end.at_s - begin.at_s
    figures: Json = {
        "ended": sum(one.weight for one in finished), "window_s": elapsed_s,
        "per_s": sum(one.weight for one in finished) / elapsed_s,
        "block_s": elapsed_s / (run.last - run.first),
    }  # fmt: skip
    waits: dict[str, list[float]] = {"sent_to_done_s": [], "begun_to_done_s": [], "begun_to_done_blocks": []}
    for one in finished:
        assert one.begun is not None
        assert one.done is not None
        waits["sent_to_done_s"].append(one.done.at_s - one.sent_s)
        waits["begun_to_done_s"].append(one.done.at_s - one.begun.at_s)
        waits["begun_to_done_blocks"].append(one.done.height - one.begun.height)
    for name, values in waits.items():
        figures[name] = {f"p{percent}": percentile(values, percent) for percent in PERCENTS}
    return figures
