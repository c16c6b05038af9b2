"""One order that hangs in a token's thread takes nobody along for ever: the next process tries each by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hooks_harness import World, make_world
from test_hooks_runner import Node, patient
from test_hooks_submission import place

from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.due import DueKind
from abci_app.state.records import ORDERS
from dta.custodians import hsm_realm
from dta.custodians.plugin import Entrusted
from dta.node.agent.runner import RunnerConfig
from dta.node.hooks.hung import MAX_HUNG_JOBS, HungJobs
from dta.node.hooks.plan import Job
from tests.support.actors import seeded
from tests.support.patience import PATIENCE_S

LIVES = 20


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path, fiduciaries=1)
    world.open_vault()
    return world


class Hanging:
    """The custodian hangs for one order until ``go_on``, alone or with others; it was asked for it ``times``."""

    def __init__(self) -> None:
        self.order = b""
        self.times = 0
        self.go_on = threading.Event()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    found, check = Hanging(), hsm_realm._check_belongs

    def hang(entrusted: Entrusted) -> None:
        if entrusted.order.id == found.order:
            found.times += 1
            found.go_on.wait(PATIENCE_S)
        check(entrusted)

    monkeypatch.setattr(hsm_realm, "_check_belongs", hang)
    yield found
    found.go_on.set()


def jobs(orders: list[bytes]) -> list[Job]:
    return [Job(DueKind.FULFIL_ORDER, order) for order in orders]


def active(world: World, orders: list[bytes]) -> list[bytes]:
    return [one for one in orders if ORDERS.get(world.chain.view, one).status == custody_pb2.ORDER_STATUS_ACTIVE]


async def hang_together(world: World, directory: Path, orders: list[bytes], threads: int) -> Node:
    """A process that ends with all of them in one thread that hangs."""
    node = Node(world, 0, directory, RunnerConfig(hsm_threads=threads, job_timeout_s=1.0, gather_s=600.0))
    for _ in range(LIVES):
        await node.tick()
        if all(node.runner._hung.times(job) for job in jobs(orders)):
            break
        node.start()
    assert all(state.has_thread for state in node.runner._states.values())
    return node


def test_what_hung_in_one_batch_goes_through_one_by_one_beside_the_one_that_hangs_again(
    world: World, tmp_path: Path, hanging: Hanging
) -> None:
    async def scenario() -> None:
        orders = place(world, 5)
        hanging.order = min(orders)  # it is planned first
        node = await hang_together(world, tmp_path / "outbox", orders, threads=3)
        assert node.sent == []
        node.config = patient(hsm_threads=3, gather_s=0.0)
        node.start()
        async with asyncio.timeout(PATIENCE_S):
            while len(active(world, orders)) < 4:
                node.clock.s += 1
                await node.runner.tick()
                await asyncio.sleep(0.01)
                node.mine()
        assert hanging.order not in active(world, orders)
        hanging.go_on.set()
        await node.tick(60.0)
        node.mine()
        assert active(world, orders) == orders
        await node.tick(60.0)
        assert [path.name for path in tmp_path.glob("outbox.*")] == [], "nothing of it is remembered"

    asyncio.run(scenario())


def test_what_hung_alone_is_behind_what_hung_with_it_where_there_is_one_thread(
    world: World, tmp_path: Path, hanging: Hanging
) -> None:
    async def scenario() -> None:
        orders = place(world, 4)
        hanging.order = min(orders)
        node = await hang_together(world, tmp_path / "outbox", orders, threads=1)
        (stuck,) = jobs([hanging.order])
        for _ in range(LIVES):  # each hangs, ends, and is started again
            node.start()
            await node.tick()
            await node.tick()
            if node.runner._hung.times(stuck) > 1:
                break
        assert node.runner.is_hung
        node.config = patient(hsm_threads=1)
        node.start()
        asked = hanging.times
        await node.tick(0.0)
        await node.tick(0.6)
        node.mine()
        assert sorted([*active(world, orders), hanging.order]) == sorted(orders)
        assert hanging.times == asked, "it was not tried before them"

    asyncio.run(scenario())


def test_the_file_is_bounded_private_and_as_good_as_none_where_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "hung-jobs.json"
    subjects = [seeded(number) for number in range(MAX_HUNG_JOBS + 10)]
    often, *others = jobs(subjects)
    hung = HungJobs(path)
    hung.note(often)
    for job in [often, *others]:
        hung.note(job)
    assert path.stat().st_mode & 0o777 == 0o600
    again = HungJobs(path)
    assert again.times(often) == 2
    assert again.times(others[-1]) == 1, "the newest is among them"
    assert sum(1 for job in [often, *others] if again.times(job)) == MAX_HUNG_JOBS
    again.keep_only({often})
    assert (again.times(often), again.times(others[-1])) == (2, 0)
    content = path.read_bytes()
    for damaged in (b"", b"{", b"[[1]]", content[:-3], b"[" * 100_000, content.replace(b"2", b"x"), b" " * 200_000):
        path.write_bytes(damaged)
        assert HungJobs(path).times(often) == 0
    path.write_bytes(content)
    HungJobs(path).keep_only(())
    assert not path.exists()
    nowhere = HungJobs(tmp_path / "missing" / "hung-jobs.json")
    nowhere.note(often)
    assert nowhere.times(often) == 1, "in memory"
