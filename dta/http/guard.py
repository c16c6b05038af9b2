"""An HTTP server that no client can hold up: bounded connections, and a deadline for each.

aiohttp bounds lines and headers; it does not bound how long a client takes to send a request or to read the answer.
Here every connection carries one request and is cut at its deadline, whatever it is doing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final, Protocol

from aiohttp import web

STOP_S: Final = 3.0
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Connection:
    """``key``: whom it counts for; empty for a trusted proxy's."""

    key: str
    transport: asyncio.Transport
    deadline: asyncio.TimerHandle


class GuardedServer(web.Server):
    """aiohttp's low-level server with at most ``max_connections``, ``max_per_address`` of them from one address.

    Each is aborted ``lifetime_s`` after it was made. Where all are taken, a new one takes the place of the oldest of
    the address that has most, if that is more than the newcomer's would be: so a few addresses, each within its bound,
    shut nobody out. Addresses in ``trusted_proxies`` have no limit of their own, and lose none.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        lifetime_s: float,
        max_connections: int,
        max_per_address: int,
        trusted_proxies: frozenset[str],
    ) -> None:
        # auto_decompress off: a compressed body would be unpacked before anything here could bound it.
        super().__init__(handler, keepalive_timeout=lifetime_s, auto_decompress=False, access_log=None)
        self._lifetime_s = lifetime_s
        self._max_connections = max_connections
        self._max_per_address = max_per_address
        self._trusted_proxies = trusted_proxies
        self._open: dict[web.RequestHandler, _Connection] = {}
        self._per_address: Counter[str] = Counter()

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Refuse the connection where there are too many, or set its deadline."""
        super().connection_made(handler, transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        key = "" if address in self._trusted_proxies else address_key(address)
        has_own = not key or self._per_address[key] < self._max_per_address
        if not has_own or (len(self._open) >= self._max_connections and not self._make_room(key)):
            # Not at once: aiohttp takes the end of a connection whose task has not begun for a fault of its own.
            asyncio.get_running_loop().call_soon(transport.abort)
            return
        deadline = asyncio.get_running_loop().call_later(self._lifetime_s, transport.abort)
        self._open[handler] = _Connection(key, transport, deadline)
        self._per_address[key] += 1

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget the connection."""
        self._forget(handler)
        super().connection_lost(handler, exc)

    def _make_room(self, key: str) -> bool:
        """Abort a connection of whoever has most, unless ``key`` would then have as many."""
        counts = [(count, address) for address, count in self._per_address.items() if address]
        most, heaviest = max(counts, default=(0, ""))
        if most <= self._per_address[key] + 1:
            return False
        handler = next(handler for handler, connection in self._open.items() if connection.key == heaviest)
        self._open[handler].transport.abort()
        self._forget(handler)
        return True

    def _forget(self, handler: web.RequestHandler) -> None:
        connection = self._open.pop(handler, None)
        if connection is None:
            return
        connection.deadline.cancel()
        self._per_address[connection.key] -= 1
        if not self._per_address[connection.key]:
            del self._per_address[connection.key]


class Bounds(Protocol):
    """Where a server listens and what it bears, of its configuration. ``port`` 0: any free one."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def connection_s(self) -> float: ...
    @property
    def max_connections(self) -> int: ...
    @property
    def max_connections_per_address(self) -> int: ...
    @property
    def trusted_proxies(self) -> frozenset[str]: ...


class Listening:
    """A guarded server that is bound, to the (host, port) of ``address``."""

    def __init__(self, guarded: GuardedServer, listener: asyncio.Server) -> None:
        self._guarded = guarded
        self._listener = listener
        host, port = listener.sockets[0].getsockname()[:2]
        self.address: tuple[str, int] = (host, port)

    async def stop(self) -> None:
        """Stop listening, give requests in progress a few seconds, then cut them."""
        self._listener.close()
        await self._guarded.shutdown(timeout=STOP_S)


async def listen(handler: Handler, bounds: Bounds, tls: ssl.SSLContext | None = None) -> Listening:
    """Bind a guarded server, with TLS where there is a context for it. Raises OSError where it can't be."""
    guarded = GuardedServer(
        handler,
        lifetime_s=bounds.connection_s,
        max_connections=bounds.max_connections,
        max_per_address=bounds.max_connections_per_address,
        trusted_proxies=bounds.trusted_proxies,
    )
    loop = asyncio.get_running_loop()
    return Listening(guarded, await loop.create_server(guarded, bounds.host, bounds.port, ssl=tls))


def address_key(address: str) -> str:
    """Whom an address is counted as: an IPv6 network of 64 bits is one customer. What is no address is itself."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)


def client_address(request: web.BaseRequest, trusted_proxies: frozenset[str]) -> str:
    """Who asks: the connection's address or, where that is a trusted proxy, whom the proxy says it serves.

    Only the last entry of ``X-Forwarded-For`` counts: the proxy wrote it, anybody can write those before it.
    """
    remote = request.remote or ""
    if remote in trusted_proxies:
        forwarded = request.headers.getall("X-Forwarded-For", [])
        if forwarded:
            return address_key(forwarded[-1].rpartition(",")[2].strip())
    return address_key(remote)
