"""Which addresses names lead to, looked up again and again, while whoever resolves them may not answer at all.

A resolver that does not answer holds a thread for half a minute. So lookups have threads of their own, in which nothing
else of the door waits, and a name that leads nowhere just now keeps the addresses to which it led.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from dta.http.guard import address_key

THREADS: Final = 4
_log = logging.getLogger(__name__)


class Names:
    """The addresses of some hosts, as whom they are counted (:func:`dta.http.guard.address_key`).

    ``heard`` is called, on the event loop, with all of them whenever something may have changed.
    """

    def __init__(self, heard: Callable[[frozenset[str]], None]) -> None:
        self._heard = heard
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="names")
        self._running: set[str] = set()
        self._found: dict[str, frozenset[str]] = {}

    def look(self, hosts: frozenset[str]) -> None:
        """Look these up, and forget all others. Returns at once; a host whose last lookup still runs has no second."""
        self._found = {host: self._found.get(host, frozenset()) for host in sorted(hosts)}
        self._tell()
        for host in sorted(hosts - self._running):
            self._running.add(host)
            looked = asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host)
            looked.add_done_callback(partial(self._take, host))

    def close(self) -> None:
        """Begin no more lookups; those that run go on to their end, and are heard of by nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _take(self, host: str, looked: asyncio.Future[frozenset[str]]) -> None:
        self._running.discard(host)
        if looked.cancelled():
            return
        error = looked.exception()
        if error is not None:
            _log.warning("the name %s leads nowhere just now: %s", host, error)
        elif host in self._found:
            self._found[host] = looked.result()
            self._tell()

    def _tell(self) -> None:
        self._heard(frozenset().union(*self._found.values()))


def _addresses(host: str) -> frozenset[str]:
    """Raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return frozenset(address_key(str(one[4][0])) for one in found)
