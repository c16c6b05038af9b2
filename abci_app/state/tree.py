"""One block's changes to the tree, in one recursive pass over sorted key hashes (docs/spec/state-tree.md).

Pure: nodes come from a reader, new nodes are returned. Nothing is changed until the caller has stored them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice

from abci_app.state.nodes import (
    BRANCH,
    FANOUT,
    NO_REF,
    PAGE_LEAVES,
    VERSION_BYTES,
    Ref,
    child_ref,
    children_of,
    leaf_hash,
    nibble,
    node_key,
    page_leaves,
    stored_branch,
    unpack_branch,
    with_children,
)
from abci_app.state.pages import entry_at, find_entry, pack_page, page_entries, stored_page, with_entry

NodeReader = Callable[[bytes], bytes]
"""Gives the stored bytes of a node by its key (``version | nibble path``); raises where there is none."""

DEFAULT_CACHE_BYTES = 160 << 20  # 1M leaves need about 150 MB
_CACHED_NODE_OVERHEAD_BYTES = 160  # what Python needs for a dictionary entry of two byte strings


class NodeCache:
    """Nodes of stored roots, the oldest written first out: bounded, and never part of a result.

    Nodes are held with their inner hashes, so that a change costs the hashes above it and not the whole node's.
    Only a committed update is let in, so what was staged and dropped cannot be read back.
    """

    def __init__(self, capacity_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._capacity_bytes = capacity_bytes
        self._nodes: dict[bytes, bytes] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def branch(self, read: NodeReader, key: bytes) -> bytes:
        """The branch at ``key`` as it is in memory."""
        packed = self._nodes.get(key)
        if packed is None:
            packed = unpack_branch(read(key))
            self._add({key: packed})
        return packed

    def page(self, read: NodeReader, ref: Ref, path: bytes) -> bytes:
        """The page that ``ref`` names at ``path``, packed."""
        key = node_key(ref, path)
        page = self._nodes.get(key)
        if page is None:
            page, _ = pack_page(page_entries(read(key), ref), 4 * len(path))
            self._add({key: page})
        return page

    def replace(self, update: TreeUpdate) -> None:
        """After a commit: forget the nodes that are stale, remember the new ones."""
        for key in update.stale_nodes:
            self._forget(key)
        self._add(update.pages)
        self._add(update.branches)

    def _forget(self, key: bytes) -> None:
        node = self._nodes.pop(key, None)
        if node is not None:
            self._bytes -= len(node) + _CACHED_NODE_OVERHEAD_BYTES

    def _add(self, nodes: Mapping[bytes, bytes]) -> None:
        self._nodes.update(nodes)
        self._bytes += sum(map(len, nodes.values())) + len(nodes) * _CACHED_NODE_OVERHEAD_BYTES
        if self._bytes > self._capacity_bytes:
            # Many at once: finding the first entry of a dictionary costs a walk over those deleted before it.
            for key in list(islice(self._nodes, len(self._nodes) // 8 + 1)):
                self._forget(key)


@dataclass(slots=True)
class TreeUpdate:
    """What a batch does to the tree.

    ``pages`` and ``branches`` are new nodes by key, as they are in memory, ``stale_nodes`` the keys of those they
    replace; ``stored`` the entries whose values are to be kept, ``stale_values`` the ``version | key hash`` of values
    that no later root refers to, ``removed`` the key hashes that are gone.
    """

    root: Ref
    pages: dict[bytes, bytes] = field(default_factory=dict)
    branches: dict[bytes, bytes] = field(default_factory=dict)
    stale_nodes: list[bytes] = field(default_factory=list)
    stale_values: list[bytes] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)
    removed: list[bytes] = field(default_factory=list)

    def nodes(self) -> list[tuple[bytes, bytes]]:
        """Every new node as (key, stored bytes)."""
        return [
            *((key, stored_page(packed)) for key, packed in self.pages.items()),
            *((key, stored_branch(packed)) for key, packed in self.branches.items()),
        ]


def update_tree(
    read: NodeReader, cache: NodeCache, root: Ref, version: int, changes: Mapping[bytes, bytes]
) -> TreeUpdate:
    """The tree at ``root`` with ``changes`` applied: from key hash to new entry, or to ``b""`` for a deletion.

    ``version`` is the height that makes the new nodes, and must be greater than any in the tree. An entry equal to
    the present one, or a deletion of what is not there, changes nothing. Raises what ``read`` raises, and TreeCorrupt.
    """
    if not changes:
        return TreeUpdate(root)
    writer = _Writer(read, cache, version, changes)
    writer.update.root = writer.subtree(root, b"", 0, len(changes))
    return writer.update


class _Writer:
    """The recursion of one update: holds what every level needs."""

    def __init__(self, read: NodeReader, cache: NodeCache, version: int, changes: Mapping[bytes, bytes]) -> None:
        self.update = TreeUpdate(NO_REF)
        self._read = read
        self._cache = cache
        self._version = version.to_bytes(VERSION_BYTES, "big")
        self._changes = changes
        self._sorted = sorted(changes)
        self._deletes = b"" in changes.values()

    def subtree(self, ref: Ref, path: bytes, low: int, high: int) -> Ref:
        """Apply the sorted changes ``low`` to ``high``, all under ``path``; returns the subtree's new reference."""
        if ref and ref[0] == BRANCH:
            return self._branch(ref, path, low, high)
        return self._page(ref, path, low, high)

    def _page(self, ref: Ref, path: bytes, low: int, high: int) -> Ref:
        packed = self._cache.page(self._read, ref, path) if ref else b""
        count = ref[0] if ref else 0
        update = self.update
        inserted: list[bytes] = []
        gone: list[int] = []
        value = b""
        for key_hash in self._sorted[low:high]:
            entry = self._changes[key_hash]
            index = find_entry(packed, count, key_hash)
            if index < 0:
                if entry:
                    inserted.append(entry)
                continue
            present = entry_at(packed, index)
            if entry[40:] == present[40:]:
                continue
            update.stale_values.append(present[32:40] + key_hash)
            if entry:
                update.stored.append(entry)
                packed, value = with_entry(packed, count, index, entry, 4 * len(path))
            else:
                update.removed.append(key_hash)
                gone.append(index)
        if not (inserted or gone or value):
            return ref
        if ref:
            update.stale_nodes.append(node_key(ref, path))
        if not (inserted or gone):
            update.pages[self._version + path] = packed
            return ref[:1] + self._version + value
        update.stored += inserted
        entries = page_entries(packed, ref) if ref else []
        kept = [entry for index, entry in enumerate(entries) if index not in gone]
        return self._build(sorted(kept + inserted), path)

    def _build(self, entries: list[bytes], path: bytes) -> Ref:
        """New nodes over ``entries`` (sorted, all under ``path``)."""
        if not entries:
            return NO_REF
        if len(entries) <= PAGE_LEAVES:
            packed, value = pack_page(entries, 4 * len(path))
            self.update.pages[self._version + path] = packed
            return bytes((len(entries),)) + self._version + value
        parts: list[list[bytes]] = [[] for _ in range(FANOUT)]
        for entry in entries:
            parts[nibble(entry, len(path))].append(entry)
        children = [(n, self._build(part, path + bytes((n,)))) for n, part in enumerate(parts) if part]
        return self._store_branch(path, *with_children(None, children))

    def _store_branch(self, path: bytes, packed: bytes, value: bytes) -> Ref:
        self.update.branches[self._version + path] = packed
        return bytes((BRANCH,)) + self._version + value

    def _branch(self, ref: Ref, path: bytes, low: int, high: int) -> Ref:
        key = node_key(ref, path)
        packed = self._cache.branch(self._read, key)
        hashes = self._sorted
        depth = len(path)
        byte, shift = depth >> 1, 0 if depth & 1 else 4
        changed: list[tuple[int, Ref]] = []
        while low < high:
            child = hashes[low][byte] >> shift & 15
            end = low + 1
            while end < high and hashes[end][byte] >> shift & 15 == child:
                end += 1
            before = child_ref(packed, child)
            after = self.subtree(before, path + bytes((child,)), low, end)
            if after != before:
                changed.append((child, after))
            low = end
        if not changed:
            return ref
        self.update.stale_nodes.append(key)
        new_packed, value = with_children(packed, changed)
        if self._deletes:
            leaves = page_leaves(new_packed)
            if leaves is not None and leaves <= PAGE_LEAVES:
                return self._collapse(new_packed, path)
        return self._store_branch(path, new_packed, value)

    def _collapse(self, packed: bytes, path: bytes) -> Ref:
        """Few enough leaves are left under a branch: one page holds them, as if there had never been more."""
        entries: list[bytes] = []
        for child, ref in enumerate(children_of(packed)):
            if not ref:
                continue
            below = path + bytes((child,))
            page = self.update.pages.pop(node_key(ref, below), None)
            if page is None:
                page = self._cache.page(self._read, ref, below)
                self.update.stale_nodes.append(node_key(ref, below))
            entries += page_entries(page, ref)
        return self._build(entries, path)


def changes_of(leaves: Sequence[tuple[bytes, bytes | None]], version: int) -> dict[bytes, bytes]:
    """Leaf changes as :func:`update_tree` takes them, by key hash: the new entry, or ``b""`` for a deletion."""
    packed = version.to_bytes(VERSION_BYTES, "big")
    changes: dict[bytes, bytes] = {}
    for key, value in leaves:
        key_hash = sha256(key).digest()
        changes[key_hash] = b"" if value is None else key_hash + packed + leaf_hash(key_hash, value)
    return changes
