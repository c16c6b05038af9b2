"""The interface of a block store. ``embedded`` and ``kubo`` pass one suite, tests/conformance/test_blockstore.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Protocol

from abci_app.limits import MAX_ENVELOPE_BYTES
from dta.blocks.errors import BlockTooLarge

MAX_BLOCK_BYTES = MAX_ENVELOPE_BYTES
"""A block is one envelope."""


class BlockStore(Protocol):
    """Blocks by CID (CIDv1, raw, sha2-256, base32), and which of them are pinned. Safe to call from several threads.

    A block is pinned, or it is an upload that may be pinned yet, or it was let go. The latter two have grace periods.

    Calls block on disk or network: call them from a thread where there is an event loop, but for ``has``,
    ``is_pinned``, ``is_let_go`` and ``unpinned_bytes``, which answer at once. Every method that takes a
    ``cid`` raises :class:`abci_app.cid.BadCid` where it is malformed. Times are Unix seconds.
    """

    def put(self, block: bytes, uploaded: bool = True) -> str:
        """Keep ``block`` and return its CID. On return it survives a power cut.

        Unless it is pinned it is an upload from now on. Not ``uploaded`` (fetched, for use): it stays what it is, and
        what is new is let go. Putting a block again is harmless, repairs a damaged copy, and restarts the grace period
        of an unpinned one. Raises BlockTooLarge, StoreFull.
        """

    def get(self, cid: str) -> bytes:
        """The block. Its hash is checked on every read. Raises BlockMissing, BlockCorrupt (and sets it aside)."""

    def has(self, cid: str) -> bool:
        """Whether the store holds something under ``cid``: only :meth:`get` says that it is good."""

    def pin(self, cid: str) -> None:
        """Keep the block until it is unpinned; idempotent, durable on return. Raises BlockMissing."""

    def pin_many(self, cids: Sequence[str]) -> list[str]:
        """Pin each as :meth:`pin` does, at little more than the cost of one: all are durable on return.

        Those that are not held are pinned no more than by :meth:`pin`; they are returned, each once, in the sequence
        given. Where it raises (a malformed CID excepted: then none is) some may have been pinned.
        """

    def unpin(self, cid: str, done_s: float = inf) -> None:
        """Let the block go, pinned or an upload: its grace period starts now. What is let go, or absent, stays so.

        An upload that was last put after ``done_s``, when state was done with the block, stays one. That it
        was let go need not survive a power cut: then it is an upload.
        """

    def is_pinned(self, cid: str) -> bool:
        """Whether ``cid`` is pinned."""

    def pins(self) -> Iterable[str]:
        """Every pinned CID, in no order. One whose block was lost since stays pinned: fetch it again."""

    def cids(self) -> Iterable[str]:
        """Every CID held, ascending."""

    def is_let_go(self, cid: str) -> bool:
        """Whether the block is held and was let go."""

    def delete_unpinned(self, older_than_s: float, now_s: float, wanted: Callable[[str], bool]) -> list[str]:
        """Delete the uploads last put at least ``older_than_s`` before ``now_s``; return the CIDs, ascending.

        None goes that is ``wanted`` at that moment.
        """

    def delete_let_go(self, older_than_s: float, now_s: float, wanted: Callable[[str], bool]) -> list[str]:
        """As :meth:`delete_unpinned`, of what was let go."""

    def discard(self, cid: str, wanted: Callable[[str], bool]) -> None:
        """Delete the block now, grace period or not, unless it is pinned, not held, or ``wanted`` at that moment."""

    def size_bytes(self) -> int:
        """The size of all blocks held."""

    def unpinned_bytes(self) -> int:
        """The size of all uploads held: of what is neither pinned nor let go."""


def check_size(block: bytes) -> None:
    """Raise BlockTooLarge where ``block`` is over ``MAX_BLOCK_BYTES``."""
    if len(block) > MAX_BLOCK_BYTES:
        raise BlockTooLarge(len(block))
