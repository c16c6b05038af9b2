"""How anything reads state: the same narrow view over the database, a snapshot of it, an overlay or a dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class StateView(Protocol):
    """Committed state at one height, or a block being executed on top of it."""

    def get(self, key: bytes) -> bytes | None:
        """The leaf at ``key``, or None."""

    def index_get(self, key: bytes) -> bytes | None:
        """The index entry at ``key``, or None."""

    def index_scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Index entries with this prefix and a key greater than ``after``, ascending, at most ``limit``."""

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Leaves whose key starts with ``prefix`` and is greater than ``after``, ascending, at most ``limit``."""
