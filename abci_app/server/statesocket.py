"""The read service for the agent: committed state over a unix socket, one database snapshot a connection.

Messages: proto/dta/v1/statesocket.proto, framed as on the ABCI socket. The agent pins, reads what it needs at that
height, and pins again. On a connection of its own it waits for what is committed. Nothing can be written here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from threading import Lock
from typing import Any

from google.protobuf.message import DecodeError

from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.application import TIME_META
from abci_app.server.changes import CommittedChanges
from abci_app.server.connection import Log, Replies
from abci_app.server.convert import decode_time
from abci_app.server.dispatch import FATAL, Die
from abci_app.storage.check import Checked
from abci_app.storage.statedb import MAX_KEY_BYTES, SnapshotView, StateDB, TreeEmpty, VersionUnknown

MAX_REQUEST_BYTES = 4096
MAX_ENTRIES = 256
# An answer ends with the entry that reaches this; ``more`` says that there is a rest.
MAX_ANSWER_BYTES = 1 << 20
MAX_PREFIXES = 16
MAX_PREFIX_BYTES = 64
_SHORT = frozenset({"pin", "get", "index_get", "check"})


class StateReader:
    """Serves one connection: ``answer`` for the frames, ``close`` when the peer is gone."""

    def __init__(
        self,
        database: StateDB,
        committed: CommittedChanges,
        executor: Executor,
        die: Die,
        log: Log,
        checked: Callable[[], Checked] = Checked,
    ) -> None:
        self._database = database
        self._committed = committed
        # What a connection is for, its first request says.
        self._is_for_waits: bool | None = None
        self._checked = checked
        self._executor = executor
        self._die = die
        self._log = log
        self._snapshot: SnapshotView | None = None
        # A connection may be cancelled while its batch still runs in its thread.
        self._in_use = Lock()

    def answer(self, messages: Sequence[bytes]) -> Replies | Awaitable[Replies]:
        """The answers in order. An unreadable request or a fault of ours closes this connection; ``FATAL`` dies.

        What takes microseconds is answered at once, on the event loop: to hand it to a thread would take longer.
        """
        requests, is_readable = _parsed(messages)
        if not is_readable:
            self._log("state socket: closed: a message is not a request")
        if self._take_for_waits(requests) or self._in_use.locked() or not all(map(_is_short, requests)):
            return self._answer_later(requests, is_readable)
        try:
            answers = self._answer_batch(requests)
        except Exception as error:
            return self._failed(error)
        return _replies(answers, is_readable)

    async def _answer_later(self, requests: Sequence[pb.StateRequest], is_readable: bool) -> Replies:
        try:
            if self._is_for_waits:
                answers = [await self._waited(requests)] if len(requests) == 1 else [_NOT_ALONE] * len(requests)
            else:
                loop = asyncio.get_running_loop()
                answers = await loop.run_in_executor(self._executor, self._answer_batch, requests)
        except Exception as error:
            return self._failed(error)
        return _replies(answers, is_readable)

    def _failed(self, error: Exception) -> Replies:
        if isinstance(error, FATAL):
            error.add_note("while reading state for the agent")
            self._die(error)
        self._log(f"state socket: closed: fault of type {type(error).__name__}: {error}")
        return Replies((), close=True)

    def close(self) -> None:
        """Let the snapshot go, once the batch in hand is done."""
        with self._in_use:
            self._release()

    def _release(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _take_for_waits(self, requests: Sequence[pb.StateRequest]) -> bool:
        """Whether this connection is one for waits, where nothing else is answered."""
        if self._is_for_waits is None and requests:
            self._is_for_waits = requests[0].WhichOneof("kind") == "wait"
        return bool(self._is_for_waits)

    async def _waited(self, requests: Sequence[pb.StateRequest]) -> pb.StateResponse:
        """On the event loop, like Commit: nothing that is committed comes between a look and the wait for it."""
        if requests[0].WhichOneof("kind") != "wait":
            return _NOT_ALONE
        request = requests[0].wait
        prefixes = [*request.index_prefixes, *request.leaf_prefixes]
        if not 1 <= len(prefixes) <= MAX_PREFIXES or not all(1 <= len(one) <= MAX_PREFIX_BYTES for one in prefixes):
            return _WRONG_PREFIXES
        told = request.index_after, request.leaves_after
        if max(map(len, told)) > MAX_KEY_BYTES:
            return _LONG_KEY
        return pb.StateResponse(
            changed=await self._committed.after(
                request.after_height, request.index_prefixes, request.leaf_prefixes, told
            )
        )

    def _answer_batch(self, requests: Sequence[pb.StateRequest]) -> list[pb.StateResponse]:
        with self._in_use:
            return [self._answer_one(request) for request in requests]

    def _answer_one(self, request: pb.StateRequest) -> pb.StateResponse:
        kind = request.WhichOneof("kind")
        if kind is None:
            return _refusal(pb.StateRefusal.REASON_MALFORMED, "the request is of no known kind")
        if kind == "wait":
            return _NOT_ALONE
        if kind == "pin":
            return self._pin()
        if kind == "check":
            now = self._checked()
            return pb.StateResponse(
                checked=pb.StateChecked(leaves=now.leaves, passes=now.passes, whole_at_height=now.whole_at_height)
            )
        if self._snapshot is None:
            return _refusal(pb.StateRefusal.REASON_NOT_PINNED, "pin a height first")
        if kind in ("get", "index_get"):
            return self._get(self._snapshot, getattr(request, kind), leaf=kind == "get")
        if kind == "prove":
            return self._prove(self._snapshot, request.prove)
        return self._scan(self._snapshot, getattr(request, kind), leaf=kind == "scan")

    def _pin(self) -> pb.StateResponse:
        self._release()
        self._snapshot = self._database.snapshot()
        height = self._snapshot.height
        pinned = pb.StatePinned(height=height)
        if height:
            time = decode_time(self._snapshot.meta(TIME_META) or b"")
            pinned.app_hash = self._snapshot.app_hash
            pinned.time_seconds = time.seconds
            pinned.time_nanos = time.nanos
        return pb.StateResponse(pinned=pinned)

    @staticmethod
    def _get(snapshot: SnapshotView, request: pb.StateGet, *, leaf: bool) -> pb.StateResponse:
        if not _is_key(request.key):
            return _WRONG_KEY
        value = snapshot.get(request.key) if leaf else snapshot.index_get(request.key)
        return pb.StateResponse(value=pb.StateValue(value=value))

    @staticmethod
    def _prove(snapshot: SnapshotView, request: pb.StateGet) -> pb.StateResponse:
        if not _is_key(request.key):
            return _WRONG_KEY
        try:
            proved = snapshot.prove_newest(request.key)
        except (TreeEmpty, VersionUnknown):  # no leaf, or no block
            return pb.StateResponse(proved=pb.StateProved())
        return pb.StateResponse(proved=pb.StateProved(value=proved.value, proof=proved.proof))

    @staticmethod
    def _scan(snapshot: SnapshotView, request: pb.StateScan, *, leaf: bool) -> pb.StateResponse:
        if not 1 <= request.limit <= MAX_ENTRIES:
            return _refusal(pb.StateRefusal.REASON_MALFORMED, f"a scan's limit is 1 to {MAX_ENTRIES}")
        if max(len(request.prefix), len(request.after)) > MAX_KEY_BYTES:
            return _LONG_KEY
        scan = snapshot.scan if leaf else snapshot.index_scan
        # One more than asked for tells whether there is a rest.
        return pb.StateResponse(entries=_entries(scan(request.prefix, request.after, request.limit + 1), request.limit))


def _parsed(messages: Sequence[bytes]) -> tuple[list[pb.StateRequest], bool]:
    """The requests up to the first message that is none, and whether all are."""
    requests: list[pb.StateRequest] = []
    try:
        for message in messages:
            requests.append(pb.StateRequest.FromString(message))
    except DecodeError:
        return requests, False
    return requests, True


def _is_short(request: pb.StateRequest) -> bool:
    """Whether it takes microseconds, whatever it asks for."""
    return request.WhichOneof("kind") in _SHORT


def _replies(answers: Sequence[pb.StateResponse], is_readable: bool) -> Replies:
    return Replies([answer.SerializeToString() for answer in answers], close=not is_readable)


def _is_key(key: bytes) -> bool:
    return 1 <= len(key) <= MAX_KEY_BYTES


def _entries(found: Iterator[tuple[bytes, bytes]], limit: int) -> pb.StateEntries:
    entries = pb.StateEntries()
    size_bytes = 0
    for key, value in found:
        if len(entries.entries) == limit or size_bytes >= MAX_ANSWER_BYTES:
            entries.more = True
            break
        entries.entries.add(key=key, value=value)
        size_bytes += len(key) + len(value)
    return entries


def _refusal(reason: Any, message: str) -> pb.StateResponse:
    return pb.StateResponse(refusal=pb.StateRefusal(reason=reason, message=message))


_WRONG_KEY = _refusal(pb.StateRefusal.REASON_MALFORMED, f"a key has 1 to {MAX_KEY_BYTES} bytes")
_LONG_KEY = _refusal(pb.StateRefusal.REASON_MALFORMED, f"a key has at most {MAX_KEY_BYTES} bytes")
_WRONG_PREFIXES = _refusal(
    pb.StateRefusal.REASON_MALFORMED,
    f"a wait has 1 to {MAX_PREFIXES} prefixes of 1 to {MAX_PREFIX_BYTES} bytes each",
)
_NOT_ALONE = _refusal(
    pb.StateRefusal.REASON_MALFORMED, "a wait has a connection of its own, and is answered before the next is asked"
)
