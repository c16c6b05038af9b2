"""The proxy between CometBFT and the application: it changes nothing, and notes what passes (tests/localnet)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from server_harness import Scripted, Served, dispatcher, serving

from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.framing import frame
from tests.localnet.abci_calls import Watched, requests, serve

INFO = pb.Request(info=pb.InfoRequest(abci_version="2.0.0"))
GENESIS = pb.Request(init_chain=pb.InitChainRequest(initial_height=5))
BLOCK = pb.Request(finalize_block=pb.FinalizeBlockRequest(height=5, txs=[bytes(1 << 19)]))
COMMIT = pb.Request(commit=pb.CommitRequest())
CHECK = pb.Request(check_tx=pb.CheckTxRequest(tx=b"again", type=pb.CheckTxType.CHECK_TX_TYPE_RECHECK))
FLUSH = pb.Request(flush=pb.FlushRequest())


class Proxied:
    """A scripted application at ``application``, and a proxy before it at ``path``."""

    def __init__(self, directory: Path, **outcomes: Any) -> None:
        self.path, self.application = directory / "proxy.sock", directory / "abci.sock"
        self.watched = Watched()
        self.answer = dispatcher(Scripted(**outcomes)).answer

    async def __aenter__(self) -> Proxied:
        self._server = await serve(self.path, self.application, self.watched)
        self._serving = serving(self.application, self.answer)
        await self._serving.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._serving.__aexit__(None, None, None)
        self._server.close()

    @property
    def noted(self) -> list[list[tuple[int, str, bool, int]]]:
        lives = self.watched.lives
        return [[(call.connection, call.kind, call.is_answer, call.height) for call in life] for life in lives]


async def until(condition: Any) -> None:
    async with asyncio.timeout(60.0):
        while not condition():
            await asyncio.sleep(0.01)


def test_what_passes_is_noted_in_its_order_and_reaches_the_other_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with Proxied(tmp_path, info=pb.InfoResponse(last_block_height=0)) as proxied:
            query, consensus = await Served(proxied.path).peer(), await Served(proxied.path).peer()
            assert [one.WhichOneof("kind") for one in await query.ask(INFO, FLUSH)] == ["info", "flush"]
            for asked in (GENESIS, BLOCK, COMMIT):
                [said] = await consensus.ask(asked)
                assert said.WhichOneof("kind") == asked.WhichOneof("kind")
            assert proxied.noted == [
                [
                    (0, "info", False, 0), (0, "flush", False, 0), (0, "info", True, 0), (0, "flush", True, 0),
                    (1, "init_chain", False, 5), (1, "init_chain", True, 0),
                    (1, "finalize_block", False, 5), (1, "finalize_block", True, 0),
                    (1, "commit", False, 0), (1, "commit", True, 0),
                ]
            ]  # fmt: skip
            assert proxied.watched.wrong == []
            assert requests(proxied.watched.lives[0])["commit"] == 1

    asyncio.run(run())


def test_what_the_grammar_refuses_is_named_with_what_came_before_and_passes_all_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        async with Proxied(tmp_path, info=pb.InfoResponse(last_block_height=4)) as proxied:
            query, mempool = await Served(proxied.path).peer(), await Served(proxied.path).peer()
            await query.ask(INFO)
            [said] = await mempool.ask(CHECK)
            assert said.WhichOneof("kind") == "check_tx"
            [wrong] = proxied.watched.wrong
            assert "nothing is to be looked at again" in wrong
            assert "the answer to info on connection 0, height 4" in wrong

    asyncio.run(run())


@pytest.mark.parametrize("cut", [1, 7, 400_000])
def test_a_message_in_pieces_is_one_call(tmp_path: Path, cut: int) -> None:
    async def run() -> None:
        async with Proxied(tmp_path, info=pb.InfoResponse(last_block_height=4)) as proxied:
            query, consensus = await Served(proxied.path).peer(), await Served(proxied.path).peer()
            await query.ask(INFO)
            content = frame(BLOCK.SerializeToString())
            consensus.writer.write(content[:cut])
            await consensus.writer.drain()
            await asyncio.sleep(0.05)
            consensus.writer.write(content[cut:])
            assert len(await consensus.responses(1)) == 1
            assert proxied.noted[0][-2:] == [(1, "finalize_block", False, 5), (1, "finalize_block", True, 0)]

    asyncio.run(run())


@pytest.mark.parametrize("content", [b"\xff" * 16, frame(b"\xff\xff"), frame(b"")])
def test_what_is_no_message_is_wrong(tmp_path: Path, content: bytes) -> None:
    async def run() -> None:
        async with Proxied(tmp_path) as proxied:
            peer = await Served(proxied.path).peer()
            peer.writer.write(content)
            await until(lambda: proxied.watched.wrong)
            assert "unknown on connection 0" in proxied.watched.wrong[0]

    asyncio.run(run())


def test_where_one_end_goes_the_other_is_let_go_and_a_new_life_begins(tmp_path: Path) -> None:
    async def run() -> None:
        async with Proxied(tmp_path, info=pb.InfoResponse(last_block_height=4)) as proxied:
            first = [await Served(proxied.path).peer() for _ in range(2)]
            await first[0].ask(INFO)
            for peer in first:
                peer.writer.close()
            await until(lambda: not proxied.watched._open)
            second = await Served(proxied.path).peer()
            await second.ask(INFO)
            assert [len(life) for life in proxied.noted] == [2, 2]
            await proxied._serving.__aexit__(None, None, None)
            assert await second.is_closed()
            proxied._serving = serving(proxied.application, proxied.answer)
            await proxied._serving.__aenter__()

    asyncio.run(run())


def test_a_fifth_connection_is_of_the_next_life() -> None:
    watched = Watched()
    assert [watched.connect() for _ in range(5)] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]


def test_who_is_there_before_the_application_is_waited_with(tmp_path: Path) -> None:
    async def run() -> None:
        watched = Watched()
        server = await serve(tmp_path / "proxy.sock", tmp_path / "abci.sock", watched)
        peer = await Served(tmp_path / "proxy.sock").peer()
        asking = asyncio.create_task(peer.ask(INFO))
        await asyncio.sleep(0.3)
        assert watched.lives == []
        async with serving(tmp_path / "abci.sock", dispatcher(Scripted()).answer):
            assert len(await asking) == 1
        server.close()

    asyncio.run(run())
