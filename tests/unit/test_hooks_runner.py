"""The runner over a real state machine and a mempool that can lose, refuse or repeat; time is the test's."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hooks_harness import SECRET, World, make_world

from abci_app.block import TxResult
from abci_app.codes import Code
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state.records import FULFILMENTS, VAULTS
from dta.base.errors import Unreachable
from dta.blocks.errors import BlockUnavailable
from dta.hsm.errors import TokenFailure
from dta.hsm.keystore import Keystore
from dta.node.agent.runner import RunnerConfig
from dta.node.hooks.errors import NotAtHead, Retry
from dta.node.hooks.head import Head
from dta.node.hooks.hung import HungJobs
from dta.node.hooks.outbox import Outbox
from tests.support.actors import Actor
from tests.support.chain import CHAIN_ID
from tests.support.patience import PATIENCE_S
from tests.support.refusals import TAKEN, Because, because
from tests.support.ticking import ScannedOwed, TickedRunner


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def patient(**settings: Any) -> RunnerConfig:
    """Jobs and results wait for each other, not for a clock: on a busy machine a second of work may take minutes."""
    return RunnerConfig(**({"job_timeout_s": 600.0, "gather_s": 600.0} | settings))


class Node:
    """One founder's runner. ``mempool`` keeps what was admitted; ``sent`` every byte that was sent, in order."""

    def __init__(self, world: World, number: int, directory: Path, config: RunnerConfig | None = None) -> None:
        self.world = world
        self.founder: Actor = world.chain.founders[number]
        self.clock = Clock()
        self.mempool: list[bytes] = []
        self.sent: list[bytes] = []
        self.refuse: Callable[[bytes], TxResult | None] = lambda _: None
        self.obtained: list[tuple[str, bool]] = []
        self.is_catching_up, self.is_answered = False, True
        self.on_obtain: Callable[[str], Awaitable[None]] | None = None
        self.tools = world.tools[self.founder.identity]
        self.directory = directory
        self.config = config or patient()
        self.runner = self.start()

    def start(self) -> TickedRunner:
        """A new life: nothing is left of the last one but its files."""
        head = Head(60, lambda: self.world.chain.time_s + 1, self.clock)
        outbox = Outbox(self.directory, self.founder.identity, CHAIN_ID, self.world.chain.gid)
        hung = HungJobs(self.directory.with_suffix(".hung"))
        owed = ScannedOwed(lambda: self.runner._tools)
        self.runner = TickedRunner(
            self.tools, self, head, outbox, hung, owed, CHAIN_ID, self.config, self.clock, jitter=lambda: 1.0
        )
        return self.runner

    async def catching_up(self) -> bool:
        return self.is_catching_up

    async def obtain(self, cid: str, pin: bool) -> bytes:
        self.obtained.append((cid, pin))
        if self.on_obtain is not None:
            await self.on_obtain(cid)
        if cid not in self.world.blocks:
            raise BlockUnavailable(cid, (("http://peer", "does not have it"),), self.is_answered)
        return self.world.blocks[cid]

    async def broadcast(self, tx: bytes) -> tuple[int, str]:
        self.sent.append(tx)
        result = self.refuse(tx) or self.world.chain.check(tx)
        if result.code == Code.OK and tx not in self.mempool:
            self.mempool.append(tx)
        return result.code, result.log

    async def tick(self, seconds: float = 1.0) -> None:
        """Time passes, the runner looks, and what it started ends."""
        self.clock.s += seconds
        await self.runner.tick()
        running = [state.task for state in self.runner._states.values() if state.task is not None]
        await asyncio.gather(*running, return_exceptions=True)

    def mine(self) -> list[Because]:
        """The next block, with all that waits: what becomes of it."""
        txs, self.mempool = self.mempool, []
        return [because(result) for result in self.world.chain.block(*txs).tx_results]

    def message(self, tx: bytes) -> str:
        return tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body).WhichOneof("message") or ""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, fiduciaries=1)


def open_unanswered_vault(world: World) -> bytes:
    ids = [founder.identity for founder in world.chain.founders]
    message = tx_pb2.OpenVault(nonce=bytes(32), custodian="hsm-realm", fiduciaries=ids)
    world.vault = world.chain.run(world.principal, message).data
    return world.vault


def test_a_secret_goes_round_through_the_runner_alone(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        open_unanswered_vault(world)
        await node.tick()
        assert node.mine() == [TAKEN]
        order = world.place(world.prepare(threshold=1))
        await node.tick()
        assert node.mine() == [TAKEN]
        assert world.order(order).status == custody_pb2.ORDER_STATUS_ACTIVE
        assert node.obtained[-1] == (world.order(order).envelope_cid, True)  # fetched and pinned before it is said
        request = world.request(order)
        await node.tick()
        assert node.mine() == [TAKEN]
        assert world.recover(request).secret == SECRET
        assert [node.message(tx) for tx in node.sent] == ["publish_vault_key", "fulfil_order", "fulfil_secret"]
        await node.tick()
        assert node.runner.status()["due"] == 0
        assert list((tmp_path / "outbox").iterdir()) == []

    asyncio.run(scenario())


def test_the_same_bytes_are_sent_until_state_says_that_it_is_done(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        open_unanswered_vault(world)
        await node.tick()
        node.mempool.clear()  # accepted and then lost
        await node.tick(1.0)
        assert len(node.sent) == 1  # not before resend_s
        await node.tick(5.0)
        await node.tick(6.0)
        assert len(node.sent) == 3
        assert len(set(node.sent)) == 1
        assert node.mine() == [TAKEN]

    asyncio.run(scenario())


def test_a_process_that_was_killed_sends_the_same_bytes_again(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        world.open_vault()
        order = world.place(world.prepare(threshold=1))
        world.settle()
        world.request(order)
        await node.tick()
        node.mempool.clear()
        node.start()
        await node.tick()
        assert len(node.sent) == 2
        assert node.sent[0] == node.sent[1]  # no second seal of the share

    asyncio.run(scenario())


def test_without_its_outbox_a_killed_process_works_it_out_again(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        vault = open_unanswered_vault(world)
        await node.tick()
        first = node.mempool[:]
        node.directory = tmp_path / "another"
        node.start()
        await node.tick()
        assert node.sent[0] != node.sent[1]
        # Both reach a block: one counts, the other is a distinct, harmless code.
        node.mempool = [*first, node.sent[1]]
        assert node.mine() == [TAKEN, Because(Code.ALREADY_DONE, "vault-key")]
        assert VAULTS.get(world.chain.view, vault).published == 1

    asyncio.run(scenario())


def body_of(tx: bytes) -> tx_pb2.TxBody:
    return tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)


def test_a_result_says_by_which_height_it_is_due(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        open_unanswered_vault(world)
        await node.tick()
        assert [body_of(tx).made_at_height for tx in node.sent] == [world.chain.height]

    asyncio.run(scenario())


def test_a_result_that_is_in_no_block_after_a_few_is_signed_anew(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", patient(renew_blocks=3))
        world.open_vault()
        order = world.place(world.prepare(threshold=1))
        world.settle()
        world.request(order)
        await node.tick()
        for _ in range(3):
            world.chain.block()
            await node.tick(0.1)
        assert len(node.sent) == 1
        await node.tick(6.0)
        assert node.sent == [node.sent[0]] * 2, "the same bytes, after a while"
        world.chain.block()
        await node.tick(0.1)
        first, last = body_of(node.sent[0]), body_of(node.sent[2])
        assert len(node.sent) == 3, "at once, however soon that block came"
        assert first.fulfil_secret == last.fulfil_secret, "no second seal of the share"
        assert last.made_at_height == world.chain.height
        assert node.mine() == [TAKEN, Because(Code.ALREADY_DONE, "answer")]

    asyncio.run(scenario())


def test_what_is_not_due_any_more_when_it_is_to_be_signed_is_never_sent(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        vault = open_unanswered_vault(world)
        pins = world.pins

        def close_before_the_last(count: int) -> None:
            if count == pins + 4:  # planned, wanted, performed; now it is to be signed
                assert world.chain.run(world.principal, tx_pb2.CloseVault(vault=vault)).code == 0

        world.before_pin = close_before_the_last
        await node.tick()
        assert node.sent == []

    asyncio.run(scenario())


def test_bytes_past_their_expiry_are_made_anew(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", patient(expiry_blocks=3))
        open_unanswered_vault(world)
        await node.tick()
        node.mempool.clear()
        for _ in range(4):
            world.chain.block()
        await node.tick(6.0)
        assert len(set(node.sent)) == 2
        assert node.mine() == [TAKEN]

    asyncio.run(scenario())


def test_a_result_that_a_block_refused_is_made_anew_while_it_is_owed(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        open_unanswered_vault(world)
        await node.tick()
        node.mempool.clear()
        world.chain.block()
        node.refuse = lambda tx: TxResult(Code.REPLAYED) if tx == node.sent[0] else None
        await node.tick(6.0)  # the ledger has consumed these bytes, and still wants the key
        await node.tick(6.0)
        assert len(set(node.sent)) == 2
        assert node.mine() == [TAKEN]

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [Code.NOT_DUE, Code.ALREADY_DONE])
def test_harmless_codes_are_no_errors(world: World, tmp_path: Path, code: Code) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        open_unanswered_vault(world)
        node.refuse = lambda _: TxResult(code)
        await node.tick()
        assert node.runner.status()["errors"] == []

    asyncio.run(scenario())


def test_what_is_no_longer_due_is_dropped_and_forgotten(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        vault = open_unanswered_vault(world)
        await node.tick()
        node.mempool.clear()
        assert world.chain.run(world.principal, tx_pb2.CloseVault(vault=vault)).code == 0
        await node.tick(6.0)
        assert len(node.sent) == 1
        assert node.runner.status()["due"] == 0
        assert list((tmp_path / "outbox").iterdir()) == []

    asyncio.run(scenario())


def test_a_fetch_that_hangs_holds_up_no_other_job(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", RunnerConfig(job_timeout_s=1.0))
        world.open_vault()
        stuck = world.place(world.prepare(threshold=1, salt=b"\x01" * 32))
        fine = world.place(world.prepare(threshold=1, salt=b"\x02" * 32))
        hanging = world.order(stuck).envelope_cid

        async def hang(cid: str) -> None:
            if cid == hanging:
                await asyncio.sleep(3600)

        node.on_obtain = hang
        await node.tick()
        assert node.mine() == [TAKEN]
        assert world.order(fine).status == custody_pb2.ORDER_STATUS_ACTIVE
        (error,) = node.runner.status()["errors"]  # type: ignore[misc, union-attr]
        assert error["subject"] == stuck.hex()  # type: ignore[index, call-overload]
        node.on_obtain = None
        await node.tick(2.0)
        assert node.mine() == [TAKEN]
        assert world.order(stuck).status == custody_pb2.ORDER_STATUS_ACTIVE

    asyncio.run(scenario())


def test_failing_jobs_wait_longer_each_time_and_fresh_ones_go_first(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", patient(max_running=1))
        world.open_vault()
        world.place(world.prepare(threshold=1, salt=b"\x01" * 32), upload=False)
        await node.tick()
        tries = len(node.obtained)
        await node.tick(0.4)
        assert len(node.obtained) == tries  # half a second has not passed
        await node.tick(0.2)
        assert len(node.obtained) == tries + 1
        await node.tick(0.6)
        assert len(node.obtained) == tries + 1  # now it is a whole one
        fine = world.place(world.prepare(threshold=1, salt=b"\x02" * 32))
        await node.tick(60.0)  # both are ready, and there is room for one
        assert node.obtained[-1][0] == world.order(fine).envelope_cid

    asyncio.run(scenario())


def test_an_envelope_that_nobody_has_is_rejected_after_tries_and_time(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", patient(envelope_wait_s=600, envelope_attempts=3))
        world.open_vault()
        order = world.place(world.prepare(threshold=1), upload=False)
        for _ in range(5):
            await node.tick(60.0)
        assert node.sent == []  # tries enough, but the order is young
        world.chain.block(seconds=600)
        await node.tick(60.0)
        assert node.mine() == [TAKEN]
        record = FULFILMENTS.get(world.chain.view, order, node.founder.identity)
        assert record.rejection == custody_pb2.REJECTION_ENVELOPE_UNAVAILABLE

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["catching up", "old", "unreachable"])
def test_a_node_that_is_not_at_the_head_does_nothing(world: World, tmp_path: Path, how: str) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        open_unanswered_vault(world)
        if how == "old":
            world.at_head = False
        elif how == "catching up":
            node.is_catching_up = True
            head = node.runner._head
            node.runner._tools = replace(node.tools, pin=_checked(world, head))
        else:

            async def fail() -> bool:
                raise Unreachable("no connection")

            node.catching_up = fail  # type: ignore[method-assign]
        with pytest.raises((NotAtHead, Unreachable)):
            await node.tick()
        assert node.sent == []

    asyncio.run(scenario())


def _checked(world: World, head: Head):  # type: ignore[no-untyped-def]
    from contextlib import contextmanager

    @contextmanager
    def pin():  # type: ignore[no-untyped-def]
        head.require(world.chain.time_s)
        with world.pin() as now:
            yield now

    return pin


def test_a_token_that_fails_is_reported_and_tried_again(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        healthy = node.tools.keystore
        answers: list[Callable[[], Keystore]] = [_raise(TokenFailure("the token is gone")), _raise(Retry("not open"))]
        node.tools = replace(node.tools, keystore=lambda: (answers.pop(0) if answers else healthy)())
        node.start()
        open_unanswered_vault(world)
        await node.tick()
        (error,) = node.runner.status()["errors"]  # type: ignore[misc, union-attr]
        assert error["error"] == "the token is gone"  # type: ignore[index, call-overload]
        await node.tick(60.0)
        await node.tick(60.0)
        assert node.mine() == [TAKEN]
        assert node.runner.status()["errors"] == []

    asyncio.run(scenario())


def _raise(error: Exception) -> Callable[[], Keystore]:
    def fail() -> Keystore:
        raise error

    return fail


def with_a_hanging_token(node: Node) -> tuple[threading.Event, list[int]]:
    """Until the event is set; the node is started anew with it. The list has an item for each time it was asked."""
    healthy, release, calls = node.tools.keystore, threading.Event(), list[int]()

    def hang() -> Keystore:
        calls.append(1)
        release.wait(PATIENCE_S)
        return healthy()

    node.tools = replace(node.tools, keystore=hang)
    node.start()
    return release, calls


def test_threads_that_hang_in_the_hsm_are_seen_and_their_jobs_not_doubled(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", RunnerConfig(hsm_threads=1, job_timeout_s=0.2))
        release, calls = with_a_hanging_token(node)
        open_unanswered_vault(world)
        try:
            await node.tick()
            assert node.runner.is_hung
            await node.tick(600.0)
            assert len(calls) == 1
        finally:
            release.set()

    asyncio.run(scenario())


def test_what_nobody_can_answer_is_given_up_and_shown(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        world.open_vault()
        order = world.place(world.prepare(threshold=1))
        world.settle()
        request = world.request(order)
        keys_cid = next(cid for cid in world.blocks if cid != world.order(order).envelope_cid)
        world.blocks[keys_cid] = b"noise"
        for _ in range(3):
            await node.tick(120.0)
        status = node.runner.status()
        assert (status["given_up"], node.sent) == (1, [])
        assert len(node.obtained) == 2  # once each
        (error,) = status["errors"]  # type: ignore[misc, union-attr]
        assert error["subject"] == request.hex()  # type: ignore[index, call-overload]

    asyncio.run(scenario())


def test_the_status_is_json_and_shows_no_text_of_unforeseen_errors(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox")
        node.tools = replace(node.tools, keystore=_raise(ValueError("hunter2")))
        node.start()
        open_unanswered_vault(world)
        await node.tick()
        text = json.dumps(node.runner.status())
        assert "ValueError" in text
        assert "hunter2" not in text

    asyncio.run(scenario())


def test_it_runs_until_told_to_stop(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(world, 0, tmp_path / "outbox", patient(poll_s=0.01))
        open_unanswered_vault(world)
        stop = asyncio.Event()
        running = asyncio.create_task(node.runner.run(stop))
        while not node.mempool:
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)

    asyncio.run(scenario())
