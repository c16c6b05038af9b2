"""The store on disk: LevelDB by plyvel, every read checked against its block's checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import plyvel

from abci_app.storage.files import (
    DirectoryLock,
    damaged_tables,
    failure_of,
    has_files_of_a_store,
    is_named_list_there,
    unexplained_failure,
)
from abci_app.storage.kv import StorageFailure, StoreCorrupt, StoreMissing, prefix_end

# Hashes do not compress.
WRITE_BUFFER_BYTES = 64 << 20
"""LevelDB compacts a table after so many reads of keys that it has not (one for each 16 kB of it): tables that begin
large are compacted less often. Of a node of the tree that is pruned, what is written and its end meet sooner too."""
BLOCK_CACHE_BYTES = 8 << 20
TABLE_BYTES = 2 << 20
MAX_OPEN_FILES = 20_000
"""Tables that stay open: 40 GB, of about 5 million orders (734 MB for each 100,000). Each has its index and its filter
in memory, about 50 kB: a million orders' 3,670 tables take 180 MB, as many as there may be 1 GB. A table that is opened
for each read makes a read ten times as dear. Not descriptors: LevelDB maps 1,000 tables and holds a fifth of the
process's limit open beyond them (1,525 tables, a limit of 256: 62 descriptors); the file of a table above both is
opened and closed by each read, with index and filter at hand."""
BLOOM_BITS = 10

_TABLES = b"leveldb.sstables"

# What plyvel raises: its own errors, and RuntimeError for a database that is closed.
_ERRORS = (plyvel.Error, RuntimeError)
Explain = Callable[[Exception], StorageFailure]


class _Reader:
    """Reads from a database or from a snapshot of one: plyvel gives both the same methods."""

    def __init__(self, source: Any, explain: Explain) -> None:
        self._source = source
        self._explain = explain

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """plyvel's errors as ours."""
        try:
            yield
        except _ERRORS as error:
            raise self._explain(error) from error

    def get(self, key: bytes) -> bytes | None:
        """See KvReader."""
        try:
            value: bytes | None = self._source.get(key, verify_checksums=True)
        except _ERRORS as error:
            raise self._explain(error) from error
        return value

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See KvReader."""
        left = -1 if limit is None else limit
        if left == 0:
            return
        past = after >= prefix
        with (
            self._translated(),
            self._source.iterator(
                start=after if past else prefix,
                include_start=not past,
                stop=prefix_end(prefix),
                verify_checksums=True,
                fill_cache=False,
            ) as iterator,
        ):
            for key, value in iterator:
                yield key, value
                left -= 1
                if left == 0:
                    return

    def last_at_or_before(self, prefix: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        """See KvReader."""
        end = prefix_end(prefix)
        inside = end is None or key < end
        # No start: going backwards, plyvel leaves out an entry whose key is the start itself.
        with (
            self._translated(),
            self._source.iterator(
                stop=key if inside else end, include_stop=inside, reverse=True, verify_checksums=True,
            ) as iterator,
        ):  # fmt: skip
            for found, value in iterator:
                return (found, value) if found.startswith(prefix) else None
        return None

    def close(self) -> None:
        """See KvStore."""
        self._source.close()


class LevelDbSnapshot(_Reader):
    """A moment of a LevelDbStore."""


class LevelDbStore(_Reader):
    """A KvStore in the directory ``path``, which one process may open at a time.

    Raises StoreCorrupt when LevelDB, or the length of a file, says that the store is damaged; StoreInUse, StoreMissing
    (with ``create=False``), StoreDenied, StoreFull and, where nothing explains it, StorageFailure.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._path = path
        try:
            if create:
                path.mkdir(mode=0o700, exist_ok=True)
            has_store = (path / "CURRENT").exists()
        except OSError as error:
            raise failure_of(error, path) from error
        if not create and not has_store:
            raise StoreMissing(path)
        with ExitStack() as undo:
            self._lock = DirectoryLock(path)
            undo.callback(self._lock.close)
            # LevelDB would make a new store here, and delete what is left of the one that was.
            if not has_store and has_files_of_a_store(path):
                raise StoreCorrupt(f"{path} has files of a store, but CURRENT is missing")
            if has_store and not is_named_list_there(path):
                raise StoreCorrupt(f"{path} has a CURRENT that names no list of tables that is there")
            super().__init__(self._opened(create), self._explained)
            undo.callback(self._source.close)
            self.check_files()
            undo.pop_all()

    def _opened(self, create: bool) -> Any:
        try:
            return plyvel.DB(
                str(self._path),
                create_if_missing=create,
                paranoid_checks=True,
                write_buffer_size=WRITE_BUFFER_BYTES,
                lru_cache_size=BLOCK_CACHE_BYTES,
                max_open_files=MAX_OPEN_FILES,
                max_file_size=TABLE_BYTES,
                bloom_filter_bits=BLOOM_BITS,
                compression=None,
            )
        except plyvel.Error as error:
            raise self._failure(error) from error

    @property
    def buffer_bytes(self) -> int:
        """See KvStore."""
        return WRITE_BUFFER_BYTES

    def check_files(self) -> None:
        """See KvStore. A table that is gone reads as if its keys did not exist: LevelDB does not say so."""
        with self._translated():
            listed = self._tables()
            for number, wrong in damaged_tables(self._path, listed):
                # One that was merged into others meanwhile is gone by right. What is listed now was so all along.
                if number in (still for still, _ in damaged_tables(self._path, self._tables())):
                    raise StoreCorrupt(f"the table {number} in {self._path} {wrong}")

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        """See KvStore."""
        with self._translated(), self._source.write_batch(transaction=True, sync=sync) as writes:
            for key, value in batch:
                if value is None:
                    writes.delete(key)
                else:
                    writes.put(key, value)

    def snapshot(self) -> LevelDbSnapshot:
        """See KvStore."""
        with self._translated():
            return LevelDbSnapshot(self._source.snapshot(), self._explained)

    def close(self) -> None:
        """See KvStore."""
        self._source.close()
        self._lock.close()

    def _tables(self) -> bytes:
        listing: bytes | None = self._source.get_property(_TABLES)
        return listing or b""

    def _explained(self, error: Exception) -> StorageFailure:
        """What a read or a write met. A table that was cut short is an I/O error to LevelDB, but it is damage."""
        if isinstance(error, plyvel.Error) and not isinstance(error, plyvel.CorruptionError):
            for number, wrong in damaged_tables(self._path, self._tables()):
                return StoreCorrupt(f"the table {number} in {self._path} {wrong}: {_said(error)}")
        return self._failure(error)

    def _failure(self, error: Exception) -> StorageFailure:
        if isinstance(error, plyvel.CorruptionError):
            return StoreCorrupt(_said(error))
        if not isinstance(error, plyvel.Error):
            return StorageFailure(str(error))
        return unexplained_failure(self._path, _said(error), WRITE_BUFFER_BYTES + TABLE_BYTES)


def _said(error: Exception) -> str:
    """LevelDB's own text, which plyvel gives as bytes."""
    text = error.args[0] if error.args else b""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def move_aside(path: Path) -> Path:
    """Rename a damaged store to ``<path>.corrupt-N``, N the first free number; returns the new path.

    It is never repaired: what LevelDB can repair it may repair to another state. Raises StoreInUse where the store is
    open, StorageFailure where it can't be moved.
    """
    number = 1
    while (target := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    lock = DirectoryLock(path)
    try:
        path.rename(target)
    except OSError as error:
        raise failure_of(error, path) from error
    finally:
        lock.close()
    return target
