"""Published roots of the tree, and forged proofs that its verifier refuses."""

from __future__ import annotations

from hashlib import sha256

import pytest

from abci_app.pb.dta.ics23.v1 import ics23_pb2 as pb
from abci_app.state.nodes import EMPTY_HASH, INNER_TAG
from abci_app.state.proof import (
    ProofFault,
    ProofRefused,
    _check_adjacent,
    encode_absence,
    verify_absence,
    verify_existence,
)
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from tests.support.refusals import fault_of
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


NOT_ADJACENT = (
    ProofFault.NO_PARTING, ProofFault.INSIDE, ProofFault.RIGHT_OF_LEFT, ProofFault.LEFT_OF_RIGHT,
)  # fmt: skip


def absence_fault(root: bytes, key: bytes, proof: bytes) -> object:
    return fault_of(lambda: verify_absence(root, key, proof), ProofRefused)


def test_neighbours_that_are_not_adjacent_prove_no_absence() -> None:
    db, keys = _numbered(50)
    for at in range(1, 49):
        left, right = _existence(db, keys[at - 1]), _existence(db, keys[at + 1])
        for claimed_left, claimed_right in ((left, right), (None, right), (left, None)):
            proof = _absence(keys[at], claimed_left, claimed_right)
            assert absence_fault(db.app_hash, keys[at], proof) in NOT_ADJACENT


def test_neighbours_the_wrong_way_round_or_the_same_prove_no_absence() -> None:
    db, _ = _numbered(50)
    absent = b"absent"
    honest = pb.CommitmentProof.FromString(db.prove(absent, 1).proof).nonexist
    verify_absence(db.app_hash, absent, _absence(absent, honest.left, honest.right))
    for left, right, expected in (
        (honest.right, honest.left, ProofFault.LEFT_NOT_LEFT),
        (honest.left, honest.left, ProofFault.RIGHT_NOT_RIGHT),
        (honest.right, honest.right, ProofFault.LEFT_NOT_LEFT),
    ):
        assert absence_fault(db.app_hash, absent, _absence(absent, left, right)) is expected
    nobody = encode_absence(absent, None, None)
    assert absence_fault(db.app_hash, absent, nobody) is ProofFault.NO_NEIGHBOUR


def test_a_key_that_is_there_is_no_neighbour_of_itself() -> None:
    """Whoever took it for one would be shown the absence of everything that is there."""
    db, keys = _numbered(50)
    for at in range(1, 49):
        before, itself, after = (_existence(db, key) for key in keys[at - 1 : at + 2])
        as_left = _absence(keys[at], itself, after)
        assert absence_fault(db.app_hash, keys[at], as_left) is ProofFault.LEFT_NOT_LEFT
        as_right = _absence(keys[at], before, itself)
        assert absence_fault(db.app_hash, keys[at], as_right) is ProofFault.RIGHT_NOT_RIGHT
    first, last = _existence(db, keys[0]), _existence(db, keys[-1])
    assert absence_fault(db.app_hash, keys[-1], _absence(keys[-1], last, None)) is ProofFault.LEFT_NOT_LEFT
    assert absence_fault(db.app_hash, keys[0], _absence(keys[0], None, first)) is ProofFault.RIGHT_NOT_RIGHT


def test_what_a_path_passes_by_unseen_is_found() -> None:
    """A gap on the far side of either neighbour, and neighbours of which one lies within the other's path."""
    db, keys = _numbered(50)
    at = 20
    left, right = _existence(db, keys[at - 2]), _existence(db, keys[at + 2])
    found = {
        absence_fault(db.app_hash, keys[at], _absence(keys[at], one, other))
        for one in (left, _existence(db, keys[at - 1]), None)
        for other in (right, _existence(db, keys[at + 1]), None)
        if (one, other) != (None, None)
    }
    assert {ProofFault.RIGHT_OF_LEFT, ProofFault.LEFT_OF_RIGHT} <= found


def test_paths_that_no_one_tree_has_are_no_neighbours() -> None:
    """No hash leads two of them to one root; the rule does not lean on that."""
    one, other = bytes(32), b"\1" * 32
    inside = fault_of(lambda: _check_adjacent([(0, one)], [(0, one), (1, one)]), ProofRefused)
    assert inside is ProofFault.INSIDE
    for left, right in ((1, 0), (0, 0), (1, 1)):
        found = fault_of(lambda left=left, right=right: _check_adjacent([(left, one)], [(right, other)]), ProofRefused)
        assert found is ProofFault.NO_PARTING


def test_a_proof_of_something_else_is_refused_for_that() -> None:
    db, keys = _numbered(5)
    there = db.prove(keys[1], 1).proof
    missing = db.prove(b"absent", 1).proof

    def existence_fault(key: bytes, value: bytes, proof: bytes) -> object:
        return fault_of(lambda: verify_existence(db.app_hash, key, value, proof), ProofRefused)

    assert existence_fault(keys[1], b"v", missing) is ProofFault.NOT_EXISTENCE
    assert existence_fault(keys[2], b"v", there) is ProofFault.OTHER_KEY
    assert existence_fault(keys[1], b"w", there) is ProofFault.OTHER_VALUE
    assert fault_of(lambda: verify_existence(bytes(32), keys[1], b"v", there), ProofRefused) is ProofFault.OTHER_ROOT
    assert absence_fault(db.app_hash, b"absent", there) is ProofFault.NOT_ABSENCE
    assert absence_fault(db.app_hash, b"another", missing) is ProofFault.OTHER_KEY
    assert absence_fault(bytes(32), b"absent", missing) is ProofFault.OTHER_ROOT
    empty = _existence(db, keys[1])
    empty.value = b""
    assert existence_fault(keys[1], b"", _encode(empty)) is ProofFault.EMPTY_LEAF
    cut = _existence(db, keys[1])
    cut.path[0].suffix += b"\0"
    assert existence_fault(keys[1], b"v", _encode(cut)) is ProofFault.CHILDREN


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
    expected = [ProofFault.LEAF_HASH] * 4 + [ProofFault.INNER_HASH] * 2
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
    assert expected == [
        fault_of(lambda forged=forged: verify_existence(db.app_hash, keys[3], b"v", forged), ProofRefused)
        for forged in forgeries
    ]


def test_a_path_that_turns_otherwise_than_its_key_is_refused() -> None:
    key, value = b"hello", b"world"
    leaf = bytes.fromhex(ROOT_OF_ONE)
    wrong_bit = 1 - (sha256(key).digest()[0] >> 7)
    prefix, suffix = (INNER_TAG + EMPTY_HASH, b"") if wrong_bit else (INNER_TAG, EMPTY_HASH)
    proof = _existence(_state(hello="world"), key)
    proof.path.append(pb.InnerOp(hash=pb.HASH_OP_SHA256, prefix=prefix, suffix=suffix))
    root = sha256(prefix + leaf + suffix).digest()
    assert fault_of(lambda: verify_existence(root, key, value, _encode(proof)), ProofRefused) is ProofFault.TURN


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
    found = fault_of(lambda: verify_existence(root, b"hello", b"world", _encode(proof)), ProofRefused)
    assert found is ProofFault.PATH_TOO_LONG


@pytest.mark.parametrize(
    "tail",
    [b"\x1a\x00", b"\xf8\x06\x01", b"\x0a\x00"],
    ids=["an unknown field", "an unknown varint", "the same field again"],
)
def test_a_proof_with_anything_appended_is_refused(tail: bytes) -> None:
    proved = _state(hello="world").prove(b"hello", 1)
    longer = proved.proof + tail
    found = fault_of(lambda: verify_existence(proved.root, b"hello", b"world", longer), ProofRefused)
    assert found is ProofFault.NOT_CANONICAL


def test_what_is_no_proof_is_refused() -> None:
    for junk, expected in (
        (b"junk", ProofFault.NO_PROOF), (bytes(100), ProofFault.NO_PROOF), (b"\x0a", ProofFault.NO_PROOF),
        (bytes(70_000), ProofFault.TOO_LONG),
    ):  # fmt: skip
        assert fault_of(lambda junk=junk: verify_existence(bytes(32), b"key", b"value", junk), ProofRefused) is expected
        assert absence_fault(bytes(32), b"key", junk) is expected
    nothing = fault_of(lambda: verify_existence(bytes(32), b"key", b"value", b""), ProofRefused)
    assert nothing is ProofFault.NOT_EXISTENCE
    assert absence_fault(bytes(32), b"key", b"") is ProofFault.NOT_ABSENCE
    assert absence_fault(bytes(32), b"", b"") is ProofFault.EMPTY_KEY
