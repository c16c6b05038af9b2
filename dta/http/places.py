"""Places that somebody holds for a while, so many in all and so many for each: who has most gives way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

NOBODY = ""
"""The key of a holder that has no bound of its own and gives way to nobody: a trusted proxy, a socket of our own."""


@dataclass(frozen=True, slots=True)
class _Held:
    key: str
    give_way: Callable[[], None]


class Places:
    """At most ``most`` places, ``per_key`` of them one key's.

    Where all are taken a new holder takes the place of the oldest of the key that has most, if that is more than the
    newcomer's would be: so a few addresses, each within its bound, shut nobody out.
    """

    def __init__(self, most: int, per_key: int) -> None:
        self._most = most
        self._per_key = per_key
        self._held: dict[Hashable, _Held] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many are taken."""
        return len(self._held)

    def take(self, holder: Hashable, key: str, give_way: Callable[[], None]) -> bool:
        """Whether ``holder`` has a place now. ``give_way`` is called where it loses it to another."""
        if self.is_full_for(key):
            return False
        if len(self._held) >= self._most and not self._make_room(key):
            return False
        self._held[holder] = _Held(key, give_way)
        self._counts[key] += 1
        return True

    def is_full_for(self, key: str) -> bool:
        """Whether ``key`` has as many as it may."""
        return key != NOBODY and self._counts[key] >= self._per_key

    def leave(self, holder: Hashable) -> None:
        """Give the place back; nothing where there is none."""
        held = self._held.pop(holder, None)
        if held is None:
            return
        self._counts[held.key] -= 1
        if not self._counts[held.key]:
            del self._counts[held.key]

    def _make_room(self, key: str) -> bool:
        """Have a holder of whoever has most give way, unless ``key`` would then have as many."""
        counts = [(count, other) for other, count in self._counts.items() if other != NOBODY]
        most, heaviest = max(counts, default=(0, NOBODY))
        if most <= self._counts[key] + 1:
            return False
        holder = next(holder for holder, held in self._held.items() if held.key == heaviest)
        give_way = self._held[holder].give_way
        self.leave(holder)
        give_way()
        return True
