"""A view over plain dictionaries: genesis builds on an empty one, the simulation keeps a whole chain in one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from abci_app.block import Changes


class MemoryView:
    """A :class:`abci_app.state.view.StateView` in memory. ``apply`` commits a block's changes."""

    def __init__(self) -> None:
        self.leaves: dict[bytes, bytes] = {}
        self.index: dict[bytes, bytes] = {}
        self._sorted_leaves: list[bytes] | None = []
        self._sorted_index: list[bytes] | None = []

    def get(self, key: bytes) -> bytes | None:
        """See :class:`StateView`."""
        return self.leaves.get(key)

    def index_get(self, key: bytes) -> bytes | None:
        """See :class:`StateView`."""
        return self.index.get(key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`StateView`."""
        if self._sorted_leaves is None:
            self._sorted_leaves = sorted(self.leaves)
        return _range(self._sorted_leaves, self.leaves, prefix, after, limit)

    def index_scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`StateView`."""
        if self._sorted_index is None:
            self._sorted_index = sorted(self.index)
        return _range(self._sorted_index, self.index, prefix, after, limit)

    def apply(self, changes: Changes) -> None:
        """Commit what a block changed."""
        for table, pairs in ((self.leaves, changes.leaves), (self.index, changes.index)):
            for key, value in pairs:
                if value is None:
                    table.pop(key, None)
                else:
                    table[key] = value
        self._sorted_leaves = None
        self._sorted_index = None


def _range(
    order: list[bytes], table: dict[bytes, bytes], prefix: bytes, after: bytes, limit: int | None
) -> Iterator[tuple[bytes, bytes]]:
    position = bisect_right(order, after) if after and after >= prefix else bisect_left(order, prefix)
    given = 0
    while position < len(order) and order[position].startswith(prefix) and (limit is None or given < limit):
        yield order[position], table[order[position]]
        position += 1
        given += 1
