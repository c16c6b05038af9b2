"""What an agent is told of a schedule's blocks: always what the whole state says, whatever breaks in between.

One fiduciary's agent at one node follows what is due, as its runner does, and what to pin. It looks now and then, so
that it lags, in one schedule of twenty by more blocks than an answer is for; what it is told comes whole or in parts;
between two of them, or two answers, its connection breaks or it is started again; and so is the application, which then
has the changes of no block, or keeps those of a few alone. What it knows to be due it answers (tests/sim/answering.py).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from types import TracebackType
from typing import TypeVar

from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.changes import MAX_BLOCKS_AT_ONCE, MAX_CHANGED_BYTES, MAX_KEPT_BLOCKS, MAX_KEPT_BYTES
from abci_app.state.indexes import DUE
from dta.node.agent.due import WatchedDue
from dta.node.agent.pinning import PinFollower
from dta.node.agent.pins import INDEX_PREFIXES, LEAF_PREFIXES, WantedPins
from dta.node.agent.state import StateUnavailable
from dta.node.hooks.owed import Planned
from dta.node.hooks.plan import plan
from dta.node.hooks.tools import Pinned
from tests.sim.answering import Answering, Says
from tests.sim.replica import Replica
from tests.support.actors import Actor
from tests.support.committed import told_after

T = TypeVar("T")
# Of what the application keeps: bytes, and blocks.
KEPT_BYTES = (0, 20_000, 1 << 20, 1 << 20)
KEPT_BLOCKS = (2, *[MAX_KEPT_BLOCKS] * 3)
TOLD_BYTES = (100, 200, MAX_CHANGED_BYTES)
# Where the agent is left behind by many blocks, two in three times all of them are kept: they come in several answers.
KEPT_WHILE_UNHEARD = (
    (MAX_KEPT_BYTES, MAX_CHANGED_BYTES, MAX_KEPT_BLOCKS), (MAX_KEPT_BYTES, 200, MAX_KEPT_BLOCKS),
    (MAX_KEPT_BYTES, 200, MAX_BLOCKS_AT_ONCE),
)  # fmt: skip
MOST_BREAKS = 100
MOST_ANSWERS = 5_000


class Told:
    """The agent of ``fiduciary`` at the first of ``nodes``. Within ``with``: it has an event loop.

    What it knows to be due it answers (:mod:`tests.sim.answering`), by what ``says`` what a result says.

    ``counts``: how often it looked, how often it took the ``newer`` plan, its connection broke, that ``within`` what
    belongs together, it was started again, also ``within``, and what was said: parts, that there is more, that it is
    cut. ``unheard``: so many blocks in a row it is told of together, once they are over.
    """

    def __init__(self, rng: Random, nodes: list[Replica], gid: bytes, fiduciary: Actor, says: Says) -> None:
        self._rng = rng
        self.node = nodes[0]
        self.fiduciary = fiduciary.identity
        self.counts: Counter[str] = Counter()
        self.answering = Answering(rng, nodes, gid, fiduciary, _State(self.node), says, self.counts)
        self.unheard = rng.randint(MAX_BLOCKS_AT_ONCE + 1, 80) if rng.random() < 0.05 else 0
        self.node.keep_changes(rng.choice(KEPT_BYTES), rng.choice(TOLD_BYTES), rng.choice(KEPT_BLOCKS))
        self._start()

    def __enter__(self) -> Told:
        self._runner = asyncio.Runner()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()
        self.answering.close()

    def look(self) -> str:
        """What is wrong with what it knows; empty where nothing is. Most of the time it does not look at all."""
        if self._rng.random() < 0.5:
            return ""
        if self._rng.random() < 0.1:
            # The application was started again.
            self.node.keep_changes(
                self._rng.choice(KEPT_BYTES), self._rng.choice(TOLD_BYTES), self._rng.choice(KEPT_BLOCKS)
            )
        if self._rng.random() < 0.1:
            self._start()
            self.counts["started again"] += 1
        return self.look_now()

    def look_now(self, *, dies: bool = True) -> str:
        """What is wrong with what it knows; empty where nothing is: then it answers what is due.

        ``dies``: its process is killed meanwhile, now and then.
        """
        self.counts["looks"] += 1
        wrong = self._runner.run(self._wrong())
        if not wrong and self._known is not None and not self._runner.run(self.answering.act(self._known, dies=dies)):
            self._start()
        return wrong

    def hears_nothing(self) -> str:
        """From here on many blocks pass until it looks again. What is wrong with what it knows so far."""
        wrong = self.look_now()
        self.node.keep_changes(*self._rng.choice(KEPT_WHILE_UNHEARD))
        return wrong

    def happens(self, part: float) -> bool:
        """By this schedule's chance, and by none of its transactions'."""
        return self._rng.random() < part

    def _start(self) -> None:
        state = _State(self.node)
        due, blocks = (
            Waits(self, state, index, leaves)
            for index, leaves in (((DUE.under(self.fiduciary),), ()), (INDEX_PREFIXES, LEAF_PREFIXES))
        )
        self._known: Planned | None = None
        self.answering.start()
        self._owed = WatchedDue(state, due, self.fiduciary)
        self._wanted = WantedPins()
        self._pins = PinFollower(state, blocks, self._wanted, _NoKeeper(), _NoUploads(), between_s=0.0)  # type: ignore[arg-type]

    async def _wrong(self) -> str:
        node = self.node
        self._answers_left = MOST_ANSWERS
        jobs = frozenset(plan(node.view, self.fiduciary, node.time_s, node.height + 1))
        planned = self._known = await self._until_it_holds(self._plan)
        if planned != Planned(node.height, node.time_s, jobs):
            return f"an agent at block {node.height} knows other jobs than state has: {planned}"
        await self._until_it_holds(self._follow_pins)
        whole = WantedPins()
        whole.replace(whole.read(node.view))
        if sorted(self._wanted.cids()) != sorted(whole.cids()):
            return f"an agent at block {node.height} keeps other blocks than state names"
        return ""

    async def _plan(self) -> Planned:
        """As the runner takes it: the next after the one that it has, all of it where it has none. Now and then all."""
        known = self._known
        if known is None or known.height == self.node.height or self.happens(0.3):
            return await self._owed.now()
        self.counts["newer"] += 1
        return await self._owed.newer(known.height)

    async def _follow_pins(self) -> None:
        await self._pins.step()
        while not self._pins.knows(self.node.height):
            await self._pins.step()

    async def _until_it_holds(self, read: Callable[[], Awaitable[T]]) -> T:
        for _ in range(MOST_BREAKS):
            try:
                return await read()
            except StateUnavailable:
                self.counts["breaks"] += 1
                if self.happens(0.3):
                    self._start()
                    self.counts["started again within"] += 1
                elif self.happens(0.5):  # the runner has no plan then
                    self._known = None
        raise AssertionError("the connection breaks again and again")

    def breaks_after(self, goes_on: bool) -> int:
        """After so many more answers the connection breaks: seldom at once, or after one or a few; more often where
        there is more to come."""
        return self._rng.choices([0, 1, 2, 3, MOST_ANSWERS], [30, 10, 10, 10, 40] if goes_on else [8, 4, 4, 4, 80])[0]

    def heard(self, changed: pb.StateChanged) -> None:
        """It was told this. Raises AssertionError where it is told for ever."""
        self._answers_left -= 1
        if not self._answers_left:
            raise AssertionError(f"an agent never comes to block {self.node.height}")
        for what, is_so in (("parts", changed.is_part), ("more", changed.more), ("cuts", changed.is_cut)):
            self.counts[what] += is_so


class _State:
    """A node's committed state, as the agent pins it."""

    def __init__(self, node: Replica) -> None:
        self.node = node

    @contextmanager
    def pin(self) -> Iterator[Pinned]:
        view = self.node.view
        yield Pinned(view, self.node.height, self.node.time_s, view)


class Waits:
    """The application's `wait`, over a connection that breaks: before an answer, after it, between two parts."""

    def __init__(self, told: Told, state: _State, index: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        self._told = told
        self._state = state
        self._index, self._leaves = index, leaves
        self._goes_on = False

    async def after(self, height: int) -> pb.StateChanged:
        left = self._told.breaks_after(self._goes_on)

        def heard(answer: pb.StateChanged) -> None:
            nonlocal left
            self._told.heard(answer)
            self._goes_on, left = answer.more, left - 1
            if not left:
                self._break()

        if not left:
            self._break()
        return await told_after(self._state.node.changes, height, self._index, self._leaves, heard)

    def _break(self) -> None:
        # Between two parts of a block, or two answers of which the first says that there is more.
        self._told.counts["breaks within"] += self._goes_on
        self._goes_on = False
        raise StateUnavailable("the connection broke")

    async def close(self) -> None:
        pass


class _NoUploads:
    def named(self, cids: Iterable[str]) -> None:
        pass

    async def look_at_all(self) -> None:
        pass


class _NoKeeper:
    """Pins nothing: what is wanted is compared."""

    is_whole = True

    def look_at_all(self) -> None:
        pass

    def look_later(self, cids: Sequence[str]) -> None:
        pass
