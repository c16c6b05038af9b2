"""What is ready at the same time goes together; what state does not want any more when it is signed does not go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.message import Message
from hooks_harness import World, make_world
from test_hooks_runner import Node, body_of, open_unanswered_vault, patient

from abci_app.block import TxResult
from abci_app.codes import Code
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.overlay import Overlay
from abci_app.state.records import ANSWERS, ORDERS, REQUESTS
from dta.custodians.hsm_realm import HsmRealm
from dta.hsm.software import SoftwareKeystore
from dta.node.agent.runner import RunnerConfig
from dta.node.hooks.bundle import parts_of
from dta.node.hooks.outbox import Outbox
from dta.node.hooks.owed import Owed, Planned
from dta.node.hooks.plan import Job
from tests.support.chain import CHAIN_ID
from tests.support.custody import single
from tests.support.patience import PATIENCE_S
from tests.support.refusals import TAKEN


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, fiduciaries=1)


def said(tx: bytes) -> list[Message]:
    """The results in a transaction."""
    body = body_of(tx)
    return parts_of(getattr(body, body.WhichOneof("message") or ""))


def place(world: World, count: int, window_s: int = 0, salts_from: int = 1) -> list[bytes]:
    """Orders that nobody has answered yet, whose requests may be vetoed for so long."""
    policy = single(world.beneficiary.identity)
    policy.veto_window_s = window_s
    salts = [bytes([number]) * 32 for number in range(salts_from, salts_from + count)]
    return [world.place(world.prepare(threshold=1, salt=salt, policy=policy)) for salt in salts]


def released(world: World, count: int) -> list[bytes]:
    """Requests of as many orders, all of them over their windows, none answered."""
    orders = place(world, count, window_s=100)
    world.settle()
    requests = [world.request(order) for order in orders]
    for _ in range(4):
        world.chain.block(seconds=100)
    return requests


def veto(world: World, request: bytes) -> None:
    """From now on state says that it was vetoed, where the one that was planned from lagged."""
    state = Overlay(world.chain.view)
    record = REQUESTS.get(state, request)
    record.status = custody_pb2.REQUEST_STATUS_VETOED
    REQUESTS.put(state, record, request)
    due.remove(state, world.chain.founders[0].identity, DueKind.FULFIL_SECRET, request)
    world.chain.view.apply(state.changes())


def seals(monkeypatch: pytest.MonkeyPatch, then: Callable[[list[bytes]], None]) -> list[bytes]:
    """The requests whose shares were sealed, in order; after each, ``then`` is told of them."""
    sealed: list[bytes] = []
    release = HsmRealm.release

    def seal(self, context, order, request, key):  # type: ignore[no-untyped-def]
        answer = release(self, context, order, request, key)
        sealed.append(request.id)
        then(sealed)
        return answer

    monkeypatch.setattr(HsmRealm, "release", seal)
    return sealed


def answered(world: World, request: bytes) -> bool:
    return ANSWERS.find(world.chain.view, request, world.chain.founders[0].identity) is not None


def test_what_is_ready_at_the_same_time_goes_in_one_transaction_that_is_sent_once(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        world.open_vault()
        orders = place(world, 5)
        await node.tick()
        assert len(node.sent) == 1
        assert {one.order for one in said(node.sent[0])} == {*orders}  # type: ignore[attr-defined]
        assert body_of(node.sent[0]).made_at_height == world.chain.height
        assert len(list((tmp_path / "outbox").iterdir())) == 1, "kept once for all of them"
        await node.tick(6.0)
        assert node.sent == [node.sent[0]] * 2, "once for all of it, again and again"
        assert node.mine() == [TAKEN]
        active = custody_pb2.ORDER_STATUS_ACTIVE
        assert [ORDERS.get(world.chain.view, order).status for order in orders] == [active] * 5

    asyncio.run(scenario())


def test_a_release_is_sent_at_once_beside_a_fetch_that_hangs(world: World, tmp_path: Path) -> None:
    world.open_vault()
    (request,) = released(world, 1)
    (slow,) = place(world, 1, salts_from=9)
    hanging = world.order(slow).envelope_cid
    happened: list[str] = []

    async def scenario() -> None:
        # Results wait for those that are being made without an end: were a fetch one of these, this would hang.
        node = Node(world, 0, tmp_path / "outbox", patient(job_timeout_s=30.0))
        was_sent, began = asyncio.Event(), asyncio.Event()

        async def hang(cid: str) -> None:
            if cid == hanging:
                happened.append("a fetch hangs")
                began.set()
                await was_sent.wait()
                happened.append("it ends")
            else:
                await began.wait()

        def note(tx: bytes) -> None:
            happened.append(f"sent {node.message(tx)}")
            was_sent.set()

        node.on_obtain, node.refuse = hang, note
        await node.tick()
        assert happened == ["a fetch hangs", "sent fulfil_secret", "it ends", "sent fulfil_order"]
        assert [one.request for one in said(node.sent[0])] == [request]  # type: ignore[attr-defined]

    asyncio.run(scenario())


def test_one_that_is_being_made_holds_up_the_others_for_a_moment_only(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.open_vault()
    requests = released(world, 2)
    was_sent = threading.Event()
    happened: list[str] = []
    release = HsmRealm.release

    def hang(self, context, order, request, key):  # type: ignore[no-untyped-def]
        if request.id == requests[0]:
            assert was_sent.wait(PATIENCE_S), "the other was not sent"
            happened.append("the slow one ends")
        return release(self, context, order, request, key)

    monkeypatch.setattr(HsmRealm, "release", hang)

    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", patient(gather_s=0.01, hsm_threads=2))

        def note(tx: bytes) -> None:
            happened.extend("sent" for one in said(tx) if one.request == requests[1])  # type: ignore[attr-defined]
            was_sent.set()

        node.refuse = note
        await node.tick()
        assert happened == ["sent", "the slow one ends"]
        assert {one.request for tx in node.sent for one in said(tx)} == {*requests}  # type: ignore[attr-defined]

    asyncio.run(scenario())


def test_a_veto_between_two_shares_of_one_planning_pass_keeps_the_second_unsealed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def veto_the_other(sealed: list[bytes]) -> None:
        if len(sealed) == 1:
            veto(world, next(one for one in requests if one not in sealed))

    sealed = seals(monkeypatch, veto_the_other)
    world.open_vault()
    requests = released(world, 2)

    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", patient(hsm_threads=1))
        await node.tick()
        assert len(sealed) == 1, "state was pinned again before the second was sealed"
        assert [[one.request for one in said(tx)] for tx in node.sent] == [sealed]  # type: ignore[attr-defined]
        assert node.mine() == [TAKEN]
        assert [answered(world, one) for one in requests].count(True) == 1

    asyncio.run(scenario())


def test_a_share_that_was_vetoed_after_it_was_sealed_stays_here_and_the_others_go(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def veto_the_second(sealed: list[bytes]) -> None:
        if len(sealed) == 3:
            veto(world, sealed[1])

    sealed = seals(monkeypatch, veto_the_second)
    world.open_vault()
    released(world, 3)

    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", patient(hsm_threads=1))
        await node.tick()
        gone = [one.request for tx in node.sent for one in said(tx)]  # type: ignore[attr-defined]
        assert gone == [sealed[0], sealed[2]]
        assert node.mine() == [TAKEN]
        assert [answered(world, one) for one in sealed] == [True, False, True]

    asyncio.run(scenario())


@pytest.mark.parametrize("restarted", [True, False])
@pytest.mark.parametrize("taken_first", [True, False])
def test_a_share_that_was_vetoed_before_its_bundle_left_stays_here_and_the_others_go(
    world: World, tmp_path: Path, taken_first: bool, restarted: bool
) -> None:
    """A bundle's bytes hold every share in it: those of one that is owed still would let the vetoed one out."""

    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", patient(renew_blocks=2))
        world.open_vault()
        first, *others = released(world, 3)
        if taken_first:  # the first one's bytes leave, are in no block, and are signed anew with the others
            withheld = [Job(DueKind.FULFIL_SECRET, request) for request in others]
            owed = node.runner._owed
            node.runner._owed = _Without(owed, withheld)
            await node.tick()
            assert [[one.request for one in said(tx)] for tx in node.sent] == [[first]]  # type: ignore[attr-defined]
            node.mempool.clear()
            node.runner._owed = owed
            for _ in range(3):
                world.chain.block()
        node.refuse = lambda _: TxResult(Code.NOT_DUE)
        await asyncio.gather(node.tick(6.0), _together(node, 3))
        refused = node.sent[-1]
        assert sorted(one.request for one in said(refused)) == sorted([first, *others])  # type: ignore[attr-defined]
        node.refuse = lambda _: None
        veto(world, others[0])
        if restarted:
            node.start()
        await node.tick(6.0)
        assert refused not in node.mempool
        gone = [one.request for tx in node.mempool for one in said(tx)]  # type: ignore[attr-defined]
        assert sorted(gone) == sorted([first, others[1]])

    asyncio.run(scenario())


async def _together(node: Node, count: int) -> None:
    """Results wait until there are ``count`` of them."""
    submission = node.runner._submission
    with submission.making():
        while len(submission._waiting) < count:
            await asyncio.sleep(0.001)


class _Without:
    """What is due but for some jobs."""

    def __init__(self, owed: Owed, jobs: list[Job]) -> None:
        self._owed, self._jobs = owed, jobs

    async def now(self) -> Planned:
        planned = await self._owed.now()
        return replace(planned, jobs=planned.jobs - {*self._jobs})


def test_what_is_refused_together_goes_alone(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        world.open_vault()
        orders = place(world, 3)
        node.refuse = lambda tx: TxResult(Code.FIELD_INVALID) if len(said(tx)) > 1 else None
        await node.tick()
        assert node.mempool == []
        await node.tick(6.0)
        assert sorted(one.order for tx in node.mempool for one in said(tx)) == sorted(orders)  # type: ignore[attr-defined]
        assert node.mine() == [TAKEN] * 3

    asyncio.run(scenario())


def test_of_a_bundle_that_is_in_a_block_what_is_still_owed_is_made_anew(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        world.open_vault()
        done, failed = place(world, 2)
        await node.tick()
        node.mempool.clear()
        # The block that has the bundle did the one and refused the other, as one that was not due yet.
        world.chain.result(node.founder, tx_pb2.FulfilOrder(order=done))
        node.refuse = lambda tx: TxResult(Code.REPLAYED) if tx == node.sent[0] else None
        await node.tick(6.0)
        await node.tick(6.0)
        assert [one.order for one in said(node.sent[-1])] == [failed]  # type: ignore[attr-defined]
        assert body_of(node.sent[-1]).salt != body_of(node.sent[0]).salt
        assert node.mine() == [TAKEN]

    asyncio.run(scenario())


def test_a_bundle_that_is_in_no_block_after_a_few_is_signed_anew_with_the_same_shares(
    world: World, tmp_path: Path
) -> None:
    world.open_vault()
    requests = released(world, 3)

    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", patient(renew_blocks=2))
        await node.tick()
        for _ in range(3):
            world.chain.block()
        await node.tick(6.0)
        # In one bundle or, where one of them was slower to find what it had kept, in several.
        anew = [tx for tx in dict.fromkeys(node.sent) if tx != node.sent[0]]
        first, again = said(node.sent[0]), [one for tx in anew for one in said(tx)]
        assert sorted(one.request for one in first) == sorted(requests)  # type: ignore[attr-defined]
        assert sorted(map(str, first)) == sorted(map(str, again)), "no second seal"
        assert all(body_of(tx).salt != body_of(node.sent[0]).salt for tx in anew)
        assert node.mine()[0] == TAKEN
        assert all(answered(world, request) for request in requests)

    asyncio.run(scenario())


def test_each_job_finds_its_own_part_of_what_was_kept(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        world.open_vault()
        orders = place(world, 2)
        await node.tick()
        node.mempool.clear()
        node.start()
        await node.tick()
        assert node.sent[0] == node.sent[1]
        assert {job.kind for job in node.runner._seen.jobs} == {DueKind.FULFIL_ORDER}
        assert node.mine() == [TAKEN]
        assert all(ORDERS.get(world.chain.view, order).fulfilled == 1 for order in orders)

    asyncio.run(scenario())


def test_jobs_that_wait_in_one_thread_that_hangs_are_one_thread(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    sign = SoftwareKeystore.sign

    def hang(self: SoftwareKeystore, label: str, message: bytes) -> bytes:
        release.wait(PATIENCE_S)
        return sign(self, label, message)

    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", RunnerConfig(hsm_threads=2, job_timeout_s=0.3))
        world.open_vault()
        place(world, 3)
        monkeypatch.setattr(SoftwareKeystore, "sign", hang)
        try:
            await node.tick()
            held = [state for state in node.runner._states.values() if state.has_thread and not state.is_running]
            assert len(held) == 3
            assert not node.runner.is_hung, "the other thread is free"
        finally:
            release.set()

    asyncio.run(scenario())


def test_the_outbox_forgets_what_is_damaged_foreign_or_not_wanted(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        vault = open_unanswered_vault(world)
        await node.tick()
        job = Job(DueKind.PUBLISH_VAULT_KEY, vault)
        mine = Outbox(tmp_path / "outbox", node.founder.identity, CHAIN_ID, world.chain.gid)
        assert mine.jobs() == [job]
        kept = mine.load(job, world.chain.height)
        assert kept is not None
        directory = tmp_path / "outbox"
        for identity, chain in ((b"\x01" * 32, CHAIN_ID), (node.founder.identity, "another")):
            mine.save([job], kept)
            assert Outbox(directory, identity, chain, world.chain.gid).load(job, 0) is None
            assert list(directory.iterdir()) == []
        mine.save([job], kept)
        (directory / f"{kept.tx_hash.hex()}.tx").write_bytes(b"\xff\xff")
        (directory / "junk.tx").write_bytes(b"")
        assert Outbox(directory, node.founder.identity, CHAIN_ID, world.chain.gid).jobs() == []
        assert list(directory.iterdir()) == []
        mine.save([job], kept)
        mine.keep_only(frozenset())
        assert list(directory.iterdir()) == []

    asyncio.run(scenario())


def test_an_outbox_that_is_opened_again_knows_which_jobs_each_bundle_answers(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        directory = tmp_path / "outbox"
        node = Node(world, 0, directory)
        world.open_vault()
        orders = place(world, 3)
        await node.tick()
        jobs = sorted(Job(DueKind.FULFIL_ORDER, order) for order in orders)
        again = Outbox(directory, node.founder.identity, CHAIN_ID, world.chain.gid)
        assert again.jobs() == jobs
        kept = [again.load(job, world.chain.height) for job in jobs]
        assert {one.tx for one in kept if one is not None} == {node.sent[0]}
        for job in jobs[:2]:
            again.remove(job)
        assert again.jobs() == jobs[2:]
        assert len(list(directory.iterdir())) == 1, "the last one waits still"
        again.remove(jobs[2])
        assert list(directory.iterdir()) == []

    asyncio.run(scenario())


def test_of_two_transactions_for_one_job_the_later_one_is_kept(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        directory = tmp_path / "outbox"
        node = Node(world, 0, directory, patient(renew_blocks=1))
        world.open_vault()
        (order,) = place(world, 1)
        await node.tick()
        (first,) = directory.iterdir()
        old = first.read_bytes()
        for _ in range(3):
            world.chain.block()
        await node.tick(6.0)
        (second,) = directory.iterdir()
        assert second != first
        first.write_bytes(old)  # the process was killed between the two steps
        again = Outbox(directory, node.founder.identity, CHAIN_ID, world.chain.gid)
        kept = again.load(Job(DueKind.FULFIL_ORDER, order), world.chain.height)
        assert kept is not None
        assert kept.tx == second.read_bytes()
        assert list(directory.iterdir()) == [second]

    asyncio.run(scenario())
