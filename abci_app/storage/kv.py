"""The ordered byte store under the state, as narrow as it is used. Two implementations: leveldb.py and memory.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class StorageFailure(OSError):
    """The store could not be opened, read or written. An OSError: the process ends before it answers."""


class StoreCorrupt(StorageFailure):
    """What the store holds is not what was written. Never repaired: move it aside and replay."""


class KvReader(Protocol):
    """Reading: keys and values are bytes, keys sort as unsigned bytes do."""

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key``, or None."""

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Entries whose key starts with ``prefix`` and is greater than ``after``, ascending, at most ``limit``.

        Sees the store as it was when iteration began.
        """

    def last_at_or_before(self, prefix: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        """The greatest entry that starts with ``prefix`` and is at most ``key``, or None."""


class KvSnapshot(KvReader, Protocol):
    """The store as it was at one moment; later writes do not show. Usable from any one thread at a time."""

    def close(self) -> None:
        """Let the moment go. Reading afterwards raises StorageFailure."""


class KvStore(KvReader, Protocol):
    """The store itself. Reads and snapshots may come from any thread, writes from one."""

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        """Apply all of ``batch`` in order or nothing; None deletes. With ``sync`` it is on disk when this returns.

        Raises StorageFailure when it could not be written.
        """

    def snapshot(self) -> KvSnapshot:
        """The store as it is now."""

    def close(self) -> None:
        """Release the store. Using it afterwards raises StorageFailure."""


def prefix_end(prefix: bytes) -> bytes | None:
    """The least key greater than every key that starts with ``prefix``; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None
