"""A deadline over a whole HTTP call. httpx bounds each read by itself: a byte a second keeps a caller for ever.

Blocking calls take :class:`DeadlineTransport`. Under asyncio ``asyncio.timeout`` around the call does the same.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

import httpcore
import httpx

WRITE_BYTES: Final = 16_384
"""What is written at once: httpcore bounds each send of what it is given, not all of them."""


class _Due(threading.local):
    """When the call of this thread is over, by the clock that never goes back."""

    at_s: float = float("inf")

    def left_s(self, timeout_s: float | None, late: type[Exception]) -> float:
        left_s = self.at_s - time.monotonic()
        if left_s <= 0:
            raise late("the call took too long in all")
        return left_s if timeout_s is None else min(timeout_s, left_s)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, due: _Due) -> None:
        self._inner = inner
        self._due = due

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._due.left_s(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_BYTES):
            left_s = self._due.left_s(timeout, httpcore.WriteTimeout)
            self._inner.write(buffer[start : start + WRITE_BYTES], left_s)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left_s = self._due.left_s(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left_s), self._due)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend, due: _Due) -> None:
        self._inner = inner
        self._due = due

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        # Address by address: a timeout of the connection would be for each of a name's, of which there may be many. One
        # that swallows what is sent to it takes its share of what is left, so that the others have theirs.
        try:
            addresses = [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        for place, address in enumerate(addresses[:-1]):
            share_s = self._due.left_s(None, httpcore.ConnectTimeout) / (len(addresses) - place)
            bound_s = share_s if timeout is None else min(timeout, share_s)
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return self._connect(address, port, bound_s, local_address, socket_options)
        return self._connect(addresses[-1], port, timeout, local_address, socket_options)

    def _connect(
        self,
        address: str,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.NetworkStream:
        left_s = self._due.left_s(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(address, port, left_s, local_address, socket_options), self._due)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class DeadlineTransport(httpx.HTTPTransport):
    """httpx's transport, whose calls are over ``deadline_s`` after they began: httpx.TimeoutException then.

    From the connection to the last byte of the answer, each in the thread that asked; one call a thread at a time. What
    the system's resolver takes for a name has its own limit (resolv.conf(5)).
    """

    def __init__(self, deadline_s: float, verify: ssl.SSLContext | bool = True) -> None:
        super().__init__(verify=verify, trust_env=False)
        self._deadline_s = deadline_s
        self._due = _Due()
        # httpx makes its pool itself and passes no backend on.
        self._pool._network_backend = _Backend(self._pool._network_backend, self._due)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx does it; the deadline is counted from here."""
        self._due.at_s = time.monotonic() + self._deadline_s
        return super().handle_request(request)
