"""PrepareProposal and ProcessProposal: what a proposer chooses, and what others accept of it."""

from __future__ import annotations

import pytest

from abci_app import transition
from abci_app.block import Time
from abci_app.pb.dta.v1 import tx_pb2
from tests.support.custody import Custody
from tests.support.world import fresh_custody, set_params


def prepare(custody: Custody, txs: list[bytes], max_tx_bytes: int = 1_000_000) -> list[bytes]:
    chain = custody.chain
    time = Time(chain.time_s + 1)
    return transition.prepare_proposal(chain.view, txs, max_tx_bytes=max_tx_bytes, height=chain.height + 1, time=time)


def accepts(custody: Custody, txs: list[bytes]) -> bool:
    chain = custody.chain
    return transition.process_proposal(chain.view, txs, height=chain.height + 1, time=Time(chain.time_s + 1))


def futile(custody: Custody, count: int) -> list[bytes]:
    """Users' transactions: nobody is named to keep a vault open that does not close."""
    return [custody.chain.tx(custody.principal, tx_pb2.CancelCloseVault(vault=custody.vault)) for _ in range(count)]


def size_in_block(tx: bytes) -> int:
    """What protobuf makes of ``repeated bytes txs = 1`` with one entry."""
    length, varint_bytes = len(tx), 1
    while length >= 0x80:
        length >>= 7
        varint_bytes += 1
    return 1 + varint_bytes + len(tx)


def test_results_come_before_users_and_each_keep_their_order() -> None:
    custody = fresh_custody()
    order = custody.place(fulfil=False)
    users = futile(custody, 3)
    results = [custody.chain.tx(f, tx_pb2.FulfilOrder(order=order), key=f.node_key) for f in custody.chain.founders]
    mixed = [users[0], results[0], users[1], results[1], results[2], users[2], results[3]]
    assert prepare(custody, mixed) == [*results, *users]


def test_a_proposal_keeps_to_the_bytes_to_the_last_one() -> None:
    custody = fresh_custody()
    txs = futile(custody, 5)
    three = sum(size_in_block(tx) for tx in txs[:3])
    assert prepare(custody, txs, three) == txs[:3]
    assert prepare(custody, txs, three - 1) == txs[:2]
    assert prepare(custody, txs, 0) == []


def test_a_large_transaction_at_the_front_does_not_keep_small_ones_out() -> None:
    custody = fresh_custody()
    large = custody.chain.tx(custody.principal, custody.order_message())
    small = futile(custody, 2)
    room = sum(size_in_block(tx) for tx in small)
    assert prepare(custody, [large, *small], room) == small


def test_a_proposal_keeps_to_the_cost_that_others_hold_it_to() -> None:
    custody = fresh_custody()
    set_params(custody.chain, max_block_cost=1_200)
    txs = futile(custody, 4)
    chosen = prepare(custody, txs)
    assert chosen == txs[:2]
    assert accepts(custody, chosen)
    assert not accepts(custody, txs[:3])
    set_params(custody.chain, max_block_cost=1_500)
    assert prepare(custody, txs) == txs[:3]
    assert accepts(custody, txs[:3]), "to the last unit"


@pytest.mark.parametrize("length_bytes", [1, 127, 128, 16_383, 16_384, 65_536])
def test_a_transaction_takes_up_its_tag_its_length_and_its_bytes(length_bytes: int) -> None:
    assert transition._size_in_block(bytes(length_bytes)) == size_in_block(bytes(length_bytes))


def test_a_proposal_leaves_out_rubbish_copies_what_was_seen_and_what_is_over() -> None:
    custody = fresh_custody()
    chain = custody.chain
    seen = chain.tx(custody.principal, tx_pb2.CloseOrder(order=bytes(32)))
    chain.block(seen)
    over = chain.tx(custody.principal, tx_pb2.CancelCloseVault(vault=custody.vault), expires_in=0)
    (good,) = futile(custody, 1)
    other_signature = tx_pb2.SignedTx.FromString(good)
    other_signature.signature = bytes(64)
    copies = [good, good, other_signature.SerializeToString()]
    chosen = prepare(custody, [b"", b"rubbish", seen, over, *copies])
    assert chosen == [good]
    assert accepts(custody, chosen)


def test_a_proposal_takes_no_more_of_one_identity_than_execution_would() -> None:
    custody = fresh_custody()
    set_params(custody.chain, max_txs_per_identity=2)
    mine = futile(custody, 4)
    other = custody.chain.tx(custody.beneficiary, tx_pb2.CancelCloseVault(vault=custody.vault))
    assert prepare(custody, [*mine, other]) == [*mine[:2], other]


def test_a_proposal_is_refused_for_its_bytes_alone() -> None:
    """What depends on state is execution's: else a proposal could be refused by who lags."""
    custody = fresh_custody()
    (good,) = futile(custody, 1)
    forged = tx_pb2.SignedTx.FromString(good)
    forged.signature = bytes(64)
    unknown = tx_pb2.SignedTx.FromString(good)
    unknown.signer = bytes(32)
    for acceptable in ([], [good], [good, good], [forged.SerializeToString()], [unknown.SerializeToString()]):
        assert accepts(custody, acceptable)
    for tx in (b"", b"rubbish", good + b"\x00", good[:-1]):
        assert not accepts(custody, [good, tx])
    late = custody.chain.tx(custody.principal, tx_pb2.CancelCloseVault(vault=custody.vault), expires_in=0)
    assert not accepts(custody, [late])


def test_proposing_and_accepting_change_nothing() -> None:
    custody = fresh_custody()
    before = dict(custody.chain.view.leaves), dict(custody.chain.view.index)
    txs = futile(custody, 2)
    prepare(custody, txs)
    accepts(custody, txs)
    assert (custody.chain.view.leaves, custody.chain.view.index) == before
