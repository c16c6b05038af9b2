"""From a request's bytes to its answer's: which method, in which thread, and what an exception means.

CometBFT does not say which of its four connections is which, so a request is served by its kind. What orders the
ledger (consensus and mempool) runs on the event loop, one request at a time. A query runs in a worker thread, from
a database snapshot. Answers keep the order of their connection's requests.

What ends the process, and why, is listed in docs/spec/abci-server.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from itertools import groupby
from traceback import extract_tb
from typing import Any, Final, NoReturn, Protocol

from google.protobuf.message import DecodeError

from abci_app.execution import guard
from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.connection import Log, Replies
from abci_app.server.framing import encode_varint, frame

CODESPACE = "dta"
# Turning one of the first three into an answer would make this node's result depend on its memory, its stack or its
# disk, and so fork it from the others; the last two say that this binary must not go on.
FATAL: tuple[type[Exception], ...] = guard.FATAL
THREADED = frozenset({"query"})
# A fault is reported once a place: whoever finds one must not be able to fill the log with it.
MAX_REPORTED_FAULTS = 256

# Each kind's tag in a Response: its number and that it has a length before it.
_TAGS = {
    field.name: encode_varint(field.number << 3 | 2) for field in pb.Response.DESCRIPTOR.oneofs_by_name["kind"].fields
}

Die = Callable[[BaseException], NoReturn]


class AbciRefused(Exception):
    """The request does not fit this application or its state, and nothing was done.

    Answered with ABCI's exception, at which CometBFT stops and prints the text.
    """


class Methods(Protocol):
    """What the dispatcher calls: one method for each kind of request that needs the state machine."""

    def info(self, request: pb.InfoRequest) -> pb.InfoResponse: ...
    def init_chain(self, request: pb.InitChainRequest) -> pb.InitChainResponse: ...
    def query(self, request: pb.QueryRequest) -> pb.QueryResponse: ...
    def check_tx(self, request: pb.CheckTxRequest) -> pb.CheckTxResponse: ...
    def commit(self, request: pb.CommitRequest) -> pb.CommitResponse: ...
    def prepare_proposal(self, request: pb.PrepareProposalRequest) -> pb.PrepareProposalResponse: ...
    def process_proposal(self, request: pb.ProcessProposalRequest) -> pb.ProcessProposalResponse: ...
    def finalize_block(self, request: pb.FinalizeBlockRequest) -> pb.FinalizeBlockResponse: ...


class Dispatcher:
    """Answers batches of encoded requests. One for the process; its :meth:`answer` serves every connection.

    ``internal_code`` is the result code of a fault of our own. ``die`` ends the process and does not return.
    """

    def __init__(
        self,
        methods: Methods,
        *,
        internal_code: int,
        executor: Executor,
        die: Die,
        log: Log,
    ) -> None:
        self._executor = executor
        self._die = die
        self._log = log
        self._reported: set[tuple[str, str, str, int | None]] = set()
        self._methods: dict[str, Callable[[Any], Any]] = {
            "info": methods.info,
            "init_chain": methods.init_chain,
            "query": methods.query,
            "check_tx": methods.check_tx,
            "commit": methods.commit,
            "prepare_proposal": methods.prepare_proposal,
            "process_proposal": methods.process_proposal,
            "finalize_block": methods.finalize_block,
            **_FIXED,
            "insert_tx": lambda _: pb.InsertTxResponse(code=internal_code),
        }
        # What is answered when a method raised something ordinary. A kind that is not here ends the process: to
        # answer anything would be to invent a part of the ledger.
        self._after_fault: dict[str, Callable[[], Any]] = {
            "check_tx": lambda: pb.CheckTxResponse(code=internal_code, codespace=CODESPACE, log="internal fault"),
            "query": lambda: pb.QueryResponse(code=internal_code, codespace=CODESPACE, log="internal fault"),
            "prepare_proposal": pb.PrepareProposalResponse,
            "process_proposal": lambda: pb.ProcessProposalResponse(status=pb.ProcessProposalResponse.STATUS_REJECT),
        }

    def answer(self, messages: Sequence[bytes]) -> Replies | Awaitable[Replies]:
        """The answers to ``messages``, in order; to be awaited where a query is among them.

        Raises nothing: what is not survived ends in ``die``.
        """
        requests, unreadable = _parse(messages)
        if any(kind in THREADED for kind, _ in requests):
            return self._answer_in_turns(requests, unreadable)
        return self._replies(self._answer_batch(requests), unreadable)

    async def _answer_in_turns(self, requests: Sequence[tuple[str, Any]], unreadable: str | None) -> Replies:
        replies: list[bytes] = []
        for threaded, run in groupby(requests, lambda item: item[0] in THREADED):
            batch = list(run)
            if threaded:
                loop = asyncio.get_running_loop()
                replies += await loop.run_in_executor(self._executor, self._answer_batch, batch)
            else:
                replies += self._answer_batch(batch)
        return self._replies(replies, unreadable)

    def _replies(self, replies: list[bytes], unreadable: str | None) -> Replies:
        if unreadable is not None:
            self._log(f"abci: closed: {unreadable}")
            replies.append(_exception(unreadable))
        return Replies(replies, close=unreadable is not None)

    def _answer_batch(self, requests: Sequence[tuple[str, Any]]) -> list[bytes]:
        return [self._answer_one(kind, request) for kind, request in requests]

    def _answer_one(self, kind: str, request: Any) -> bytes:
        if kind == "flush":
            return _FLUSHED
        try:
            return _encode(kind, self._methods[kind](request))
        except AbciRefused as refusal:
            self._log(f"abci: {kind} refused: {refusal}")
            return _exception(str(refusal))
        except FATAL as error:
            self._end(kind, error)
        except Exception as error:
            if kind not in self._after_fault:
                self._end(kind, error)
            self._report(kind, error)
            return _encode(kind, self._after_fault[kind]())

    def _end(self, kind: str, error: Exception) -> NoReturn:
        error.add_note(f"while answering {kind}")
        self._die(error)

    def _report(self, kind: str, error: Exception) -> None:
        last = extract_tb(error.__traceback__)[-1]
        place = (kind, type(error).__name__, last.filename, last.lineno)
        if place in self._reported or len(self._reported) >= MAX_REPORTED_FAULTS:
            return
        self._reported.add(place)
        self._log(f"abci: fault in {kind}: {place[1]} at {last.filename}:{last.lineno}; answered with a code")


# Kinds that are answered without the state machine. There are no snapshots and no vote extensions: an extension is
# made before the decision, so nothing may ride on it.
_FIXED: dict[str, Callable[[Any], Any]] = {
    "echo": lambda request: pb.EchoResponse(message=request.message),
    "reap_txs": lambda _: pb.ReapTxsResponse(),
    "list_snapshots": lambda _: pb.ListSnapshotsResponse(),
    "load_snapshot_chunk": lambda _: pb.LoadSnapshotChunkResponse(),
    "offer_snapshot": lambda _: pb.OfferSnapshotResponse(result=pb.OfferSnapshotResponse.RESULT_REJECT),
    "apply_snapshot_chunk": lambda _: pb.ApplySnapshotChunkResponse(
        result=pb.ApplySnapshotChunkResponse.RESULT_REJECT_SNAPSHOT
    ),
    "extend_vote": lambda _: pb.ExtendVoteResponse(),
    "verify_vote_extension": lambda request: pb.VerifyVoteExtensionResponse(
        status=(
            pb.VerifyVoteExtensionResponse.STATUS_REJECT
            if request.vote_extension
            else pb.VerifyVoteExtensionResponse.STATUS_ACCEPT
        )
    ),
}


_FLUSH: Final = pb.Request(flush=pb.FlushRequest()).SerializeToString()


def _parse(messages: Sequence[bytes]) -> tuple[list[tuple[str, Any]], str | None]:
    """(kind, request) of each readable message, and what was wrong with the first that is not one."""
    requests: list[tuple[str, Any]] = []
    for message in messages:
        if message == _FLUSH:  # there is one for each few of the others
            requests.append(("flush", None))
            continue
        request = pb.Request()
        try:
            request.ParseFromString(message)
        except DecodeError:
            return requests, "a message is not an ABCI request"
        kind: str | None = request.WhichOneof("kind")
        if kind is None:
            return requests, "a request is of no kind that ABCI 2.0 has"
        requests.append((kind, getattr(request, kind)))
    return requests, None


def _encode(kind: str, response: Any) -> bytes:
    """``response`` as the field ``kind`` of a Response, without copying it into one: a block's results are long."""
    encoded: bytes = response.SerializeToString()
    return _TAGS[kind] + frame(encoded)


_FLUSHED: Final = _encode("flush", pb.FlushResponse())


def _exception(text: str) -> bytes:
    return _encode("exception", pb.ExceptionResponse(error=text))
