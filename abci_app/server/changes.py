"""What the last blocks changed, for whoever follows committed state on the read socket (docs/spec/abci-server.md).

Kept in memory only. What is not kept is said to be cut off, and whoever asked reads all of it anew.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from abci_app.block import Changes, Time
from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.application import TIME_META
from abci_app.server.convert import decode_time
from abci_app.storage.statedb import StateDB

MAX_KEPT_BLOCKS = 1024
# Of keys and values, which the blocks' results are made of anyway; as Python has them they take about thrice that.
MAX_KEPT_BYTES = 16 << 20
# A wait is held for so long: a peer that has gone is noticed when it is answered.
HELD_S = 15.0
# An answer ends with the block before the one that would go beyond this.
MAX_CHANGED_BYTES = 256 << 10
# So much of an entry's encoding is neither key nor value.
ENTRY_BYTES = 16
# Blocks looked at for one answer: what answers hold the event loop for is little, whoever is far behind.
MAX_BLOCKS_AT_ONCE = 32

Pairs = Sequence[tuple[bytes, bytes | None]]


@dataclass(frozen=True, slots=True)
class _Block:
    height: int
    time_s: int
    size_bytes: int
    changes: Changes


class CommittedChanges:
    """The changes of the blocks after ``height``, whose block has the time ``time_s``. All on one event loop."""

    def __init__(self, height: int, time_s: int, *, kept_bytes: int = MAX_KEPT_BYTES, held_s: float = HELD_S) -> None:
        self.height = height
        self._time_s = time_s
        self._kept_bytes = kept_bytes
        self._held_s = held_s
        # What is kept is whole from here on.
        self._since = height
        self._blocks: deque[_Block] = deque()
        self._size_bytes = 0
        self._waiting: list[asyncio.Future[None]] = []

    @classmethod
    def of(cls, database: StateDB) -> CommittedChanges:
        """From what ``database`` has now on."""
        time = database.meta(TIME_META)
        return cls(database.height, 0 if time is None else decode_time(time).seconds)

    def record(self, height: int, time: Time, changes: Changes) -> None:
        """A block is on disk. Keeps a reference to its changes; they are looked at when somebody asks."""
        size_bytes = _size_bytes(changes.leaves) + _size_bytes(changes.index)
        self._blocks.append(_Block(height, time.seconds, size_bytes, changes))
        self._size_bytes += size_bytes
        while len(self._blocks) > MAX_KEPT_BLOCKS or self._size_bytes > self._kept_bytes:
            gone = self._blocks.popleft()
            self._size_bytes -= gone.size_bytes
            self._since = gone.height
        self.height, self._time_s = height, time.seconds
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def after(
        self, height: int, index_prefixes: Iterable[bytes], leaf_prefixes: Iterable[bytes]
    ) -> pb.StateChanged:
        """What changed after ``height`` under these prefixes, once there is a block; nothing, after a while."""
        if height == self.height:
            await self._next_block()
        if height == self.height:
            return pb.StateChanged(height=height, time_seconds=self._time_s)
        return self._changed(height, tuple(index_prefixes), tuple(leaf_prefixes))

    async def _next_block(self) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            # Not wait_for: of Python 3.11 it loses a cancellation that comes together with what was waited for.
            async with asyncio.timeout(self._held_s):
                await waiting
        except TimeoutError:
            pass
        finally:
            self._waiting.remove(waiting)

    def _changed(self, height: int, index_prefixes: Sequence[bytes], leaf_prefixes: Sequence[bytes]) -> pb.StateChanged:
        if not self._since <= height <= self.height:
            return self._cut()
        index: dict[bytes, bytes | None] = {}
        leaves: dict[bytes, bytes | None] = {}
        size_bytes = 0
        last: _Block | None = None
        for block in self._from(height):
            found_index = list(_under(block.changes.index, index_prefixes))
            found_leaves = list(_under(block.changes.leaves, leaf_prefixes))
            size_bytes += sum(ENTRY_BYTES * len(found) + _size_bytes(found) for found in (found_index, found_leaves))
            if size_bytes > MAX_CHANGED_BYTES:
                break
            index.update(found_index)
            leaves.update(found_leaves)
            last = block
        if last is None:  # one block is more than an answer holds
            return self._cut()
        return pb.StateChanged(
            height=last.height, time_seconds=last.time_s, more=last.height < self.height,
            index=_entries(index), leaves=_entries(leaves),
        )  # fmt: skip

    def _cut(self) -> pb.StateChanged:
        return pb.StateChanged(height=self.height, time_seconds=self._time_s, is_cut=True)

    def _from(self, height: int) -> Iterator[_Block]:
        """The blocks after ``height``, a bounded number of them. Heights follow each other but before the first."""
        start = max(0, height - self._blocks[0].height + 1)
        for at in range(start, min(start + MAX_BLOCKS_AT_ONCE, len(self._blocks))):
            yield self._blocks[at]


def _size_bytes(pairs: Pairs) -> int:
    return sum(len(key) + len(value or b"") for key, value in pairs)


def _under(pairs: Pairs, prefixes: Iterable[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Those of ``pairs``, which are sorted by key, whose key starts with one of ``prefixes``."""
    for prefix in prefixes:
        for at in range(bisect_left(pairs, prefix, key=itemgetter(0)), len(pairs)):
            if not pairs[at][0].startswith(prefix):
                break
            yield pairs[at]


def _entries(found: dict[bytes, bytes | None]) -> list[pb.StateChange]:
    return [pb.StateChange(key=key, value=found[key]) for key in sorted(found)]
