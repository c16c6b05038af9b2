"""What is due, from block to block: read whole once, then told what changes (docs/spec/custody.md, The agent)."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Protocol

from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from dta.node.agent.state import StateClient
from dta.node.agent.watch import StateWatch
from dta.node.hooks.owed import Planned
from dta.node.hooks.plan import Job
from dta.node.hooks.tools import Pinned

# A heap may have so many entries more than twice of what there is: what went, or was moved to another time.
_SPARE_ENTRIES = 64


class Reads(Protocol):
    """:class:`dta.node.agent.state.StateClient`."""

    def pin(self) -> AbstractContextManager[Pinned]:
        """The newest committed state. Raises StateUnavailable."""


class Waits(Protocol):
    """:class:`dta.node.agent.watch.StateWatch`."""

    async def after(self, height: int) -> pb.StateChanged:
        """What was committed after ``height``. Raises StateUnavailable."""

    async def close(self) -> None:
        """Let go."""


class DueEntries:
    """The entries of one fiduciary's index, and which are due: the same as :func:`dta.node.hooks.plan.plan` finds.

    What is not due yet waits for its time, then for its height. Time and height only go on. An entry costs a step of a
    heap when it comes and when its time comes, and nothing in between.
    """

    def __init__(self, time_s: int, height: int) -> None:
        self._due: set[Job] = set()
        self._shown: frozenset[Job] | None = None
        self._time_s = time_s
        self._height = height
        self._entries: dict[Job, tuple[int, int]] = {}
        # What went, or has another time by now, is left here until its turn comes.
        self._by_time: list[tuple[int, int, Job]] = []
        self._by_height: list[tuple[int, Job, int]] = []

    @property
    def jobs(self) -> frozenset[Job]:
        """What is due. The same object for as long as it is the same."""
        if self._shown is None:
            self._shown = frozenset(self._due)
        return self._shown

    def put(self, job: Job, from_time_s: int, from_height: int) -> None:
        """There is an entry, or it says something else now."""
        if self._entries.get(job) == (from_time_s, from_height):
            return
        self._entries[job] = from_time_s, from_height
        self._forget(job)
        self._place(job, from_time_s, from_height)
        self._sweep()

    def remove(self, job: Job) -> None:
        """The entry went."""
        self._entries.pop(job, None)
        self._forget(job)
        self._sweep()

    def advance(self, time_s: int, height: int) -> None:
        """The last block's time is ``time_s`` now and the next block's height ``height``."""
        self._time_s, self._height = time_s, height
        while self._by_time and self._by_time[0][0] <= time_s:
            from_time_s, from_height, job = heappop(self._by_time)
            if self._entries.get(job) == (from_time_s, from_height):
                self._place(job, from_time_s, from_height)
        while self._by_height and self._by_height[0][0] <= height:
            from_height, job, from_time_s = heappop(self._by_height)
            if self._entries.get(job) == (from_time_s, from_height):
                self._place(job, from_time_s, from_height)

    @property
    def size(self) -> int:
        """How much is remembered, what went included."""
        return len(self._entries) + len(self._by_time) + len(self._by_height)

    def _place(self, job: Job, from_time_s: int, from_height: int) -> None:
        if from_time_s > self._time_s:
            heappush(self._by_time, (from_time_s, from_height, job))
        elif from_height > self._height:
            heappush(self._by_height, (from_height, job, from_time_s))
        else:
            self._due.add(job)
            self._shown = None

    def _forget(self, job: Job) -> None:
        if job in self._due:
            self._due.discard(job)
            self._shown = None

    def _sweep(self) -> None:
        if len(self._by_time) + len(self._by_height) <= 2 * len(self._entries) + _SPARE_ENTRIES:
            return
        self._by_time = list(dict.fromkeys(one for one in self._by_time if self._entries.get(one[2]) == one[:2]))
        self._by_height = list(
            dict.fromkeys(one for one in self._by_height if self._entries.get(one[1]) == (one[2], one[0]))
        )
        heapify(self._by_time)
        heapify(self._by_height)


class WatchedDue:
    """What ``identity`` (32 bytes) owes: an :class:`dta.node.hooks.owed.Owed`. For one task at a time.

    The index is read whole at the start, after a break of the connection, and where the application does not have the
    changes any more. A call that is cancelled loses nothing but the reading that it was at.
    """

    def __init__(self, state: Reads, watch: Waits, identity: bytes) -> None:
        self._state = state
        self._watch = watch
        self._prefix = DUE.under(identity)
        self._height = 0
        self._time_s = 0
        self._entries: DueEntries | None = None
        self._is_behind = False

    @classmethod
    def at(cls, state: StateClient, socket: Path, identity: bytes) -> WatchedDue:
        """Over the application's read socket."""
        return cls(state, StateWatch(socket, index_prefixes=[DUE.under(identity)]), identity)

    async def now(self) -> Planned:
        """See :class:`dta.node.hooks.owed.Owed`."""
        if self._entries is not None:
            newest = await asyncio.to_thread(self._newest_height)
            if newest < self._height:  # the application has lost what it had
                self._entries = None
            while self._entries is not None and self._height < newest:
                await self._step()
        return await self._plan()

    async def newer(self, height: int) -> Planned:
        """See :class:`dta.node.hooks.owed.Owed`."""
        if self._entries is not None and self._height > height:
            return await self.now()
        planned = await self._plan()
        while planned.height <= height or self._is_behind:
            await self._step()
            planned = await self._plan()
        return planned

    async def close(self) -> None:
        """Let the connection go."""
        await self._watch.close()

    async def _plan(self) -> Planned:
        entries = self._entries
        if entries is None:
            entries = await self._read()
        return Planned(self._height, self._time_s, entries.jobs)

    async def _step(self) -> None:
        """The next answer, taken in whole or, where anything fails, not at all: then all is read anew."""
        try:
            changed = await self._watch.after(self._height)
            if changed.is_cut or changed.time_seconds < self._time_s:
                self._entries = None
            elif self._entries is not None:
                self._take(self._entries, changed)
        except Exception:
            self._entries = None
            raise

    def _take(self, entries: DueEntries, changed: pb.StateChanged) -> None:
        self._height, self._time_s, self._is_behind = changed.height, changed.time_seconds, changed.more
        entries.advance(self._time_s, self._height + 1)
        for one in changed.index:
            if one.HasField("value"):
                _put(entries, one.key, one.value)
            else:
                _, kind, subject = DUE.split(one.key)
                entries.remove(Job(DueKind(kind), subject))

    async def _read(self) -> DueEntries:
        self._height, self._time_s, entries = await asyncio.to_thread(self._scan)
        self._entries, self._is_behind = entries, False
        return entries

    def _scan(self) -> tuple[int, int, DueEntries]:
        with self._state.pin() as now:
            entries = DueEntries(now.time_s, now.height + 1)
            for key, value in now.view.index_scan(self._prefix):
                _put(entries, key, value)
            return now.height, now.time_s, entries

    def _newest_height(self) -> int:
        with self._state.pin() as now:
            return now.height


def _put(entries: DueEntries, key: bytes, value: bytes) -> None:
    entry = due.parse(key, value)
    entries.put(Job(entry.kind, entry.subject), entry.from_time_s, entry.from_height)
