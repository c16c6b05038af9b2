"""One after the other: who would do the same thing at the same time takes turns, so that it is done once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Locks by name, which are there while somebody holds or wants them. Several threads may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: Counter[tuple[bytes, ...]] = Counter()
        self._held: dict[tuple[bytes, ...], threading.Lock] = {}

    @contextmanager
    def of(self, *thing: bytes) -> Iterator[None]:
        """Alone with ``thing``. Who changes or makes an identity holds it until the transaction is in a block, or given
        up (two minutes); whoever wants it waits as long. Nobody holds it over a wait for fiduciaries' answers."""
        with self._lock:
            self._wanted[thing] += 1
            held = self._held.setdefault(thing, threading.Lock())
        try:
            with held:
                yield
        finally:
            with self._lock:
                self._wanted[thing] -= 1
                if not self._wanted[thing]:
                    del self._wanted[thing], self._held[thing]
