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
from abci_app.identities import documents
from abci_app.mempool import NEXT_KEYS_PART, Decisions, Lane, Mempool, Waiting
from abci_app.signed import DecodedTx
from abci_app.state import due
from abci_app.state.indexes import DUE
from abci_app.state.view import StateView

MAX_EARLY_BLOCKS: Final = 3
"""So far behind the node that made a result another may be and still take it."""
DECISIONS_PART: Final = 8
"""Decisions go before all else in a block, up to so many-th of its bytes and of its cost."""
USERS_PART: Final = 8
"""Results leave so many-th of a block to users' transactions, while some wait."""


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


def admit(view: StateView, mempool: Mempool, tx: DecodedTx, size_bytes: int, *, is_recheck: bool) -> None:
    """Let an authentic transaction wait, or refuse it: NOT_DUE for a result that nobody waits for, BUSY."""
    one = waiting(view, tx, size_bytes)
    most_bytes = 0
    if one.lane is Lane.RESULT:
        if not is_due(view, tx, mempool.time.seconds, mempool.height + 1):
            _require_early(tx, mempool.height)
        most_bytes = mempool.fiduciary_bytes(
            tx.signer,
            lambda: [fiduciary.id for fiduciary in documents.admitted_fiduciaries(view)],
            lambda: DUE.has_any(view, tx.signer),
        )
        if not most_bytes:
            raise Refusal(Code.NOT_DUE, "the signer is no fiduciary", reason="signer")
    mempool.admit(tx.tx_hash, one, most_bytes, is_recheck=is_recheck)


def _require_early(tx: DecodedTx, height: int) -> None:
    """A result that is not due here: its maker has committed a height that this node comes to within a few blocks."""
    if not height < tx.made_at_height <= height + MAX_EARLY_BLOCKS:
        raise Refusal(Code.NOT_DUE, reason="not-early")


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

    def part(self, part: int) -> _Room:
        """So many-th of it."""
        return _Room(self._bytes_left // part, self._cost_left // part)

    def has(self, one: Candidate, leaving: _Room | None = None) -> bool:
        """Whether it fits, and whether as much as ``leaving`` is left then."""
        size_bytes, cost = one.waiting.size_bytes, one.cost
        if leaving is not None:
            size_bytes, cost = size_bytes + leaving._bytes_left, cost + leaving._cost_left
        return size_bytes <= self._bytes_left and cost <= self._cost_left

    def take(self, one: Candidate) -> None:
        self._bytes_left -= one.waiting.size_bytes
        self._cost_left -= one.cost


class _Block:
    """A proposal in the making: at most ``max_of_one`` transactions of one signer, as long as there is room."""

    def __init__(self, room: _Room, max_of_one: int) -> None:
        self.txs: list[bytes] = []
        self._room = room
        self._max_of_one = max_of_one
        self._count_of: dict[bytes, int] = {}

    def fill(self, lane: list[Candidate], leaving: _Room | None = None) -> list[Candidate]:
        """Take what fits, each signer in turn; what is taken keeps its order. What there is no room for.

        ``leaving``: so much stays free, but the first goes in all the same: it may be dearer than the rest of a block.
        """
        taken: dict[int, bool] = {}
        for number in _in_turns(lane):
            one = lane[number]
            count = self._count_of.get(one.waiting.signer, 0)
            if count < self._max_of_one and self._room.has(one, leaving if taken else None):
                self._room.take(one)
                self._count_of[one.waiting.signer] = count + 1
                taken[number] = True
        self.txs += [one.tx for number, one in enumerate(lane) if number in taken]
        return [one for number, one in enumerate(lane) if number not in taken]


def _in_turns(lane: list[Candidate]) -> list[int]:
    """Positions in the lane: first whose signer has the least cost before it there. Each signer's keep their order."""
    cost_of: dict[bytes, int] = {}
    before = []
    for one in lane:
        cost = cost_of.get(one.waiting.signer, 0)
        before.append(cost)
        cost_of[one.waiting.signer] = cost + one.cost
    return sorted(range(len(lane)), key=before.__getitem__)


def choose(candidates: Iterable[Candidate], *, max_bytes: int, max_cost: int, max_of_one: int) -> list[bytes]:
    """Decisions, up to an eighth of bytes and cost (next keys' to half of it); then results; then users'.

    A decision too many is among users'. Results leave an eighth to users', and have what those do not want. Where there
    is no room for all of a lane, its signers have equal parts of the cost. ``size_bytes`` of each is what it takes up
    in a block; ``max_of_one`` of one signer are taken at most.
    """
    lanes: dict[Lane, list[Candidate]] = {lane: [] for lane in Lane}
    decisions = Decisions()
    room = _Room(max_bytes, max_cost)
    first = room.part(DECISIONS_PART)
    by_next_keys = first.part(NEXT_KEYS_PART)
    for one in candidates:
        lane = one.waiting.lane
        if lane is Lane.DECISION:
            rooms = [first] if one.waiting.is_counted else [first, by_next_keys]
            if decisions.takes(one.waiting) and all(left.has(one) for left in rooms):
                decisions.add(one.waiting)
                for left in rooms:
                    left.take(one)
            else:
                lane = Lane.USER
        lanes[lane].append(one)
    users = room.part(USERS_PART)
    block = _Block(room, max_of_one)
    block.fill(lanes[Lane.DECISION])
    late = block.fill(lanes[Lane.RESULT], users)
    block.fill(lanes[Lane.USER])
    block.fill(late)
    return block.txs
