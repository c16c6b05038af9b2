"""A block store in memory: what it holds stands in a dictionary that a test can reach into."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from threading import RLock

from abci_app.cid import cid_of, digest_of
from dta.blocks.errors import BlockCorrupt, BlockMissing
from dta.blocks.store import check_size


def nobody(cid: str) -> bool:
    """What wants no block."""
    del cid
    return False


@dataclass
class MemoryBlockStore:
    """A :class:`dta.blocks.store.BlockStore`, held to the suite of all (tests/conformance/test_blockstore.py).

    ``held``: blocks by CID; whatever a test puts there is hashed when it is read. ``released``: since when each block
    that is not pinned may go. ``let_go``: which were.
    """

    held: dict[str, bytes] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    let_go: set[str] = field(default_factory=set)
    released: dict[str, float] = field(default_factory=dict)
    now_s: Callable[[], float] = time.time
    lock: RLock = field(default_factory=RLock)

    def put(self, block: bytes, uploaded: bool = True) -> str:
        """See BlockStore."""
        check_size(block)
        cid = cid_of(block)
        with self.lock:
            if uploaded:
                self.let_go.discard(cid)
            elif cid not in self.held:
                self.let_go.add(cid)
            self.held[cid] = block
            if cid not in self.pinned:
                self.released[cid] = self.now_s()
        return cid

    def get(self, cid: str) -> bytes:
        """See BlockStore."""
        digest_of(cid)
        with self.lock:
            block = self.held.get(cid)
            if block is None:
                raise BlockMissing(cid)
            if cid_of(block) != cid:
                del self.held[cid]
                raise BlockCorrupt(cid)
        return block

    def has(self, cid: str) -> bool:
        """See BlockStore."""
        digest_of(cid)
        return cid in self.held

    def pin(self, cid: str) -> None:
        """See BlockStore."""
        with self.lock:
            if not self.has(cid):
                raise BlockMissing(cid)
            self.pinned.add(cid)

    def pin_many(self, cids: Sequence[str]) -> list[str]:
        """See BlockStore."""
        with self.lock:
            missing = [cid for cid in dict.fromkeys(cids) if not self.has(cid)]
            self.pinned |= set(cids) - set(missing)
        return missing

    def unpin(self, cid: str, done_s: float = inf) -> None:
        """See BlockStore."""
        with self.lock:
            is_upload = cid in self.held and cid not in self.let_go and not self.released.get(cid, 0.0) > done_s
            if self.is_pinned(cid) or is_upload:
                self.pinned.discard(cid)
                self.let_go.add(cid)
                self.released[cid] = self.now_s()

    def is_pinned(self, cid: str) -> bool:
        """See BlockStore."""
        digest_of(cid)
        return cid in self.pinned

    def pins(self) -> Iterable[str]:
        """See BlockStore."""
        return sorted(self.pinned)

    def cids(self) -> Iterable[str]:
        """See BlockStore."""
        return sorted(self.held)

    def is_let_go(self, cid: str) -> bool:
        """See BlockStore."""
        digest_of(cid)
        return cid in self.held and cid in self.let_go and cid not in self.pinned

    def delete_unpinned(self, older_than_s: float, now_s: float, wanted: Callable[[str], bool]) -> list[str]:
        """See BlockStore."""
        return self._delete(older_than_s, now_s, let_go=False, wanted=wanted)

    def delete_let_go(self, older_than_s: float, now_s: float, wanted: Callable[[str], bool]) -> list[str]:
        """See BlockStore."""
        return self._delete(older_than_s, now_s, let_go=True, wanted=wanted)

    def discard(self, cid: str, wanted: Callable[[str], bool]) -> None:
        """See BlockStore."""
        with self.lock:
            if not self.is_pinned(cid) and not wanted(cid):
                self.held.pop(cid, None)

    def size_bytes(self) -> int:
        """See BlockStore."""
        return sum(len(block) for block in self.held.values())

    def unpinned_bytes(self) -> int:
        """See BlockStore."""
        return sum(len(self.held[cid]) for cid in self._unpinned() if cid not in self.let_go)

    def _delete(
        self, older_than_s: float, now_s: float, *, let_go: bool, wanted: Callable[[str], bool]
    ) -> list[str]:
        with self.lock:
            kind = [cid for cid in self._unpinned() if (cid in self.let_go) is let_go and not wanted(cid)]
            gone = sorted(cid for cid in kind if now_s - self.released.get(cid, 0.0) >= older_than_s)
            for cid in gone:
                del self.held[cid]
        return gone

    def _unpinned(self) -> list[str]:
        return [cid for cid in self.held if cid not in self.pinned]
