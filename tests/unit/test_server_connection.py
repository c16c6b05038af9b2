"""A served socket: pipelining, garbage, half a message, a huge length, a slow peer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_harness import CAP_BYTES, Died, Scripted, dispatcher, serving

from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.connection import BATCH_MESSAGES, Connection, Replies, Service
from abci_app.server.framing import encode_varint, frame

FLUSH = pb.Request(flush=pb.FlushRequest())
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_tx(tx: bytes) -> pb.Request:
    return pb.Request(check_tx=pb.CheckTxRequest(tx=tx))


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    count = 5 * BATCH_MESSAGES + 3

    async def run() -> None:
        async with serving(tmp_path / "s", dispatcher(Scripted()).answer) as served:
            peer = await served.peer()
            responses = await peer.ask(*(check_tx(str(index).encode()) for index in range(count)), FLUSH)
            assert [response.check_tx.data for response in responses[:-1]] == [
                str(index).encode() for index in range(count)
            ]
            assert responses[-1].WhichOneof("kind") == "flush"

    asyncio.run(run())


def test_queries_and_others_on_one_connection_keep_their_order(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "s", dispatcher(Scripted()).answer) as served:
            peer = await served.peer()
            requests = [
                pb.Request(query=pb.QueryRequest(data=b"%d" % index)) if index % 3 else check_tx(b"%d" % index)
                for index in range(200)
            ]
            responses = await peer.ask(*requests)
            assert [one.query.value or one.check_tx.data for one in responses] == [b"%d" % i for i in range(200)]

    asyncio.run(run())


@SLOW
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12))
def test_any_split_of_the_stream_gets_the_same_answers(tmp_path: Path, sizes: list[int]) -> None:
    stream = b"".join(frame(check_tx(bytes([index]) * 40).SerializeToString()) for index in range(8))

    async def run() -> None:
        async with serving(tmp_path / "s", dispatcher(Scripted()).answer) as served:
            peer = await served.peer()
            offset = turn = 0
            while offset < len(stream):
                size = sizes[turn % len(sizes)]
                peer.writer.write(stream[offset : offset + size])
                await peer.writer.drain()
                await asyncio.sleep(0)
                offset, turn = offset + size, turn + 1
            responses = await peer.responses(8)
            assert [response.check_tx.data for response in responses] == [bytes([i]) * 40 for i in range(8)]
            peer.writer.close()

    asyncio.run(run())


@SLOW
@given(st.binary(min_size=1, max_size=200))
def test_garbage_costs_its_own_connection_at_most(tmp_path: Path, garbage: bytes) -> None:
    async def run() -> None:
        async with serving(tmp_path / "s", dispatcher(Scripted()).answer) as served:
            vandal, other = await served.peer(), await served.peer()
            vandal.writer.write(garbage)
            vandal.writer.write_eof()
            while await vandal.reader.read(4096):
                pass
            responses = await other.ask(check_tx(b"still here"))
            assert responses[0].check_tx.data == b"still here"
            vandal.writer.close()
            other.writer.close()

    asyncio.run(run())


def test_a_huge_length_closes_the_connection_once_what_came_before_is_answered(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "s", dispatcher(Scripted()).answer) as served:
            peer = await served.peer()
            peer.writer.write(frame(check_tx(b"first").SerializeToString()) + encode_varint(CAP_BYTES + 1))
            responses = await peer.responses(1)
            assert responses[0].check_tx.data == b"first"
            assert await peer.is_closed()
            assert "cap" in served.log[0]

    asyncio.run(run())


def test_half_a_message_is_waited_for_and_holds_up_nobody(tmp_path: Path) -> None:
    whole = frame(check_tx(b"x" * 1000).SerializeToString())

    async def run() -> None:
        async with serving(tmp_path / "s", dispatcher(Scripted()).answer) as served:
            halting, other = await served.peer(), await served.peer()
            halting.writer.write(whole[:500])
            await halting.writer.drain()
            assert (await other.ask(check_tx(b"meanwhile")))[0].check_tx.data == b"meanwhile"
            halting.writer.write(whole[500:])
            assert (await halting.responses(1))[0].check_tx.data == b"x" * 1000
            halting.writer.write(whole[:500])
            halting.writer.write_eof()
            assert await halting.is_closed()
            assert "middle of a message" in served.log[0]

    asyncio.run(run())


def test_a_peer_that_does_not_read_is_waited_for_without_holding_up_others(tmp_path: Path) -> None:
    answered = 0
    count = 400

    class Counting(Scripted):
        def check_tx(self, request: pb.CheckTxRequest) -> pb.CheckTxResponse:
            nonlocal answered
            answered += 1
            return pb.CheckTxResponse(data=request.tx)

    async def run() -> None:
        async with serving(tmp_path / "s", dispatcher(Counting()).answer) as served:
            slow, other = await served.peer(), await served.peer()
            requests = [check_tx(bytes([index % 256]) * 50_000) for index in range(count)]
            sending = asyncio.ensure_future(slow.send(*requests))
            while True:
                before = answered
                for _ in range(20):
                    assert (await other.ask(check_tx(b"meanwhile")))[0].check_tx.data == b"meanwhile"
                if answered - before == 20:
                    break
            # 20 MB were asked for and not read: only what fits the buffers was worked on.
            assert answered < count
            responses = await slow.responses(count)
            await sending
            assert [one.check_tx.data[:1] for one in responses] == [bytes([i % 256]) for i in range(count)]

    asyncio.run(run())


def test_a_peer_that_vanishes_in_the_middle_of_its_answers_is_forgotten(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "s", dispatcher(Scripted()).answer) as served:
            for _ in range(20):
                peer = await served.peer()
                await peer.send(*[check_tx(b"y" * 20_000)] * 40)
                peer.writer.transport.abort()
            other = await served.peer()
            while not (responses := await other.ask(check_tx(b"here"))):
                other = await served.peer()
            assert responses[0].check_tx.data == b"here"

    asyncio.run(run())


def test_connections_above_the_bound_are_refused_and_a_place_comes_free_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "s", dispatcher(Scripted()).answer, max_connections=2) as served:
            first, second = await served.peer(), await served.peer()
            await first.ask(FLUSH)
            await second.ask(FLUSH)
            assert await (await served.peer()).is_closed()
            first.writer.close()
            while True:
                third = await served.peer()
                try:
                    if await third.ask(FLUSH):
                        break
                except OSError:
                    continue

    asyncio.run(run())


def test_stopping_drops_the_connections_and_removes_the_socket(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "s", dispatcher(Scripted()).answer) as served:
            assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
            peer = await served.peer()
            await peer.ask(FLUSH)
        assert await peer.is_closed()
        assert not (tmp_path / "s").exists()

    asyncio.run(run())


class Held:
    """Answers by sending back, once the test lets it; ``order`` has what it was asked, by batch."""

    def __init__(self) -> None:
        self.order: list[list[bytes]] = []
        self.let = asyncio.Event()
        self.closed = 0

    async def _later(self, messages: Sequence[bytes]) -> Replies:
        await self.let.wait()
        return Replies(messages)

    def answer(self, messages: Sequence[bytes]) -> Replies | Awaitable[Replies]:
        self.order.append(list(messages))
        return self._later(messages) if b"wait" in messages else Replies(messages)

    def close(self) -> None:
        self.closed += 1


async def accepted(held: Held, ended: list[Connection]) -> tuple[asyncio.Transport, Connection, socket.socket]:
    """Our side of a connection, as a server accepts it, and the peer's socket."""
    ours, theirs = socket.socketpair()
    transport, connection = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: Connection(
            Service(held.answer, held.close), max_frame_bytes=CAP_BYTES, log=print, name="test", on_end=ended.append
        ),
        ours,
    )
    return transport, connection, theirs


async def connected(held: Held, ended: list[Connection]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=(await accepted(held, ended))[2])


def test_a_flood_on_one_connection_lets_the_others_have_their_turn() -> None:
    async def run() -> None:
        held, ended = Held(), list[Connection]()
        _, flood = await connected(held, ended)
        reader, other = await connected(held, ended)
        # Both are there before the loop looks: the flood is read first, in one read.
        flood.write(b"".join(frame(b"flood") for _ in range(4 * BATCH_MESSAGES)))
        other.write(frame(b"other"))
        assert await reader.readexactly(6) == frame(b"other")
        batches = [batch[0] for batch in held.order]
        assert batches.index(b"other") < batches.count(b"flood") + 1
        assert len(held.order[0]) == BATCH_MESSAGES
        assert batches.index(b"other") <= 2
        flood.close()
        other.close()

    asyncio.run(run())


def test_what_comes_while_an_answer_is_waited_for_has_its_turn_after_it() -> None:
    async def run() -> None:
        held, ended = Held(), list[Connection]()
        reader, writer = await connected(held, ended)
        writer.write(frame(b"wait"))
        while not held.order:
            await asyncio.sleep(0)
        writer.write(frame(b"next"))
        other_reader, other = await connected(held, ended)
        other.write(frame(b"other"))
        assert await other_reader.readexactly(6) == frame(b"other")
        assert held.order == [[b"wait"], [b"other"]]
        held.let.set()
        assert await reader.readexactly(10) == frame(b"wait") + frame(b"next")
        writer.close()
        other.close()

    asyncio.run(run())


def test_a_transport_that_is_lost_while_an_answer_is_waited_for_is_over_once_the_answer_is_there() -> None:
    async def run() -> None:
        held, ended = Held(), list[Connection]()
        transport, connection, peer = await accepted(held, ended)
        peer.send(frame(b"wait"))
        while not held.order:
            await asyncio.sleep(0)
        transport.abort()
        for _ in range(20):
            await asyncio.sleep(0)
        # What answers may still read what `close` lets go.
        assert (held.closed, ended) == (0, [])
        held.let.set()
        while not ended:
            await asyncio.sleep(0)
        assert (held.closed, ended) == (1, [connection])
        peer.close()

    asyncio.run(run())


def test_a_peer_that_sends_no_more_has_its_answer_first() -> None:
    async def run() -> None:
        held, ended = Held(), list[Connection]()
        reader, writer = await connected(held, ended)
        writer.write(frame(b"wait"))
        writer.write_eof()
        while not held.order:
            await asyncio.sleep(0)
        held.let.set()
        assert await reader.read() == frame(b"wait")
        assert len(ended) == 1
        writer.close()

    asyncio.run(run())


def test_a_connection_that_is_dropped_while_an_answer_is_waited_for_ends_once() -> None:
    async def run() -> None:
        held, ended = Held(), list[Connection]()
        _, connection, peer = await accepted(held, ended)
        peer.send(frame(b"wait"))
        while not held.order:
            await asyncio.sleep(0)
        connection.drop()
        for _ in range(20):
            await asyncio.sleep(0)
        assert (held.closed, ended) == (1, [connection])
        assert peer.recv(1) == b""
        peer.close()

    asyncio.run(run())


@pytest.mark.parametrize("is_later", [False, True])
def test_an_answer_that_raises_leaves_no_connection_open(is_later: bool) -> None:
    def answer(_: Sequence[bytes]) -> Replies | Awaitable[Replies]:
        async def later() -> Replies:
            raise Died("the test wants it")

        if is_later:
            return later()
        raise Died("the test wants it")

    async def run() -> None:
        said: list[BaseException] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: said.append(context["exception"]))
        ours, theirs = socket.socketpair()
        await loop.connect_accepted_socket(
            lambda: Connection(Service(answer), max_frame_bytes=CAP_BYTES, log=print, name="test"), ours
        )
        reader, writer = await asyncio.open_connection(sock=theirs)
        writer.write(frame(b"any"))
        assert await reader.read() == b""
        writer.close()

    asyncio.run(run())


def test_only_queries_are_waited_for() -> None:
    served = dispatcher(Scripted())
    query = pb.Request(query=pb.QueryRequest(data=b"key")).SerializeToString()
    others = [one.SerializeToString() for one in (check_tx(b"tx"), FLUSH, pb.Request(commit=pb.CommitRequest()))]
    assert isinstance(served.answer(others), Replies)

    async def run() -> None:
        later = served.answer([*others, query])
        assert not isinstance(later, Replies)
        assert len((await later).messages) == 4

    asyncio.run(run())
