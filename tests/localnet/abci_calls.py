"""What CometBFT asks of the application of each node of a localnet, noted and held against the grammar of ABCI 2.0.

A proxy stands between the two: it notes each message, then passes on the bytes as they came. The node is the one that
ships; what differs is the address that CometBFT is given. Grammar and proxy have tests of their own:
tests/unit/test_abci_grammar.py and tests/unit/test_abci_calls.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError

from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.framing import FrameBuffer, FrameError
from dta.localnet.network import Network, Plan
from tests.support.abci_grammar import Call, Node, Refused

CONNECTIONS = 4
READ_BYTES = 256 << 10
STARTING_S = 60.0
SHOWN_CALLS = 40


# CometBFT, which asks through the proxy.
_THROUGH_PROXY = """#!/bin/sh
for word in "$@"; do
  shift
  case "$word" in unix://*/run/abci.sock) word="unix://{socket}" ;; esac
  set -- "$@" "$word"
done
exec "{binary}" "$@"
"""


@dataclass
class Watched:
    """One node's calls. ``lives``: those of each life in their order; ``wrong``: what the grammar refused first."""

    lives: list[list[Call]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    grammar: Node = field(default_factory=Node)
    _open: set[tuple[int, int]] = field(default_factory=set)
    _connected: int = 0

    def connect(self) -> tuple[int, int]:
        """(life, number in it) of a connection that begins: CometBFT begins anew where none is left, or all were."""
        if not self._open or self._connected == CONNECTIONS:
            self.lives.append([])
            self._connected = 0
        made = len(self.lives) - 1, self._connected
        self._connected += 1
        self._open.add(made)
        return made

    def disconnect(self, connection: tuple[int, int]) -> None:
        """It has ended."""
        self._open.discard(connection)

    def note(self, life: int, call: Call) -> None:
        """A message, before it is passed on. After the first that is wrong, nothing more is looked at."""
        self.lives[life].append(call)
        if self.wrong:
            return
        try:
            self.grammar.take(life, call)
        except Refused as refused:
            before = "\n".join(f"  {one}" for one in self.lives[life][-SHOWN_CALLS:])
            self.wrong.append(f"life {life}: {refused}; it came after:\n{before}")


class Calls:
    """The proxies of the nodes of ``net``, in a thread of their own. ``close`` ends them."""

    def __init__(self, net: Network) -> None:
        self._net = net
        self._sockets = net.root / "abci"
        self._sockets.mkdir(mode=0o700)
        self._nodes: dict[int, Watched] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def watch(self, node: int) -> None:
        """Let the node's CometBFT ask through a proxy, from its next start on.

        Once more where its configuration was made anew: what it was asked without the proxy nobody has noted.
        """
        if node in self._nodes:
            self._nodes[node].grammar.lose_sight()
        else:
            self._nodes[node] = watched = Watched()
            served = serve(self._sockets / f"{node}.sock", self._net.home(node) / "run" / "abci.sock", watched)
            asyncio.run_coroutine_threadsafe(served, self._loop).result(10.0)
        home, socket = self._net.home(node), self._sockets / f"{node}.sock"
        # The supervisor names the application on the command line, whatever the configuration says.
        binary = self._sockets / f"cometbft-{node}"
        binary.write_text(_THROUGH_PROXY.format(socket=socket, binary=self._net.plan.comet_binary))
        binary.chmod(0o700)
        _set(home / "node.toml", "comet_binary", str(binary))
        _set(home / "cometbft" / "config" / "config.toml", "proxy_app", f"unix://{socket}")

    def of(self, node: int) -> Watched:
        return self._nodes[node]

    def check(self) -> None:
        """Fail where a node was asked what the grammar has not."""
        for node, watched in self._nodes.items():
            assert not watched.wrong, f"node {node}, {watched.wrong[0]}"


def _set(path: Path, name: str, value: str) -> None:
    """One setting of a file in TOML."""
    changed, count = re.subn(rf"^{name} = .*$", f'{name} = "{value}"', path.read_text(), count=1, flags=re.MULTILINE)
    assert count, f"{path} has no {name}"
    path.write_text(changed)


class WatchedNetwork(Network):
    """A localnet of which every call on the application is held against the grammar: ``calls.check``."""

    calls: Calls

    def create(self, plan: Plan, parameters: Sequence[str] = ()) -> None:
        super().create(plan, parameters)
        self.calls = Calls(self)
        for node in self.nodes():
            self.calls.watch(node)

    def join(self) -> int:
        node = super().join()
        self.calls.watch(node)
        return node


async def serve(path: Path, application: Path, watched: Watched) -> asyncio.AbstractServer:
    """Listens at ``path``; each connection goes on to ``application``, and what passes is noted in ``watched``."""

    async def passing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            far_reader, far_writer = await _connected(application)
            life, number = watched.connect()
            note = _noting(watched, life, number)
            try:
                await asyncio.gather(
                    _pass_on(reader, far_writer, note, pb.Request), _pass_on(far_reader, writer, note, pb.Response)
                )
            finally:
                watched.disconnect((life, number))
                far_writer.transport.abort()
        writer.transport.abort()

    return await asyncio.start_unix_server(passing, path)


async def _connected(application: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """CometBFT may be up before the application is."""
    async with asyncio.timeout(STARTING_S):
        while True:
            with contextlib.suppress(OSError):
                return await asyncio.open_unix_connection(application)
            await asyncio.sleep(0.1)


Note = Callable[[pb.Request | pb.Response], None]


def _noting(watched: Watched, life: int, number: int) -> Note:
    return lambda message: watched.note(life, call_of(number, message))


async def _pass_on(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, note: Note, kind: type[pb.Request] | type[pb.Response]
) -> None:
    """Until one end is gone, which ends both. Noted first: what is noted has happened before what it leads to."""
    buffer = FrameBuffer()
    with contextlib.suppress(OSError):
        while content := await source.read(READ_BYTES):
            buffer.feed(content)
            for frame in _frames(buffer):
                note(_parsed(kind, frame))
            sink.write(content)
            await sink.drain()
    sink.transport.abort()


def _frames(buffer: FrameBuffer) -> list[bytes]:
    try:
        return buffer.take(1 << 20)
    except FrameError:
        return [b"\xff"]  # no message: it is noted as one of no kind


def _parsed(kind: type[pb.Request] | type[pb.Response], frame: bytes) -> pb.Request | pb.Response:
    try:
        return kind.FromString(frame)
    except DecodeError:
        return kind()


def call_of(connection: int, message: pb.Request | pb.Response) -> Call:
    """A message as the grammar has it."""
    kind = message.WhichOneof("kind") or "unknown"
    content = getattr(message, kind, None)
    if isinstance(message, pb.Response):
        return Call(connection, kind, is_answer=True, height=getattr(content, "last_block_height", 0))
    height = getattr(content, "initial_height", 0) or getattr(content, "height", 0)
    return Call(connection, kind, height=height, is_recheck=kind == "check_tx" and content.type == _RECHECK)


_RECHECK = pb.CheckTxType.CHECK_TX_TYPE_RECHECK


def requests(calls: Iterable[Call]) -> Counter[str]:
    """How often each kind was asked."""
    return Counter(call.kind for call in calls if not call.is_answer)
