"""The read service for the agent: committed state over a unix socket, one database snapshot a connection.

Messages: proto/dta/v1/statesocket.proto, framed as on the ABCI socket. The agent pins, reads what it needs at that
height, and pins again. Nothing can be written here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from threading import Lock
from typing import Any

from google.protobuf.message import DecodeError

from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.application import TIME_META
from abci_app.server.connection import Log, Replies
from abci_app.server.convert import decode_time
from abci_app.server.dispatch import FATAL, Die
from abci_app.storage.check import Checked
from abci_app.storage.statedb import MAX_KEY_BYTES, SnapshotView, StateDB, TreeEmpty, VersionUnknown

MAX_REQUEST_BYTES = 4096
MAX_ENTRIES = 256
# An answer ends with the entry that reaches this; ``more`` says that there is a rest.
MAX_ANSWER_BYTES = 1 << 20


class StateReader:
    """Serves one connection: ``answer`` for the frames, ``close`` when the peer is gone."""

    def __init__(
        self, database: StateDB, executor: Executor, die: Die, log: Log, checked: Callable[[], Checked] = Checked
    ) -> None:
        self._database = database
        self._checked = checked
        self._executor = executor
        self._die = die
        self._log = log
        self._snapshot: SnapshotView | None = None
        # A connection may be cancelled while its batch still runs in its thread.
        self._in_use = Lock()

    async def answer(self, messages: Sequence[bytes]) -> Replies:
        """The answers in order. An unreadable request or a fault of ours closes this connection; ``FATAL`` dies."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, self._answer_batch, messages)
        except FATAL as error:
            error.add_note("while reading state for the agent")
            self._die(error)
        except Exception as error:
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

    def _answer_batch(self, messages: Sequence[bytes]) -> Replies:
        with self._in_use:
            return self._answer_in_order(messages)

    def _answer_in_order(self, messages: Sequence[bytes]) -> Replies:
        replies: list[bytes] = []
        for message in messages:
            request = pb.StateRequest()
            try:
                request.ParseFromString(message)
            except DecodeError:
                self._log("state socket: closed: a message is not a request")
                return Replies(replies, close=True)
            replies.append(self._answer_one(request).SerializeToString())
        return Replies(replies)

    def _answer_one(self, request: pb.StateRequest) -> pb.StateResponse:
        kind = request.WhichOneof("kind")
        if kind is None:
            return _refusal(pb.StateRefusal.REASON_MALFORMED, "the request is of no known kind")
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
            return _refusal(pb.StateRefusal.REASON_MALFORMED, f"a key has at most {MAX_KEY_BYTES} bytes")
        scan = snapshot.scan if leaf else snapshot.index_scan
        # One more than asked for tells whether there is a rest.
        return pb.StateResponse(entries=_entries(scan(request.prefix, request.after, request.limit + 1), request.limit))


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
