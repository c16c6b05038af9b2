"""A served socket: pipelining, garbage, half a message, a huge length, a slow peer."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_harness import CAP_BYTES, Scripted, dispatcher, serving

from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.connection import BATCH_MESSAGES
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
