"""One node: the real transition over a real StateDB, with a mempool, and the ways in which it fails."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from abci_app import admission, signed, transition
from abci_app.block import Block, BlockResult, Changes, Time, TxResult
from abci_app.crypto.ed25519 import SignatureMemo
from abci_app.execution.spec import MessageClass
from abci_app.mempool import Mempool
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.server.changes import MAX_CHANGED_BYTES, MAX_KEPT_BLOCKS, MAX_KEPT_BYTES, CommittedChanges
from abci_app.signed import TxMemo
from abci_app.state import records
from abci_app.state.view import StateView
from abci_app.storage.statedb import Staged, StateDB
from tests.sim.prelude import Prelude, finalize, last_time


@dataclass(frozen=True)
class Decided:
    """What a node made of a block; equal on all nodes."""

    app_hash: bytes
    result: BlockResult


class Replica:
    """``pool`` is CometBFT's mempool: what was admitted and not committed, in order."""

    def __init__(self, name: int, start: Prelude) -> None:
        self.name = name
        self.pool: dict[bytes, bool] = {}
        self.behind: list[Block] = []
        self.early = 0
        self._genesis = start.genesis
        self._store = start.store()
        self._state = StateDB(self._store)
        self._time = last_time(start.blocks)
        self._staged: tuple[Block, Staged, Changes] | None = None
        self.keep_changes()
        self.forget()

    @property
    def height(self) -> int:
        return self._state.height

    @property
    def view(self) -> StateView:
        return self._state.view()

    @property
    def time_s(self) -> int:
        return self._time.seconds

    def keep_changes(
        self, kept_bytes: int = MAX_KEPT_BYTES, told_bytes: int = MAX_CHANGED_BYTES,
        kept_blocks: int = MAX_KEPT_BLOCKS,
    ) -> None:
        """From this height on, of so many bytes and blocks: whoever follows is told of them, so many bytes at once."""
        self._kept = kept_bytes, told_bytes, kept_blocks
        self.changes = CommittedChanges(
            self.height, self.time_s, kept_blocks=kept_blocks, kept_bytes=kept_bytes, told_bytes=told_bytes, held_s=0.0
        )

    def forget(self) -> None:
        """Cold caches: no remembered signature or transaction, no pending counts."""
        self._memo = SignatureMemo(max_entries=5)
        self._decoded = TxMemo(max_bytes=4_000)
        self._mempool = Mempool(max_txs_bytes=40_000)
        self._mempool.begin_recheck(self._state.height, self._time)

    def _my_memo(self) -> None:
        # The process has one of each; here several nodes share the process.
        transition._MEMO, transition._DECODED = self._memo, self._decoded

    def check(self, tx: bytes) -> TxResult:
        """A transaction arrives."""
        self._my_memo()
        result = transition.check_tx(self.view, tx, self._mempool, recheck=False)
        if result.code == 0:
            self.pool[tx] = True
            self.early += len(self.not_due([tx], self.height + 1, self.time_s))
        return result

    def not_due(self, txs: list[bytes], height: int, time_s: int) -> list[bytes]:
        """The results among these transactions that nobody waits for in the block of this height and time."""
        params, chain_id, found = records.params(self.view), records.chain(self.view).chain_id, []
        for tx in txs:
            decoded = signed.decode(tx, params, chain_id, height, self._decoded)
            is_result = decoded.spec.message_class is MessageClass.RESULT
            most = len(decoded.answers)
            if is_result and admission.first_due(self.view, decoded, time_s, height, most) is None:
                found.append(tx)
        return found

    def waits_in_vain(self) -> list[bytes]:
        """Results that are neither due nor early by a few blocks: a recheck leaves none."""
        found = self.not_due(list(self.pool), self.height + 1, self.time_s)
        made_at = [tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body).made_at_height for tx in found]
        return [tx for tx, height in zip(found, made_at, strict=True) if not self.height < height <= self.height + 3]

    def propose(self, block: Block, max_tx_bytes: int) -> list[bytes]:
        """Choose the transactions for the next block."""
        return transition.prepare_proposal(
            self.view, list(self.pool), max_tx_bytes=max_tx_bytes, height=block.height, time=block.time
        )

    def accepts(self, block: Block) -> bool:
        return transition.process_proposal(self.view, block.txs, height=block.height, time=block.time)

    def finalize(self, block: Block) -> Decided:
        """Execute without persisting anything."""
        self._my_memo()
        result, changes = finalize(self._genesis, self.view, self._state.height, block)
        staged = self._state.stage(block.height, changes)
        self._staged = (block, staged, changes)
        return Decided(staged.app_hash, result)

    def result_of(self, tx: bytes) -> TxResult:
        """What would become of ``tx`` alone in the next block. Nothing is kept of it."""
        self._my_memo()
        block = Block(self.height + 1, Time(self.time_s + 1), (tx,))
        return finalize(self._genesis, self.view, self.height, block)[0].tx_results[0]

    def crash(self) -> None:
        """kill -9 and start again: what was not committed is gone, and so are the mempool and the caches."""
        self._staged = None
        self._state = StateDB(self._store)
        self.pool.clear()
        self.keep_changes(*self._kept)
        self.forget()

    def commit(self, rng: Random) -> bool:
        """Persist; then CometBFT rechecks what is left, if it does: whether it did."""
        assert self._staged is not None
        block, staged, changes = self._staged
        self._state.commit(staged)
        self._staged = None
        self._time = block.time
        self.changes.record(block.height, block.time, changes)
        for tx in block.txs:
            self.pool.pop(tx, None)
        self._mempool.begin_recheck(block.height, block.time)
        if rng.random() >= 0.8:
            return False
        self._my_memo()
        for tx in list(self.pool):
            if transition.check_tx(self.view, tx, self._mempool, recheck=True).code != 0:
                del self.pool[tx]
        return True
