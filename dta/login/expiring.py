"""A bounded store in memory whose entries end by themselves: logins under way, tickets."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Full(Exception):
    """As many entries live as may, and nobody has so many more than whoever asks that one of his goes."""


class Expiring(Generic[Value]):
    """At most ``most`` values under keys of bytes, each for ``life_s`` seconds and taken once. Threads may share it.

    Where that many live, a new one takes the place of the oldest of the owner that has most, if those are more than the
    new one's owner would have: who fills it shuts nobody out who has less.
    """

    def __init__(self, most: int, life_s: float, monotonic_s: Callable[[], float]) -> None:
        self._most = most
        self._life_s = life_s
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        # The oldest, which ends first, leads.
        self._entries: OrderedDict[bytes, tuple[float, Value, str]] = OrderedDict()
        self._count_of: Counter[str] = Counter()

    def put(self, key: bytes, value: Value, owner: str = "") -> None:
        """Raises Full. A key is used once."""
        with self._lock:
            now_s = self._monotonic_s()
            while self._entries and next(iter(self._entries.values()))[0] <= now_s:
                self._forget(next(iter(self._entries)))
            if len(self._entries) >= self._most:
                self._make_room(owner)
            self._entries[key] = (now_s + self._life_s, value, owner)
            self._count_of[owner] += 1

    def take(self, key: bytes) -> Value | None:
        """The value, which is gone from here with it; None where there is none, or its time is over."""
        with self._lock:
            found = self._forget(key)
            return found[1] if found is not None and found[0] > self._monotonic_s() else None

    def _make_room(self, owner: str) -> None:
        heaviest, count = self._count_of.most_common(1)[0]
        if count <= self._count_of[owner] + 1:
            raise Full
        self._forget(next(key for key, (_, _, whose) in self._entries.items() if whose == heaviest))

    def _forget(self, key: bytes) -> tuple[float, Value, str] | None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._count_of[found[2]] -= 1
            if not self._count_of[found[2]]:
                del self._count_of[found[2]]
        return found

    def __len__(self) -> int:
        return len(self._entries)
