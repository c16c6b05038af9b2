"""What the server's tests share: a served unix socket, and a peer that speaks frames on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.connection import Answer, Service
from abci_app.server.dispatch import Dispatcher, Methods
from abci_app.server.framing import FrameBuffer, frame
from abci_app.server.intake import Intake
from abci_app.server.listener import Listener, UnixAddress, bind

INTERNAL = 1
CAP_BYTES = 1 << 20


class Died(BaseException):
    """What the tests' ``die`` raises in place of ending the process."""


def die(error: BaseException) -> NoReturn:
    raise Died(repr(error)) from error


class Peer:
    """One connection to the server under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._buffer = FrameBuffer()

    async def send(self, *requests: Any) -> None:
        self.writer.write(b"".join(frame(request.SerializeToString()) for request in requests))
        await self.writer.drain()

    async def receive(self, count: int) -> list[bytes]:
        """``count`` frames; fewer when the server closed before."""
        frames: list[bytes] = []
        while len(frames) < count:
            if taken := self._buffer.take(count - len(frames)):
                frames += taken
                continue
            data = await self.reader.read(1 << 16)
            if not data:
                break
            self._buffer.feed(data)
        return frames

    async def responses(self, count: int) -> list[pb.Response]:
        return [pb.Response.FromString(message) for message in await self.receive(count)]

    async def ask(self, *requests: pb.Request) -> list[pb.Response]:
        await self.send(*requests)
        return await self.responses(len(requests))

    async def is_closed(self) -> bool:
        return await self.reader.read(1) == b""


class Served:
    """A listening server; ``log`` collects its lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log: list[str] = []

    async def peer(self) -> Peer:
        return Peer(*await asyncio.open_unix_connection(str(self.path)))


@asynccontextmanager
async def serving(
    path: Path,
    answer: Answer,
    *,
    max_frame_bytes: int = CAP_BYTES,
    max_connections: int = 8,
    intake: Intake | None = None,
) -> AsyncIterator[Served]:
    served = Served(path)
    listener = Listener(
        bind(UnixAddress(path)), lambda: Service(answer), name="test", max_frame_bytes=max_frame_bytes,
        max_connections=max_connections, log=served.log.append, intake=intake,
    )  # fmt: skip
    await listener.start()
    try:
        yield served
    finally:
        await listener.stop()


def dispatcher(methods: Methods, log: list[str] | None = None) -> Dispatcher:
    return Dispatcher(
        methods,
        internal_code=INTERNAL,
        executor=ThreadPoolExecutor(2),
        die=die,
        log=([] if log is None else log).append,
    )


class Scripted:
    """Answers every method with what the test set, or raises it; remembers the order of the calls."""

    def __init__(self, **outcomes: Any) -> None:
        self.outcomes = outcomes
        self.calls: list[str] = []

    def _do(self, kind: str, default: Any) -> Any:
        self.calls.append(kind)
        outcome = self.outcomes.get(kind, default)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def info(self, request: pb.InfoRequest) -> Any:
        return self._do("info", pb.InfoResponse(data="scripted"))

    def init_chain(self, request: pb.InitChainRequest) -> Any:
        return self._do("init_chain", pb.InitChainResponse())

    def query(self, request: pb.QueryRequest) -> Any:
        return self._do("query", pb.QueryResponse(value=request.data))

    def check_tx(self, request: pb.CheckTxRequest) -> Any:
        return self._do("check_tx", pb.CheckTxResponse(data=request.tx))

    def commit(self, request: pb.CommitRequest) -> Any:
        return self._do("commit", pb.CommitResponse())

    def prepare_proposal(self, request: pb.PrepareProposalRequest) -> Any:
        return self._do("prepare_proposal", pb.PrepareProposalResponse(txs=request.txs))

    def process_proposal(self, request: pb.ProcessProposalRequest) -> Any:
        return self._do("process_proposal", pb.ProcessProposalResponse(status=1))

    def finalize_block(self, request: pb.FinalizeBlockRequest) -> Any:
        return self._do("finalize_block", pb.FinalizeBlockResponse())
