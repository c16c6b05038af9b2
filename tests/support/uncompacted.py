"""A state in which what was deleted lies in the way of scans, as in LevelDB before it compacts."""

from __future__ import annotations

from collections.abc import Iterator

from abci_app.block import Changes
from abci_app.state.memory_view import MemoryView


class Uncompacted(MemoryView):
    """A scan steps over each deleted index key between its start and what it finds: ``stepped_over`` counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: dict[bytes, None] = {}
        self.stepped_over = 0

    def index_scan(
        self, prefix: bytes, after: bytes = b"", limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        at = after or prefix
        for key, value in super().index_scan(prefix, after, limit):
            self._step(at, key)
            at = key
            yield key, value
        self._step(at, prefix[:-1] + bytes([prefix[-1] + 1]))

    def _step(self, after: bytes, to: bytes) -> None:
        self.stepped_over += sum(after < key < to for key in self.deleted)

    def apply(self, changes: Changes) -> None:
        super().apply(changes)
        self.deleted.update((key, None) for key, value in changes.index if value is None)
