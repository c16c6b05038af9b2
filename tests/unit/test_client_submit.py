"""Submitting: committed, refused, expired, or not known yet; never two of these, and never by hearsay."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import httpx
import pytest

from abci_app.block import TxResult
from abci_app.codes import Code
from dta.base.errors import Expired, RefusedByLedger, TimedOut, Unreachable
from dta.client.ledger.submit import Patience, submit
from dta.client.ledger.tx import SignedBytes
from tests.support.light_chain import Chain, ClockedRpc, Node, RpcFailure, members
from tests.support.refusals import refused

TX = SignedBytes(b"the bytes", b"r" * 32, sha256(b"the bytes").digest(), expires_at_height=20)
OTHER = b"other bytes"


class World:
    """A node whose chain gets a block at each sleep; ``at[height]`` says what is in that block."""

    def __init__(self, **node: Any) -> None:
        self.chain = Chain(members(1))
        for _ in range(5):
            self.chain.add()
        self.at: dict[int, Callable[[], None]] = {}
        self.sent: list[bytes] = []
        self.answers: list[dict[str, Any] | str] = []
        self.node = Node(self.chain, check_tx=self.check_tx, **node)
        self.rpc = ClockedRpc(self.node, on_sleep=self.grow)

    def grow(self) -> None:
        self.at.get(self.chain.height + 1, lambda: self.chain.add())()

    def commit_at(self, height: int, result: TxResult | None = None) -> None:
        self.at[height] = lambda: self.chain.add(txs=[OTHER, TX.tx], results=[TxResult(0), result or TxResult(0)])

    def check_tx(self, tx: bytes) -> dict[str, Any]:
        """The next prepared answer (a string: an RPC error), the last one again and again."""
        self.sent.append(tx)
        answer = self.answers.pop(0) if len(self.answers) > 1 else (self.answers or [{"code": 0}])[0]
        if isinstance(answer, str):
            raise RpcFailure(answer)
        return answer

    def submit(self, since_height: int | None = None, **patience: Any) -> Any:
        return self.rpc.run(submit(TX, Patience(**patience), since_height))


@pytest.mark.parametrize("indexing", [True, False])
def test_a_transaction_is_committed_when_a_block_has_it_with_or_without_the_node_s_index(indexing: bool) -> None:
    world = World(indexing=indexing)
    world.commit_at(8, TxResult(0, b"data", "log", 7, 5))
    done = world.submit()
    assert (done.height, done.code, done.data, done.log, done.gas_wanted, done.gas_used) == (
        8, 0, b"data", "log", 7, 5,
    )  # fmt: skip
    assert done.tx_hash == TX.tx_hash
    assert done.require_ok() is done


def test_check_tx_s_ok_is_no_acknowledgement_and_the_same_bytes_are_sent_again() -> None:
    world = World()
    world.commit_at(18)
    assert world.submit(resend_s=1.0).height == 18
    assert len(world.sent) > 2
    assert set(world.sent) == {TX.tx}


def test_already_in_cache_means_pending() -> None:
    world = World()
    world.answers = ["tx already exists in cache"]
    world.commit_at(9)
    assert world.submit().height == 9


def test_a_code_of_the_block_is_returned_and_raises_only_on_demand() -> None:
    world = World()
    world.commit_at(7, TxResult(int(Code.ORDER_NOT_OPEN), log="order is closed"))
    done = world.submit()
    refused(done, Code.ORDER_NOT_OPEN)
    with pytest.raises(RefusedByLedger) as caught:
        done.require_ok()
    assert caught.value.name == "ORDER_NOT_OPEN"
    assert caught.value.height == 7
    assert caught.value.hint
    assert caught.value.exit_code == 3


def test_a_final_refusal_of_the_mempool_is_raised_at_once_with_its_name_and_hint() -> None:
    world = World()
    world.answers = [{"code": int(Code.UNKNOWN_SIGNER), "log": "no such identity is registered"}]
    with pytest.raises(RefusedByLedger) as caught:
        world.submit()
    refused(caught.value, Code.UNKNOWN_SIGNER)
    assert caught.value.hint == "register the identity first"
    assert caught.value.height is None
    assert len(world.sent) == 1


@pytest.mark.parametrize("busy", [{"code": int(Code.BUSY)}, "mempool is full: number of txs 5000 (max: 5000)"])
def test_a_busy_node_is_tried_again(busy: dict[str, Any] | str) -> None:
    world = World()
    world.answers = [busy, busy, {"code": 0}]
    world.commit_at(12)
    assert world.submit().height == 12
    assert len(world.sent) >= 3


def test_a_node_that_stays_busy_ends_in_its_refusal_because_nothing_was_ever_accepted() -> None:
    world = World()
    world.answers = [{"code": int(Code.BUSY)}]
    with pytest.raises(RefusedByLedger) as caught:
        world.submit(timeout_s=3.0)
    refused(caught.value, Code.BUSY)


def test_a_transaction_that_is_too_large_for_the_mempool_is_refused() -> None:
    world = World()
    world.answers = ["Tx too large. Max size is 65536, but got 70000"]
    with pytest.raises(RefusedByLedger) as caught:
        world.submit()
    refused(caught.value, Code.TOO_LARGE)


@pytest.mark.parametrize("indexing", [True, False])
def test_expiry_is_raised_only_after_the_last_block_that_could_hold_it(indexing: bool) -> None:
    world = World(indexing=indexing)
    with pytest.raises(Expired) as caught:
        world.submit()
    assert world.chain.height == 21
    assert caught.value.data["expires_at_height"] == 20
    late = World(indexing=indexing)
    late.commit_at(20)
    assert late.submit().height == 20


@pytest.mark.parametrize("indexing", [True, False])
@pytest.mark.parametrize("code", [Code.REPLAYED, Code.EXPIRED])
def test_bytes_that_were_committed_earlier_are_found_though_the_node_refuses_them_now(
    code: Code, indexing: bool
) -> None:
    world = World(indexing=indexing)
    world.commit_at(6)
    for _ in range(18 if code == Code.EXPIRED else 3):
        world.grow()
    world.answers = [{"code": int(code)}]
    assert world.submit().height == 6


def test_a_refusal_that_our_own_committed_copy_caused_gives_that_copy() -> None:
    world = World(indexing=False)
    world.commit_at(7)
    world.answers = [{"code": 0}, {"code": int(Code.DUPLICATE)}]
    assert world.submit(resend_s=0.0).height == 7


def test_a_refusal_after_acceptance_must_outlast_a_few_blocks() -> None:
    world = World()
    world.answers = [{"code": 0}, {"code": int(Code.NOT_DUE)}]
    world.commit_at(8)
    assert world.submit(resend_s=0.0).height == 8
    other = World()
    other.answers = [{"code": 0}, {"code": int(Code.NOT_DUE)}]
    with pytest.raises(RefusedByLedger):
        other.submit(resend_s=0.0)
    assert other.chain.height < 15


def test_running_out_of_time_says_that_it_may_still_be_committed() -> None:
    world = World()
    world.grow = lambda: None  # type: ignore[method-assign]
    world.rpc = ClockedRpc(world.node)
    with pytest.raises(TimedOut) as caught:
        world.submit(timeout_s=10.0)
    assert "may still be" in caught.value.hint
    assert caught.value.data["tx_hash"] == TX.tx_hash.hex()


def test_a_block_whose_results_are_not_there_yet_is_waited_for() -> None:
    world = World(indexing=False)
    world.commit_at(7)
    asked: list[str] = []

    def not_yet(params: dict[str, Any], honest: Any) -> Any:
        asked.append(params["height"])
        if len(asked) < 3:
            raise RpcFailure("could not find results for height #7")
        return honest

    world.node.lies["block_results"] = not_yet
    assert world.submit().height == 7
    assert asked == ["7", "7", "7"]


def test_a_node_that_is_away_for_a_while_is_waited_for_but_not_at_the_start() -> None:
    world = World()
    world.commit_at(12)
    honest, away = world.node.handle, range(3, 9)
    count = 0

    def handle(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        if count in away:
            raise httpx.ConnectError("connection refused")
        return honest(request)

    world.node.handle = handle  # type: ignore[method-assign]
    world.rpc = ClockedRpc(world.node, on_sleep=world.grow)
    assert world.submit().height == 12
    away = range(1, 10**6)
    with pytest.raises(Unreachable):
        world.submit()


def test_a_node_without_the_old_blocks_cannot_prove_an_expiry() -> None:
    world = World(earliest=15, indexing=False)
    world.commit_at(6)
    for _ in range(18):
        world.grow()
    world.answers = [{"code": int(Code.EXPIRED)}]
    with pytest.raises(TimedOut, match="no longer has every block"):
        world.submit()
