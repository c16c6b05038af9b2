"""A slow check of the leaves against the tree, a bounded piece at a time: what opening the state can't find.

Opening finds what LevelDB finds, a table that is missing or short, and a lost batch (batches.py). A table that was
exchanged for another of its length, a block that decayed with its checksum, a fault of LevelDB's or of ours: those
show only when every leaf is looked at.

Two ways at once. Along the tree: every node has the hash that its parent says, every entry its value, and the leaf
table has that value. Along the leaf table: the tree has every leaf of it, with that value. Index entries are not in
the tree and are not checked: what a lost batch took of them, its number shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

from abci_app.state.nodes import HASH_BYTES, TreeCorrupt, leaf_hash
from abci_app.state.walk import checked_pages, entry_of
from abci_app.storage.kv import StoreCorrupt
from abci_app.storage.statedb import SnapshotView, StateDB, leaf_differs

_FIRST = bytes(HASH_BYTES)
_LEAF_HASH = HASH_BYTES + 8  # where it begins in an entry


@dataclass(frozen=True, slots=True)
class Checked:
    """How far the check is: leaves of this pass, whole passes since the start, the height at the end of the last."""

    leaves: int = 0
    passes: int = 0
    whole_at_height: int = 0


class LeafCheck:
    """Goes round all leaves of one state again and again. One thread at a time calls ``piece``."""

    def __init__(self, database: StateDB) -> None:
        self._database = database
        self._next_hash: bytes | None = _FIRST
        self._after_key: bytes | None = b""
        self._checked = Checked()

    @property
    def checked(self) -> Checked:
        """How far it is. From any thread."""
        return self._checked

    def check_files(self) -> None:
        """See :meth:`StateDB.check_files`."""
        self._database.check_files()

    def piece(self, leaves: int) -> bool:
        """Check about ``leaves`` in each way, in the newest state. Whether a pass ended with it.

        Each piece reads a snapshot of its own: one held for a pass would keep all that is deleted meanwhile. What
        moves in between is checked before or after it moves. Raises StoreCorrupt, naming the leaf.
        """
        snapshot = self._database.snapshot()
        try:
            if not snapshot.height:
                return False
            return self._piece(snapshot, leaves)
        except TreeCorrupt as error:
            raise StoreCorrupt(f"the tree at height {snapshot.height}: {error}") from error
        finally:
            snapshot.close()

    def _piece(self, snapshot: SnapshotView, leaves: int) -> bool:
        self._along_the_tree(snapshot, leaves)
        self._along_the_leaves(snapshot, leaves)
        if self._next_hash is not None or self._after_key is not None:
            return False
        self._next_hash, self._after_key = _FIRST, b""
        self._checked = Checked(0, self._checked.passes + 1, snapshot.height)
        return True

    def _along_the_tree(self, snapshot: SnapshotView, leaves: int) -> None:
        if self._next_hash is None:
            return
        start, self._next_hash = self._next_hash, None
        done = 0
        for entries in checked_pages(snapshot.node, snapshot.head().root, start):
            if done >= leaves:
                self._next_hash = entries[0][:HASH_BYTES]
                break
            for entry in entries:
                _check_entry(snapshot, entry)
            done += len(entries)
        self._checked = replace(self._checked, leaves=self._checked.leaves + done)

    def _along_the_leaves(self, snapshot: SnapshotView, leaves: int) -> None:
        if self._after_key is None:
            return
        root = snapshot.head().root
        nodes: dict[bytes, bytes] = {}

        def read(key: bytes) -> bytes:
            if key not in nodes:  # the upper ones, again and again
                nodes[key] = snapshot.node(key)
            return nodes[key]

        last = None
        for last, value in snapshot.scan(b"", self._after_key, leaves):
            key_hash = sha256(last).digest()
            entry = entry_of(read, root, key_hash)
            if entry is None or entry[_LEAF_HASH:] != leaf_hash(key_hash, value):
                raise leaf_differs(last, snapshot.height, "the tree has no such leaf, or one with another value")
        self._after_key = last


def _check_entry(snapshot: SnapshotView, entry: bytes) -> None:
    key, value = snapshot.leaf_of(entry)
    key_hash = sha256(key).digest()
    if entry[:HASH_BYTES] != key_hash or entry[_LEAF_HASH:] != leaf_hash(key_hash, value):
        raise leaf_differs(key, snapshot.height, "the value kept with the tree is another")
    if snapshot.get(key) != value:
        raise leaf_differs(key, snapshot.height, "the leaf has another value than the tree, or is missing")
