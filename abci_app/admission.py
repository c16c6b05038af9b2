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
from abci_app.mempool import NEXT_KEYS_PART, Decisions, Lane, LookUps, Mempool, Waiting
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


def first_due(view: StateView, tx: DecodedTx, time_s: int, height: int, most: int) -> int | None:
    """Which of the results in a transaction is the first that the ledger waits for at block time ``time_s`` and
    ``height``, from 0; looked for with ``most`` look-ups beyond the first. None: there is none, or none so far."""
    for number, (kind, subject) in enumerate(tx.answers[: most + 1]):
        if due.is_due(view, tx.signer, kind, subject, time_s, height):
            return number
    return None


class DueResults:
    """Which of a mempool's results a proposal may take: those that are due in it.

    Each signer's bundles are looked into as often as a recheck does it, so what one kept is found again.
    """

    def __init__(self, view: StateView, time_s: int, height: int) -> None:
        self._view, self._time_s, self._height = view, time_s, height
        self._shares = Mempool()
        self._look_ups = LookUps()

    def has(self, tx: DecodedTx) -> bool:
        """Whether it is due, or any of a bundle, as far as it is looked into."""
        left = self._look_ups.left(tx.signer, _most_bytes(self._view, self._shares, tx.signer))
        number = first_due(self._view, tx, self._time_s, self._height, left)
        self._look_ups.add(tx.signer, _looked_beyond(tx, number, left))
        return number is not None


def _most_bytes(view: StateView, mempool: Mempool, signer: bytes) -> int:
    """What may wait of this signer's results; 0 of one that is no fiduciary."""
    return mempool.fiduciary_bytes(
        signer,
        lambda: [fiduciary.id for fiduciary in documents.admitted_fiduciaries(view)],
        lambda: DUE.has_any(view, signer),
    )


def _looked_beyond(tx: DecodedTx, number: int | None, most: int) -> int:
    """How many look-ups beyond the first were made for :func:`first_due` to answer ``number``."""
    return min(most, len(tx.answers) - 1) if number is None else number


def require_room(view: StateView, mempool: Mempool, tx: DecodedTx, size_bytes: int) -> None:
    """Refuse with BUSY a result for which there is no room, whoever signed it: before its signature is looked at."""
    if tx.spec.message_class is MessageClass.RESULT and not mempool.holds(tx.tx_hash):
        most_bytes = _most_bytes(view, mempool, tx.signer)
        if most_bytes:
            mempool.require_room(Waiting(Lane.RESULT, tx.signer, size_bytes), Lane.RESULT, most_bytes)


def admit(view: StateView, mempool: Mempool, tx: DecodedTx, size_bytes: int, *, is_recheck: bool) -> None:
    """Let an authentic transaction wait, or refuse it: NOT_DUE for a result that nobody waits for, BUSY."""
    one = waiting(view, tx, size_bytes)
    if one.lane is not Lane.RESULT:
        mempool.admit(tx.tx_hash, one, 0, is_recheck=is_recheck)
        return
    most_bytes = _most_bytes(view, mempool, tx.signer)
    is_early = _is_early(tx, mempool.height)
    if is_early and not most_bytes:
        raise Refusal(Code.NOT_DUE, "the signer is no fiduciary", reason="signer")
    looked = 0
    if not is_early and not mempool.holds(tx.tx_hash):
        looked = _require_due(view, mempool, tx, most_bytes, is_recheck=is_recheck)
    mempool.admit(tx.tx_hash, one, most_bytes, is_recheck=is_recheck)
    mempool.look_ups.add(tx.signer, looked)


def _require_due(view: StateView, mempool: Mempool, tx: DecodedTx, most_bytes: int, *, is_recheck: bool) -> int:
    """How many look-ups it took beyond the first. Refused with NOT_DUE, or BUSY where more are needed than are left.

    Who has no share is no fiduciary, and nothing is due from it.
    """
    most = mempool.look_ups.left(tx.signer, most_bytes)
    number = first_due(view, tx, mempool.time.seconds, mempool.height + 1, most)
    if number is not None:
        return number
    if is_recheck:  # what is new and refused counts against nobody: anybody may have sent it again
        mempool.look_ups.add(tx.signer, _looked_beyond(tx, number, most))
    if most_bytes and most < len(tx.answers) - 1:
        raise Refusal(Code.BUSY, "its signer's bundles were looked into as often as they may be", reason="look-ups")
    raise Refusal(Code.NOT_DUE, reason="not-early")


def _is_early(tx: DecodedTx, height: int) -> bool:
    """A result that need not be due here: its maker has committed a height that this node comes to in a few blocks."""
    return height < tx.made_at_height <= height + MAX_EARLY_BLOCKS


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
