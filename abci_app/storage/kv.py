"""The ordered byte store under the state, as narrow as it is used. Two implementations: leveldb.py and memory.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol


class StorageFailure(OSError):
    """The store could not be opened, read or written. An OSError: the process ends before it answers.

    Its kinds below say what is known of the cause, and ``hint`` what a person does about it.
    """

    hint = "the disk or its file system fails: see the kernel's log, and docs/runbooks/damaged-state.md"


class StoreCorrupt(StorageFailure):
    """What the store holds is not what was written. Never repaired: move it aside and replay."""

    hint = (
        "start again: the state is moved aside and CometBFT replays the blocks into an empty one "
        "(docs/runbooks/damaged-state.md)"
    )


class StoreInUse(StorageFailure):
    """Another process, or this one, has the store at ``path`` open."""

    hint = "is another application running on this home? `dta status` shows it"

    def __init__(self, path: Path) -> None:
        super().__init__(f"the store at {path} is in use")
        self.path = path


class StoreMissing(StorageFailure):
    """There is no store at ``path``, and none was to be made."""

    hint = "name the home of a node that has run, or the directory of its state"

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no store at {path}")
        self.path = path


class StoreDenied(StorageFailure):
    """This user may not read or write ``path``, or its file system is read-only."""

    hint = "run as the user who owns the home, on a file system that is mounted read-write"

    def __init__(self, path: Path, said: str) -> None:
        super().__init__(f"{path} can't be read or written: {said}")
        self.path = path


class StoreFull(StorageFailure):
    """The disk under ``path`` is full, or its quota is used up. ``free_bytes`` were left."""

    hint = "make room: nothing that was committed is lost (docs/runbooks/full-disk.md)"

    def __init__(self, path: Path, free_bytes: int, said: str) -> None:
        super().__init__(f"no room for the store at {path}, {free_bytes} bytes are free: {said}")
        self.path = path
        self.free_bytes = free_bytes


class StoreOfAnotherFormat(StorageFailure):
    """The store was written by a program with another format, ``found``; ``wanted`` is this one's."""

    hint = "run the version that wrote it, or move the directory `state` away: CometBFT replays the blocks"

    def __init__(self, found: bytes, wanted: bytes) -> None:
        super().__init__(f"the store's format is {found!r}; this program reads {wanted!r}")
        self.found = found
        self.wanted = wanted


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

    @property
    def buffer_bytes(self) -> int:
        """So many bytes of keys and values are in a log at most, and one batch more, before a table is made of them."""

    def check_files(self) -> None:
        """Whether what lies on disk is there and as long as it was written. Raises StoreCorrupt."""

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
