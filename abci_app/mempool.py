"""What one node's mempool holds, as far as CheckTx must know. Not consensus: limits are enforced again in execution.

CometBFT does not say when it drops a transaction, so the count is rebuilt at every recheck.
"""

from __future__ import annotations

from abci_app.block import Time
from abci_app.codes import Code
from abci_app.errors import Refusal

DEFAULT_CAPACITY = 20_000


class Mempool:
    """Pending transactions by replay key, and how many each identity has.

    ``height`` and ``time`` are those of the last committed block. Users are refused with BUSY from three quarters
    of the capacity on, so that hooks' results always find a place.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self.capacity = capacity
        self.height = 0
        self.time = Time(0)
        self._pending: dict[bytes, bytes] = {}
        self._count_of: dict[bytes, int] = {}
        self._answering: dict[bytes, bytes] = {}

    def begin_recheck(self, height: int, time: Time) -> None:
        """A block was committed: CometBFT now rechecks what is left, and the count begins anew."""
        self.height = height
        self.time = time
        self._pending.clear()
        self._count_of.clear()
        self._answering.clear()

    def admit(self, replay_key: bytes, signer: bytes, *, answers: bytes, is_recheck: bool) -> None:
        """Count the transaction, or raise :class:`Refusal` (BUSY, TOO_MANY). Idempotent by replay key.

        ``answers``: the state key of what a hook's result is due for, empty for users. One result for each waits:
        since results are always admitted, a fiduciary could fill every mempool with answers to one question.
        """
        if replay_key in self._pending:
            return
        count = self._count_of.get(signer, 0)
        if answers:
            if answers in self._answering:
                raise Refusal(Code.TOO_MANY, "a result for it is pending")
            self._answering[answers] = replay_key
        elif not is_recheck:
            if len(self._pending) >= self.capacity * 3 // 4:
                raise Refusal(Code.BUSY)
            if count >= self.capacity // 2:
                raise Refusal(Code.TOO_MANY, "pending transactions")
        self._pending[replay_key] = signer
        self._count_of[signer] = count + 1
