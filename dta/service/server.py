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

MAX_CONNECTIONS: Final = 256
HEAD_S: Final = 10.0
"""A request's line and headers arrive within this, from the connection or the answer before."""

MAX_HEAD_BYTES: Final = 65_536
IDLE_S: Final = 30
STOP_S: Final = 10
_CREDENTIALS: Final = struct.Struct("3i")


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with what it leaves open: how many connections, whose, and how slowly a head may come."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Refuses a peer that is not this user, and one too many; starts the head's time."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS or not is_own(transport.get_extra_info("socket")):
            transport.abort()
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """As uvicorn's. What begins another head has its time too."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_came()
        elif self._head is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's."""
        self._head_came()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(HEAD_S, self.transport.abort)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


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
        app, http=BoundedProtocol, ws="none", lifespan="off", loop="asyncio", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=IDLE_S, timeout_graceful_shutdown=STOP_S,
        ssl_context_factory=(lambda _, __: tls) if tls is not None else None,
    )  # fmt: skip


class _Server(uvicorn.Server):
    """uvicorn's, but that it raises no signal again when it is done: what is to be closed after it would not be."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone: :func:`serve` has handlers."""
        yield


async def serve(
    app: ASGIApp, listening: socket.socket, tls: ssl.SSLContext | None, started: Callable[[], None]
) -> None:
    """Serves until the process is told to stop (SIGTERM, SIGINT), gives calls in progress a while, and returns."""
    server = _Server(config(app, tls))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    while not server.started and not running.done():
        await asyncio.sleep(0.01)
    if server.started:
        started()
    await running
