"""Where the server listens: unix sockets of mode 0600 and TCP on loopback, nothing that another machine reaches."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from abci_app.server.connection import READ_BYTES, Connection, Log, Service
from abci_app.server.intake import UNREAD_BYTES, Intake

# sun_path of Linux, less its closing zero.
MAX_UNIX_PATH_BYTES = 107
BACKLOG = 16

class ListenRefused(Exception):
    """An address can't be listened on. ``reason`` and ``hint`` are sentences for the operator."""

    def __init__(self, address: str, reason: str, hint: str) -> None:
        super().__init__(f"{address}: {reason}")
        self.hint = hint


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system."""

    path: Path


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A literal loopback address; port 0 takes a free one."""

    host: str
    port: int


def parse_address(text: str) -> UnixAddress | TcpAddress:
    """``unix:///path`` or ``tcp://127.0.0.1:26658``. Raises :class:`ListenRefused`."""
    parts = urlsplit(text)
    hint = "use unix:///absolute/path or tcp://127.0.0.1:PORT"
    if parts.scheme == "unix":
        path = Path(parts.netloc + parts.path)
        if not path.is_absolute():
            raise ListenRefused(text, "the path is not absolute", hint)
        if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
            raise ListenRefused(text, f"a unix socket's path has at most {MAX_UNIX_PATH_BYTES} bytes", hint)
        return UnixAddress(path)
    try:
        host, port = parts.hostname or "", parts.port
        loopback = ip_address(host).is_loopback
    except ValueError:
        raise ListenRefused(text, "it is no address", hint) from None
    if parts.scheme != "tcp" or port is None:
        raise ListenRefused(text, "it is no address", hint)
    if not loopback:
        raise ListenRefused(text, "ABCI has no authentication: only a loopback address is served", hint)
    return TcpAddress(host, port)


def bind(address: UnixAddress | TcpAddress) -> socket.socket:
    """A listening socket. A unix socket that nobody answers on is replaced. Raises :class:`ListenRefused`."""
    try:
        if isinstance(address, UnixAddress):
            return _bind_unix(address.path)
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except OSError as error:
        where = str(address.path) if isinstance(address, UnixAddress) else f"{address.host}:{address.port}"
        hint = "is another application running on this address?"
        raise ListenRefused(where, error.strerror or str(error), hint) from error


def _bind_unix(path: Path) -> socket.socket:
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listening.bind(str(path))
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(previous)
    return listening


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


class _Refused(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Listener:
    """Accepts connections on one socket, at most ``max_connections`` at a time, and serves each by ``serve()``.

    With an ``intake``, they are read from while the event loop is busy too.
    """

    def __init__(
        self,
        listening: socket.socket,
        serve: Callable[[], Service],
        *,
        name: str,
        max_frame_bytes: int,
        max_connections: int,
        log: Log,
        intake: Intake | None = None,
    ) -> None:
        self._listening = listening
        self._path = listening.getsockname() if listening.family == socket.AF_UNIX else None
        self._serve = serve
        self._name = name
        self._max_frame_bytes = max_frame_bytes
        self._max_connections = max_connections
        self._log = log
        self._intake = intake
        # Each open connection, and what is set when it is over.
        self._open: dict[Connection, asyncio.Event] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to accept."""
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=self._listening)

    async def stop(self) -> None:
        """Accept no more, drop the connections, remove the unix socket."""
        if self._server is not None:
            self._server.close()
        ends = list(self._open.values())
        for connection in list(self._open):
            connection.drop()
        for end in ends:
            await end.wait()
        if self._path is not None:
            Path(self._path).unlink(missing_ok=True)
        self._listening.close()

    def _accept(self) -> asyncio.Protocol:
        if len(self._open) >= self._max_connections:
            self._log(f"{self._name}: refused: {self._max_connections} connections are open")
            return _Refused()
        connection = Connection(
            self._serve(), max_frame_bytes=self._max_frame_bytes, log=self._log, name=self._name,
            unread_bytes=READ_BYTES if self._intake is None else UNREAD_BYTES, on_end=self._forget,
        )  # fmt: skip
        self._open[connection] = asyncio.Event()
        if self._intake is not None:
            self._intake.add(connection)
        return connection

    def _forget(self, connection: Connection) -> None:
        if self._intake is not None:
            self._intake.remove(connection)
        self._open.pop(connection).set()
