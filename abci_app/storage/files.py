"""The directory of a LevelDB store: who has it open, whether its tables are whole, and why an operation failed.

LevelDB says of an error only whether it calls it corruption, and a text. A table that was cut short it calls an I/O
error, as it does a lock that is held, and one that is gone reads as if its keys did not exist. So what is wrong is
looked up here, in the files and by error numbers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from abci_app.storage.kv import StorageFailure, StoreDenied, StoreFull, StoreInUse

_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# A line of the property leveldb.sstables, a table of the present version: number, size, and its keys, escaped.
_TABLE = re.compile(rb"^ (\d+):(\d+)\[", re.MULTILINE)
# What tells a directory with a store in it from an empty one.
_STORE_FILES = ("MANIFEST-*", "*.ldb", "*.log")
# What CURRENT says: the file that lists the tables in use.
_CURRENT = re.compile(rb"(MANIFEST-\d{6,20})\n")
_CURRENT_BYTES = 64


class DirectoryLock:
    """Holds the directory ``path`` for one store until ``close``. Raises StoreInUse, StorageFailure.

    LevelDB has a lock of its own, but what it says of one that is held is what it says of a disk that fails.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor: int | None = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise failure_of(error, path) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise StoreInUse(path) if isinstance(error, BlockingIOError) else failure_of(error, path) from error

    def close(self) -> None:
        """Let go. Again does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def has_files_of_a_store(path: Path) -> bool:
    """Whether LevelDB has written here."""
    return any(True for pattern in _STORE_FILES for _ in path.glob(pattern))


def is_named_list_there(path: Path) -> bool:
    """Whether CURRENT names a list of tables that is there. Raises StorageFailure where it can't be read."""
    try:
        with (path / "CURRENT").open("rb") as file:
            named = _CURRENT.fullmatch(file.read(_CURRENT_BYTES))
    except OSError as error:
        raise failure_of(error, path) from error
    return named is not None and (path / named[1].decode("ascii")).exists()


def damaged_tables(path: Path, listing: bytes) -> Iterator[tuple[int, str]]:
    """(number, what is wrong) of each table of ``listing`` (the property leveldb.sstables) that is not as written."""
    for number, size in _TABLE.findall(listing):
        written_bytes = int(size)
        try:
            found_bytes = (path / f"{int(number):06d}.ldb").stat().st_size
        except FileNotFoundError:
            yield int(number), "is missing"
            continue
        if found_bytes != written_bytes:
            yield int(number), f"has {found_bytes} bytes, not {written_bytes}"


def failure_of(error: OSError, path: Path) -> StorageFailure:
    """``error``, met at ``path``, as a failure of a kind: by its number, never by its text."""
    if isinstance(error, StorageFailure):
        return error
    said = error.strerror or type(error).__name__
    where = Path(error.filename) if isinstance(error.filename, str) else path
    if error.errno in _DENIED:
        return StoreDenied(where, said)
    if error.errno in _FULL:
        return StoreFull(path, _free_bytes(path), said)
    return StorageFailure(f"{where}: {said}")


def unexplained_failure(path: Path, said: str, needed_bytes: int) -> StorageFailure:
    """Of an error that has nothing but a text: what the directory shows. ``needed_bytes``: what a write may take."""
    for place in (path, *path.glob("*")):
        if not os.access(place, os.R_OK | os.W_OK):
            return StoreDenied(place, said)
    free_bytes = _free_bytes(path)
    if free_bytes < needed_bytes:
        return StoreFull(path, free_bytes, said)
    return StorageFailure(said)


def _free_bytes(path: Path) -> int:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0
