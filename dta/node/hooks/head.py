"""Whether this node is at the head of the chain: what it knows is what the others know (docs/spec/custody.md)."""

from __future__ import annotations

import time
from collections.abc import Callable

from dta.node.hooks.errors import NotAtHead

SEEN_FOR_S = 15.0
"""What CometBFT said of itself counts for so long."""


class Head:
    """Remembers what CometBFT said, and judges a state's age by the local clock. For several threads.

    A node that replays, catches up or is cut off would act on requests that were vetoed since.
    """

    def __init__(
        self,
        max_state_age_s: int,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_state_age_s = max_state_age_s
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._seen: tuple[float, bool] | None = None

    def note(self, catching_up: bool) -> None:
        """CometBFT answered just now."""
        self._seen = (self._monotonic_s(), catching_up)

    def lose(self) -> None:
        """Who answered is none of ours: nothing it said before counts."""
        self._seen = None

    def require(self, block_time_s: int) -> None:
        """Raise :class:`NotAtHead` unless a state of this block time (Unix seconds) may be acted on."""
        if self._seen is None or self._monotonic_s() - self._seen[0] > SEEN_FOR_S:
            raise NotAtHead("CometBFT does not answer")
        if self._seen[1]:
            raise NotAtHead("CometBFT is catching up")
        age_s = self._now_s() - block_time_s
        if age_s > self._max_state_age_s:
            raise NotAtHead(f"the last block is {int(age_s)} s old: the chain stands still, or this node is cut off")
        if age_s < -self._max_state_age_s:
            # With a clock so far behind, an old state would look fresh.
            raise NotAtHead(f"the last block is {int(-age_s)} s ahead of this machine's clock: set the clock")
