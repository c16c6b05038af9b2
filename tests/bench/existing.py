"""Orders that are there before anything is measured (part ``growth``), and the application that makes them.

``python -m tests.bench.existing ARGUMENTS...`` is ``abci_app.server`` with one kind of transaction more, which nobody
signs and the benchmark alone sends: it stands for one whole life of an order. The state machine's own messages are
executed for it, in order, each as if its party had sent it: so records, indexes, counters and events are those of real
orders, and every node comes to the same state. It is a door without a lock, and only in this module.

Another transaction of its own says what voting power CometBFT gives the validators: so that one node can grow alone,
and the others be given what it has. Of that the state knows nothing.

A life is what its number says. Of ten orders seven are ACTIVE, one of which was released; three are closed, one of
them after a release. Every fourth expires in ten years. Each has an envelope of its own, a small block that opens to
nothing: these orders are kept, listed, pinned and counted, never released again.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from abci_app import transition
from abci_app.block import Block, BlockResult, Changes, Event, Genesis, Time, TxResult, ValidatorUpdate
from abci_app.cid import cid_of
from abci_app.codes import Code
from abci_app.crypto import hpke
from abci_app.execution.context import BlockScratch, Context
from abci_app.mempool import Mempool
from abci_app.messages.registry import SPECS
from abci_app.pb.dta.v1 import custody_pb2, params_pb2, tx_pb2
from abci_app.server.main import main
from abci_app.state import records
from abci_app.state.overlay import Overlay
from abci_app.state.view import StateView
from tests.support.custody import single

MARK = b"dta-bench existing order "
POWERS = b"dta-bench voting powers "
_KEY_BYTES, _POWER_BYTES = 32, 8
KEPT, RELEASED, CLOSED, CLOSED_AFTER_RELEASE = range(4)
_SPEC_OF = {spec.message: spec for spec in SPECS.values()}
_LIVES = (KEPT,) * 6 + (RELEASED,) + (CLOSED,) * 2 + (CLOSED_AFTER_RELEASE,)
EXPIRING_EVERY = 4
EXPIRES_IN_S = 315_360_000
SHARE_BYTES = 32


def marker(vault: bytes, number: int) -> bytes:
    """The transaction that stands for the life of the ``number``-th order, of ``vault``'s principal."""
    return MARK + vault + number.to_bytes(8, "big")


def powers(updates: Sequence[ValidatorUpdate], nonce: int) -> bytes:
    """The transaction after which CometBFT counts these votes so: from the second block after its own on."""
    pairs = (update.public_key + update.power.to_bytes(_POWER_BYTES, "big") for update in updates)
    return POWERS + nonce.to_bytes(8, "big") + b"".join(pairs)


def _updates(tx: bytes) -> tuple[ValidatorUpdate, ...]:
    pairs, size = tx[len(POWERS) + 8 :], _KEY_BYTES + _POWER_BYTES
    return tuple(
        ValidatorUpdate(pairs[at : at + _KEY_BYTES], int.from_bytes(pairs[at + _KEY_BYTES : at + size], "big"))
        for at in range(0, len(pairs), size)
    )


def is_open(number: int) -> bool:
    """Whether that order is still open at the end."""
    return _LIVES[number % len(_LIVES)] in (KEPT, RELEASED)


def envelope(number: int) -> bytes:
    """The block that the order's envelope is."""
    return b"an existing order's envelope" + _bytes("envelope", number, 36)


def _bytes(what: str, number: int, count: int) -> bytes:
    """``count`` bytes that look random and depend on what is given: nothing compresses better than in reality."""
    return hashlib.shake_256(f"{what} {number}".encode()).digest(count)


@dataclass
class _Lives:
    """A block's orders: of each the messages, executed one after another over the state that is in the making."""

    overlay: Overlay
    gid: bytes
    params: params_pb2.Params
    block: Block
    tx: bytes = b""
    events: list[Event] = field(default_factory=list)

    def live(self, tx: bytes) -> TxResult:
        """One order's whole life."""
        self.tx, self.events = tx, []
        self.overlay.settle()
        number = int.from_bytes(tx[-8:], "big")
        vault = records.VAULTS.get(self.overlay, tx[len(MARK) : -8])
        me, fiduciaries = vault.principal, list(vault.fiduciaries)
        order = self._run(me, _placing(vault, number, self.block.time.seconds))
        for fiduciary in fiduciaries:
            self._run(fiduciary, tx_pb2.FulfilOrder(order=order))
        life = _LIVES[number % len(_LIVES)]
        if life in (RELEASED, CLOSED_AFTER_RELEASE):
            request = self._run(me, _asking(order, me, number, len(fiduciaries)))
            for fiduciary in fiduciaries:
                sealed = _bytes("sealed", number, hpke.SEALED_OVERHEAD_BYTES + SHARE_BYTES)
                # A release is not due in the very block of its grant.
                self._run(fiduciary, tx_pb2.FulfilSecret(request=request, sealed=sealed), later_blocks=1)
        if life in (CLOSED, CLOSED_AFTER_RELEASE):
            self._run(me, tx_pb2.CloseOrder(order=order), later_blocks=2)
        return TxResult(code=Code.OK, events=tuple(self.events))

    def _run(self, signer: bytes, message: Message, later_blocks: int = 0) -> bytes:
        context = Context(
            state=self.overlay, params=self.params, gid=self.gid, height=self.block.height + later_blocks,
            time=self.block.time, scratch=BlockScratch(), signer=signer, tx_hash=hashlib.sha256(self.tx).digest(),
        )  # fmt: skip
        data = _SPEC_OF[type(message)].execute(context, message)
        self.events += context.events
        return data


def _placing(vault: custody_pb2.VaultRecord, number: int, time_s: int) -> tx_pb2.PlaceOrder:
    count = len(vault.fiduciaries)
    return tx_pb2.PlaceOrder(
        nonce=_bytes("nonce", number, 32), custodian=vault.custodian, vault=vault.id, fiduciaries=vault.fiduciaries,
        threshold=max(1, count - 1), share_commitments=[_bytes(f"share {at}", number, 32) for at in range(count)],
        key_commitment=_bytes("key", number, 32), envelope_cid=cid_of(envelope(number)),
        policy=single(vault.principal), rule=custody_pb2.BeneficiaryRule(identity=vault.principal),
        expires_at_time_s=time_s + EXPIRES_IN_S if number % EXPIRING_EVERY == 0 else 0,
    )  # fmt: skip


def _asking(order: bytes, beneficiary: bytes, number: int, count: int) -> tx_pb2.RequestSecret:
    return tx_pb2.RequestSecret(
        order=order, nonce=_bytes("request", number, 32), beneficiary=beneficiary,
        keys_cid=cid_of(_bytes("keys", number, 64)),
        key_digests=[_bytes(f"digest {at}", number, 32) for at in range(count)],
    )  # fmt: skip


class GrowingMachine:
    """:mod:`abci_app.transition` and markers. See :class:`abci_app.server.application.StateMachine`."""

    def require_version(self, view: StateView) -> None:
        transition.require_version(view)

    def init_chain(self, genesis: Genesis) -> Changes:
        return transition.init_chain(genesis)

    def check_tx(self, view: StateView, tx: bytes, mempool: Mempool, *, recheck: bool) -> TxResult:
        if _is_ours(tx):
            return TxResult(code=Code.OK)
        return transition.check_tx(view, tx, mempool, recheck=recheck)

    def prepare_proposal(
        self, view: StateView, txs: Sequence[bytes], *, max_tx_bytes: int, height: int, time: Time
    ) -> list[bytes]:
        markers = [tx for tx in txs if _is_ours(tx)]
        if markers:  # nothing else is sent while orders are made; what is waits for a block without them
            return markers
        return transition.prepare_proposal(view, txs, max_tx_bytes=max_tx_bytes, height=height, time=time)

    def process_proposal(self, view: StateView, txs: Sequence[bytes], *, height: int, time: Time) -> bool:
        others = [tx for tx in txs if not _is_ours(tx)]
        return transition.process_proposal(view, others, height=height, time=time)

    def apply_block(self, view: StateView, block: Block, breathe: Callable[[], None] = lambda: None) -> BlockResult:
        if not any(map(_is_ours, block.txs)):
            return transition.apply_block(view, block, breathe)
        empty = Block(block.height, block.time, (), block.proposer_address, block.misbehaviour)
        result = transition.apply_block(view, empty, breathe)
        overlay = Overlay(view)
        overlay.apply(result.changes)
        lives = _Lives(overlay, records.chain(view).gid, records.params(view), block)
        results, updates = [], result.validator_updates
        for tx in block.txs:
            if tx.startswith(POWERS):
                updates = _updates(tx)
                results.append(TxResult(code=Code.OK))
            else:
                results.append(lives.live(tx))
            breathe()
        return BlockResult(overlay.changes(), tuple(results), result.events, updates)


def _is_ours(tx: bytes) -> bool:
    return tx.startswith((MARK, POWERS))


if __name__ == "__main__":
    sys.exit(main(GrowingMachine(), Mempool(), sys.argv[1:]))
