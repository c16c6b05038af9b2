"""A block in the making: writes over a committed view, undone as far as a checkpoint."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Final

from abci_app.block import Changes
from abci_app.limits import MAX_VALUE_BYTES
from abci_app.state.view import StateView

_Entry = tuple[bool, bytes, bool, bytes | None]  # (leaf?, key, was it written before?, the value then)


FEW: Final = 64
"""Below so many new keys, putting each in its place takes less than going through all that are there."""


class _Table:
    """Written keys of one kind, put in order when a scan or the end asks; ``None`` marks a deletion.

    ``_new``: the keys since then, in the order of their first write. Who scans again and again, as a transaction does
    that looks what is there, pays for what came between.
    """

    __slots__ = ("_new", "_order", "put_first", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, bytes | None] = {}
        # Whose first write was no deletion. Never gone through: a set has no order that all nodes have.
        self.put_first: set[bytes] = set()
        self._order: list[bytes] = []
        self._new: list[bytes] = []

    def order(self) -> list[bytes]:
        """The keys, ascending."""
        new, order = self._new, self._order
        if new:
            if len(new) < FEW:
                for key in new:
                    insort(order, key)
            else:
                order += new
                order.sort()
            new.clear()
        return order

    def set(self, key: bytes, value: bytes | None) -> None:
        if key not in self.values:
            self._new.append(key)
            if value is not None:
                self.put_first.add(key)
        self.values[key] = value

    def forget(self, key: bytes) -> None:
        """Undo the first write of ``key``, which is the newest of those that are left."""
        del self.values[key]
        self.put_first.discard(key)
        if self._new:
            self._new.pop()
        else:
            del self._order[bisect_left(self._order, key)]

    def merged(
        self, base: Iterator[tuple[bytes, bytes]], prefix: bytes, after: bytes, limit: int | None
    ) -> Iterator[tuple[bytes, bytes]]:
        """``base`` with the written keys laid over it, ascending."""
        order = self.order()
        position = bisect_right(order, after) if after and after >= prefix else bisect_left(order, prefix)
        below = next(base, None)
        given = 0
        while limit is None or given < limit:
            above = order[position] if position < len(order) else None
            if above is not None and not above.startswith(prefix):
                above = None
            if above is None and below is None:
                return
            if above is None or (below is not None and below[0] < above):
                assert below is not None
                pair: tuple[bytes, bytes] | None = below
                below = next(base, None)
            else:
                if below is not None and below[0] == above:
                    below = next(base, None)
                value = self.values[above]
                pair = None if value is None else (above, value)
                position += 1
            if pair is not None:
                given += 1
                yield pair


class Overlay:
    """A :class:`StateView` that can be written. Reads see the writes.

    The journal keeps what each write replaced. ``checkpoint`` gives a place in it, ``rollback`` goes back to one; a
    checkpoint within another leaves that one as it was. ``settle`` says that nothing before is undone any more.
    """

    def __init__(self, base: StateView) -> None:
        self._base = base
        self._leaves = _Table()
        self._index = _Table()
        self._journal: list[_Entry] = []

    def get(self, key: bytes) -> bytes | None:
        """See :class:`StateView`."""
        if key in self._leaves.values:
            return self._leaves.values[key]
        return self._base.get(key)

    def index_get(self, key: bytes) -> bytes | None:
        """See :class:`StateView`."""
        if key in self._index.values:
            return self._index.values[key]
        return self._base.index_get(key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`StateView`."""
        return self._leaves.merged(self._base.scan(prefix, after), prefix, after, limit)

    def index_scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`StateView`. Do not write while iterating: take a list first."""
        return self._index.merged(self._base.index_scan(prefix, after), prefix, after, limit)

    def put(self, key: bytes, value: bytes) -> None:
        """Write a leaf: a non-empty value of at most 4 KiB (absence proofs carry neighbours' values)."""
        if not value or len(value) > MAX_VALUE_BYTES:
            raise ValueError(f"a leaf holds 1 to {MAX_VALUE_BYTES} bytes, not {len(value)}")
        self._write(True, key, value)

    def delete(self, key: bytes) -> None:
        """Delete a leaf."""
        self._write(True, key, None)

    def index_put(self, key: bytes, value: bytes = b"\x01") -> None:
        """Write an index entry."""
        self._write(False, key, value)

    def index_delete(self, key: bytes) -> None:
        """Delete an index entry."""
        self._write(False, key, None)

    def settle(self) -> None:
        """What was written so far stays. No earlier checkpoint is good any more."""
        self._journal.clear()

    def checkpoint(self) -> int:
        """What :meth:`rollback` goes back to."""
        return len(self._journal)

    def rollback(self, checkpoint: int) -> None:
        """Undo every write since ``checkpoint``, and those alone."""
        for leaf, key, written, value in reversed(self._journal[checkpoint:]):
            table = self._leaves if leaf else self._index
            if written:
                table.values[key] = value
            else:
                table.forget(key)
        del self._journal[checkpoint:]

    def apply(self, changes: Changes) -> None:
        """Lay a block's (or genesis') changes over this view."""
        for key, value in changes.leaves:
            self._write(True, key, value)
        for key, value in changes.index:
            self._write(False, key, value)

    def changes(self) -> Changes:
        """What was written, sorted by key: leaves that differ from the base only, and index entries.

        An index entry that was put and deleted again, and that the base has not, leaves nothing: a deletion in LevelDB
        lies in the way of every scan until it is compacted. No other index entry is looked up.
        """
        return Changes(
            leaves=tuple((k, v) for k in self._leaves.order() if (v := self._leaves.values[k]) != self._base.get(k)),
            index=tuple(
                (k, v) for k in self._index.order() if (v := self._index.values[k]) is not None or not self._was_new(k)
            ),
        )

    def _was_new(self, key: bytes) -> bool:
        """Whether an index entry that is not there (any more) was put first, over a base that has none."""
        return key in self._index.put_first and self._base.index_get(key) is None

    def _write(self, leaf: bool, key: bytes, value: bytes | None) -> None:
        table = self._leaves if leaf else self._index
        self._journal.append((leaf, key, key in table.values, table.values.get(key)))
        table.set(key, value)
