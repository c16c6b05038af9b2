"""Published roots of the tree, and forged proofs that its verifier refuses."""

from __future__ import annotations

from hashlib import sha256

import pytest

from abci_app.pb.dta.ics23.v1 import ics23_pb2 as pb
from abci_app.state.nodes import EMPTY_HASH, INNER_TAG
from abci_app.state.proof import ProofRefused, encode_absence, verify_absence, verify_existence
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from tests.support.tree import changes

ROOT_OF_ONE = "6b97115f56e533f2fd443f7e76e4d1ff94d34e6b2e233f2dbdf5cfd1ec39a30c"
ROOT_OF_TWO = "e1e1e220d4b4a9611a9a09dbcee964b4a6c3a40f6f4dee265ad45cf64568790b"


def _state(**content: str) -> StateDB:
    db = StateDB(MemoryStore())
    db.commit(db.stage(1, changes({key.encode(): value.encode() for key, value in content.items()})))
    return db


def test_the_roots_are_the_published_ones() -> None:
    assert StateDB(MemoryStore()).app_hash == EMPTY_HASH
    assert _state(hello="world").app_hash.hex() == ROOT_OF_ONE
    assert _state(hello="world", goodbye="world").app_hash.hex() == ROOT_OF_TWO


def _numbered(count: int) -> tuple[StateDB, list[bytes]]:
    """A state of ``count`` leaves, and their keys in the order of their hashes."""
    keys = sorted((b"%d" % n for n in range(count)), key=lambda key: sha256(key).digest())
    db = StateDB(MemoryStore())
    db.commit(db.stage(1, changes(dict.fromkeys(keys, b"v"))))
    return db, keys


def _existence(db: StateDB, key: bytes) -> pb.ExistenceProof:
    return pb.CommitmentProof.FromString(db.prove(key, 1).proof).exist


def _absence(key: bytes, left: pb.ExistenceProof | None, right: pb.ExistenceProof | None) -> bytes:
    proof = pb.NonExistenceProof(key=key, left=left, right=right)
    return pb.CommitmentProof(nonexist=proof).SerializeToString(deterministic=True)


def test_neighbours_that_are_not_adjacent_prove_no_absence() -> None:
    db, keys = _numbered(50)
    for at in range(1, 49):
        left, right = _existence(db, keys[at - 1]), _existence(db, keys[at + 1])
        for claimed_left, claimed_right in ((left, right), (None, right), (left, None)):
            with pytest.raises(ProofRefused):
                verify_absence(db.app_hash, keys[at], _absence(keys[at], claimed_left, claimed_right))


def test_neighbours_the_wrong_way_round_or_the_same_prove_no_absence() -> None:
    db, _ = _numbered(50)
    absent = b"absent"
    honest = pb.CommitmentProof.FromString(db.prove(absent, 1).proof).nonexist
    verify_absence(db.app_hash, absent, _absence(absent, honest.left, honest.right))
    for left, right in ((honest.right, honest.left), (honest.left, honest.left), (honest.right, honest.right)):
        with pytest.raises(ProofRefused):
            verify_absence(db.app_hash, absent, _absence(absent, left, right))
    with pytest.raises(ProofRefused, match="names no neighbour"):
        verify_absence(db.app_hash, absent, encode_absence(absent, None, None))


def test_the_edges_of_the_tree_prove_the_absence_of_what_lies_beyond() -> None:
    db, keys = _numbered(50)
    beyond = [b"x%d" % n for n in range(2000)]
    first, last = sha256(keys[0]).digest(), sha256(keys[-1]).digest()
    below = next(key for key in beyond if sha256(key).digest() < first)
    above = next(key for key in beyond if sha256(key).digest() > last)
    for key, missing in ((below, "left"), (above, "right")):
        proof = db.prove(key, 1).proof
        assert not pb.CommitmentProof.FromString(proof).nonexist.HasField(missing)
        verify_absence(db.app_hash, key, proof)


def _encode(proof: pb.ExistenceProof) -> bytes:
    return pb.CommitmentProof(exist=proof).SerializeToString(deterministic=True)


def test_an_inner_node_cannot_pass_as_a_leaf_nor_a_leaf_take_a_longer_prefix() -> None:
    db, keys = _numbered(20)
    honest = _existence(db, keys[3])
    verify_existence(db.app_hash, keys[3], b"v", _encode(honest))
    forgeries = []
    for change in range(6):
        forged = pb.ExistenceProof()
        forged.CopyFrom(honest)
        if change == 0:
            forged.leaf.prefix = INNER_TAG
        elif change == 1:
            forged.leaf.prefix += b"\x00"
        elif change == 2:
            forged.leaf.prehash_value = pb.HASH_OP_NO_HASH
        elif change == 3:
            forged.ClearField("leaf")
        elif change == 4:
            forged.path[0].hash = pb.HASH_OP_NO_HASH
        else:
            forged.path[0].prefix, forged.path[0].suffix = b"JMT::LeafNode" + bytes(3), forged.path[0].suffix
        forgeries.append(_encode(forged))
    for forged_bytes in forgeries:
        with pytest.raises(ProofRefused):
            verify_existence(db.app_hash, keys[3], b"v", forged_bytes)


def test_a_path_that_turns_otherwise_than_its_key_is_refused() -> None:
    key, value = b"hello", b"world"
    leaf = bytes.fromhex(ROOT_OF_ONE)
    wrong_bit = 1 - (sha256(key).digest()[0] >> 7)
    prefix, suffix = (INNER_TAG + EMPTY_HASH, b"") if wrong_bit else (INNER_TAG, EMPTY_HASH)
    proof = _existence(_state(hello="world"), key)
    proof.path.append(pb.InnerOp(hash=pb.HASH_OP_SHA256, prefix=prefix, suffix=suffix))
    with pytest.raises(ProofRefused, match="does not turn"):
        verify_existence(sha256(prefix + leaf + suffix).digest(), key, value, _encode(proof))


def test_a_path_of_more_than_64_levels_is_refused() -> None:
    proof = _existence(_state(hello="world"), b"hello")
    root = bytes.fromhex(ROOT_OF_ONE)
    bits = int.from_bytes(sha256(b"hello").digest(), "big")
    for depth in range(64, -1, -1):
        bit = bits >> (255 - depth) & 1
        op = pb.InnerOp(hash=pb.HASH_OP_SHA256, prefix=INNER_TAG, suffix=EMPTY_HASH)
        if bit:
            op = pb.InnerOp(hash=pb.HASH_OP_SHA256, prefix=INNER_TAG + EMPTY_HASH)
        proof.path.append(op)
        root = sha256(op.prefix + root + op.suffix).digest()
    with pytest.raises(ProofRefused, match="longer than 64"):
        verify_existence(root, b"hello", b"world", _encode(proof))


@pytest.mark.parametrize(
    "tail",
    [b"\x1a\x00", b"\xf8\x06\x01", b"\x0a\x00"],
    ids=["an unknown field", "an unknown varint", "the same field again"],
)
def test_a_proof_with_anything_appended_is_refused(tail: bytes) -> None:
    proved = _state(hello="world").prove(b"hello", 1)
    with pytest.raises(ProofRefused, match="canonical"):
        verify_existence(proved.root, b"hello", b"world", proved.proof + tail)


def test_what_is_no_proof_is_refused() -> None:
    for junk in (b"", b"junk", bytes(100), b"\x0a", bytes(70_000)):
        with pytest.raises(ProofRefused):
            verify_existence(bytes(32), b"key", b"value", junk)
        with pytest.raises(ProofRefused):
            verify_absence(bytes(32), b"key", junk)
    with pytest.raises(ProofRefused):
        verify_absence(bytes(32), b"", b"")
