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

    def take(self, key: Hashable, cost: float = 1.0) -> int:
        """Take ``cost`` tokens of ``key``'s, or raise OverRate. How many are left at once."""
        tokens = self._tokens(key)
        allowed = tokens >= cost
        left = tokens - cost if allowed else tokens
        self._keep(key, left)
        if not allowed:
            raise OverRate(self.wait_s(key, cost))
        return int(left)

    def wait_s(self, key: Hashable, cost: float = 0.0) -> float:
        """In how long ``cost`` tokens are there; without: a debt is paid off. 0 where it is so now."""
        return max(0.0, cost - self._tokens(key)) / self._per_second

    def charge(self, key: Hashable, cost: float) -> None:
        """Take ``cost`` tokens whether they are there or not: what something cost is known only when it is done.

        The debt is paid off before :meth:`take` gives anything again.
        """
        self._keep(key, self._tokens(key) - cost)

    def _tokens(self, key: Hashable) -> float:
        tokens, at_s = self._buckets.get(key, (self._burst, 0.0))
        return min(self._burst, tokens + (self._monotonic_s() - at_s) * self._per_second)

    def _keep(self, key: Hashable, tokens: float) -> None:
        self._buckets[key] = (tokens, self._monotonic_s())
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)


@dataclass(slots=True)
class _Charge:
    size_bytes: int
    until_s: float


class Outstanding:
    """Bytes uploaded by each owner that are neither pinned nor lapsed, kept below two limits.

    Where all of them together leave no room, those of whoever has most give way (:meth:`displaced`): owners who each
    keep to their own limit shut nobody out who has less. Kept in memory: a restart forgets who uploaded what, while
    :class:`Room` still bounds the sum. A charge lapses ``grace_s`` after the upload, when the store lets go of the
    block too.
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
        before = self._settle(owner, now_s).get(cid)
        size_bytes = max(size_bytes, MIN_CHARGE_BYTES)
        if before is None:
            if self._of(owner) + size_bytes > self._per_owner_bytes:
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

    def over(self, size_bytes: int) -> int:
        """By how much so many bytes more would exceed what all may have together; not above zero where they fit."""
        return self._sum() + max(size_bytes, MIN_CHARGE_BYTES) - self._total_bytes

    def displaced(self, owner: Hashable, size_bytes: int, over_bytes: int) -> list[str]:
        """What gives way to ``size_bytes`` of ``owner``'s: ``over_bytes`` of blocks, as far as there are such.

        Each is the oldest of whoever has most by then, if that is more than ``owner`` would have, and of nobody else.
        They are charged to nobody any more: the caller deletes them.
        """
        now_s = self._monotonic_s()
        for one in list(self._charges):
            self._settle(one, now_s)
        wanted = self._of(owner) + max(size_bytes, MIN_CHARGE_BYTES)
        found: list[str] = []
        while over_bytes > 0 and self._charges:
            heaviest = max(self._charges, key=self._of)
            mine = self._charges[heaviest]
            alone = [cid for cid in mine if sum(cid in charges for charges in self._charges.values()) == 1]
            if self._of(heaviest) <= wanted or not alone:
                break
            over_bytes -= mine.pop(alone[0]).size_bytes
            found.append(alone[0])
        return found

    def _of(self, owner: Hashable) -> int:
        return sum(charge.size_bytes for charge in self._charges.get(owner, {}).values())

    def _settle(self, owner: Hashable, now_s: float) -> dict[str, _Charge]:
        """The owner's charges without those that lapsed or whose block the ledger names by now."""
        charges = self._charges.get(owner, {})
        for cid in [c for c, charge in charges.items() if charge.until_s <= now_s or self._is_pinned(c)]:
            del charges[cid]
        if not charges:
            self._charges.pop(owner, None)
        return charges

    def _sum(self) -> int:
        return sum(map(self._of, self._charges))


class Room:
    """Keeps what is stored unpinned, with what is being written, at or below ``limit_bytes``."""

    def __init__(self, limit_bytes: int, unpinned_bytes: Callable[[], int]) -> None:
        self._limit_bytes = limit_bytes
        self._unpinned_bytes = unpinned_bytes
        self._in_flight_bytes = 0

    def over(self, size_bytes: int) -> int:
        """By how much so many bytes more would exceed the limit; not above zero where they fit."""
        return self._unpinned_bytes() + self._in_flight_bytes + size_bytes - self._limit_bytes

    @contextmanager
    def reserving(self, size_bytes: int) -> Iterator[None]:
        """Hold ``size_bytes`` while a block is written. Raises NoRoom."""
        if self.over(size_bytes) > 0:
            raise NoRoom(self._limit_bytes)
        self._in_flight_bytes += size_bytes
        try:
            yield
        finally:
            self._in_flight_bytes -= size_bytes
