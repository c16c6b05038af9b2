"""Whatever bytes come as a transaction: a code, never an exception; and no change but by the rules."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abci_app import transition
from abci_app.block import Block, BlockResult, Changes, Time
from abci_app.codes import CODES, Code
from abci_app.mempool import Mempool
from abci_app.messages.registry import SPECS
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.indexes import SEEN
from abci_app.state.records import SEEN_BUCKETS
from tests.support.actors import body_bytes, signed_tx
from tests.support.chain import CHAIN_ID
from tests.support.messages import MESSAGES, actors_of, busy_custody, random_message, sensible_messages
from tests.support.world import is_note, without_notes

SLOW = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
CUSTODY, IDS = busy_custody()
CHAIN = CUSTODY.chain
MARKS = (SEEN_BUCKETS, SEEN)
SENSIBLE = sensible_messages(CUSTODY, IDS)
VALID = [
    CHAIN.tx(actor, message, key=actor.node_key if by_node else None)
    for actor, message, by_node in SENSIBLE
]


def is_mark(key: bytes) -> bool:
    return any(places.holds(key) for places in MARKS)


def deliver(tx: bytes) -> BlockResult:
    """The transaction in a block of its own on the busy world, which stays as it is; CheckTx before it."""
    mempool = Mempool()
    mempool.height, mempool.time = CHAIN.height, Time(CHAIN.time_s)
    checked = transition.check_tx(CHAIN.view, tx, mempool, recheck=False)
    assert checked.code in CODES
    assert transition.check_tx(CHAIN.view, tx, mempool, recheck=False).code == checked.code, "CheckTx is idempotent"
    block = Block(CHAIN.height + 1, Time(CHAIN.time_s + 1), (tx,))
    transition.process_proposal(CHAIN.view, block.txs, height=block.height, time=block.time)
    chosen = transition.prepare_proposal(
        CHAIN.view, [tx, tx], max_tx_bytes=100_000, height=block.height, time=block.time
    )
    assert len(chosen) <= 1
    return transition.apply_block(CHAIN.view, block)


def judge(tx: bytes, result: BlockResult) -> Code:
    """What must hold of any transaction's result."""
    (answer,) = result.tx_results
    assert answer.code in CODES
    assert answer.code not in (Code.FAILED, Code.INTERNAL), (answer, tx.hex())
    keys_changed = [key for key, _ in (*result.changes.leaves, *result.changes.index)]
    marks = [key for key in keys_changed if is_mark(key)]
    rest = [key for key in keys_changed if not is_mark(key) and not is_note(key)]
    assert len(marks) in (0, 2)
    if answer.code:
        assert not rest, "a refusal changes nothing but the marks of a body that was consumed"
        assert answer.events == ()
        assert answer.data == b""
    else:
        assert marks
        body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)
        spec = SPECS[str(body.WhichOneof("message"))]
        assert all(any(places.holds(key) for places in spec.writes) for key in rest)
        *said, signed = answer.events
        assert all(any(one.includes(event) for one in spec.events) for event in said)
        assert dict(signed.attributes)["action"] == spec.field.replace("_", "-")
    return Code(answer.code)


@given(st.binary(max_size=400))
@SLOW
def test_any_bytes_are_answered_with_a_code_and_change_nothing(tx: bytes) -> None:
    result = deliver(tx)
    assert judge(tx, result) != Code.OK
    assert without_notes(result.changes) == Changes()


@st.composite
def mutated(draw: st.DrawFn, source: bytes) -> bytes:
    """``source`` with a few bytes changed, put in, cut out or repeated."""
    out = bytearray(source)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(out)))
        kind = draw(st.integers(0, 4))
        if kind == 0 and at < len(out):
            out[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == 1:
            out[at:at] = draw(st.binary(min_size=1, max_size=6))
        elif kind == 2:
            del out[at : at + draw(st.integers(1, 8))]
        elif kind == 3:
            out[at:at] = out[at : at + draw(st.integers(1, 40))]
        else:
            del out[at:]
    return bytes(out)


@given(st.data())
@SLOW
def test_a_valid_transaction_with_bytes_changed_is_refused_and_not_consumed(data: st.DataObject) -> None:
    source = VALID[data.draw(st.integers(0, len(VALID) - 1))]
    tx = data.draw(mutated(source))
    result = deliver(tx)
    if tx != source:
        assert judge(tx, result) != Code.OK
        assert without_notes(result.changes) == Changes()


@given(st.data())
@SLOW
def test_a_body_with_bytes_changed_and_signed_anew_follows_the_rules(data: st.DataObject) -> None:
    actor, message, by_node = SENSIBLE[data.draw(st.integers(0, len(SENSIBLE) - 1))]
    body = data.draw(mutated(body_bytes(CHAIN_ID, message, CHAIN.height + 9, bytes(16))))
    tx = signed_tx(CHAIN.gid, actor.identity, actor.node_key if by_node else actor.tx_key, body)
    judge(tx, deliver(tx))


@given(st.data())
@SLOW
def test_a_random_message_of_any_type_from_anybody_follows_the_rules(data: st.DataObject) -> None:
    actor = actors_of(CUSTODY)[data.draw(st.integers(0, 5))]
    message = data.draw(random_message(data.draw(st.sampled_from(MESSAGES)), IDS))
    body = body_bytes(CHAIN_ID, message, CHAIN.height + data.draw(st.integers(2, 20)), bytes(16))
    key = data.draw(st.sampled_from([actor.tx_key, actor.node_key, actor.key(1)]))
    tx = signed_tx(CHAIN.gid, actor.identity, key, body)
    judge(tx, deliver(tx))


def test_the_messages_that_are_mutated_are_taken_whole() -> None:
    codes = [judge(tx, deliver(tx)) for tx in VALID]
    assert codes.count(Code.OK) >= len(codes) - 2, codes
