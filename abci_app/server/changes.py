"""What the last blocks changed, for whoever follows committed state on the read socket (docs/spec/abci-server.md).

Kept in memory only. What is not kept is said to be cut off, and whoever asked reads all of it anew.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
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
# An answer ends with the block before the one that would go beyond this; of a block that alone does, it is a part.
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

    def __init__(
        self,
        height: int,
        time_s: int,
        *,
        kept_blocks: int = MAX_KEPT_BLOCKS,
        kept_bytes: int = MAX_KEPT_BYTES,
        told_bytes: int = MAX_CHANGED_BYTES,
        held_s: float = HELD_S,
    ) -> None:
        self.height = height
        self._time_s = time_s
        self._kept_blocks = kept_blocks
        self._kept_bytes = kept_bytes
        self._told_bytes = told_bytes
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
        while len(self._blocks) > self._kept_blocks or self._size_bytes > self._kept_bytes:
            gone = self._blocks.popleft()
            self._size_bytes -= gone.size_bytes
            self._since = gone.height
        self.height, self._time_s = height, time.seconds
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def after(
        self,
        height: int,
        index_prefixes: Iterable[bytes],
        leaf_prefixes: Iterable[bytes],
        told: tuple[bytes, bytes] = (b"", b""),
    ) -> pb.StateChanged:
        """What changed after ``height`` under these prefixes, once there is a block; nothing, after a while.

        ``told``: of the first block after ``height``, an answer had the index entries and the leaves up to these keys.
        """
        if height == self.height:
            await self._next_block()
        if height == self.height:
            return pb.StateChanged(height=height, time_seconds=self._time_s)
        return self._changed(height, _apart(index_prefixes), _apart(leaf_prefixes), told)

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

    def _changed(
        self, height: int, index_prefixes: Sequence[bytes], leaf_prefixes: Sequence[bytes], told: tuple[bytes, bytes]
    ) -> pb.StateChanged:
        if not self._since <= height <= self.height:
            return self._cut()
        index: dict[bytes, bytes | None] = {}
        leaves: dict[bytes, bytes | None] = {}
        room = self._told_bytes
        last: _Block | None = None
        for block in self._from(height):
            found = _Found(room, has_to=last is None)
            is_whole = found.take(block.changes, index_prefixes, leaf_prefixes, told)
            if not is_whole and last is None:
                return pb.StateChanged(
                    height=block.height, time_seconds=block.time_s, more=True, is_part=True,
                    index=_entries(found.index), leaves=_entries(found.leaves),
                )  # fmt: skip
            if not is_whole:
                break
            index.update(found.index)
            leaves.update(found.leaves)
            room, last, told = found.room, block, (b"", b"")
        assert last is not None, "there is a block after a height that is kept and is not the last"
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


class _Found:
    """What an answer takes of one block, for which it has ``room``: one entry where it ``has_to``, however large."""

    def __init__(self, room: int, *, has_to: bool) -> None:
        self.room = room
        self._has_to = has_to
        self.index: list[tuple[bytes, bytes | None]] = []
        self.leaves: list[tuple[bytes, bytes | None]] = []

    def take(
        self,
        changes: Changes,
        index_prefixes: Sequence[bytes],
        leaf_prefixes: Sequence[bytes],
        told: tuple[bytes, bytes],
    ) -> bool:
        """Its changes under the prefixes behind what was told, as far as there is room. Whether these are all."""
        return self._fill(self.index, _under(changes.index, index_prefixes, told[0])) and self._fill(
            self.leaves, _under(changes.leaves, leaf_prefixes, told[1])
        )

    def _fill(self, found: list[tuple[bytes, bytes | None]], pairs: Iterable[tuple[bytes, bytes | None]]) -> bool:
        for key, value in pairs:
            self.room -= ENTRY_BYTES + len(key) + len(value or b"")
            if self.room < 0 and not self._has_to:
                return False
            self._has_to = False
            found.append((key, value))
        return True


def _size_bytes(pairs: Pairs) -> int:
    return sum(len(key) + len(value or b"") for key, value in pairs)


def _apart(prefixes: Iterable[bytes]) -> list[bytes]:
    """The same prefixes, ascending, without those that begin with another."""
    apart: list[bytes] = []
    for prefix in sorted(prefixes):
        if not apart or not prefix.startswith(apart[-1]):
            apart.append(prefix)
    return apart


def _under(pairs: Pairs, prefixes: Iterable[bytes], after: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Those of ``pairs``, which are sorted by key, behind ``after``, whose key starts with one of ``prefixes``."""
    begin = bisect_right(pairs, after, key=itemgetter(0)) if after else 0
    for prefix in prefixes:
        for at in range(bisect_left(pairs, prefix, lo=begin, key=itemgetter(0)), len(pairs)):
            if not pairs[at][0].startswith(prefix):
                break
            yield pairs[at]


def _entries(found: dict[bytes, bytes | None] | Pairs) -> list[pb.StateChange]:
    return [pb.StateChange(key=key, value=value) for key, value in sorted(dict(found).items())]
