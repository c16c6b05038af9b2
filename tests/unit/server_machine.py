"""A state machine so small that its state is plain to see: a transaction ``key=value`` sets a leaf, ``key=`` clears it.

Stands in for abci_app.transition where a test is about the server. The database under it is the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from abci_app.block import Block, BlockResult, Changes, Event, Genesis, Time, TxResult, ValidatorUpdate
from abci_app.errors import GenesisRefused, UpgradeNeeded
from abci_app.state.view import StateView


class CountingMempool:
    """Remembers the rechecks that the server announces."""

    def __init__(self) -> None:
        self.rechecks: list[tuple[int, Time]] = []

    def begin_recheck(self, height: int, time: Time) -> None:
        self.rechecks.append((height, time))


class SettingMachine:
    """The interface of abci_app.transition. A transaction of ``!`` raises ValueError.

    The leaf ``version`` stands for the parameters' protocol version: ``2`` is one that this binary lacks.
    """

    def require_version(self, view: StateView) -> None:
        if view.get(b"version") == b"2":
            raise UpgradeNeeded(2)

    def init_chain(self, genesis: Genesis) -> Changes:
        if genesis.app_state == b"refuse":
            raise GenesisRefused("app_state", "the test wants it refused")
        return Changes(leaves=((b"genesis", genesis.app_state), (b"other", b"from genesis")), index=((b"ig", b"1"),))

    def check_tx(self, view: StateView, tx: bytes, mempool: Any, *, recheck: bool) -> TxResult:
        _fail_on_purpose(tx)
        present = view.get(tx.partition(b"=")[0])
        return TxResult(code=0 if b"=" in tx else 10, data=present or b"", log="recheck" if recheck else "new")

    def prepare_proposal(
        self, view: StateView, txs: Sequence[bytes], *, max_tx_bytes: int, height: int, time: Time
    ) -> list[bytes]:
        return [tx for tx in txs if len(tx) <= max_tx_bytes]

    def process_proposal(self, view: StateView, txs: Sequence[bytes], *, height: int, time: Time) -> bool:
        return all(b"=" in tx for tx in txs)

    def apply_block(self, view: StateView, block: Block, breathe: Callable[[], None]) -> BlockResult:
        leaves: dict[bytes, bytes | None] = {}
        for tx in block.txs:
            breathe()
            _fail_on_purpose(tx)
            key, _, value = tx.partition(b"=")
            if value or view.get(key) is not None:
                leaves[key] = value or None
        return BlockResult(
            changes=Changes(leaves=tuple(sorted(leaves.items())), index=((b"last", b"%d" % block.height),)),
            tx_results=tuple(
                TxResult(code=0, data=tx[:4], gas_wanted=3, gas_used=2, events=(Event("set", (("tx", "1"),)),))
                for tx in block.txs
            ),
            events=(Event("done", (("at", str(block.height)),)),),
            validator_updates=(ValidatorUpdate(b"\x01" * 32, 5),) if b"vote=1" in block.txs else (),
        )


def _fail_on_purpose(tx: bytes) -> None:
    if tx == b"!":
        raise ValueError("the test wants a fault")
