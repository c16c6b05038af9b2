"""The store on disk: LevelDB by plyvel, every read checked against its block's checksum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import plyvel

from abci_app.storage.kv import StorageFailure, StoreCorrupt, prefix_end

# Tables are mapped into memory while they are open, so (open files x table size) bounds what a large store adds to
# the process. Hashes do not compress.
WRITE_BUFFER_BYTES = 16 << 20
BLOCK_CACHE_BYTES = 8 << 20
TABLE_BYTES = 2 << 20
MAX_OPEN_FILES = 64
BLOOM_BITS = 10


@contextmanager
def _translated() -> Iterator[None]:
    """LevelDB's errors as ours; a closed database raises plain RuntimeError."""
    try:
        yield
    except plyvel.CorruptionError as error:
        raise StoreCorrupt(str(error)) from error
    except (plyvel.Error, RuntimeError) as error:
        raise StorageFailure(str(error)) from error


class _Reader:
    """Reads from a database or from a snapshot of one: plyvel gives both the same methods."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def get(self, key: bytes) -> bytes | None:
        """See KvReader."""
        try:
            value: bytes | None = self._source.get(key, verify_checksums=True)
        except plyvel.CorruptionError as error:
            raise StoreCorrupt(str(error)) from error
        except (plyvel.Error, RuntimeError) as error:
            raise StorageFailure(str(error)) from error
        return value

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See KvReader."""
        left = -1 if limit is None else limit
        if left == 0:
            return
        past = after >= prefix
        with (
            _translated(),
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
        if key == prefix:
            # Between a start and a stop that are one, going backwards, plyvel finds nothing.
            value = self.get(key)
            return None if value is None else (key, value)
        end = prefix_end(prefix)
        inside = end is None or key < end
        with (
            _translated(),
            self._source.iterator(
                start=prefix,
                stop=key if inside else end,
                include_stop=inside,
                reverse=True,
                verify_checksums=True,
            ) as iterator,
        ):
            for found, value in iterator:
                return found, value
        return None

    def close(self) -> None:
        """See KvStore."""
        self._source.close()


class LevelDbSnapshot(_Reader):
    """A moment of a LevelDbStore."""


class LevelDbStore(_Reader):
    """A KvStore in the directory ``path``, which one process may open at a time.

    Raises StoreCorrupt when LevelDB finds the store damaged, StorageFailure when it is locked, missing (with
    ``create=False``) or unreadable.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        if not create and not (path / "CURRENT").exists():
            raise StorageFailure(f"there is no store at {path}")
        with _translated():
            super().__init__(
                plyvel.DB(
                    str(path),
                    create_if_missing=create,
                    paranoid_checks=True,
                    write_buffer_size=WRITE_BUFFER_BYTES,
                    lru_cache_size=BLOCK_CACHE_BYTES,
                    max_open_files=MAX_OPEN_FILES,
                    max_file_size=TABLE_BYTES,
                    bloom_filter_bits=BLOOM_BITS,
                    compression=None,
                )
            )

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        """See KvStore."""
        with _translated(), self._source.write_batch(transaction=True, sync=sync) as writes:
            for key, value in batch:
                if value is None:
                    writes.delete(key)
                else:
                    writes.put(key, value)

    def snapshot(self) -> LevelDbSnapshot:
        """See KvStore."""
        with _translated():
            return LevelDbSnapshot(self._source.snapshot())


def move_aside(path: Path) -> Path:
    """Rename a damaged store to ``<path>.corrupt-N``, N the first free number; returns the new path.

    The store must be closed. It is never repaired: what LevelDB can repair it may repair to another state.
    """
    number = 1
    while (target := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.rename(target)
    return target
