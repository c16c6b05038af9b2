"""Flows of the client block; calls are answered under asyncio. Threads in between, for what changes something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from dta.service.errors import RateLimited

T = TypeVar("T")

BUSY_RETRY_S: Final = 2.0


class Jobs:
    """Runs blocking work. ``max_at_work``: how many long ones at once; more are refused, none is queued for ever."""

    def __init__(self, max_at_work: int) -> None:
        self._long = ThreadPoolExecutor(max_at_work, thread_name_prefix="serve-work")
        self._max_at_work = max_at_work
        self._at_work = 0

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Something that waits for fiduciaries. It goes on when nobody waits for it any more. Raises RateLimited."""
        if self._at_work >= self._max_at_work:
            raise RateLimited(f"{self._max_at_work} placings and receivings are at work", BUSY_RETRY_S)
        self._at_work += 1
        future = asyncio.get_running_loop().run_in_executor(self._long, work)
        future.add_done_callback(self._ended)
        return future

    def _ended(self, future: asyncio.Future[T]) -> None:
        self._at_work -= 1
        if not future.cancelled():
            future.exception()  # looked at: whoever waits gets it, and where nobody does it is no fault of asyncio's

    def close(self) -> None:
        """Waits for what is at work, and takes no more."""
        self._long.shutdown(cancel_futures=True)
