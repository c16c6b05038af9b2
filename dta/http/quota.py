"""How much may be uploaded, by whom: rates, bytes outstanding, and room altogether."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MIN_CHARGE_BYTES = 4096
"""A block counts for at least this much: what it takes on disk, and a bound on the number of small ones."""


class OverRate(Exception):
    """Too many requests: wait ``retry_after_s``."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class OverQuota(Exception):
    """One owner's uploads that nothing on the ledger names yet would exceed ``limit_bytes``."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self.limit_bytes = limit_bytes


class NoRoom(Exception):
    """All uploads that nothing on the ledger names yet would exceed ``limit_bytes`` together."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self.limit_bytes = limit_bytes


class RateLimit:
    """A token bucket a key: ``per_minute`` tokens a minute, at most ``burst`` at once.

    Remembers ``max_keys`` keys, dropping the one used longest ago: memory stays bounded whoever calls.
    """

    def __init__(self, per_minute: float, burst: int, monotonic_s: Callable[[], float], max_keys: int = 10_000) -> None:
        self._per_second = per_minute / 60
        self._burst = float(burst)
        self._monotonic_s = monotonic_s
        self._max_keys = max_keys
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> None:
        """Take one token of ``key``'s, or raise OverRate."""
        now_s = self._monotonic_s()
        tokens, at_s = self._buckets.pop(key, (self._burst, now_s))
        tokens = min(self._burst, tokens + (now_s - at_s) * self._per_second)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now_s)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        if not allowed:
            raise OverRate((1 - tokens) / self._per_second)


@dataclass(slots=True)
class _Charge:
    size_bytes: int
    until_s: float


class Outstanding:
    """Bytes uploaded by each owner that are neither pinned nor lapsed, kept below two limits.

    Kept in memory: a restart forgets who uploaded what, while :class:`Room` still bounds the sum. A charge lapses
    ``grace_s`` after the upload, when the store lets go of the block too.
    """

    def __init__(
        self,
        per_owner_bytes: int,
        total_bytes: int,
        grace_s: float,
        is_pinned: Callable[[str], bool],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._per_owner_bytes = per_owner_bytes
        self._total_bytes = total_bytes
        self._grace_s = grace_s
        self._is_pinned = is_pinned
        self._monotonic_s = monotonic_s
        self._charges: dict[Hashable, dict[str, _Charge]] = {}

    @contextmanager
    def charging(self, owner: Hashable, cid: str, size_bytes: int) -> Iterator[None]:
        """Charge ``owner`` for ``cid`` while it is stored, and on while it is outstanding.

        An error inside takes the charge back. Raises OverQuota, NoRoom.
        """
        now_s = self._monotonic_s()
        mine = self._settle(owner, now_s)
        size_bytes = max(size_bytes, MIN_CHARGE_BYTES)
        before = mine.get(cid)
        if before is None:
            if sum(charge.size_bytes for charge in mine.values()) + size_bytes > self._per_owner_bytes:
                raise OverQuota(self._per_owner_bytes)
            if self._sum() + size_bytes > self._total_bytes:
                for other in list(self._charges):
                    self._settle(other, now_s)
                if self._sum() + size_bytes > self._total_bytes:
                    raise NoRoom(self._total_bytes)
        charges = self._charges.setdefault(owner, {})
        charges[cid] = _Charge(size_bytes, now_s + self._grace_s)
        try:
            yield
        except BaseException:
            if before is None:
                charges.pop(cid, None)
            raise

    def _settle(self, owner: Hashable, now_s: float) -> dict[str, _Charge]:
        """The owner's charges without those that lapsed or whose block the ledger names by now."""
        charges = self._charges.get(owner, {})
        for cid in [c for c, charge in charges.items() if charge.until_s <= now_s or self._is_pinned(c)]:
            del charges[cid]
        if not charges:
            self._charges.pop(owner, None)
        return charges

    def _sum(self) -> int:
        return sum(charge.size_bytes for charges in self._charges.values() for charge in charges.values())


class Room:
    """Keeps what is stored unpinned, with what is being written, at or below ``limit_bytes``."""

    def __init__(self, limit_bytes: int, unpinned_bytes: Callable[[], int]) -> None:
        self._limit_bytes = limit_bytes
        self._unpinned_bytes = unpinned_bytes
        self._in_flight_bytes = 0

    @contextmanager
    def reserving(self, size_bytes: int) -> Iterator[None]:
        """Hold ``size_bytes`` while a block is written. Raises NoRoom."""
        if self._unpinned_bytes() + self._in_flight_bytes + size_bytes > self._limit_bytes:
            raise NoRoom(self._limit_bytes)
        self._in_flight_bytes += size_bytes
        try:
            yield
        finally:
            self._in_flight_bytes -= size_bytes
