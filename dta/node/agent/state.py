"""Committed state, read over the application's read socket (docs/spec/abci-server.md, The read socket).

Blocking: call it from a thread. A connection reads one snapshot at a time; each pin takes a new one.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import BoundedSemaphore, Lock

from google.protobuf.message import DecodeError

from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from dta.base.errors import Unreachable
from dta.light.wire import uvarint
from dta.node.agent.proving import ProvenView
from dta.node.agent.reads import Reads, SharedView
from dta.node.hooks.tools import Pinned

DEFAULT_TIMEOUT_S = 10.0
PAGE_ENTRIES = 256
AT_ONCE = 64
"""Questions that are sent before their answers are read: as many as the application answers together."""
MAX_CONNECTIONS = 8
"""Of these; each watch has one more (:mod:`dta.node.agent.watch`)."""
IDLE_S = 5.0
MAX_ANSWER_BYTES = 4 << 20  # the application ends an answer at about 1 MiB


class StateUnavailable(Unreachable):
    """The application does not answer as it should, or has committed no block yet. ``data`` has the reason."""

    kind = "state-unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the application's state can't be read: {reason}", hint="see logs/application.log",
            data={"reason": reason},
        )  # fmt: skip


class SocketView:
    """A :class:`abci_app.state.view.StateView` over one connection. For one thread at a time.

    What is asked at once has ``timeout_s`` in all, until the last byte of the last answer.
    """

    def __init__(self, connection: socket.socket, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._due_s = 0.0
        self._buffer = bytearray()
        self.is_broken = False
        """Whether a question had no answer: one that came late would be taken for the next one's."""

    def close(self) -> None:
        """Let the snapshot and the connection go."""
        self.is_broken = True
        self._connection.close()

    def pin(self) -> pb.StatePinned:
        """Take a new snapshot."""
        answer = self._ask(pb.StateRequest(pin=pb.StatePin()))
        if answer.WhichOneof("kind") != "pinned":
            raise unexpected(answer)
        return answer.pinned

    def get(self, key: bytes) -> bytes | None:
        """See :class:`abci_app.state.view.StateView`."""
        return _value_of(self._ask(_asking_for(key, True)))

    def index_get(self, key: bytes) -> bytes | None:
        """See :class:`abci_app.state.view.StateView`."""
        return _value_of(self._ask(_asking_for(key, False)))

    def get_all(
        self, leaves: Iterable[bytes], index: Iterable[bytes]
    ) -> tuple[dict[bytes, bytes | None], dict[bytes, bytes | None]]:
        """See :class:`dta.node.agent.reads.ReadsAhead`."""
        wanted = [(key, True) for key in leaves] + [(key, False) for key in index]
        found: tuple[dict[bytes, bytes | None], dict[bytes, bytes | None]] = ({}, {})
        answers = self._ask_in_parts([_asking_for(key, is_leaf) for key, is_leaf in wanted])
        for (key, is_leaf), answer in zip(wanted, answers, strict=True):
            found[0 if is_leaf else 1][key] = _value_of(answer)
        return found

    def prove(self, key: bytes) -> tuple[bytes | None, bytes]:
        """The leaf at ``key`` by the tree (None: there is none), and the proof of that: not checked here."""
        return self.prove_all([key])[0]

    def prove_all(self, keys: Sequence[bytes]) -> list[tuple[bytes | None, bytes]]:
        """See :class:`dta.node.agent.proving.ProvesMany`."""
        requests = [pb.StateRequest(prove=pb.StateGet(key=key)) for key in keys]
        return [_proof_of(answer) for answer in self._ask_in_parts(requests)]

    def checked(self) -> pb.StateChecked:
        """How far the application's check of its leaves is."""
        answer = self._ask(pb.StateRequest(check=pb.StateCheck()))
        if answer.WhichOneof("kind") != "checked":
            raise unexpected(answer)
        return answer.checked

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`abci_app.state.view.StateView`. Pages are asked for as they are needed."""
        return self._pages("scan", prefix, after, limit)

    def index_scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`abci_app.state.view.StateView`. Pages are asked for as they are needed."""
        return self._pages("index_scan", prefix, after, limit)

    def _pages(self, kind: str, prefix: bytes, after: bytes, limit: int | None) -> Iterator[tuple[bytes, bytes]]:
        left = limit
        while left is None or left > 0:
            page = PAGE_ENTRIES if left is None else min(left, PAGE_ENTRIES)
            request = pb.StateRequest()
            getattr(request, kind).CopyFrom(pb.StateScan(prefix=prefix, after=after, limit=page))
            answer = self._ask(request)
            if answer.WhichOneof("kind") != "entries":
                raise unexpected(answer)
            for entry in answer.entries.entries:
                yield entry.key, entry.value
                after = entry.key
            if left is not None:
                left -= len(answer.entries.entries)
            if not answer.entries.more or not answer.entries.entries:
                return

    def _ask(self, request: pb.StateRequest) -> pb.StateResponse:
        (answer,) = self._ask_all([request])
        return answer

    def _ask_in_parts(self, requests: Sequence[pb.StateRequest]) -> Iterator[pb.StateResponse]:
        """The answers, in order, to any number."""
        for start in range(0, len(requests), AT_ONCE):
            yield from self._ask_all(requests[start : start + AT_ONCE])

    def _ask_all(self, requests: Sequence[pb.StateRequest]) -> list[pb.StateResponse]:
        """The answers, in order. At most ``AT_ONCE``: more might fill both directions, and neither side would read."""
        if self.is_broken:
            raise StateUnavailable("the connection broke")
        messages = [request.SerializeToString() for request in requests]
        self._due_s = time.monotonic() + self._timeout_s
        answers: list[pb.StateResponse] = []
        try:
            self._connection.settimeout(self._timeout_s)
            self._connection.sendall(b"".join(map(framed, messages)))
            answers += [pb.StateResponse.FromString(self._read_frame()) for _ in messages]
        except TimeoutError:
            raise StateUnavailable("no answer in time") from None
        except OSError as error:
            raise StateUnavailable(error.strerror or "the connection broke") from None
        except DecodeError:
            raise StateUnavailable("an answer is malformed") from None
        finally:
            if len(answers) < len(messages):
                self.close()
        return answers

    def _read_frame(self) -> bytes:
        length = AnswerLength(MAX_ANSWER_BYTES)
        while not length.is_known:
            length.take(self._take(1))
        return self._take(length.size_bytes)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            left_s = self._due_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._connection.settimeout(left_s)
            received = self._connection.recv(1 << 16)
            if not received:
                raise StateUnavailable("the application closed the connection")
            self._buffer += received
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


class StateClient:
    """Reads committed state from the socket at ``path``. For several threads at once; never pin inside a pin.

    Connections are used again. At most ``MAX_CONNECTIONS`` are open, the others wait: the application refuses more
    than 16. One that lay idle is closed, for its snapshot keeps old entries in the database alive.
    """

    def __init__(self, path: Path, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._slots = BoundedSemaphore(MAX_CONNECTIONS)
        self._lock = Lock()
        self._idle: list[tuple[float, SocketView]] = []
        self._reads = Reads(0, b"")

    @contextmanager
    def pin(self) -> Iterator[Pinned]:
        """The newest committed state, until the block ends. Raises StateUnavailable."""
        with self._slots:
            view, pinned = self._pinned_view()
            if not pinned.height:
                view.close()
                raise StateUnavailable("there is no block yet")
            try:
                reads = self._reads_of(pinned.height, pinned.app_hash)
                shared = SharedView(view, reads)
                proven = ProvenView(shared, pinned.app_hash, pinned.height, reads.proved)
                yield Pinned(shared, pinned.height, pinned.time_seconds, proven)
            finally:
                self._give_back(view)

    def checked(self) -> pb.StateChecked:
        """See :meth:`SocketView.checked`; also before the first block. Raises StateUnavailable."""
        with self._slots:
            view, _ = self._pinned_view()
            try:
                return view.checked()
            finally:
                self._give_back(view)

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, view in idle:
            view.close()

    def _reads_of(self, height: int, root: bytes) -> Reads:
        """What is known of the newest state; of another one, nothing."""
        with self._lock:
            if not self._reads.is_of(height, root):
                reads = Reads(height, root)
                if height < self._reads.height:  # pinned a moment before the newest
                    return reads
                self._reads = reads
            return self._reads

    def _pinned_view(self) -> tuple[SocketView, pb.StatePinned]:
        with self._lock:
            view = self._idle.pop()[1] if self._idle else None
        if view is not None:
            try:
                return view, view.pin()
            except StateUnavailable:  # the application may have been started again since
                view.close()
        view = self._connect()
        try:
            return view, view.pin()
        except StateUnavailable:
            view.close()
            raise

    def _connect(self) -> SocketView:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._timeout_s)
        try:
            connection.connect(str(self._path))
        except OSError as error:
            connection.close()
            raise StateUnavailable(error.strerror or "no connection") from None
        return SocketView(connection, self._timeout_s)

    def _give_back(self, view: SocketView) -> None:
        if view.is_broken:
            return
        now_s = time.monotonic()
        with self._lock:
            stale = [idle for since_s, idle in self._idle if now_s - since_s > IDLE_S]
            self._idle = [(since_s, idle) for since_s, idle in self._idle if now_s - since_s <= IDLE_S]
            self._idle.append((now_s, view))
        for idle in stale:
            idle.close()


def _asking_for(key: bytes, is_leaf: bool) -> pb.StateRequest:
    asked = pb.StateGet(key=key)
    return pb.StateRequest(get=asked) if is_leaf else pb.StateRequest(index_get=asked)


def _value_of(answer: pb.StateResponse) -> bytes | None:
    if answer.WhichOneof("kind") != "value":
        raise unexpected(answer)
    return answer.value.value if answer.value.HasField("value") else None


def _proof_of(answer: pb.StateResponse) -> tuple[bytes | None, bytes]:
    if answer.WhichOneof("kind") != "proved":
        raise unexpected(answer)
    return (answer.proved.value if answer.proved.HasField("value") else None), answer.proved.proof


def unexpected(answer: pb.StateResponse) -> StateUnavailable:
    """What to raise of an answer of another kind than was asked for."""
    if answer.WhichOneof("kind") == "refusal":
        return StateUnavailable(f"it refused a request: {answer.refusal.message}")
    return StateUnavailable("it answered another question")


def framed(message: bytes) -> bytes:
    """A message with its length before it."""
    return uvarint(len(message)) + message


class AnswerLength:
    """The length before an answer, which comes byte by byte; ``size_bytes`` once it ``is_known``."""

    def __init__(self, most_bytes: int) -> None:
        self.size_bytes = 0
        self.is_known = False
        self._most_bytes = most_bytes
        self._shift = 0

    def take(self, byte: bytes) -> None:
        """The next one. Raises StateUnavailable for an answer that is longer than it may be."""
        self.size_bytes |= (byte[0] & 0x7F) << self._shift
        self._shift += 7
        if self.size_bytes > self._most_bytes or self._shift > 35:
            raise StateUnavailable("an answer is too large")
        self.is_known = byte[0] < 0x80
