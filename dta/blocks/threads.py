"""Threads of a block store's own (docs/spec/blocks.md, Stores): what hangs there holds up nobody else's threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREADS: Final = 8
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blocks")  # a process has one store


def begin_in_store(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Begin ``call`` in one of these threads, for whoever does several things with one call."""
    return _threads.submit(call, *args, **kwargs)


async def in_store(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``call``, which asks a store, returns or raises. At most ``THREADS`` run at once, the others wait.

    Cancelled while it waits it is not begun; a call that runs already goes on to its end.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(call, *args, **kwargs))
