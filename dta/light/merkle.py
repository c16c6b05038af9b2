"""CometBFT's Merkle tree over a list: the tree of RFC 6962, section 2.1, over SHA-256.

Leaves and inner nodes are hashed under different prefix bytes, so that neither can pass for the other. The root of
an empty list is SHA-256 of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from dta.base.errors import NotVerified

MAX_AUNTS = 64


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(00 | leaf)."""
    return sha256(b"\x00" + leaf).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(01 | left | right)."""
    return sha256(b"\x01" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two smaller than ``count`` (>= 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def root(leaves: Sequence[bytes]) -> bytes:
    """The 32-byte root of a list of leaves (raw, not hashed yet)."""
    return _root([leaf_hash(leaf) for leaf in leaves])


def _root(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    middle = _split(len(hashes))
    return inner_hash(_root(hashes[:middle]), _root(hashes[middle:]))


@dataclass(frozen=True, slots=True)
class MerkleProof:
    """That a leaf is item ``index`` of ``total``. ``aunts``: 32-byte hashes from the leaf's sibling upwards."""

    total: int
    index: int
    leaf_hash: bytes
    aunts: tuple[bytes, ...]


def prove(leaves: Sequence[bytes], index: int) -> MerkleProof:
    """The proof for item ``index`` of ``leaves``. Raises IndexError where there is none."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    hashes: Sequence[bytes] = [leaf_hash(leaf) for leaf in leaves]
    own, position, aunts = hashes[index], index, []
    while len(hashes) > 1:
        middle = _split(len(hashes))
        left, right = hashes[:middle], hashes[middle:]
        if position < middle:
            aunts.append(_root(right))
            hashes = left
        else:
            aunts.append(_root(left))
            hashes, position = right, position - middle
    return MerkleProof(len(leaves), index, own, tuple(reversed(aunts)))


def verify(expected_root: bytes, leaf: bytes, proof: MerkleProof) -> None:
    """Checks that ``leaf`` is in the list under ``expected_root`` at ``proof.index``.

    Raises :class:`NotVerified` (step ``proof``) naming what is wrong.
    """
    if not 0 <= proof.index < proof.total or len(proof.aunts) > MAX_AUNTS:
        raise NotVerified("proof", "the Merkle proof's index, total or length is impossible")
    if proof.leaf_hash != leaf_hash(leaf):
        raise NotVerified("proof", "the Merkle proof is about another leaf")
    if _climb(proof) != expected_root:
        raise NotVerified("proof", "the Merkle proof leads to another root")


def _climb(proof: MerkleProof) -> bytes | None:
    """The root that the proof leads to, or None when it has the wrong number of aunts."""
    went_left: list[bool] = []
    position, count = proof.index, proof.total
    while count > 1:
        middle = _split(count)
        left = position < middle
        went_left.append(left)
        position, count = (position, middle) if left else (position - middle, count - middle)
    if len(went_left) != len(proof.aunts):
        return None
    node = proof.leaf_hash
    for left, aunt in zip(reversed(went_left), proof.aunts, strict=True):
        node = inner_hash(node, aunt) if left else inner_hash(aunt, node)
    return node
