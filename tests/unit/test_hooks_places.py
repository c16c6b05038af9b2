"""What goes first in the agent, and what may hold up what: releases have places that no order takes."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hooks_harness import World, make_world
from test_hooks_runner import Node

from abci_app.cid import cid_of
from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.records import FULFILMENTS
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import BlockUnavailable, StoreUnreachable
from dta.blocks.peers import PeerFetcher
from dta.client.ledger.rpc import AsyncRpc
from dta.hsm.keystore import Keystore
from dta.node.agent.network import AgentNetwork
from dta.node.agent.ranks import Rank, rank_of
from dta.node.agent.runner import RunnerConfig
from tests.support.chain import CHAIN_ID
from tests.support.patience import PATIENCE_S
from tests.support.refusals import TAKEN


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, fiduciaries=1)


async def until(node: Node, holds: Callable[[], bool]) -> None:
    """Ticks of the runner, which end no job, until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            node.clock.s += 1
            await node.runner.tick()
            await asyncio.sleep(0.01)


def running(node: Node, kind: DueKind) -> int:
    return sum(1 for state in node.runner._states.values() if state.is_running and state.job.kind is kind)


def said(node: Node) -> list[str]:
    return [node.message(tx) for tx in node.sent]


def active_order(world: World) -> bytes:
    world.open_vault()
    order = world.place(world.prepare(threshold=1))
    world.settle()
    return order


def orders(world: World, count: int) -> list[bytes]:
    return [world.place(world.prepare(threshold=1, salt=bytes([9, number]) * 16)) for number in range(count)]


def test_orders_whose_fetches_hang_hold_up_no_release(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", RunnerConfig(max_running=2, gather_s=0.0))
        old = active_order(world)
        hanging = {world.order(order).envelope_cid for order in orders(world, 4)}
        never = asyncio.Event()

        async def hang(cid: str) -> None:
            if cid in hanging:
                await never.wait()

        node.on_obtain = hang
        await until(node, lambda: len(node.obtained) == 2)
        world.request(old)
        await until(node, lambda: "fulfil_secret" in said(node))
        assert running(node, DueKind.FULFIL_ORDER) == 2, "as many as have places, and they hang still"
        assert said(node) == ["fulfil_secret"]
        stop = asyncio.Event()
        stop.set()
        await node.runner.run(stop)

    asyncio.run(scenario())


def test_releases_that_hang_hold_up_no_order_either(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", RunnerConfig(max_running=1, gather_s=0.0))
        old = active_order(world)
        never = asyncio.Event()
        world.request(old)
        keys_and_envelope = {world.order(old).envelope_cid}

        async def hang(cid: str) -> None:
            if cid in keys_and_envelope:
                await never.wait()

        node.on_obtain = hang
        await until(node, lambda: running(node, DueKind.FULFIL_SECRET) == 1)
        (fresh,) = orders(world, 1)
        await until(node, lambda: "fulfil_order" in said(node))
        assert node.mine() == [TAKEN]
        assert world.order(fresh).status == custody_pb2.ORDER_STATUS_ACTIVE
        stop = asyncio.Event()
        stop.set()
        await node.runner.run(stop)

    asyncio.run(scenario())


def test_orders_in_the_token_leave_a_thread_for_releases(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", RunnerConfig(hsm_threads=2, gather_s=0.0))
        healthy, let_go, is_released, calls = node.tools.keystore, threading.Event(), threading.Event(), []

        def slow() -> Keystore:
            if not is_released.is_set():
                calls.append(1)
                let_go.wait(PATIENCE_S)
            return healthy()

        old = active_order(world)
        orders(world, 3)
        node.tools = replace(node.tools, keystore=slow)
        node.start()
        try:
            await until(node, lambda: running(node, DueKind.FULFIL_ORDER) == 3 and len(calls) == 1)
            is_released.set()
            world.request(old)
            await until(node, lambda: "fulfil_secret" in said(node))
            assert len(calls) == 1
        finally:
            let_go.set()
        await until(node, lambda: said(node).count("fulfil_order") + said(node).count("submit_results") > 0)
        stop = asyncio.Event()
        stop.set()
        await node.runner.run(stop)

    asyncio.run(scenario())


def test_of_what_is_ready_releases_are_started_first(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        started: list[DueKind] = []

        async def attempt(state: Any) -> None:
            started.append(state.job.kind)

        monkeypatch.setattr(node.runner, "_attempt", attempt)
        old = active_order(world)
        orders(world, 2)
        world.request(old)
        await node.tick()
        assert started == [DueKind.FULFIL_SECRET, DueKind.FULFIL_ORDER, DueKind.FULFIL_ORDER]

    asyncio.run(scenario())


def test_what_somebody_asked_for_is_what_goes_first() -> None:
    assert {kind for kind in DueKind if rank_of(kind) is Rank.RELEASE} == set(due._REQUESTER)
    assert [kind for kind in DueKind if rank_of(kind) is Rank.ORDER] == [DueKind.FULFIL_ORDER]


def test_an_order_is_not_rejected_while_nobody_answers_this_node(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", RunnerConfig(envelope_wait_s=600, envelope_attempts=3))
        world.open_vault()
        order = world.place(world.prepare(threshold=1), upload=False)
        world.chain.block(seconds=600)
        node.is_answered = False
        for _ in range(6):
            await node.tick(60.0)
        assert node.sent == []
        node.is_answered = True
        for _ in range(2):
            await node.tick(60.0)
        assert node.sent == [], "tries that nobody answered are none"
        await node.tick(60.0)
        assert node.mine() == [TAKEN]
        record = FULFILMENTS.get(world.chain.view, order, node.founder.identity)
        assert record.rejection == custody_pb2.REJECTION_ENVELOPE_UNAVAILABLE

    asyncio.run(scenario())


class Nowhere:
    """A fetcher for which every block is nowhere."""

    async def fetch(self, cid: str) -> bytes:
        raise BlockUnavailable(cid, (("http://peer", "does not have it"),), is_nowhere=True)


@pytest.mark.parametrize("was_here", [True, False], ids=["pinned and lost", "never here"])
def test_a_block_that_this_store_had_pinned_and_lost_is_not_nowhere(tmp_path: Path, was_here: bool) -> None:
    async def scenario() -> None:
        store = EmbeddedStore(tmp_path / "blocks")
        cid = cid_of(b"an envelope")
        if was_here:
            store.put(b"an envelope")
            store.pin(cid)
            (path,) = (tmp_path / "blocks" / "blocks").glob("*/*/*")
            path.unlink()
        network = AgentNetwork(cast(AsyncRpc, None), CHAIN_ID, store, cast(PeerFetcher, Nowhere()))
        with pytest.raises(BlockUnavailable) as caught:
            await network.obtain(cid, True)
        assert caught.value.is_nowhere is not was_here
        assert caught.value.attempts == (("http://peer", "does not have it"),)
        store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "error", [StoreUnreachable("http://kubo", "block/get: HTTP 500"), OSError(errno.EMFILE, "no files left")], ids=repr
)
def test_a_store_that_fails_rejects_no_order_and_is_said(world: World, tmp_path: Path, error: Exception) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", RunnerConfig(envelope_wait_s=600, envelope_attempts=1))
        world.open_vault()
        world.place(world.prepare(threshold=1))
        world.chain.block(seconds=600)

        async def fail(cid: str) -> None:
            raise error

        node.on_obtain = fail
        for _ in range(3):
            await node.tick(60.0)
        assert node.sent == []
        (shown,) = node.runner.status()["errors"]  # type: ignore[misc, union-attr]
        assert shown["error"] == str(error)  # type: ignore[index, call-overload]
        node.on_obtain = None
        await node.tick(60.0)
        assert node.mine() == [TAKEN]

    asyncio.run(scenario())
