"""What a node remembers to do less never changes what it answers: decoded transactions, read leaves, shared records."""

from __future__ import annotations

import pytest

from abci_app import signed, transition
from abci_app.block import Changes
from abci_app.codes import Code
from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.server import dispatch
from abci_app.signed import TxMemo
from abci_app.state.cached import CachedView
from abci_app.state.memory_view import MemoryView
from abci_app.state.records import IDENTITIES, params
from tests.support.chain import CHAIN_ID
from tests.support.custody import Custody
from tests.support.refusals import Because, because, raised, refused
from tests.support.world import body_of, fresh_custody, nonce, set_params
from tests.support.world import signed as signed_by


@pytest.fixture
def memo(monkeypatch: pytest.MonkeyPatch) -> TxMemo:
    """The process's, empty."""
    fresh = TxMemo()
    monkeypatch.setattr(transition, "_DECODED", fresh)
    return fresh


def order_tx(custody: Custody, tag: object = 0, **changes: object) -> bytes:
    message = custody.order_message(nonce(tag), **changes)
    return signed_by(custody.chain, custody.principal, body_of(custody.chain, message, tag=tag))


def because_of(tx: bytes, custody: Custody, memo: TxMemo, height: int, chain_id: str = CHAIN_ID) -> Because | None:
    return raised(lambda: signed.decode(tx, params(custody.chain.view), chain_id, height, memo))


def test_a_transaction_is_decoded_once_for_its_check_its_proposal_and_its_block(memo: TxMemo) -> None:
    custody = fresh_custody()
    tx = order_tx(custody)
    assert custody.chain.check(tx).code == Code.OK
    remembered = memo.get(tx)
    assert remembered is not None
    assert custody.chain.block(tx).tx_results[0].code == Code.OK
    assert memo.get(tx) is remembered


def test_what_depends_on_height_chain_and_parameters_is_asked_of_a_remembered_transaction_too(memo: TxMemo) -> None:
    custody = fresh_custody()
    tx = order_tx(custody)
    assert custody.chain.check(tx).code == Code.OK
    height = custody.chain.height
    for known in (memo, TxMemo()):
        assert because_of(tx, custody, known, height + 1) is None
        refused(because_of(tx, custody, known, height + 51), Code.EXPIRED)
        refused(because_of(tx, custody, known, 1, "another"), Code.WRONG_CHAIN)
    set_params(custody.chain, max_expiry_blocks=10, max_block_cost=4_000_000)
    assert {because_of(tx, custody, known, height + 1) for known in (memo, TxMemo())} == {Because(Code.EXPIRY_TOO_FAR)}
    set_params(custody.chain, max_expiry_blocks=1_000, max_block_cost=10)
    assert {because_of(tx, custody, known, height + 1) for known in (memo, TxMemo())} == {
        Because(Code.TOO_COSTLY, "tx"),
    }
    set_params(custody.chain, max_block_cost=4_000_000, max_tx_bytes=len(tx))
    assert {because_of(tx, custody, known, height + 1) for known in (memo, TxMemo())} == {None}, "to the last byte"
    set_params(custody.chain, max_tx_bytes=len(tx) - 1)
    assert {because_of(tx, custody, known, height + 1) for known in (memo, TxMemo())} == {Because(Code.TOO_LARGE)}


def test_what_was_not_validated_or_not_signed_is_not_remembered(memo: TxMemo) -> None:
    custody = fresh_custody()
    refused(custody.chain.check(order_tx(custody, threshold=9)), Code.BAD_THRESHOLD, "order")
    assert len(memo) == 0
    tx = bytearray(order_tx(custody))
    tx[-1] ^= 1  # in the signature, the last field
    refused(custody.chain.check(bytes(tx)), Code.BAD_SIGNATURE)
    assert len(memo) == 0
    custody.chain.block(order_tx(custody, threshold=9), bytes(tx))
    assert len(memo) == 0


def test_a_remembered_transaction_is_validated_by_no_more_than_its_bytes(memo: TxMemo) -> None:
    custody = fresh_custody()
    bad = order_tx(custody, threshold=9)
    assert [because(custody.chain.check(bad)) for _ in range(2)] == [Because(Code.BAD_THRESHOLD, "order")] * 2
    refused(custody.chain.block(bad).tx_results[0], Code.BAD_THRESHOLD, "order")


def test_the_memo_of_transactions_keeps_to_its_bytes_and_lets_the_oldest_go() -> None:
    custody = fresh_custody()
    txs = [order_tx(custody, tag) for tag in range(12)]
    memo = TxMemo(max_bytes=5 * len(txs[0]))
    for tx in txs:
        memo.keep(tx, signed.decode(tx, params(custody.chain.view), CHAIN_ID, custody.chain.height + 1, memo))
        assert len(memo) <= 5
        assert memo.get(tx) is not None
    assert memo.get(txs[0]) is None
    small = TxMemo(max_bytes=10)
    small.keep(txs[0], signed.decode(txs[0], params(custody.chain.view), CHAIN_ID, custody.chain.height + 1, small))
    assert len(small) == 0


def test_no_message_is_changed_by_its_execution() -> None:
    """A remembered message is shared by all who have its bytes."""
    custody = fresh_custody()
    memo = transition._DECODED
    order = custody.place()
    request = custody.request(order)
    assert request
    for block in custody.chain.blocks:
        for tx in block.txs:
            decoded = memo.get(tx)
            if decoded is not None:
                body = tx_pb2.TxBody.FromString(decoded.body)
                assert decoded.message == getattr(body, decoded.spec.field), decoded.spec.field


def test_a_cached_view_answers_as_the_view_below_and_keeps_to_its_bound() -> None:
    base = MemoryView()
    base.apply(Changes(leaves=((b"a/1", b"x"), (b"a/2", b"y")), index=((b"i/1", b"z"),)))
    view = CachedView(base, max_entries=2)
    for _ in range(2):
        assert [view.get(key) for key in (b"a/1", b"a/2", b"a/3")] == [b"x", b"y", None]
    assert view.index_get(b"i/1") == b"z"
    assert list(view.scan(b"a/", b"a/1")) == [(b"a/2", b"y")]
    assert list(view.index_scan(b"i/")) == [(b"i/1", b"z")]
    base.apply(Changes(leaves=((b"a/1", b"new"), (b"a/3", b"new"))))
    assert view.get(b"a/1") == b"x", "a view is for one committed state: the server makes a new one at Commit"
    assert view.get(b"a/3") == b"new", "past its bound it remembers nothing more"


def test_a_shared_record_is_read_anew_when_its_bytes_change() -> None:
    custody = fresh_custody()
    view, principal = custody.chain.view, custody.principal.identity
    first = IDENTITIES.read(view, principal)
    assert first is not None
    assert IDENTITIES.read(view, principal) is first
    changed = IDENTITIES.get(view, principal)
    changed.not_after_s = 77
    view.apply(Changes(leaves=((b"id/" + principal, changed.SerializeToString(deterministic=True)),)))
    second = IDENTITIES.read(view, principal)
    assert second is not None
    assert (first.not_after_s, second.not_after_s) == (0, 77)
    assert IDENTITIES.exists(view, principal)
    assert not IDENTITIES.exists(view, bytes(32))
    assert IDENTITIES.read(view, bytes(32)) is None


@pytest.mark.parametrize("field", [field.name for field in pb.Response.DESCRIPTOR.oneofs_by_name["kind"].fields])
def test_an_answer_is_encoded_as_protobuf_would_encode_the_whole_response(field: str) -> None:
    kind = pb.Response.DESCRIPTOR.fields_by_name[field].message_type
    response = getattr(pb, kind.name)()
    if field == "finalize_block":
        for _ in range(300):
            response.tx_results.add(data=b"x" * 50)
    assert dispatch._encode(field, response) == pb.Response(**{field: response}).SerializeToString()
