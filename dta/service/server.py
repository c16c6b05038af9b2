"""uvicorn around the application: a unix socket for this user alone, or TCP; bounded connections and slow heads cut."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from dta.base.errors import UsageError
from dta.base.home import DIRECTORY_MODE, make_directory
from dta.service.guard import MAX_HEAD_BYTES

MAX_CONNECTIONS: Final = 256
"""So many at once, from the moment they are accepted: those that have not finished a TLS handshake count too."""

HEAD_S: Final = 10.0
"""A request's line and headers arrive within this, from the connection or the answer before."""

HANDSHAKE_S: Final = 10.0
WRITE_S: Final = 10.0
WRITE_BYTES: Final = 65_536
"""Of an answer that is waiting to be sent a peer reads as much, or all, in each ``WRITE_S``: else it is cut."""

IDLE_S: Final = 30
STOP_S: Final = 10
_CREDENTIALS: Final = struct.Struct("3i")


class Connections:
    """All that are open at one listening socket, and which of them wait for a handshake, or for all of a request.

    Where all places are taken, a newcomer has that of the one that has waited longest: who opens many and says nothing,
    or begins and does not end, keeps nobody out. One that is being answered gives way to nobody.
    """

    def __init__(self) -> None:
        self._open: dict[asyncio.Transport, bool] = {}

    def enter(self, transport: asyncio.Transport) -> bool:
        """Whether there is a place for it; it waits then."""
        if len(self._open) >= MAX_CONNECTIONS:
            idle = (one for one, waits in self._open.items() if waits and not one.get_write_buffer_size())
            waiting = next(idle, None)
            if waiting is None:
                return False
            self.leave(waiting)
            waiting.abort()
        self._open[transport] = True
        return True

    def waits(self, transport: asyncio.Transport, waits: bool) -> None:
        """Whether it waits for a request. Who begins to is the last of those who do."""
        if transport in self._open and self._open[transport] != waits:
            del self._open[transport]
            self._open[transport] = waits

    def leave(self, transport: asyncio.Transport) -> None:
        """It is closed; nothing where it was not here."""
        self._open.pop(transport, None)


class _Counted:
    """A transport that knows how much was written to it. All else is the transport's.

    ``raw``: what it writes to, itself where there is no TLS. TLS hands all on to that, and keeps nothing.
    """

    def __init__(self, inner: asyncio.Transport, raw: asyncio.Transport) -> None:
        self._inner = inner
        self._raw = raw
        self.written_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        """As the transport's."""
        self.written_bytes += len(data)
        self._inner.write(data)

    @property
    def sent_bytes(self) -> int:
        """What of it has left."""
        waiting = {one: one.get_write_buffer_size() for one in (self._inner, self._raw)}
        return self.written_bytes - sum(waiting.values())


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with what it leaves open: whose connections, how slowly a head may come, an answer be read."""

    _head: asyncio.TimerHandle | None = None
    _progress: asyncio.TimerHandle | None = None

    def __init__(self, raw: asyncio.Transport, on_waiting: Callable[[bool], None], **given: Any) -> None:
        """``on_waiting`` is told whether the connection, below TLS ``raw``, waits for a request."""
        super().__init__(**given)
        self._raw = raw
        self._on_waiting = on_waiting

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Starts the head's time, and looks from now on whether what is written is read."""
        self._counted = _Counted(transport, self._raw)
        super().connection_made(self._counted)  # type: ignore[arg-type]
        self._await_head()
        self._look_at_progress(0)

    def data_received(self, data: bytes) -> None:
        """As uvicorn's. What begins another head has its time too."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_came()
            self._on_waiting(self._is_waiting())
        elif self._head is None:
            self._await_head()

    def on_response_complete(self) -> None:
        """As uvicorn's. The connection waits from now on, until it is asked again."""
        super().on_response_complete()
        self._on_waiting(self._is_waiting())

    def _is_waiting(self) -> bool:
        """Whether there is nothing to be answered yet: of a request, all of its body is here by then."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's."""
        self._head_came()
        if self._progress is not None:
            self._progress.cancel()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(HEAD_S, self.transport.abort)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _look_at_progress(self, sent_bytes: int, written_bytes: int = 0) -> None:
        """Cuts who has not read enough of what was written before the last look; also of a connection that closes."""
        now_bytes = self._counted.sent_bytes
        if now_bytes < min(written_bytes, sent_bytes + WRITE_BYTES):
            self.transport.abort()
            return
        self._progress = self.loop.call_later(
            WRITE_S, self._look_at_progress, now_bytes, self._counted.written_bytes
        )


class Gate(asyncio.Protocol):
    """What a connection meets first: a place, its peer's user, and the TLS handshake within its time."""

    def __init__(
        self,
        connections: Connections,
        make: Callable[[asyncio.Transport, Callable[[bool], None]], BoundedProtocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._connections = connections
        self._make = make
        self._tls = tls
        self._inner: BoundedProtocol | None = None
        self._shaking: asyncio.Task[None] | None = None
        self._early = b""
        self._is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuses a peer that is not this user, and one too many."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not is_own(transport.get_extra_info("socket")) or not self._connections.enter(transport):
            transport.abort()
            return
        if self._tls is None:
            self._let_in(transport)
        else:
            transport.pause_reading()  # what comes is the handshake's
            self._shaking = asyncio.ensure_future(self._shake_hands(self._tls))

    def _let_in(self, transport: asyncio.Transport) -> None:
        raw = self._transport
        self._inner = self._make(raw, lambda waits: self._connections.waits(raw, waits))
        self._inner.connection_made(transport)
        if self._early:
            self._inner.data_received(self._early)
            self._early = b""

    async def _shake_hands(self, tls: ssl.SSLContext) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                self._transport, self, tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=HANDSHAKE_S,
            )  # fmt: skip
        except OSError:  # TLS's errors are such, and what came too late
            secured = None
        if secured is None or self._is_lost:
            self._transport.abort()
            self._connections.leave(self._transport)
            return
        self._let_in(secured)

    def data_received(self, data: bytes) -> None:
        """The protocol's. What came with the end of a handshake waits for it."""
        if self._inner is not None:
            self._inner.data_received(data)
        else:
            self._early += data

    def eof_received(self) -> None:
        """The protocol's: the connection is closed."""
        if self._inner is not None:
            self._inner.eof_received()

    def pause_writing(self) -> None:
        """The protocol's."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The protocol's."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the place back."""
        self._is_lost = True
        self._connections.leave(self._transport)
        if self._inner is not None:
            self._inner.connection_lost(exc)


def is_own(peer: Any) -> bool:
    """Whether a connection is of this user's, or not over a unix socket (tokens decide there)."""
    if peer is None or peer.family != socket.AF_UNIX:
        return True
    _, user, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return bool(user == os.getuid())


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at ``path``, in a directory of mode 0700. Raises UsageError.

    One that nobody listens at any more is taken away; one that somebody does is a second agent of this home.
    """
    directory = make_directory(path.parent)
    if stat.S_IMODE(directory.stat().st_mode) != DIRECTORY_MODE:
        raise UsageError(f"{directory} is open to others", hint=f"chmod 700 {directory}")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            _refuse_if_listening(path)
            path.unlink()
        before = os.umask(0o177)
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
    except OSError as error:
        made.close()
        raise UsageError(f"can't listen at {path}: {error.strerror or error}", hint="use a shorter --home") from None
    except BaseException:
        made.close()
        raise
    return made


def _refuse_if_listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return
    raise UsageError(f"an agent serves this home already, at {path}", hint="stop it first")


def bind_tcp(host: str, port: int) -> socket.socket:
    """A listening socket. ``port`` 0: any free one. Raises UsageError."""
    try:
        [first, *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        made = socket.socket(first[0], first[1])
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(first[4])
        except BaseException:
            made.close()
            raise
    except OSError as error:
        raise UsageError(f"can't listen on {host}:{port}: {error.strerror}", hint="`listen` in serve.toml") from None
    return made


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with this certificate chain. Raises UsageError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"can't load the certificate or its key: {type(error).__name__}") from None
    return context


def config(app: ASGIApp, tls: ssl.SSLContext | None) -> uvicorn.Config:
    """uvicorn's settings. No proxy's headers are believed here, nothing is logged of a call, no WebSockets."""
    return uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", loop="asyncio", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=IDLE_S, timeout_graceful_shutdown=STOP_S,
        ssl_context_factory=(lambda _, __: tls) if tls is not None else None,
    )  # fmt: skip


class Server(uvicorn.Server):
    """uvicorn's, whose connections come through a :class:`Gate`.

    It raises no signal again when it is done: what is to be closed after it would not be.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which leaves TLS handshakes uncounted and a minute of time."""
        loop, connections = asyncio.get_running_loop(), Connections()

        def make(raw: asyncio.Transport, on_waiting: Callable[[bool], None]) -> BoundedProtocol:
            return BoundedProtocol(
                raw, on_waiting, config=self.config, server_state=self.server_state, app_state={}, _loop=loop
            )

        def gate() -> Gate:
            return Gate(connections, make, self.config.ssl)

        self.servers = [await loop.create_server(gate, sock=one, backlog=self.config.backlog) for one in sockets or ()]
        self.started = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone: :func:`serve` has handlers."""
        yield


async def serve(
    app: ASGIApp, listening: socket.socket, tls: ssl.SSLContext | None, started: Callable[[], None]
) -> None:
    """Serves until the process is told to stop (SIGTERM, SIGINT), gives calls in progress a while, and returns."""
    server = Server(config(app, tls))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    while not server.started and not running.done():
        await asyncio.sleep(0.01)
    if server.started:
        started()
    await running
