"""What some blocks take together, without adding it up each time that somebody asks."""

from __future__ import annotations

from collections.abc import Iterator


class Sizes:
    """Sizes in bytes by CID. ``total_bytes`` may be read without a lock; whoever changes something holds one."""

    __slots__ = ("_sizes", "total_bytes")

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self.total_bytes = 0

    def set(self, cid: str, size_bytes: int) -> None:
        """Count ``cid`` with this size, whatever it was counted with before."""
        self.total_bytes += size_bytes - self._sizes.get(cid, 0)
        self._sizes[cid] = size_bytes

    def drop(self, cid: str) -> None:
        """Count ``cid`` no more, if it was counted."""
        self.total_bytes -= self._sizes.pop(cid, 0)

    def __contains__(self, cid: str) -> bool:
        return cid in self._sizes

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)
