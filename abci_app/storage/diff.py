"""Where two stores differ: for `dta debug diff-state`, after two nodes came to different app hashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from abci_app.hashing import prefixed
from abci_app.state.nodes import Ref, TreeCorrupt
from abci_app.state.view import StateView
from abci_app.state.walk import differing_entries
from abci_app.storage.kv import StoreCorrupt
from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.statedb import KvView, StateDB, VersionUnknown


@dataclass(frozen=True, slots=True)
class Difference:
    """The first key, in the order of raw keys, at which two states differ at ``height``; None: no such leaf."""

    height: int
    key: bytes
    value_a: bytes | None
    value_b: bytes | None
    count: int


def first_difference(path_a: Path, path_b: Path, height: int | None = None) -> Difference | None:
    """Compare the trees of two stopped stores at ``height`` (None: the lower of their last heights).

    Reads only what differs; ``count`` says how many keys do. Raises VersionPruned or VersionUnknown when a store has
    no tree of that height, StorageFailure when one is missing or in use, StoreCorrupt when one is damaged.
    """
    store_a = LevelDbStore(path_a, create=False)
    try:
        store_b = LevelDbStore(path_b, create=False)
        try:
            return difference_between(StateDB(store_a).view(), StateDB(store_b).view(), height)
        finally:
            store_b.close()
    finally:
        store_a.close()


def difference_between(a: KvView, b: KvView, height: int | None = None) -> Difference | None:
    """As :func:`first_difference`, for two open states."""
    if height is None:
        height = min(a.committed_height(), b.committed_height())
    root_a, root_b = _root(a, height), _root(b, height)
    first: Difference | None = None
    count = 0
    try:
        for entry_a, entry_b in differing_entries(a.node, root_a, b.node, root_b):
            count += 1
            leaf_a = a.leaf_of(entry_a) if entry_a is not None else None
            leaf_b = b.leaf_of(entry_b) if entry_b is not None else None
            key = (leaf_a or leaf_b or (b"",))[0]
            if first is None or key < first.key:
                first = Difference(height, key, leaf_a and leaf_a[1], leaf_b and leaf_b[1], 0)
    except TreeCorrupt as error:
        raise StoreCorrupt(str(error)) from error
    return first and Difference(height, first.key, first.value_a, first.value_b, count)


def _root(view: KvView, height: int) -> Ref:
    try:
        return view.root_at(height)
    except VersionUnknown:
        if height == view.committed_height() == 0:
            return b""
        raise


def prefix_hashes(view: StateView, prefixes: Iterable[bytes]) -> dict[str, str]:
    """For each key prefix the SHA-256 (hex) over ``u32(len) | key | u32(len) | value`` of its leaves, by a scan."""
    found: dict[str, str] = {}
    for prefix in prefixes:
        digest = sha256()
        for key, value in view.scan(prefix):
            digest.update(prefixed(key, value))
        found[prefix.decode("ascii")] = digest.hexdigest()
    return found
