"""Which uploads' claims were counted already: sent again, by whomever, one is no upload of its identity's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from dta.blocks.auth import MAX_CLAIM_S
from dta.http.quota import Weights

MAX_CLAIMS: Final = 32_768
"""Remembered at once: some 20 MB."""

Claimed = tuple[bytes, str, int]
"""What one upload's signature claims: the identity, the block's CID, until when (Unix seconds)."""


@dataclass(slots=True)
class _Counted:
    signature: bytes
    until_s: float
    is_done: bool = False


class Claims:
    """Claims by what they claim, from when their identity was charged until none can be good any more.

    At most ``max_claims``: beyond them the oldest of the identity that has most goes, so that those of the others stay
    whoever signs much. One that was forgotten is counted again when it is sent again.
    """

    def __init__(self, monotonic_s: Callable[[], float], max_claims: int = MAX_CLAIMS) -> None:
        self._monotonic_s = monotonic_s
        self._max_claims = max_claims
        self._counted: OrderedDict[Claimed, _Counted] = OrderedDict()  # first what is over first
        self._of: dict[Hashable, OrderedDict[Claimed, None]] = {}
        self._weights = Weights()

    def is_counted(self, claimed: Claimed) -> bool:
        """Whether its identity was charged for it."""
        self._forget_old()
        return claimed in self._counted

    def count(self, claimed: Claimed, signature: bytes) -> None:
        """Its identity was charged for it now, for the first time; this signature of it verified."""
        self._counted[claimed] = _Counted(signature, self._monotonic_s() + MAX_CLAIM_S)
        self._of.setdefault(claimed[0], OrderedDict())[claimed] = None
        self._weights.add(claimed[0], 1)
        if len(self._counted) > self._max_claims and (most := self._weights.heaviest()) is not None:
            self._drop(next(iter(self._of[most[1]])))

    def is_done(self, claimed: Claimed, signature: bytes) -> bool:
        """Whether it was counted by this signature, and the block stored under it."""
        counted = self._counted.get(claimed)
        return counted is not None and counted.is_done and counted.signature == signature

    def done(self, claimed: Claimed) -> None:
        """The block was stored under it."""
        if claimed in self._counted:
            self._counted[claimed].is_done = True

    def _forget_old(self) -> None:
        now_s = self._monotonic_s()
        while self._counted:
            claimed, counted = next(iter(self._counted.items()))
            if counted.until_s > now_s:
                break
            self._drop(claimed)

    def _drop(self, claimed: Claimed) -> None:
        del self._counted[claimed]
        self._weights.add(claimed[0], -1)
        mine = self._of[claimed[0]]
        del mine[claimed]
        if not mine:
            del self._of[claimed[0]]
