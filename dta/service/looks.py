"""Calls that only read: their threads, shared out so that nobody's slow looks hold up anybody else's.

A look asks nodes, of which one may be slow: each credential has a few threads, and the last are kept for who has none
at work. Who follows events has threads of their own, and so has what asks no node; of those too a credential has a few.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Final, TypeVar

from dta.service.access import calling
from dta.service.errors import RateLimited

T = TypeVar("T")

AT_ONCE: Final = 32
OF_ONE: Final = 8
KEPT_FREE: Final = 8
"""So many threads are for whoever has none at work: a few credentials do not take all."""

FOLLOWING_AT_ONCE: Final = 4
"""For event streams and webhooks: one look after the other, in their order."""

HERE_AT_ONCE: Final = 4
OF_ONE_OF_FEW: Final = 2
KEPT_FREE_OF_FEW: Final = 1
MAX_WAITING: Final = 128
"""So many of one credential wait for a thread, without one; more are refused."""

LOOK_S: Final = 60.0
"""A look that took so long asks nodes nothing more."""

_RETRY_S: Final = 2.0


class _Shared:
    """Threads of which everybody has a share. For one event loop.

    ``of_one``: so many at once for one credential; ``kept_free``: the last, for whoever has none at work.
    """

    def __init__(self, at_once: int, of_one: int, kept_free: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=f"serve-{name}")
        self._at_once = at_once
        self._of_one = of_one
        self._kept_free = kept_free
        self._at_work: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    async def run(self, work: Callable[[], T], who: str) -> T:
        """Raises RateLimited, and what ``work`` raises."""
        await self._turn(who)
        future = asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)
        # Who asked may go away: the thread is at work all the same, until it is done.
        future.add_done_callback(lambda _: self._ended(who))
        return await asyncio.shield(future)

    def _may(self, who: str) -> bool:
        mine, free = self._at_work[who], self._at_once - self._at_work.total()
        return free > 0 and mine < self._of_one and (mine == 0 or free > self._kept_free)

    async def _turn(self, who: str) -> None:
        if sum(other == who for other, _ in self._waiting) >= MAX_WAITING:
            raise RateLimited("too many calls wait for an answer", _RETRY_S)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((who, turn))
        self._next()
        try:
            await turn
        except asyncio.CancelledError:
            if (who, turn) in self._waiting:
                self._waiting.remove((who, turn))
            elif not turn.cancelled():  # it had its turn just now
                self._ended(who)
            raise

    def _next(self) -> None:
        """Gives all that may begin their turn, who came first first."""
        for one in list(self._waiting):
            who, turn = one
            if turn.done():  # who waited went away, and has not run since
                self._waiting.remove(one)
            elif self._may(who):
                self._waiting.remove(one)
                self._at_work[who] += 1
                turn.set_result(None)

    def _ended(self, who: str) -> None:
        self._at_work[who] -= 1
        if not self._at_work[who]:
            del self._at_work[who]
        self._next()

    def close(self) -> None:
        """Waits for what is at work, and takes no more."""
        self._threads.shutdown(cancel_futures=True)


class Looks:
    """Runs what reads. For one event loop. ``who``: the credential."""

    def __init__(self) -> None:
        self.nodes = _Shared(AT_ONCE, OF_ONE, KEPT_FREE, "look")
        self.following = _Shared(FOLLOWING_AT_ONCE, OF_ONE_OF_FEW, KEPT_FREE_OF_FEW, "follow")
        self.own = _Shared(HERE_AT_ONCE, OF_ONE_OF_FEW, KEPT_FREE_OF_FEW, "here")

    async def at_nodes(self, work: Callable[[], T], who: str, *, follows: bool = False) -> T:
        """What asks nodes. ``follows``: for an event stream, or a webhook. Raises RateLimited, and what it raises."""
        return await (self.following if follows else self.nodes).run(work, who)

    async def here(self, work: Callable[[], T]) -> T:
        """What asks no node: files of the home, and sums; for whose call is answered here. Raises as the other."""
        caller = calling()
        return await self.own.run(work, caller.credential.id if caller is not None else "")

    def close(self) -> None:
        """Waits for what is at work, and takes no more."""
        for threads in (self.nodes, self.following, self.own):
            threads.close()
