"""Calls that only read: their threads, shared out so that nobody's slow looks hold up anybody else's.

A look asks nodes, of which one may be slow: each credential has a few threads, who follows events has some of their
own, and the last are kept for who has none at work. What asks no node runs apart, and waits for none of these.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from dta.service.errors import RateLimited

T = TypeVar("T")

AT_ONCE: Final = 32
OF_ONE: Final = 8
KEPT_FREE: Final = 8
"""So many threads are for whoever has none at work: a few credentials do not take all."""

FOLLOWING: Final = "following"
"""Whose looks those of event streams and webhooks are: one after the other, in their order. No credential's id."""

OF_FOLLOWING: Final = 4
MAX_WAITING: Final = 128
"""So many of one credential wait for a thread, without one; more are refused."""

HERE_AT_ONCE: Final = 4
LOOK_S: Final = 60.0
"""A look that took so long asks nodes nothing more."""

_RETRY_S: Final = 2.0


class Looks:
    """Runs what reads. For one event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="serve-look")
        self._here = ThreadPoolExecutor(HERE_AT_ONCE, thread_name_prefix="serve-here")
        self._at_work: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    async def at_nodes(self, work: Callable[[], T], who: str) -> T:
        """What asks nodes. ``who``: the credential, or :data:`FOLLOWING`. Raises RateLimited, and what it raises."""
        await self._turn(who)
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # Who asked may go away: the thread is at work all the same, until it is done.
        future.add_done_callback(lambda _: self._ended(who))
        return await asyncio.shield(future)

    async def here(self, work: Callable[[], T]) -> T:
        """What asks no node: files of the home, and sums."""
        return await asyncio.get_running_loop().run_in_executor(self._here, work)

    def _may(self, who: str) -> bool:
        mine, free = self._at_work[who], AT_ONCE - self._at_work.total()
        most = OF_FOLLOWING if who == FOLLOWING else OF_ONE
        return free > 0 and mine < most and (mine == 0 or free > KEPT_FREE)

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
            if self._may(who):
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
        for threads in (self._threads, self._here):
            threads.shutdown(cancel_futures=True)
