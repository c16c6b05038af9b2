"""How much may be uploaded, by whom: rates, bytes outstanding, and room altogether."""

from __future__ import annotations

from bisect import bisect_left, insort
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


class GaveWay(NoRoom):
    """Others took the room of an upload while it was stored: whoever stored it deletes it."""


class Weights:
    """How much each owner has, in whole numbers, and who has most: of several the one who came first."""

    def __init__(self) -> None:
        self._of: dict[Hashable, int] = {}
        self._number: dict[Hashable, int] = {}
        self._next_number = 0
        self._by_weight: list[tuple[int, int, Hashable]] = []  # weight, minus the number; ascending

    def __len__(self) -> int:
        return len(self._of)

    def of(self, owner: Hashable) -> int:
        """What ``owner`` has; 0 for who has nothing, and is not remembered."""
        return self._of.get(owner, 0)

    def heaviest(self) -> tuple[int, Hashable] | None:
        """What whoever has most has, and who that is; None where nobody has anything."""
        if not self._by_weight:
            return None
        weight, _, owner = self._by_weight[-1]
        return weight, owner

    def add(self, owner: Hashable, more: int) -> None:
        """``owner`` has so much more, or less where it is negative."""
        before = self.of(owner)
        if before:
            del self._by_weight[bisect_left(self._by_weight, (before, -self._number[owner]), key=_weight)]
        else:
            self._number[owner] = self._next_number
            self._next_number += 1
        if before + more:
            self._of[owner] = before + more
            insort(self._by_weight, (self._of[owner], -self._number[owner], owner), key=_weight)
        else:
            del self._of[owner], self._number[owner]


def _weight(entry: tuple[int, int, Hashable]) -> tuple[int, int]:
    return entry[:2]


@dataclass(slots=True)
class _Charge:
    size_bytes: int
    until_s: float
    gave_way: bool = False


class Outstanding:
    """Bytes uploaded by each owner that the ledger does not name yet and that have not lapsed, below two limits.

    Where all of them together leave no room, those of whoever has most give way (:meth:`displaced`), whether others
    uploaded the same or not: owners who each keep to their own limit shut nobody out who has less. Kept in memory: a
    restart forgets who uploaded what, while :class:`Room` still bounds the sum. A charge lapses ``grace_s`` after the
    upload, when the store lets go of the block too, or is taken back (:meth:`forget`). All sums are kept, none is added
    up: an upload costs the same however many there are.
    """

    def __init__(
        self, per_owner_bytes: int, total_bytes: int, grace_s: float, monotonic_s: Callable[[], float]
    ) -> None:
        self._per_owner_bytes = per_owner_bytes
        self._total_bytes = total_bytes
        self._grace_s = grace_s
        self._monotonic_s = monotonic_s
        self._charges: dict[Hashable, dict[str, _Charge]] = {}
        self._owners: dict[str, set[Hashable]] = {}
        self._lapsing: OrderedDict[tuple[Hashable, str], None] = OrderedDict()  # first what lapses first
        self._bytes = Weights()
        self._all_bytes = 0

    @contextmanager
    def charging(self, owner: Hashable, cid: str, size_bytes: int) -> Iterator[None]:
        """Charge ``owner`` for ``cid`` while it is stored, and on while it is outstanding.

        An error inside takes the charge back. Raises OverQuota, NoRoom; at its end GaveWay.
        """
        now_s = self._lapse()
        is_new = cid not in self._charges.get(owner, ())
        size_bytes = max(size_bytes, MIN_CHARGE_BYTES)
        if is_new:
            if self.bytes_of(owner) + size_bytes > self._per_owner_bytes:
                raise OverQuota(self._per_owner_bytes)
            if self._all_bytes + size_bytes > self._total_bytes:
                raise NoRoom(self._total_bytes)
        self._drop(owner, cid)
        charge = _Charge(size_bytes, now_s + self._grace_s)
        self._charges.setdefault(owner, {})[cid] = charge
        self._owners.setdefault(cid, set()).add(owner)
        self._lapsing[owner, cid] = None
        self._weigh(owner, size_bytes)
        try:
            yield
        except BaseException:
            if is_new:
                self._drop(owner, cid)
            raise
        if charge.gave_way:
            raise GaveWay(self._total_bytes)

    def forget(self, cid: str) -> None:
        """Nobody is charged for ``cid`` any more: the ledger names it."""
        for owner in list(self._owners.get(cid, ())):
            self._drop(owner, cid)

    def cids(self) -> list[str]:
        """What somebody is charged for."""
        return list(self._owners)

    def is_charged(self, cid: str, owner: Hashable | None = None) -> bool:
        """Whether somebody is charged for ``cid``, or ``owner`` is. At once, in any thread."""
        owners = self._owners.get(cid, ())
        return bool(owners) if owner is None else owner in owners

    def bytes_of(self, owner: Hashable) -> int:
        """What ``owner`` is charged for."""
        return self._bytes.of(owner)

    def over(self, size_bytes: int) -> int:
        """By how much so many bytes more would exceed what all may have together; not above zero where they fit."""
        self._lapse()
        return self._all_bytes + max(size_bytes, MIN_CHARGE_BYTES) - self._total_bytes

    def displaced(self, owner: Hashable, size_bytes: int) -> list[str] | None:
        """Let one charge give way to ``size_bytes`` of ``owner``'s: the oldest of whoever has most.

        None where nobody has more than ``owner`` would have. Else what the caller deletes, for nobody is charged for it
        any more: a block, or none where others still are, for whom it stays until theirs gave way too.
        """
        self._lapse()
        most = self._bytes.heaviest()
        if most is None:
            return None
        most_bytes, heaviest = most
        if most_bytes <= self.bytes_of(owner) + max(size_bytes, MIN_CHARGE_BYTES):
            return None
        cid, charge = next(iter(self._charges[heaviest].items()))
        charge.gave_way = True
        self._drop(heaviest, cid)
        return [] if cid in self._owners else [cid]

    def _lapse(self) -> float:
        """Let go of what lapsed by now. The time."""
        now_s = self._monotonic_s()
        while self._lapsing:
            owner, cid = next(iter(self._lapsing))
            if self._charges[owner][cid].until_s > now_s:
                break
            self._drop(owner, cid)
        return now_s

    def _drop(self, owner: Hashable, cid: str) -> None:
        """Charge ``owner`` for ``cid`` no more."""
        charge = self._charges.get(owner, {}).pop(cid, None)
        if charge is None:
            return
        del self._lapsing[owner, cid]
        self._owners[cid].discard(owner)
        if not self._owners[cid]:
            del self._owners[cid]
        self._weigh(owner, -charge.size_bytes)

    def _weigh(self, owner: Hashable, more_bytes: int) -> None:
        self._all_bytes += more_bytes
        self._bytes.add(owner, more_bytes)
        if not self._bytes.of(owner):
            del self._charges[owner]


class Room:
    """Keeps what is stored of uploads, with what is being written, at or below ``limit_bytes``."""

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
