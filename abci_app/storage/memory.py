"""The in-memory twin of the LevelDB store: the same behaviour, for simulations and tests."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from abci_app.storage.kv import StorageFailure, prefix_end


class _Contents:
    """A dictionary and its sorted keys. Never changed once it is shared."""

    __slots__ = ("keys", "shared", "values")

    def __init__(self, values: dict[bytes, bytes], keys: list[bytes]) -> None:
        self.values = values
        self.keys = keys
        self.shared = False


class _Reader:
    """Reads whatever contents it holds now."""

    def __init__(self, contents: _Contents) -> None:
        self._held: _Contents | None = contents

    def _contents(self) -> _Contents:
        if self._held is None:
            raise StorageFailure("the store is closed")
        return self._held

    def get(self, key: bytes) -> bytes | None:
        """See KvReader."""
        return self._contents().values.get(key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See KvReader."""
        contents = self._contents()
        contents.shared = True
        if after >= prefix:
            start = bisect_right(contents.keys, after)
        else:
            start = bisect_left(contents.keys, prefix)
        stop = len(contents.keys) if limit is None else min(start + limit, len(contents.keys))
        for index in range(start, stop):
            key = contents.keys[index]
            if not key.startswith(prefix):
                return
            yield key, contents.values[key]

    def last_at_or_before(self, prefix: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        """See KvReader."""
        contents = self._contents()
        end = prefix_end(prefix)
        if end is None or key < end:
            index = bisect_right(contents.keys, key)
        else:
            index = bisect_left(contents.keys, end)
        if not index or not contents.keys[index - 1].startswith(prefix):
            return None
        found = contents.keys[index - 1]
        return found, contents.values[found]

    def close(self) -> None:
        """See KvStore."""
        self._held = None


class MemorySnapshot(_Reader):
    """A moment of a MemoryStore."""


class MemoryStore(_Reader):
    """A KvStore in memory. Contents that a snapshot or a scan holds are copied before the next write."""

    # There are no logs and no tables.
    buffer_bytes = 1

    def __init__(self) -> None:
        super().__init__(_Contents({}, []))

    def check_files(self) -> None:
        """See KvStore; there are none."""

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:  # noqa: ARG002
        """See KvStore; ``sync`` makes no difference in memory."""
        contents = self._contents()
        if contents.shared:
            contents = _Contents(dict(contents.values), list(contents.keys))
        added = [key for key in dict(batch) if key not in contents.values]
        gone = False
        for key, value in batch:
            if value is None:
                gone = contents.values.pop(key, None) is not None or gone
            else:
                contents.values[key] = value
        contents.keys += added
        if gone or added:
            contents.keys = sorted(key for key in contents.keys if key in contents.values)
        self._held = contents

    def snapshot(self) -> MemorySnapshot:
        """See KvStore."""
        contents = self._contents()
        contents.shared = True
        return MemorySnapshot(contents)
