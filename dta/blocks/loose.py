"""The blocks that nothing pins: what they take together, and which are old, without going through all of them."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final

# A heap may have so many entries more than twice of what there is: what went, or is younger by now.
_SPARE_ENTRIES: Final = 64


class Loose:
    """Size in bytes and since when, by CID. ``total_bytes`` may be read without a lock; else the caller holds one."""

    __slots__ = ("_by_time", "_known", "total_bytes")

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, int]] = {}
        # What went, or has another time by now, is left here until its turn comes.
        self._by_time: list[tuple[float, str]] = []
        self.total_bytes = 0

    def set(self, cid: str, size_bytes: int, since_s: float) -> None:
        """Count ``cid`` with this size and time, whatever it was counted with before."""
        before = self._known.get(cid)
        self.total_bytes += size_bytes - (0 if before is None else before[1])
        self._known[cid] = since_s, size_bytes
        if before is None or before[0] != since_s:
            heappush(self._by_time, (since_s, cid))
            self._sweep()

    def drop(self, cid: str) -> None:
        """Count ``cid`` no more, if it was counted."""
        before = self._known.pop(cid, None)
        if before is not None:
            self.total_bytes -= before[1]
            self._sweep()

    def is_old(self, cid: str, older_than_s: float, now_s: float) -> bool:
        """Whether it is counted, and has been for so long at ``now_s``."""
        known = self._known.get(cid)
        return known is not None and now_s - known[0] >= older_than_s

    def old(self, older_than_s: float, now_s: float) -> list[str]:
        """All that are, ascending. The others are not looked at."""
        found: dict[str, float] = {}
        while self._by_time and now_s - self._by_time[0][0] >= older_than_s:
            since_s, cid = heappop(self._by_time)
            if self._since(cid) == since_s:
                found[cid] = since_s
        for cid, since_s in found.items():  # until they are dropped
            heappush(self._by_time, (since_s, cid))
        return sorted(found)

    def __contains__(self, cid: str) -> bool:
        return cid in self._known

    def _since(self, cid: str) -> float | None:
        known = self._known.get(cid)
        return None if known is None else known[0]

    def _sweep(self) -> None:
        if len(self._by_time) > 2 * len(self._known) + _SPARE_ENTRIES:
            self._by_time = [(since_s, cid) for cid, (since_s, _) in self._known.items()]
            heapify(self._by_time)
