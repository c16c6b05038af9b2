"""What the tree's nodes are: hashes, and how a node lies in the store (docs/spec/state-tree.md).

The tree is a binary sparse Merkle tree over SHA-256(key) in which a subtree of one leaf is that leaf (the Jellyfish
Merkle Tree's rule), so a root depends on content alone. How it is cut into stored nodes does not enter a hash:

* a *page* (pages.py) holds a whole subtree of 1 to ``PAGE_LEAVES`` leaves: entries of 72 bytes by key hash;
* a *branch* holds four levels (one nibble) over 16 children, when there are more leaves than that.

A ``Ref`` names a node: ``kind (1) | version (8, big-endian) | hash (32)``, or ``b""`` for the empty subtree. ``kind``
is the number of leaves of a page, or ``BRANCH``. The node's key is ``version | nibble path``, one byte a nibble.
An *entry* is ``key hash (32) | version (8) | leaf hash (32)``, the version being the height that wrote the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

LEAF_TAG = b"JMT::LeafNode"
INNER_TAG = b"JMT::IntrnalNode"  # spelt so: it is what the published ICS23 spec of this tree hashes
EMPTY_HASH = b"SPARSE_MERKLE_PLACEHOLDER_HASH__"

HASH_BYTES = 32
VERSION_BYTES = 8
ENTRY_BYTES = HASH_BYTES + VERSION_BYTES + HASH_BYTES
REF_BYTES = 1 + VERSION_BYTES + HASH_BYTES
FANOUT = 16
PAGE_LEAVES = 24
BRANCH = 255

Ref = bytes
NO_REF: Ref = b""

# A branch in memory: hashes of heap nodes 2..15, then of the 16 children (heap nodes 16..31), then the children's
# kinds and versions, then the weights of heap nodes 0..31 (0 no leaf, 1 one leaf, 2 more). Heap node i has the
# children 2i and 2i+1, whose hashes lie side by side. The store keeps the middle part; the rest follows from it.
_CHILD_HASHES = (FANOUT - 2) * HASH_BYTES
_KINDS = _CHILD_HASHES + FANOUT * HASH_BYTES
_VERSIONS = _KINDS + FANOUT
_WEIGHTS = _VERSIONS + FANOUT * VERSION_BYTES
STORED_BRANCH_BYTES = _WEIGHTS - _CHILD_HASHES
PACKED_BRANCH_BYTES = _WEIGHTS + 2 * FANOUT
_BLANK = EMPTY_HASH * (2 * FANOUT - 2) + bytes(PACKED_BRANCH_BYTES - _KINDS)


class TreeCorrupt(OSError):
    """A stored node is not what its reference says. An OSError: the process must stop, not answer with a code."""


def leaf_hash(key_hash: bytes, value: bytes) -> bytes:
    """The hash of a leaf: ``SHA256(LEAF_TAG | SHA256(key) | SHA256(value))``, 32 bytes."""
    return sha256(LEAF_TAG + key_hash + sha256(value).digest()).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two children of 32 bytes each."""
    return sha256(INNER_TAG + left + right).digest()


def node_key(ref: Ref, path: bytes) -> bytes:
    """The key under which the node that ``ref`` names at ``path`` is stored."""
    return ref[1:9] + path


def ref_hash(ref: Ref) -> bytes:
    """The hash of the subtree that ``ref`` names."""
    return ref[9:] if ref else EMPTY_HASH


def nibble(key_hash: bytes, index: int) -> int:
    """Nibble ``index`` of a key hash, the most significant first."""
    byte = key_hash[index >> 1]
    return byte & 15 if index & 1 else byte >> 4


def unpack_branch(stored: bytes) -> bytes:
    """A branch as it is in memory, from its stored bytes. Raises TreeCorrupt on a wrong length."""
    return _unpacked(stored)[0]


def unpack_checked_branch(stored: bytes, ref: Ref) -> bytes:
    """As :func:`unpack_branch`; raises TreeCorrupt unless the branch has the hash that ``ref`` says."""
    packed, value = _unpacked(stored)
    if value != ref_hash(ref):
        raise TreeCorrupt(f"a branch of version {int.from_bytes(ref[1:9], 'big')} has another hash than its reference")
    return packed


def _unpacked(stored: bytes) -> tuple[bytes, bytes]:
    if len(stored) != STORED_BRANCH_BYTES:
        raise TreeCorrupt(f"a branch has {len(stored)} bytes")
    packed = bytearray(_BLANK)
    packed[_CHILD_HASHES:_WEIGHTS] = stored
    present = [n for n in range(FANOUT) if packed[_KINDS + n]]
    for child in present:
        packed[_WEIGHTS + FANOUT + child] = min(packed[_KINDS + child], 2)
    value = _rehash(packed, present)
    return bytes(packed), value


def stored_child_ref(stored: bytes, child: int) -> Ref:
    """The reference to child 0 to 15 of a branch as it lies in the store: no hash is computed."""
    if len(stored) != STORED_BRANCH_BYTES:
        raise TreeCorrupt(f"a branch has {len(stored)} bytes")
    kind = stored[_KINDS - _CHILD_HASHES + child]
    if not kind:
        return NO_REF
    at_version = _VERSIONS - _CHILD_HASHES + child * VERSION_BYTES
    at_hash = child * HASH_BYTES
    return bytes((kind,)) + stored[at_version : at_version + 8] + stored[at_hash : at_hash + HASH_BYTES]


def stored_branch(packed: bytes) -> bytes:
    """The part of a branch that the store keeps."""
    return packed[_CHILD_HASHES:_WEIGHTS]


def child_ref(packed: bytes, child: int) -> Ref:
    """The reference to child 0 to 15 of a branch."""
    kind = packed[_KINDS + child]
    if not kind:
        return NO_REF
    at_version = _VERSIONS + child * VERSION_BYTES
    at_hash = _CHILD_HASHES + child * HASH_BYTES
    return bytes((kind,)) + packed[at_version : at_version + 8] + packed[at_hash : at_hash + HASH_BYTES]


def children_of(packed: bytes) -> list[Ref]:
    """The 16 references of a branch."""
    return [child_ref(packed, child) for child in range(FANOUT)]


def page_leaves(packed: bytes) -> int | None:
    """How many leaves a branch's children hold together, or None when one of them is a branch itself."""
    kinds = packed[_KINDS:_VERSIONS]
    return None if BRANCH in kinds else sum(kinds)


def with_children(packed: bytes | None, changed: Sequence[tuple[int, Ref]]) -> tuple[bytes, bytes]:
    """A branch with some children replaced (ascending by child; None: a branch of no children) and its hash."""
    branch = bytearray(packed or _BLANK)
    for child, ref in changed:
        kind = ref[0] if ref else 0
        at_version = _VERSIONS + child * VERSION_BYTES
        at_hash = _CHILD_HASHES + child * HASH_BYTES
        branch[_KINDS + child] = kind
        branch[at_version : at_version + VERSION_BYTES] = ref[1:9] if ref else bytes(VERSION_BYTES)
        branch[at_hash : at_hash + HASH_BYTES] = ref[9:] if ref else EMPTY_HASH
        branch[_WEIGHTS + FANOUT + child] = min(kind, 2)
    root = _rehash(branch, [child for child, _ in changed])
    return bytes(branch), root


def _rehash(branch: bytearray, changed: Sequence[int]) -> bytes:
    """Recompute the heap above the changed children; returns the hash of the branch."""
    if len(changed) == 1:
        return _rehash_one(branch, FANOUT + changed[0])
    level = [FANOUT + child for child in changed]
    value = EMPTY_HASH
    while level and level[0] > 1:
        parents: list[int] = []
        last = 0
        for node in level:
            parent = node >> 1
            if parent == last:
                continue
            last = parent
            parents.append(parent)
            left = parent << 1
            weight = branch[_WEIGHTS + left] + branch[_WEIGHTS + left + 1]
            at = (left - 2) * HASH_BYTES
            if weight > 1:
                weight = 2
                value = sha256(INNER_TAG + branch[at : at + 2 * HASH_BYTES]).digest()
            elif weight:
                if branch[_WEIGHTS + left + 1]:
                    at += HASH_BYTES
                value = bytes(branch[at : at + HASH_BYTES])
            else:
                value = EMPTY_HASH
            if parent > 1:
                branch[_WEIGHTS + parent] = weight
                branch[(parent - 2) * HASH_BYTES : (parent - 1) * HASH_BYTES] = value
        level = parents
    return value


def _rehash_one(branch: bytearray, node: int) -> bytes:
    """As _rehash for the most frequent case: one changed heap node, and the hash passed up in a variable."""
    weight = branch[_WEIGHTS + node]
    value = bytes(branch[(node - 2) * HASH_BYTES : (node - 1) * HASH_BYTES])
    while True:
        sibling = node ^ 1
        beside = branch[_WEIGHTS + sibling]
        at = (sibling - 2) * HASH_BYTES
        if weight + beside > 1:
            weight = 2
            if node & 1:
                value = sha256(INNER_TAG + branch[at : at + HASH_BYTES] + value).digest()
            else:
                value = sha256(INNER_TAG + value + branch[at : at + HASH_BYTES]).digest()
        elif beside:
            weight = 1
            value = bytes(branch[at : at + HASH_BYTES])
        node >>= 1
        if node == 1:
            return value
        branch[_WEIGHTS + node] = weight
        branch[(node - 2) * HASH_BYTES : (node - 1) * HASH_BYTES] = value


def branch_steps(packed: bytes, child: int) -> list[tuple[int, bytes]]:
    """The (bit, sibling hash) pairs from a branch's top down to ``child``; a lone leaf's levels are left out."""
    steps: list[tuple[int, bytes]] = []
    node = FANOUT + child
    while node > 1:
        sibling = node ^ 1
        if packed[_WEIGHTS + node] + packed[_WEIGHTS + sibling] > 1:
            at = (sibling - 2) * HASH_BYTES
            steps.append((node & 1, packed[at : at + HASH_BYTES]))
        node >>= 1
    return steps[::-1]
