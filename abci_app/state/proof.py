"""ICS23 proofs that a key has a value, or has none, under a root: making them and checking them.

The bytes are a ``cosmos.ics23.v1.CommitmentProof`` (proto/dta/ics23/v1/ics23.proto) under the published spec of the
Jellyfish Merkle Tree: SHA-256, keys and values hashed before, no lengths, inner prefix of exactly 16 bytes, children
of 32, at most 64 levels, empty child ``SPARSE_MERKLE_PLACEHOLDER_HASH__`` (docs/spec/state-tree.md).

The verifier takes what the Go library takes and less: the encoding must be canonical, each inner node must carry its
tag, and the path must turn as the bits of SHA-256(key) do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from google.protobuf.message import DecodeError

from abci_app.pb.dta.ics23.v1 import ics23_pb2 as pb
from abci_app.state.nodes import EMPTY_HASH, HASH_BYTES, INNER_TAG, LEAF_TAG, leaf_hash

MAX_DEPTH = 64
MAX_PROOF_BYTES = 64 * 1024

Step = tuple[int, bytes]
"""A turn on the way from the root: the bit of the key hash, and the hash of the sibling left behind."""


class ProofFault(Enum):
    """The rule that a proof breaks."""

    NOT_EXISTENCE = "it is not a proof of existence"
    OTHER_VALUE = "it is about another value"
    EMPTY_KEY = "an empty key is neither present nor absent"
    NOT_ABSENCE = "it is not a proof of absence"
    OTHER_KEY = "it is about another key"
    LEFT_NOT_LEFT = "the left neighbour is not left of the key"
    RIGHT_NOT_RIGHT = "the right neighbour is not right of the key"
    TOO_LONG = f"it is longer than {MAX_PROOF_BYTES} bytes"
    NO_PROOF = "it is not a commitment proof"
    NOT_CANONICAL = "its encoding is not canonical"
    EMPTY_LEAF = "a leaf has an empty key or value"
    LEAF_HASH = "a leaf is not hashed as this tree hashes leaves"
    PATH_TOO_LONG = f"a path is longer than {MAX_DEPTH}"
    OTHER_ROOT = "a path leads to another root"
    TURN = "a path does not turn as its key does"
    INNER_HASH = "an inner node is not hashed as this tree hashes inner nodes"
    CHILDREN = "an inner node has not exactly two children of 32 bytes"
    NO_NEIGHBOUR = "it names no neighbour"
    INSIDE = "one neighbour's path ends inside the other's"
    NO_PARTING = "the neighbours do not part left and right of each other"
    RIGHT_OF_LEFT = "there is something right of the left neighbour"
    LEFT_OF_RIGHT = "there is something left of the right neighbour"


class ProofRefused(ValueError):
    """The proof does not prove what was claimed. ``fault`` says which rule it breaks."""

    def __init__(self, fault: ProofFault) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        return str(self.fault.value)


@dataclass(frozen=True, slots=True)
class ProvedLeaf:
    """A leaf as a proof carries it: raw key, value, and the turns from the root down."""

    key: bytes
    value: bytes
    steps: Sequence[Step]


def _existence(leaf: ProvedLeaf) -> pb.ExistenceProof:
    path = [
        pb.InnerOp(hash=pb.HASH_OP_SHA256, prefix=INNER_TAG + sibling)
        if bit
        else pb.InnerOp(hash=pb.HASH_OP_SHA256, prefix=INNER_TAG, suffix=sibling)
        for bit, sibling in reversed(leaf.steps)
    ]
    return pb.ExistenceProof(key=leaf.key, value=leaf.value, leaf=_LEAF_OP, path=path)


_LEAF_OP = pb.LeafOp(
    hash=pb.HASH_OP_SHA256,
    prehash_key=pb.HASH_OP_SHA256,
    prehash_value=pb.HASH_OP_SHA256,
    length=pb.LENGTH_OP_NO_PREFIX,
    prefix=LEAF_TAG,
)
_LEAF_OP_BYTES = _LEAF_OP.SerializeToString(deterministic=True)


def encode_existence(leaf: ProvedLeaf) -> bytes:
    """The proof that ``leaf`` is in the tree."""
    return pb.CommitmentProof(exist=_existence(leaf)).SerializeToString(deterministic=True)


def encode_absence(key: bytes, left: ProvedLeaf | None, right: ProvedLeaf | None) -> bytes:
    """The proof that ``key`` is not in the tree, from its neighbours by key hash (None at the edge, not both)."""
    proof = pb.NonExistenceProof(
        key=key,
        left=_existence(left) if left else None,
        right=_existence(right) if right else None,
    )
    return pb.CommitmentProof(nonexist=proof).SerializeToString(deterministic=True)


def verify_existence(root: bytes, key: bytes, value: bytes, proof: bytes) -> None:
    """Check that ``key`` has ``value`` under ``root`` (32 bytes). Raises ProofRefused when that is not shown."""
    message = _decode(proof)
    if message.WhichOneof("proof") != "exist":
        raise ProofRefused(ProofFault.NOT_EXISTENCE)
    if message.exist.key != key:
        raise ProofRefused(ProofFault.OTHER_KEY)
    if message.exist.value != value:
        raise ProofRefused(ProofFault.OTHER_VALUE)
    _checked_steps(root, message.exist)


def verify_absence(root: bytes, key: bytes, proof: bytes) -> None:
    """Check that ``key`` has no value under ``root`` (32 bytes). Raises ProofRefused when that is not shown."""
    if not key:
        raise ProofRefused(ProofFault.EMPTY_KEY)
    message = _decode(proof)
    if message.WhichOneof("proof") != "nonexist":
        raise ProofRefused(ProofFault.NOT_ABSENCE)
    absent = message.nonexist
    if absent.key != key:
        raise ProofRefused(ProofFault.OTHER_KEY)
    key_hash = sha256(key).digest()
    left: Sequence[Step] | None = None
    right: Sequence[Step] | None = None
    if absent.HasField("left"):
        left = _checked_steps(root, absent.left)
        if sha256(absent.left.key).digest() >= key_hash:
            raise ProofRefused(ProofFault.LEFT_NOT_LEFT)
    if absent.HasField("right"):
        right = _checked_steps(root, absent.right)
        if sha256(absent.right.key).digest() <= key_hash:
            raise ProofRefused(ProofFault.RIGHT_NOT_RIGHT)
    _check_adjacent(left, right)


def _decode(proof: bytes) -> pb.CommitmentProof:
    if len(proof) > MAX_PROOF_BYTES:
        raise ProofRefused(ProofFault.TOO_LONG)
    message = pb.CommitmentProof()
    try:
        message.ParseFromString(proof)
    except DecodeError:
        raise ProofRefused(ProofFault.NO_PROOF) from None
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != proof:
        raise ProofRefused(ProofFault.NOT_CANONICAL)
    return message


def _checked_steps(root: bytes, proof: pb.ExistenceProof) -> list[Step]:
    """The turns of an existence proof from the root down, once it is shown to lead from its leaf to ``root``."""
    if not proof.key or not proof.value:
        raise ProofRefused(ProofFault.EMPTY_LEAF)
    if proof.leaf.SerializeToString(deterministic=True) != _LEAF_OP_BYTES:
        raise ProofRefused(ProofFault.LEAF_HASH)
    if len(proof.path) > MAX_DEPTH:
        raise ProofRefused(ProofFault.PATH_TOO_LONG)
    key_hash = sha256(proof.key).digest()
    value = leaf_hash(key_hash, proof.value)
    steps: list[Step] = []
    for op in proof.path:
        step = _step(op)
        steps.append(step)
        value = sha256(op.prefix + value + op.suffix).digest()
    if value != root:
        raise ProofRefused(ProofFault.OTHER_ROOT)
    steps.reverse()
    for depth, (bit, _) in enumerate(steps):
        if key_hash[depth >> 3] >> (7 - (depth & 7)) & 1 != bit:
            raise ProofRefused(ProofFault.TURN)
    return steps


def _step(op: pb.InnerOp) -> Step:
    prefix, suffix = op.prefix, op.suffix
    if op.hash != pb.HASH_OP_SHA256 or not prefix.startswith(INNER_TAG):
        raise ProofRefused(ProofFault.INNER_HASH)
    if len(prefix) == len(INNER_TAG) and len(suffix) == HASH_BYTES:
        return 0, suffix
    if len(prefix) == len(INNER_TAG) + HASH_BYTES and not suffix:
        return 1, prefix[len(INNER_TAG) :]
    raise ProofRefused(ProofFault.CHILDREN)


def _check_adjacent(left: Sequence[Step] | None, right: Sequence[Step] | None) -> None:
    """Nothing lies between two leaves of one tree; None is the tree's edge. Steps are from the root down."""
    if left is None and right is None:
        raise ProofRefused(ProofFault.NO_NEIGHBOUR)
    shared = 0
    if left is not None and right is not None:
        while shared < len(left) and shared < len(right) and left[shared] == right[shared]:
            shared += 1
        if shared == len(left) or shared == len(right):
            raise ProofRefused(ProofFault.INSIDE)
        if (left[shared][0], right[shared][0]) != (0, 1):
            raise ProofRefused(ProofFault.NO_PARTING)
        shared += 1
    if left is not None and not _at_edge(left[shared:], 1):
        raise ProofRefused(ProofFault.RIGHT_OF_LEFT)
    if right is not None and not _at_edge(right[shared:], 0):
        raise ProofRefused(ProofFault.LEFT_OF_RIGHT)


def _at_edge(steps: Sequence[Step], side: int) -> bool:
    """Whether the way keeps to ``side``, but for turns away from an empty subtree."""
    return all(bit == side or sibling == EMPTY_HASH for bit, sibling in steps)
