"""Flows of the client block; calls are answered under asyncio. Threads in between, for what changes something.

Placings and receivings wait for fiduciaries; decisions are few, and a veto is worth nothing once it is late: they have
threads of their own. Of either, one credential has half.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from dta.service.errors import RateLimited

T = TypeVar("T")

BUSY_RETRY_S: Final = 2.0
DECISIONS_AT_ONCE: Final = 16


class _Pool:
    """Threads for so many calls at once; more are refused, and none is queued for ever. For one event loop."""

    def __init__(self, size: int, what: str) -> None:
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=f"serve-{what}")
        self._size = size
        self._of_one = max(1, size // 2)
        self._what = what
        self._at_work = 0
        self._at_work_of: Counter[str] = Counter()

    def start(self, work: Callable[[], T], who: str) -> asyncio.Future[T]:
        """Raises RateLimited."""
        if self._at_work >= self._size:
            raise RateLimited(f"{self._size} {self._what} are at work", BUSY_RETRY_S)
        if self._at_work_of[who] >= self._of_one:
            raise RateLimited(f"{self._of_one} {self._what} of this credential are at work", BUSY_RETRY_S)
        self._at_work += 1
        self._at_work_of[who] += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)

        def ended(future: asyncio.Future[T]) -> None:
            self._at_work -= 1
            self._at_work_of[who] -= 1
            if not self._at_work_of[who]:
                del self._at_work_of[who]
            if not future.cancelled():
                future.exception()  # looked at: who waits gets it, and where nobody does it is no fault of asyncio's

        future.add_done_callback(ended)
        return future

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)


class Jobs:
    """Runs blocking work. ``max_at_work``: how many placings and receivings at once."""

    def __init__(self, max_at_work: int) -> None:
        self._long = _Pool(max_at_work, "placings and receivings")
        self._decisions = _Pool(DECISIONS_AT_ONCE, "decisions")

    def start(self, work: Callable[[], T], who: str, *, decides: bool = False) -> asyncio.Future[T]:
        """Something that waits for fiduciaries, or decides. It goes on when nobody waits for it any more. ``who``: the
        credential. Raises RateLimited."""
        return (self._decisions if decides else self._long).start(work, who)

    def close(self) -> None:
        """Waits for what is at work, and takes no more."""
        self._long.close()
        self._decisions.close()
