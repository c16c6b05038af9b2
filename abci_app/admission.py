"""Who finds a place: in which lane a transaction waits, and which of those that wait a proposal takes.

Lanes and their shares: :mod:`abci_app.mempool`. What belongs in which follows from the message and from state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.spec import MessageClass
from abci_app.mempool import Decisions, Lane, Mempool, Waiting
from abci_app.pb.dta.v1 import identity_pb2
from abci_app.signed import DecodedTx
from abci_app.state import due
from abci_app.state.indexes import DUE
from abci_app.state.records import FIDUCIARIES
from abci_app.state.view import StateView

MAX_EARLY_BLOCKS: Final = 3
"""So far behind the node that made a result another may be and still take it."""
DECISIONS_PART: Final = 8
"""Decisions go before all else in a block, up to so many-th of its bytes and of its cost."""


def waiting(view: StateView, tx: DecodedTx, size_bytes: int) -> Waiting:
    """The transaction as its lane sees it. A decision is one where state names its signer for what it decides."""
    spec = tx.spec
    if spec.message_class is MessageClass.RESULT:
        return Waiting(Lane.RESULT, tx.signer, size_bytes)
    subject = spec.decides(view, tx.signer, tx.message) if spec.decides is not None else None
    if subject is None:
        return Waiting(Lane.USER, tx.signer, size_bytes)
    kind = spec.field.encode("ascii")
    return Waiting(Lane.DECISION, tx.signer, size_bytes, kind + b"/" + subject, is_counted=not spec.by_next_key)


def is_due(view: StateView, tx: DecodedTx, time_s: int, height: int) -> bool:
    """Whether the ledger waits for this result, or any of a bundle, at block time ``time_s`` and ``height``."""
    return any(due.is_due(view, tx.signer, kind, subject, time_s, height) for kind, subject in tx.answers)


def admit(
    view: StateView, mempool: Mempool, tx: DecodedTx, replay_key: bytes, size_bytes: int, *, is_recheck: bool
) -> None:
    """Let an authentic transaction wait, or refuse it: NOT_DUE for a result that nobody waits for, BUSY."""
    one = waiting(view, tx, size_bytes)
    most_bytes = 0
    if one.lane is Lane.RESULT:
        if not is_due(view, tx, mempool.time.seconds, mempool.height + 1):
            _require_early(tx, mempool.height)
        most_bytes = mempool.fiduciary_bytes(
            tx.signer, lambda: _active_fiduciaries(view), lambda: DUE.has_any(view, tx.signer)
        )
        if not most_bytes:
            raise Refusal(Code.NOT_DUE, "the signer is no fiduciary")
    mempool.admit(replay_key, one, most_bytes, is_recheck=is_recheck)


def _require_early(tx: DecodedTx, height: int) -> None:
    """A result that is not due here: its maker has committed a height that this node comes to within a few blocks."""
    if not height < tx.made_at_height <= height + MAX_EARLY_BLOCKS:
        raise Refusal(Code.NOT_DUE)


def _active_fiduciaries(view: StateView) -> list[bytes]:
    active = identity_pb2.FIDUCIARY_STATUS_ACTIVE
    return [record.id for record in FIDUCIARIES.all(view) if record.status == active]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A transaction that a proposal may take."""

    tx: bytes
    cost: int
    waiting: Waiting


class _Room:
    """What is left of bytes and cost."""

    def __init__(self, size_bytes: int, cost: int) -> None:
        self._bytes_left = size_bytes
        self._cost_left = cost

    def has(self, one: Candidate) -> bool:
        return one.waiting.size_bytes <= self._bytes_left and one.cost <= self._cost_left

    def take(self, one: Candidate) -> None:
        self._bytes_left -= one.waiting.size_bytes
        self._cost_left -= one.cost


def choose(candidates: Iterable[Candidate], *, max_bytes: int, max_cost: int, max_of_one: int) -> list[bytes]:
    """Decisions, up to an eighth of bytes and cost; then results; then users', a decision too many among them.

    Each in the order of ``candidates``. ``size_bytes`` of each is what it takes up in a block; ``max_of_one`` of one
    signer are taken at most.
    """
    lanes: dict[Lane, list[Candidate]] = {lane: [] for lane in Lane}
    decisions = Decisions()
    first = _Room(max_bytes // DECISIONS_PART, max_cost // DECISIONS_PART)
    for one in candidates:
        lane = one.waiting.lane
        if lane is Lane.DECISION:
            if decisions.takes(one.waiting) and first.has(one):
                decisions.add(one.waiting)
                first.take(one)
            else:
                lane = Lane.USER
        lanes[lane].append(one)
    room = _Room(max_bytes, max_cost)
    count_of: dict[bytes, int] = {}
    chosen = []
    for lane in Lane:
        for one in lanes[lane]:
            count = count_of.get(one.waiting.signer, 0)
            if count < max_of_one and room.has(one):
                room.take(one)
                count_of[one.waiting.signer] = count + 1
                chosen.append(one.tx)
    return chosen
