"""An HTTP server that no client can hold up: bounded connections, and a deadline for each.

aiohttp bounds lines and headers; it does not bound how long a client takes to send a request or to read the answer.
Here every connection is cut at its deadline, whatever it is doing. While it waits, or sends a request, it holds a place
among those that wait; while it is answered, where there are kinds of requests, one of its kind
(:meth:`GuardedServer.serving`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final, Protocol

from aiohttp import web

from dta.http.places import NOBODY, Places

STOP_S: Final = 3.0
HANDSHAKE_S: Final = 10.0
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class _Connection:
    """``key``: whom it counts for; :data:`NOBODY` for a trusted proxy's. ``places``: those that it waits in."""

    key: str
    transport: asyncio.Transport
    places: Places
    deadline: asyncio.TimerHandle


class NoPlace(Exception):
    """All places for such requests are taken, or all that one address may have (``is_own``)."""

    def __init__(self, is_own: bool) -> None:
        super().__init__(is_own)
        self.is_own = is_own


class GuardedServer(web.Server):
    """aiohttp's low-level server with at most ``max_connections``, ``max_per_address`` of them from one address.

    Each is aborted ``lifetime_s`` after it was made, or came back from :meth:`serving`. Where all are taken, a new one
    takes the place of the oldest of the address that has most (:class:`Places`). Addresses in ``trusted_proxies`` have
    no limit of their own, and lose none. ``reserved`` gives other places for an address that has such. ``cancels``:
    the handler of a request whose connection is lost is cancelled, and gives its place back at once.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        lifetime_s: float,
        max_connections: int,
        max_per_address: int,
        trusted_proxies: frozenset[str],
        reserved: Callable[[str], Places | None] = lambda _: None,
        cancels: bool = False,
    ) -> None:
        # auto_decompress off: a compressed body would be unpacked before anything here could bound it.
        super().__init__(
            handler, handler_cancellation=cancels, keepalive_timeout=lifetime_s, auto_decompress=False, access_log=None
        )
        self._lifetime_s = lifetime_s
        self._places = Places(max_connections, max_per_address)
        self._reserved = reserved
        self._trusted_proxies = trusted_proxies
        self._open: dict[web.RequestHandler, _Connection] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Refuse the connection where there are too many, or set its deadline."""
        super().connection_made(handler, transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        key = NOBODY if not address or address in self._trusted_proxies else address_key(address)
        for places in (self._reserved(key), self._places):
            if places is not None and places.take(handler, key, transport.abort):
                self._open[handler] = _Connection(key, transport, places, self._ends(transport, self._lifetime_s))
                return
        # Not at once: aiohttp takes the end of a connection whose task has not begun for a fault of its own.
        asyncio.get_running_loop().call_soon(transport.abort)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget the connection."""
        connection = self._open.pop(handler, None)
        if connection is not None:
            connection.deadline.cancel()
            connection.places.leave(handler)
        super().connection_lost(handler, exc)

    @contextmanager
    def serving(
        self, request: web.BaseRequest, key: str, choices: Sequence[Places], lifetime_s: float
    ) -> Iterator[None]:
        """Answer the request, to the last byte, in a place of the first of ``choices`` that has one for ``key``.

        The connection holds none of those that wait meanwhile, and is aborted ``lifetime_s`` from now. Raises NoPlace.
        """
        handler = request.protocol
        connection = self._open.get(handler)
        if connection is None:
            raise ConnectionResetError("the connection was cut")
        abort = connection.transport.abort
        taken = next((places for places in choices if places.take(handler, key, abort)), None)
        if taken is None:
            raise NoPlace(is_own=all(places.is_full_for(key) for places in choices))
        connection.places.leave(handler)
        self._until(connection, lifetime_s)
        try:
            yield
        finally:
            taken.leave(handler)
            if handler in self._open:
                self._until(connection, self._lifetime_s)
                if not connection.places.take(handler, connection.key, abort):
                    handler.close()  # what was written goes out, another request is not taken

    def _until(self, connection: _Connection, lifetime_s: float) -> None:
        connection.deadline.cancel()
        connection.deadline = self._ends(connection.transport, lifetime_s)

    @staticmethod
    def _ends(transport: asyncio.Transport, lifetime_s: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(lifetime_s, transport.abort)


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
    """A guarded server that is bound, to the (host, port) of ``address``; at a unix socket to its path and 0."""

    def __init__(self, guarded: GuardedServer, listener: asyncio.Server) -> None:
        self._guarded = guarded
        self._listener = listener
        bound = listener.sockets[0].getsockname()
        self.address: tuple[str, int] = (bound, 0) if isinstance(bound, str) else (bound[0], bound[1])

    async def stop(self) -> None:
        """Stop listening, give requests in progress a few seconds, then cut them. A socket's path goes at once."""
        self._listener.close()
        path, port = self.address
        if not port:
            Path(path).unlink(missing_ok=True)
        await self._guarded.shutdown(timeout=STOP_S)


async def listen(handler: Handler, bounds: Bounds, tls: ssl.SSLContext | None = None) -> Listening:
    """Bind a guarded server, with TLS where there is a context for it. Raises OSError where it can't be."""
    return await bind(guarded_by(handler, bounds), bounds, tls)


async def listen_at(handler: Handler, bounds: Bounds, path: Path, mode: int) -> Listening:
    """The same at a unix socket, of which ``mode`` says who may connect. Raises OSError where it can't be."""
    guarded = guarded_by(handler, bounds)
    loop = asyncio.get_running_loop()
    listener = await loop.create_unix_server(guarded, path, start_serving=False)
    path.chmod(mode)  # before anybody is let in
    await listener.start_serving()
    return Listening(guarded, listener)


def guarded_by(
    handler: Handler,
    bounds: Bounds,
    reserved: Callable[[str], Places | None] = lambda _: None,
    cancels: bool = False,
) -> GuardedServer:
    """A guarded server that bears what ``bounds`` says; :func:`bind` has it listen."""
    return GuardedServer(
        handler,
        lifetime_s=bounds.connection_s,
        max_connections=bounds.max_connections,
        max_per_address=bounds.max_connections_per_address,
        trusted_proxies=bounds.trusted_proxies,
        reserved=reserved,
        cancels=cancels,
    )


async def bind(guarded: GuardedServer, bounds: Bounds, tls: ssl.SSLContext | None = None) -> Listening:
    """Have a guarded server listen. Raises OSError where it can't."""
    loop = asyncio.get_running_loop()
    handshake_s = HANDSHAKE_S if tls is not None else None
    listener = await loop.create_server(
        guarded, bounds.host, bounds.port, ssl=tls, ssl_handshake_timeout=handshake_s, ssl_shutdown_timeout=handshake_s
    )
    return Listening(guarded, listener)


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
