"""A view that remembers what was read of it, while what is below does not move: from one commit to the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from abci_app.state.view import StateView

MAX_ENTRIES: Final = 16_384


class CachedView:
    """A :class:`StateView` over one committed state. Make a new one at each commit.

    Every check of a transaction and every one in a block reads the same few leaves: parameters, signers, vaults,
    fiduciaries. The first ``max_entries`` leaves that are asked for are kept; index entries are asked for once each.
    """

    def __init__(self, base: StateView, max_entries: int = MAX_ENTRIES) -> None:
        self._base = base
        self._left = max_entries
        self._leaves: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """See :class:`StateView`."""
        if key in self._leaves:
            return self._leaves[key]
        value = self._base.get(key)
        if self._left:
            self._left -= 1
            self._leaves[key] = value
        return value

    def index_get(self, key: bytes) -> bytes | None:
        """See :class:`StateView`."""
        return self._base.index_get(key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`StateView`."""
        return self._base.scan(prefix, after, limit)

    def index_scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`StateView`."""
        return self._base.index_scan(prefix, after, limit)
