"""A bounded store in memory whose entries end by themselves: logins under way, tickets."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Full(Exception):
    """As many entries live as may: nothing is evicted for a new one."""


class Expiring(Generic[Value]):
    """At most ``most`` values under keys of bytes, each for ``life_s`` seconds and taken once. Threads may share it."""

    def __init__(self, most: int, life_s: float, monotonic_s: Callable[[], float]) -> None:
        self._most = most
        self._life_s = life_s
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, tuple[float, Value]] = OrderedDict()  # the oldest, which ends first, leads

    def put(self, key: bytes, value: Value) -> None:
        """Raises Full. A key is used once."""
        with self._lock:
            now_s = self._monotonic_s()
            while self._entries and next(iter(self._entries.values()))[0] <= now_s:
                self._entries.popitem(last=False)
            if len(self._entries) >= self._most:
                raise Full
            self._entries[key] = (now_s + self._life_s, value)

    def take(self, key: bytes) -> Value | None:
        """The value, which is gone from here with it; None where there is none, or its time is over."""
        with self._lock:
            until_s, value = self._entries.pop(key, (0.0, None))
            return value if until_s > self._monotonic_s() else None

    def __len__(self) -> int:
        return len(self._entries)
