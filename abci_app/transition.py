"""The state machine: check a transaction, apply a block. The only two ways in (besides genesis and proposals).

Everything here is a function of its arguments. The order of a block: deadlines, misbehaviour, transactions, what
follows at the end (``end_of_block``), the end of replay buckets. A refusal or an ordinary exception rolls one
transaction back with a code; MemoryError, RecursionError, OSError and :class:`StateBroken` leave this module and end
the process, for a code would fork the chain. So does :class:`UpgradeNeeded`, before the block that it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from abci_app import admission, end_of_block, replay, signed
from abci_app.block import Block, BlockResult, Misbehaviour, Time, TxResult
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.crypto.ed25519 import SignatureMemo
from abci_app.errors import Refusal, UpgradeNeeded
from abci_app.execution import guard
from abci_app.execution.context import BlockScratch, Context
from abci_app.genesis import init_chain
from abci_app.mempool import Lane, Mempool
from abci_app.params import PROTOCOL_VERSIONS
from abci_app.state import records
from abci_app.state.overlay import Overlay
from abci_app.state.records import VALIDATOR_ADDRESSES
from abci_app.state.view import StateView
from abci_app.sweep import sweep

__all__ = ["apply_block", "check_tx", "init_chain", "prepare_proposal", "process_proposal", "require_version"]

CODESPACE = "dta"
# Transactions executed between two calls of apply_block's ``breathe``: some 3 ms.
BREATH_TXS = 16
_MEMO = SignatureMemo()
_DECODED = signed.TxMemo()


def require_version(view: StateView) -> None:
    """Raise :class:`UpgradeNeeded` where the rules of the next block are those of a version that this binary lacks."""
    version = records.params(view).protocol_version
    if version not in PROTOCOL_VERSIONS:
        raise UpgradeNeeded(version)


def check_tx(view: StateView, tx: bytes, mempool: Mempool, *, recheck: bool) -> TxResult:
    """Whether ``tx`` may wait in this node's mempool: authenticated, in date, not seen; a result, owed. Idempotent."""
    params, chain = records.params(view), records.chain(view)
    cost = 0
    try:
        decoded = signed.decode(tx, params, chain.chain_id, mempool.height + 1, _DECODED)
        cost = decoded.cost
        replay_key = statements.replay_key(chain.gid, decoded.signer, decoded.body)
        signed.require_unseen(view, decoded, replay_key)
        _validate(tx, decoded)
        if not recheck:
            admission.require_room(view, mempool, decoded, len(tx))
        signed.authenticate(view, decoded, chain.gid, mempool.time.seconds, _MEMO)
        _DECODED.keep(tx, decoded)
        admission.admit(view, mempool, decoded, len(tx), is_recheck=recheck)
    except Refusal as refusal:
        return _refused(refusal, cost)
    return TxResult(code=Code.OK, gas_wanted=cost)


def prepare_proposal(
    view: StateView, txs: Sequence[bytes], *, max_tx_bytes: int, height: int, time: Time
) -> list[bytes]:
    """The block to propose out of the mempool: decisions first, then hooks' results, then users', within its bounds.

    A result that is not due in this block is left out; so is what a block holds already.
    """
    require_version(view)
    params, chain = records.params(view), records.chain(view)
    candidates: list[admission.Candidate] = []
    due = admission.DueResults(view, time.seconds, height)
    taken: dict[bytes, bool] = {}
    for tx in txs:
        try:
            decoded = signed.decode(tx, params, chain.chain_id, height, _DECODED)
        except Refusal:
            continue
        replay_key = statements.replay_key(chain.gid, decoded.signer, decoded.body)
        if replay_key in taken or signed.is_seen(view, decoded, replay_key):
            continue
        taken[replay_key] = True
        waiting = admission.waiting(view, decoded, _size_in_block(tx))
        if waiting.lane is not Lane.RESULT or due.has(decoded):
            candidates.append(admission.Candidate(tx, decoded.cost, waiting))
    return admission.choose(
        candidates, max_bytes=max_tx_bytes, max_cost=params.max_block_cost, max_of_one=params.max_txs_per_identity
    )


def process_proposal(view: StateView, txs: Sequence[bytes], *, height: int, time: Time) -> bool:
    """Whether the block's bytes are acceptable: every transaction well formed, the sum within the block's cost."""
    del time
    require_version(view)
    params, chain = records.params(view), records.chain(view)
    cost = 0
    for tx in txs:
        try:
            cost += signed.decode(tx, params, chain.chain_id, height, _DECODED).cost
        except Refusal:
            return False
    return cost <= params.max_block_cost


def apply_block(view: StateView, block: Block, breathe: Callable[[], None] = lambda: None) -> BlockResult:
    """Execute a decided block. Assumes nothing of proposals: replay and block sync bypass them.

    ``breathe`` is called now and then between transactions, so that a server can read its sockets meanwhile.
    """
    require_version(view)
    params, chain = records.params(view), records.chain(view)
    state = Overlay(view)
    scratch = BlockScratch()

    def context() -> Context:
        return Context(
            state=state, params=params, gid=chain.gid, height=block.height, time=block.time, scratch=scratch
        )

    begin = context()
    sweep(begin)
    _record_misbehaviour(begin, block)
    tx_results: list[TxResult] = []
    for number, tx in enumerate(block.txs):
        if number % BREATH_TXS == 0:
            breathe()
        tx_results.append(_deliver(context(), tx, chain.chain_id))
    end_of_block.run(begin)
    replay.forget_expired(state, block.height)
    return BlockResult(
        changes=state.changes(),
        tx_results=tuple(tx_results),
        events=tuple(begin.events),
        validator_updates=tuple(scratch.validator_updates),
    )


def _deliver(context: Context, tx: bytes, chain_id: str) -> TxResult:
    """One transaction: decode, authenticate, consume, execute."""
    cost = 0
    try:
        decoded = signed.decode(tx, context.params, chain_id, context.height, _DECODED)
        cost = decoded.cost
        replay_key = statements.replay_key(context.gid, decoded.signer, decoded.body)
        signed.require_unseen(context.state, decoded, replay_key)
        context.identity = signed.authenticate(context.state, decoded, context.gid, context.time_s, _MEMO)
    except Refusal as refusal:
        return _refused(refusal, cost)
    except guard.FATAL:
        raise
    except Exception as error:
        return _failed(error, cost)
    # From here on it is authentic and in date: consumed, whether it succeeds or fails.
    replay.consume(context.state, decoded.expires_at_height, replay_key)
    context.state.settle()
    mark = context.mark()
    context.signer = decoded.signer
    context.tx_hash = decoded.tx_hash
    try:
        _count(context, decoded)
        _validate(tx, decoded)
        _DECODED.keep(tx, decoded)
        data = decoded.spec.execute(context, decoded.message)
    except Refusal as refusal:
        context.undo(mark)
        return _refused(refusal, cost)
    except guard.FATAL:
        raise
    except Exception as error:
        context.undo(mark)
        return _failed(error, cost)
    # So that a search by an identity finds all that it did, whatever the message says of itself.
    context.emit("identity", context.signer, decoded.spec.field.replace("_", "-"))
    return TxResult(code=Code.OK, data=data, gas_wanted=cost, gas_used=cost, events=tuple(context.events))


def _validate(tx: bytes, decoded: signed.DecodedTx) -> None:
    """What is remembered was validated."""
    if _DECODED.get(tx) is None:
        decoded.spec.validate(decoded.message)


def _count(context: Context, tx: signed.DecodedTx) -> None:
    """Hold the block to its cost and each identity to its number of transactions."""
    context.scratch.cost += tx.cost
    context.require(context.scratch.cost <= context.params.max_block_cost, Code.BLOCK_FULL)
    count = context.scratch.txs_of.get(tx.signer, 0) + 1
    context.scratch.txs_of[tx.signer] = count
    context.require(count <= context.params.max_txs_per_identity, Code.TOO_MANY, reason="txs")


def _record_misbehaviour(context: Context, block: Block) -> None:
    """Evidence becomes state and an event; governance decides what follows."""
    for evidence in block.misbehaviour:
        owner = context.state.get(VALIDATOR_ADDRESSES.prefix + evidence.address)
        if owner is None:
            continue
        error = guard.failure_of(context, partial(_count_misbehaviour, context, owner, evidence))
        if error is not None:
            context.emit("fiduciary", owner, "misbehaved-unrecorded", error=type(error).__name__)


def _count_misbehaviour(context: Context, owner: bytes, evidence: Misbehaviour) -> None:
    record = records.FIDUCIARIES.get(context.state, owner)
    record.misbehaviour_count += 1
    records.FIDUCIARIES.put(context.state, record, owner)
    context.emit("fiduciary", owner, "misbehaved", evidence=evidence.kind, height=evidence.height)


def _refused(refusal: Refusal, cost: int) -> TxResult:
    return TxResult(code=refusal.code, log=str(refusal), reason=refusal.reason, gas_wanted=cost, gas_used=cost)


def _failed(error: Exception, cost: int) -> TxResult:
    """A defect of ours, but the same on every node: it costs one transaction, not the chain."""
    return TxResult(code=Code.FAILED, log=type(error).__name__, gas_wanted=cost, gas_used=cost)


def _size_in_block(tx: bytes) -> int:
    """Bytes of one transaction in CometBFT's Data message: tag, length varint, bytes."""
    return 1 + (len(tx).bit_length() + 6) // 7 + len(tx)
