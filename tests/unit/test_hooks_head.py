"""When the runner acts no more: a thread that never ends, a CometBFT that is silent or is another chain's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hooks_harness import World, make_world
from test_hooks_runner import Node, open_unanswered_vault, with_a_hanging_token

from dta.base.errors import BadAnswer, Unreachable
from dta.node.agent.runner import RunnerConfig
from dta.node.hooks.errors import NotAtHead


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, fiduciaries=1)


def test_one_thread_that_hangs_for_ten_minutes_is_reason_enough_for_a_new_process(
    world: World, tmp_path: Path
) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", RunnerConfig(hsm_threads=3, job_timeout_s=0.2))
        release, _ = with_a_hanging_token(node)
        open_unanswered_vault(world)
        try:
            await node.tick()
            assert not node.runner.is_hung, "two are free"
            node.clock.s += 599
            assert not node.runner.is_hung
            node.clock.s += 2
            assert node.runner.is_hung
        finally:
            release.set()

    asyncio.run(scenario())


def test_where_cometbft_is_silent_what_it_said_counts_for_a_while_and_no_job_is_blamed(
    world: World, tmp_path: Path
) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        await node.tick()

        async def fail() -> bool:
            raise Unreachable("no connection")

        node.catching_up = fail  # type: ignore[method-assign]
        with pytest.raises(Unreachable):
            await node.tick(10.0)
        node.runner._head.require(world.chain.time_s)
        node.clock.s += 10
        with pytest.raises(NotAtHead):
            node.runner._head.require(world.chain.time_s)

    asyncio.run(scenario())


def test_a_cometbft_of_another_chain_ends_all_acting_at_once(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        await node.tick()

        async def other() -> bool:
            raise BadAnswer("it is of another chain")

        node.catching_up = other  # type: ignore[method-assign]
        with pytest.raises(BadAnswer):
            await node.tick(10.0)
        with pytest.raises(NotAtHead):
            node.runner._head.require(world.chain.time_s)

    asyncio.run(scenario())
