"""What one node's mempool holds, as far as CheckTx must know. Not consensus: limits are enforced again in execution.

CometBFT bounds its mempool by bytes and by count, and takes whatever comes first. So that nobody fills it for
everybody, every transaction waits in one of three lanes, each with a share of the bytes (docs/spec/abci-server.md,
The mempool). CometBFT does not say when it drops a transaction: what waits is counted anew at every recheck.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from abci_app import limits
from abci_app.block import Time
from abci_app.codes import Code
from abci_app.errors import Refusal

MAX_TXS_BYTES: Final = 6 * 1024 * 1024
MAX_TXS: Final = 20_000
"""``max_txs_bytes`` and ``size`` of CometBFT's mempool (config/tendermint/config.toml.template)."""
LEAST_FIDUCIARY_BYTES: Final = 64 * 1024
LEAST_LOOK_UP_BYTES: Final = LEAST_FIDUCIARY_BYTES // limits.MAX_BUNDLE_RESULTS
"""A fiduciary's bundles are looked into once for so many bytes of its share: the least share has room for any one."""
MAX_DECISIONS_PER_IDENTITY: Final = 8
NEXT_KEYS_PART: Final = 2
"""RotateIdentity and RevokeIdentity have one part of so many of what decisions have, in the mempool and in a block."""


class Lane(Enum):
    """Which share a transaction waits in. Proposals take them in this order."""

    DECISION = "decision"
    RESULT = "result"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One transaction as its lane sees it.

    ``subject``: what a decision decides, its kind included. ``is_counted``: whether it is one of the so many decisions
    of its signer's current key; the others are the next key's. Both are of a decision only.
    """

    lane: Lane
    signer: bytes
    size_bytes: int
    subject: bytes = b""
    is_counted: bool = True


class Decisions:
    """The decisions among what waits: one for each identity and subject, so many of one identity."""

    def __init__(self) -> None:
        self._subjects: dict[tuple[bytes, bytes], bool] = {}
        self._count_of: dict[bytes, int] = {}

    def takes(self, one: Waiting) -> bool:
        """Whether it still counts as a decision; a user's transaction otherwise."""
        if (one.signer, one.subject) in self._subjects:
            return False
        return not one.is_counted or self._count_of.get(one.signer, 0) < MAX_DECISIONS_PER_IDENTITY

    def add(self, one: Waiting) -> None:
        """Count it."""
        self._subjects[one.signer, one.subject] = True
        if one.is_counted:
            self._count_of[one.signer] = self._count_of.get(one.signer, 0) + 1


class LookUps:
    """How many look-ups the bundles of each signer took at one height, beyond the first of each bundle."""

    def __init__(self) -> None:
        self._taken_by: dict[bytes, int] = {}

    def left(self, signer: bytes, most_bytes: int) -> int:
        """How many more there may be. ``most_bytes``: what may wait of this signer's results."""
        return most_bytes // LEAST_LOOK_UP_BYTES - self._taken_by.get(signer, 0)

    def add(self, signer: bytes, count: int) -> None:
        """Count them; no more than are left."""
        self._taken_by[signer] = self._taken_by.get(signer, 0) + count


class Mempool:
    """What waits, by transaction, and how much of each lane it takes up, in all and for each identity.

    ``height`` and ``time`` are those of the last committed block. Of ``max_txs_bytes`` users have half, one of them a
    sixteenth of the whole, decisions an eighth, of which what a next key signs has half: a rotation carries a whole
    document, and others' would keep vetoes out. The rest is for results, in equal parts for the active fiduciaries and
    no part smaller than 64 KiB. A small transaction counts as the bytes that one of ``MAX_TXS`` may have: so a share of
    the bytes is the same share of the count.
    """

    def __init__(self, max_txs_bytes: int = MAX_TXS_BYTES) -> None:
        self.height = 0
        self.time = Time(0)
        self._least_bytes = -(-MAX_TXS_BYTES // MAX_TXS)
        self._identity_bytes = max_txs_bytes // 16
        users, decisions = max_txs_bytes // 2, max_txs_bytes // 8
        self._most = {
            Lane.DECISION: decisions, Lane.RESULT: max_txs_bytes - users - decisions, Lane.USER: users,
        }  # fmt: skip
        self._clear()

    def _clear(self) -> None:
        self._pending: dict[bytes, bool] = {}
        self._taken = dict.fromkeys(Lane, 0)
        self._taken_by: dict[tuple[Lane, bytes], int] = {}
        self._decisions = Decisions()
        self._by_next_keys = 0
        self._fiduciaries: dict[bytes, bool] | None = None
        self.look_ups = LookUps()

    def begin_recheck(self, height: int, time: Time) -> None:
        """A block was committed: CometBFT now rechecks what is left, and the count begins anew."""
        self.height = height
        self.time = time
        self._clear()

    def fiduciary_bytes(self, fiduciary: bytes, active: Callable[[], Sequence[bytes]], owes: Callable[[], bool]) -> int:
        """How many bytes of results may wait of this signer. ``active``: the active fiduciaries, asked once a height.

        One that was removed and still owes something has the least; whoever is no fiduciary, nothing.
        """
        if self._fiduciaries is None:
            self._fiduciaries = dict.fromkeys(active(), True)
        if fiduciary in self._fiduciaries:
            return max(LEAST_FIDUCIARY_BYTES, self._most[Lane.RESULT] // len(self._fiduciaries))
        return LEAST_FIDUCIARY_BYTES if owes() else 0

    def _has_room_for_decision(self, one: Waiting, size_bytes: int) -> bool:
        most = self._most[Lane.DECISION]
        if not one.is_counted and self._by_next_keys + size_bytes > most // NEXT_KEYS_PART:
            return False
        return self._taken[Lane.DECISION] + size_bytes <= most

    def _counted(self, one: Waiting) -> int:
        """The bytes that it counts as."""
        return max(one.size_bytes, self._least_bytes)

    def holds(self, tx_hash: bytes) -> bool:
        """Whether it waits, and was found to be right at this height."""
        return tx_hash in self._pending

    def require_room(self, one: Waiting, lane: Lane, most_bytes: int) -> None:
        """Raise :class:`Refusal` (BUSY) where ``lane``, not the decisions', has no room for one more of its signer's.

        ``most_bytes``: of a result, what may wait of this fiduciary's.
        """
        size_bytes = self._counted(one)
        own = most_bytes if lane is Lane.RESULT else self._identity_bytes
        taken_by = self._taken_by.get((lane, one.signer), 0)
        if taken_by + size_bytes > own:
            raise Refusal(Code.BUSY, f"{own} bytes of one signer's {lane.value}s may wait", reason="signer")
        if self._taken[lane] + size_bytes > self._most[lane]:
            raise Refusal(Code.BUSY, f"{self._most[lane]} bytes of {lane.value}s may wait", reason="lane")

    def admit(self, tx_hash: bytes, one: Waiting, most_bytes: int, *, is_recheck: bool) -> None:
        """Count the transaction, or raise :class:`Refusal` (BUSY). Idempotent by the transaction's hash.

        Not by its replay key: whoever signs makes as many signatures of one body as they like, and CometBFT keeps each.
        ``most_bytes``: of a result, what may wait of this fiduciary's. What was admitted stays at a recheck.
        """
        if tx_hash in self._pending:
            return
        size_bytes = self._counted(one)
        lane = one.lane
        if lane is Lane.DECISION:
            if (is_recheck or self._has_room_for_decision(one, size_bytes)) and self._decisions.takes(one):
                self._decisions.add(one)
                self._by_next_keys += 0 if one.is_counted else size_bytes
            else:
                lane = Lane.USER
        if not is_recheck and lane is not Lane.DECISION:
            self.require_room(one, lane, most_bytes)
        self._pending[tx_hash] = True
        self._taken[lane] += size_bytes
        self._taken_by[lane, one.signer] = self._taken_by.get((lane, one.signer), 0) + size_bytes
