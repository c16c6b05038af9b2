"""What an agent is told of a schedule's blocks: always what the whole state says, whatever breaks in between.

One fiduciary's agent at one node follows what is due and what to pin. It looks now and then, so that it lags; its
connection breaks in the middle of an answer; it is started again; and so is the application, which then has the changes
of no block, or keeps those of a few alone; and what it tells of a block comes whole or in parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from types import TracebackType
from typing import TypeVar

from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.state.indexes import DUE
from dta.node.agent.due import WatchedDue
from dta.node.agent.pinning import PinFollower
from dta.node.agent.pins import INDEX_PREFIXES, LEAF_PREFIXES, WantedPins
from dta.node.agent.state import StateUnavailable
from dta.node.hooks.owed import Planned
from dta.node.hooks.plan import plan
from dta.node.hooks.tools import Pinned
from tests.sim.replica import Replica
from tests.support.committed import told_after

T = TypeVar("T")
KEPT_BYTES = (0, 3_000, 20_000, 1 << 20)
TOLD_BYTES = (200, 256 << 10)
# Two answers that say that what is asked for is not kept, and what is asked for anew.
PIN_STEPS = 4
MOST_BREAKS = 100


class Told:
    """The agent of ``fiduciary`` (32 bytes) at ``node``. Within ``with``: it has an event loop."""

    def __init__(self, rng: Random, node: Replica, fiduciary: bytes) -> None:
        self._rng = rng
        self._node = node
        self._fiduciary = fiduciary
        self.looks = self.breaks = self.restarts = 0
        node.keep_changes(rng.choice(KEPT_BYTES), rng.choice(TOLD_BYTES))
        self._start()

    def __enter__(self) -> Told:
        self._runner = asyncio.Runner()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()

    def look(self) -> str:
        """What is wrong with what it knows; empty where nothing is. Most of the time it does not look at all."""
        if self._rng.random() < 0.5:
            return ""
        if self._rng.random() < 0.1:
            # The application was started again.
            self._node.keep_changes(self._rng.choice(KEPT_BYTES), self._rng.choice(TOLD_BYTES))
        if self._rng.random() < 0.1:
            self._start()
            self.restarts += 1
        self.looks += 1
        return self._runner.run(self._wrong())

    def _start(self) -> None:
        state = _State(self._node)
        due, blocks = (
            _Waits(self, state, index, leaves)
            for index, leaves in (((DUE.under(self._fiduciary),), ()), (INDEX_PREFIXES, LEAF_PREFIXES))
        )
        self._owed = WatchedDue(state, due, self._fiduciary)
        self._wanted = WantedPins()
        self._pins = PinFollower(state, blocks, self._wanted, _NoKeeper(), _NoUploads(), between_s=0.0)  # type: ignore[arg-type]

    async def _wrong(self) -> str:
        node = self._node
        jobs = frozenset(plan(node.view, self._fiduciary, node.time_s, node.height + 1))
        planned = await self._planned()
        if planned != Planned(node.height, node.time_s, jobs):
            return f"an agent at block {node.height} knows other jobs than state has: {planned}"
        for _ in range(PIN_STEPS):
            await self._until_it_holds(self._pins.step)
        whole = WantedPins()
        whole.replace(whole.read(node.view))
        if sorted(self._wanted.cids()) != sorted(whole.cids()):
            return f"an agent at block {node.height} keeps other blocks than state names"
        return ""

    async def _planned(self) -> Planned:
        return await self._until_it_holds(self._owed.now)

    async def _until_it_holds(self, read: Callable[[], Awaitable[T]]) -> T:
        for _ in range(MOST_BREAKS):
            try:
                return await read()
            except StateUnavailable:
                self.breaks += 1
        raise AssertionError("the connection breaks again and again")

    def breaks_now(self) -> bool:
        """Whether the connection breaks at this answer."""
        return self._rng.random() < 0.1


class _State:
    """A node's committed state, as the agent pins it."""

    def __init__(self, node: Replica) -> None:
        self.node = node

    @contextmanager
    def pin(self) -> Iterator[Pinned]:
        view = self.node.view
        yield Pinned(view, self.node.height, self.node.time_s, view)


class _Waits:
    """The application's `wait`, over a connection that breaks."""

    def __init__(self, told: Told, state: _State, index: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        self._told = told
        self._state = state
        self._index, self._leaves = index, leaves

    async def after(self, height: int) -> pb.StateChanged:
        if self._told.breaks_now():
            raise StateUnavailable("the connection broke")
        changed = await told_after(self._state.node.changes, height, self._index, self._leaves)
        if self._told.breaks_now():
            raise StateUnavailable("the connection broke within the answer")
        return changed

    async def close(self) -> None:
        pass


class _NoUploads:
    def named(self, cids: Iterable[str]) -> None:
        pass

    async def look_at_all(self) -> None:
        pass


class _NoKeeper:
    """Pins nothing: what is wanted is compared."""

    def look_at_all(self) -> None:
        pass

    def look_later(self, cids: Sequence[str]) -> None:
        pass
