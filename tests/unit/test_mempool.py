"""What waits in a node's mempool: who finds a place, and who can't take it from others."""

from __future__ import annotations

import pytest

from abci_app.block import Time
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.mempool import Mempool
from abci_app.pb.dta.v1 import tx_pb2
from tests.support.world import fresh_custody, nonce


def admitted(mempool: Mempool, tag: object, signer: bytes = b"a", answers: bytes = b"", recheck: bool = False) -> int:
    try:
        mempool.admit(nonce(tag), signer, answers=answers, is_recheck=recheck)
    except Refusal as refusal:
        return int(refusal.code)
    return 0


def test_users_are_refused_from_three_quarters_on_and_results_are_not() -> None:
    mempool = Mempool(capacity=8)
    codes = [admitted(mempool, n, bytes([n])) for n in range(8)]
    assert codes == [Code.OK] * 6 + [Code.BUSY] * 2
    assert [admitted(mempool, ("r", n), bytes([n]), answers=bytes([n])) for n in range(20)] == [Code.OK] * 20
    assert admitted(mempool, 0) == Code.OK, "what is pending is pending"


def test_one_identity_holds_half_of_the_places_at_most() -> None:
    mempool = Mempool(capacity=8)
    assert [admitted(mempool, n) for n in range(5)] == [Code.OK] * 4 + [Code.TOO_MANY]


def test_a_recheck_counts_what_is_left_and_refuses_no_user() -> None:
    mempool = Mempool(capacity=4)
    for n in range(3):
        admitted(mempool, n, bytes([n]))
    assert admitted(mempool, 3, b"d") == Code.BUSY
    mempool.begin_recheck(5, Time(9))
    assert (mempool.height, mempool.time) == (5, Time(9))
    assert [admitted(mempool, n, bytes([n]), recheck=True) for n in range(6)] == [Code.OK] * 6
    assert admitted(mempool, 9, b"d") == Code.BUSY


def test_a_fiduciary_cannot_fill_the_mempool_with_answers_to_one_question() -> None:
    custody = fresh_custody()
    order = custody.place(fulfil=False)
    chain, founder = custody.chain, custody.chain.founders[0]
    answers = [chain.tx(founder, tx_pb2.FulfilOrder(order=order), key=founder.node_key) for _ in range(3)]
    answers.append(chain.tx(founder, tx_pb2.RejectOrder(order=order, rejection=1), key=founder.node_key))
    assert [chain.check(tx).code for tx in answers] == [Code.OK] + [Code.TOO_MANY] * 3
    assert chain.check(answers[0]).code == Code.OK
    chain.block()
    assert chain.check(answers[1]).code == Code.OK, "the first was dropped; the next one may wait"


@pytest.mark.parametrize("recheck", [False, True])
def test_checking_changes_no_state(recheck: bool) -> None:
    custody = fresh_custody()
    before = dict(custody.chain.view.leaves), dict(custody.chain.view.index)
    custody.chain.check(custody.chain.tx(custody.principal, custody.order_message()), recheck=recheck)
    assert (custody.chain.view.leaves, custody.chain.view.index) == before
