"""Reading a tree: the way to a leaf, a key's neighbours, and where two trees differ."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from abci_app.state.nodes import (
    BRANCH,
    FANOUT,
    HASH_BYTES,
    Ref,
    TreeCorrupt,
    branch_steps,
    child_ref,
    children_of,
    nibble,
    node_key,
    ref_hash,
    stored_child_ref,
    unpack_branch,
    unpack_checked_branch,
)
from abci_app.state.pages import find_entry, pack_page, page_entries, page_steps
from abci_app.state.tree import NodeReader


@dataclass(frozen=True, slots=True)
class LeafPath:
    """A leaf and the way to it: (bit of the key hash, sibling hash) pairs from the root down."""

    entry: bytes
    steps: tuple[tuple[int, bytes], ...]


def find_leaf(read: NodeReader, root: Ref, key_hash: bytes) -> LeafPath | None:
    """The leaf of ``key_hash`` under ``root``, or None."""
    ref, path = root, b""
    steps: list[tuple[int, bytes]] = []
    while ref and ref[0] == BRANCH:
        packed = unpack_branch(read(node_key(ref, path)))
        child = nibble(key_hash, len(path))
        steps += branch_steps(packed, child)
        ref = child_ref(packed, child)
        path += bytes((child,))
    if not ref:
        return None
    entries = page_entries(read(node_key(ref, path)), ref)
    for index, entry in enumerate(entries):
        if entry[:HASH_BYTES] == key_hash:
            return LeafPath(entry, (*steps, *page_steps(entries, index, 4 * len(path))))
    return None


def entry_of(read: NodeReader, root: Ref, key_hash: bytes) -> bytes | None:
    """The entry of ``key_hash`` under ``root``, or None. No hash is computed: see :func:`checked_pages`."""
    ref, path = root, b""
    while ref and ref[0] == BRANCH:
        child = nibble(key_hash, len(path))
        ref = stored_child_ref(read(node_key(ref, path)), child)
        path += bytes((child,))
    if not ref:
        return None
    page = read(node_key(ref, path))
    entries = page_entries(page, ref)
    index = find_entry(page, len(entries), key_hash)
    return entries[index] if index >= 0 else None


def checked_pages(read: NodeReader, root: Ref, start: bytes, path: bytes = b"") -> Iterator[list[bytes]]:
    """The entries from the key hash ``start`` on, page by page, in the order of key hashes; no page is empty.

    Raises TreeCorrupt where a node that is read, from the root down, has not the hash that its reference says.
    """
    if not root:
        return
    stored = read(node_key(root, path))
    if root[0] != BRANCH:
        entries = page_entries(stored, root)
        if pack_page(entries, 4 * len(path))[1] != ref_hash(root):
            raise TreeCorrupt(f"the page at {path.hex()} has another hash than its reference")
        if entries[-1] >= start:
            yield entries[bisect_left(entries, start) :]
        return
    packed = unpack_checked_branch(stored, root)
    on_the_way = path == bytes(nibble(start, depth) for depth in range(len(path)))
    for child in range(nibble(start, len(path)) if on_the_way else 0, FANOUT):
        yield from checked_pages(read, child_ref(packed, child), start, path + bytes((child,)))


def neighbour(read: NodeReader, root: Ref, key_hash: bytes, *, before: bool) -> LeafPath | None:
    """The leaf next to ``key_hash`` (itself left out) in the order of key hashes, or None at the edge."""
    entry = _neighbour(read, root, b"", key_hash, before)
    return None if entry is None else find_leaf(read, root, entry[:HASH_BYTES])


def _neighbour(read: NodeReader, ref: Ref, path: bytes, key_hash: bytes, before: bool) -> bytes | None:
    if not ref:
        return None
    stored = read(node_key(ref, path))
    if ref[0] != BRANCH:
        entries = page_entries(stored, ref)
        index = bisect_left(entries, key_hash)
        if before:
            return entries[index - 1] if index else None
        if index < len(entries) and entries[index].startswith(key_hash):
            index += 1
        return entries[index] if index < len(entries) else None
    children = children_of(unpack_branch(stored))
    own = nibble(key_hash, len(path))
    found = _neighbour(read, children[own], path + bytes((own,)), key_hash, before)
    if found is not None:
        return found
    for child in range(own - 1, -1, -1) if before else range(own + 1, FANOUT):
        if children[child]:
            return _edge(read, children[child], path + bytes((child,)), last=before)
    return None


def _edge(read: NodeReader, ref: Ref, path: bytes, *, last: bool) -> bytes:
    """The first or last entry of a subtree that is not empty."""
    while ref[0] == BRANCH:
        children = children_of(unpack_branch(read(node_key(ref, path))))
        present = [child for child in range(FANOUT) if children[child]]
        child = present[-1 if last else 0]
        ref, path = children[child], path + bytes((child,))
    return page_entries(read(node_key(ref, path)), ref)[-1 if last else 0]


def entries_of(read: NodeReader, ref: Ref, path: bytes = b"") -> Iterator[bytes]:
    """Every entry of a subtree in the order of key hashes."""
    if not ref:
        return
    stored = read(node_key(ref, path))
    if ref[0] != BRANCH:
        yield from page_entries(stored, ref)
        return
    for child, below in enumerate(children_of(unpack_branch(stored))):
        yield from entries_of(read, below, path + bytes((child,)))


def differing_entries(
    read_a: NodeReader, ref_a: Ref, read_b: NodeReader, ref_b: Ref, path: bytes = b""
) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Pairs of entries of one key hash that differ between two trees, in the order of key hashes.

    None where a tree has no such leaf. Only subtrees whose hashes differ are read.
    """
    if ref_hash(ref_a) == ref_hash(ref_b):
        return
    if ref_a and ref_b and ref_a[0] == ref_b[0] == BRANCH:
        below_a = children_of(unpack_branch(read_a(node_key(ref_a, path))))
        below_b = children_of(unpack_branch(read_b(node_key(ref_b, path))))
        for child in range(FANOUT):
            yield from differing_entries(
                read_a, below_a[child], read_b, below_b[child], path + bytes((child,))
            )
        return
    rest_a, rest_b = entries_of(read_a, ref_a, path), entries_of(read_b, ref_b, path)
    entry_a, entry_b = next(rest_a, None), next(rest_b, None)
    while entry_a is not None or entry_b is not None:
        hash_a = entry_a[:HASH_BYTES] if entry_a is not None else b"\xff" * (HASH_BYTES + 1)
        hash_b = entry_b[:HASH_BYTES] if entry_b is not None else b"\xff" * (HASH_BYTES + 1)
        if hash_a < hash_b:
            yield entry_a, None
            entry_a = next(rest_a, None)
        elif hash_b < hash_a:
            yield None, entry_b
            entry_b = next(rest_b, None)
        else:
            if entry_a is not None and entry_b is not None and entry_a[40:] != entry_b[40:]:
                yield entry_a, entry_b
            entry_a, entry_b = next(rest_a, None), next(rest_b, None)
