"""The tree against its plain definition, and its proofs against every change of a byte."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.state.nodes import BRANCH, Ref, children_of, node_key, ref_hash, unpack_branch
from abci_app.state.proof import ProofRefused, verify_absence, verify_existence
from abci_app.state.tree import NodeCache, changes_of, update_tree
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import Proved, StateDB
from tests.support.tree import changes, ics23check, plain_root

_KEYS = st.integers(0, 60).map(lambda n: b"key/%d" % n)
_VALUES = st.none() | st.integers(0, 3).map(lambda n: b"value %d" % n)
_BATCHES = st.lists(st.dictionaries(_KEYS, _VALUES, max_size=40), min_size=1, max_size=8)


class _Tree:
    """A tree in a dictionary of nodes, from which what is stale is taken away at once."""

    def __init__(self, cache_bytes: int) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.cache = NodeCache(cache_bytes)
        self.root: Ref = b""
        self.version = 0

    def apply(self, batch: Mapping[bytes, bytes | None]) -> None:
        self.version += 1
        hashed = changes_of(sorted(batch.items()), self.version)
        update = update_tree(self.nodes.__getitem__, self.cache, self.root, self.version, hashed)
        for key in update.stale_nodes:
            del self.nodes[key]
        self.nodes.update(update.nodes())
        self.cache.replace(update)
        self.root = update.root

    def reachable(self, ref: Ref | None = None, path: bytes = b"") -> int:
        ref = self.root if ref is None else ref
        if not ref:
            return 0
        stored = self.nodes[node_key(ref, path)]
        if ref[0] != BRANCH:
            return 1
        children = enumerate(children_of(unpack_branch(stored)))
        return 1 + sum(self.reachable(child, path + bytes((n,))) for n, child in children if child)


def _merge(content: dict[bytes, bytes], batch: Mapping[bytes, bytes | None]) -> None:
    for key, value in batch.items():
        content.pop(key, None)
        if value is not None:
            content[key] = value


@settings(max_examples=150, deadline=None)
@given(batches=_BATCHES, cache_bytes=st.sampled_from([0, 5_000, 1 << 20]))
def test_the_root_after_any_batches_is_that_of_the_definition(
    batches: list[dict[bytes, bytes | None]], cache_bytes: int
) -> None:
    tree = _Tree(cache_bytes)
    content: dict[bytes, bytes] = {}
    for batch in batches:
        tree.apply(batch)
        _merge(content, batch)
        assert ref_hash(tree.root) == plain_root(content)
        assert tree.reachable() == len(tree.nodes)


@settings(max_examples=80, deadline=None)
@given(batches=_BATCHES, seed=st.integers(0, 2**32))
def test_the_root_depends_on_content_and_not_on_how_it_came_about(
    batches: list[dict[bytes, bytes | None]], seed: int
) -> None:
    content: dict[bytes, bytes] = {}
    by_batches = _Tree(1 << 20)
    for batch in batches:
        by_batches.apply(batch)
        _merge(content, batch)
    one_by_one = _Tree(1 << 20)
    order = list(content.items())
    random.Random(seed).shuffle(order)
    for key, value in order:
        one_by_one.apply({key: value})
    assert ref_hash(one_by_one.root) == ref_hash(by_batches.root)
    by_batches.apply(dict.fromkeys(content))
    assert by_batches.root == b""
    assert by_batches.nodes == {}


@pytest.mark.parametrize("seed", range(3))
def test_a_tree_of_thousands_of_keys_shrinks_as_it_grew(seed: int) -> None:
    rnd = random.Random(seed)
    tree = _Tree(200_000)
    content: dict[bytes, bytes] = {}
    for step in range(16):
        share = 0.1 if step < 8 else 0.8
        batch = {
            b"%d" % rnd.randrange(6000): None if rnd.random() < share else rnd.randbytes(5) for _ in range(900)
        }
        tree.apply(batch)
        _merge(content, batch)
        assert ref_hash(tree.root) == plain_root(content), f"seed {seed}"
        assert tree.reachable() == len(tree.nodes), f"seed {seed}"


def _state(content: Mapping[bytes, bytes]) -> StateDB:
    db = StateDB(MemoryStore())
    db.commit(db.stage(1, changes(content)))
    return db


def _verify(root: bytes, proved: Proved, proof: bytes) -> None:
    if proved.value is None:
        verify_absence(root, proved.key, proof)
    else:
        verify_existence(root, proved.key, proved.value, proof)


@settings(max_examples=80, deadline=None)
@given(content=st.dictionaries(_KEYS, st.binary(min_size=1, max_size=4), min_size=1), asked=_KEYS)
def test_every_proof_verifies_for_its_key_and_for_no_other_claim(
    content: dict[bytes, bytes], asked: bytes
) -> None:
    db = _state(content)
    proved = db.prove(asked, 1)
    assert proved.root == db.app_hash == plain_root(content)
    assert proved.value == content.get(asked)
    _verify(proved.root, proved, proved.proof)
    with pytest.raises(ProofRefused):
        _verify(bytes(32), proved, proved.proof)
    with pytest.raises(ProofRefused):
        verify_existence(proved.root, asked, (proved.value or b"") + b"x", proved.proof)
    with pytest.raises(ProofRefused):
        verify_existence(proved.root, asked + b"x", proved.value or b"x", proved.proof)
    for other in (*content, b"another", asked):
        if proved.value is not None or other != asked:
            with pytest.raises(ProofRefused):
                verify_absence(proved.root, other, proved.proof)


@settings(max_examples=25, deadline=None)
@given(
    content=st.dictionaries(_KEYS, st.binary(min_size=1, max_size=4), min_size=1, max_size=30),
    asked=_KEYS,
    flip=st.integers(1, 255),
)
def test_a_proof_with_any_byte_changed_or_cut_off_is_refused(
    content: dict[bytes, bytes], asked: bytes, flip: int
) -> None:
    proved = _state(content).prove(asked, 1)
    for at in range(len(proved.proof)):
        changed = bytearray(proved.proof)
        changed[at] ^= flip
        with pytest.raises(ProofRefused):
            _verify(proved.root, proved, bytes(changed))
        with pytest.raises(ProofRefused):
            _verify(proved.root, proved, proved.proof[:at])


def _question(proved: Proved, proof: bytes) -> str:
    value = None if proved.value is None else proved.value.hex()
    return json.dumps(
        {"root": proved.root.hex(), "key": proved.key.hex(), "value": value, "proof": proof.hex()}
    )


@pytest.mark.parametrize("size", [1, 2, 9, 400])
def test_the_go_library_accepts_every_proof_and_refuses_it_after_any_change(size: int) -> None:
    rnd = random.Random(size)
    db = _state({b"key/%d" % n: rnd.randbytes(8) for n in range(size)})
    every = [db.prove(b"key/%d" % n, 1) for n in range(min(2 * size + 20, 200))]
    every += [db.prove(b"key/%d" % n, 1) for n in range(size, size + 40)]
    assert {proved.value is None for proved in every} == {True, False}
    assert ics23check([_question(proved, proved.proof) for proved in every]) == ["ok"] * len(every)
    questions: list[str] = []
    for proved in (every[0], every[-1]):
        for at in range(len(proved.proof)):
            changed = bytearray(proved.proof)
            changed[at] ^= 1 << rnd.randrange(8)
            questions.append(_question(proved, bytes(changed)))
    verdicts = ics23check(questions)
    assert len(verdicts) == len(questions)
    assert all(verdict.startswith("refused") for verdict in verdicts)
