"""The check of the leaves against the tree: it finds each kind of difference, and none where there is none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from abci_app.state.nodes import TreeCorrupt
from abci_app.state.walk import checked_pages, entry_of
from abci_app.storage.check import Checked, LeafCheck
from abci_app.storage.kv import KvStore, StoreCorrupt
from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from tests.support.tree import changes

LEAVES = {b"key/%d" % number: b"value %d" % number for number in range(1_000)}


@pytest.fixture(params=["memory", "leveldb"])
def kv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KvStore]:
    opened: KvStore = MemoryStore() if request.param == "memory" else LevelDbStore(tmp_path / "db")
    yield opened
    opened.close()


@pytest.fixture
def db(kv: KvStore) -> StateDB:
    made = StateDB(kv)
    made.commit(made.stage(1, changes(dict(LEAVES))))
    made.commit(made.stage(2, changes({b"key/5": b"changed", b"key/6": None})))
    return made


def whole_pass(db: StateDB, leaves: int = 64) -> int:
    """How many pieces it took."""
    check = LeafCheck(db)
    pieces = 1
    while not check.piece(leaves):
        pieces += 1
    return pieces


def test_a_pass_goes_over_every_leaf_once_and_says_how_far_it_is(db: StateDB) -> None:
    check = LeafCheck(db)
    assert check.checked == Checked(0, 0, 0)
    seen = []
    while not check.piece(100):
        seen.append(check.checked.leaves)
    assert seen == sorted(seen)
    sizes = [after - before for before, after in pairwise([0, *seen])]
    assert len(sizes) in (9, 10)
    assert all(100 <= size < 124 for size in sizes[:9])
    assert check.checked == Checked(0, 1, 2)
    db.commit(db.stage(3, changes({b"more": b"x"})))
    while not check.piece(10_000):
        pass
    assert check.checked == Checked(0, 2, 3)


def test_before_the_first_block_there_is_nothing_to_check(kv: KvStore) -> None:
    check = LeafCheck(StateDB(kv))
    assert [check.piece(10) for _ in range(3)] == [False] * 3
    assert check.checked == Checked()


def test_a_state_without_a_leaf_is_whole(kv: KvStore) -> None:
    empty = StateDB(kv)
    empty.commit(empty.stage(1, changes({})))
    assert whole_pass(empty) == 1


def _older_leaf(kv: KvStore) -> bytes:
    kv.write([(b"lkey/5", LEAVES[b"key/5"])], sync=True)
    return b"key/5"


def _missing_leaf(kv: KvStore) -> bytes:
    kv.write([(b"lkey/77", None)], sync=True)
    return b"key/77"


def _deleted_leaf_is_back(kv: KvStore) -> bytes:
    kv.write([(b"lkey/6", LEAVES[b"key/6"])], sync=True)
    return b"key/6"


def _value_of_the_tree(kv: KvStore) -> bytes:
    key, value = next((key, value) for key, value in kv.scan(b"v") if b"key/500" in value)
    kv.write([(key, value + b"!")], sync=True)
    return b"key/500"


def _key_of_the_tree(kv: KvStore) -> bytes:
    key, value = next((key, value) for key, value in kv.scan(b"v") if b"key/500" in value)
    kv.write([(key, value.replace(b"key/500", b"key/501"))], sync=True)
    return b"key/501"


@pytest.mark.parametrize(
    "damage", [_older_leaf, _missing_leaf, _deleted_leaf_is_back, _value_of_the_tree, _key_of_the_tree]
)
def test_a_leaf_that_is_not_what_the_tree_says_is_named(
    db: StateDB, kv: KvStore, damage: Callable[[KvStore], bytes]
) -> None:
    whole_pass(db)
    key = damage(kv)
    with pytest.raises(StoreCorrupt, match=key.hex()):
        whole_pass(StateDB(kv))


@pytest.mark.parametrize("change", [lambda stored: b"\xff" + stored[1:], lambda stored: stored[:-1], None])
def test_a_node_that_is_not_what_its_parent_says_is_found(
    db: StateDB, kv: KvStore, change: Callable[[bytes], bytes] | None
) -> None:
    """Every node of the newest tree, one at a time: branches, pages, and the root."""
    kept = set(_nodes_of(db))
    assert len(kept) > 60
    for number, key in enumerate(sorted(kept)):
        if number % 7 and len(key) > 10:
            continue
        stored = kv.get(key)
        assert stored is not None
        kv.write([(key, change(stored) if change else None)], sync=True)
        with pytest.raises(StoreCorrupt):
            whole_pass(StateDB(kv))
        kv.write([(key, stored)], sync=True)
    whole_pass(db)


def _nodes_of(db: StateDB) -> list[bytes]:
    view = db.view()
    read: list[bytes] = []

    def node(key: bytes) -> bytes:
        read.append(b"n" + key)
        return view.node(key)

    assert sum(len(page) for page in checked_pages(node, view.head().root, bytes(32))) == len(LEAVES) - 1
    return read


@pytest.mark.parametrize("seed", range(4))
def test_a_sound_state_passes_while_blocks_are_committed_and_pruned_under_the_check(kv: KvStore, seed: int) -> None:
    seeded = random.Random(seed)
    db = StateDB(kv)
    check = LeafCheck(db)
    for height in range(1, 260):
        content: dict[bytes, bytes | None] = {
            b"key/%d" % seeded.randrange(400): None if seeded.random() < 0.2 else b"%d" % height for _ in range(10)
        }
        db.commit(db.stage(height, changes(content, {b"due/%d" % (height % 9): b"x"})))
        db.prune()
        check.piece(seeded.choice([1, 20, 90]))
    assert check.checked.passes > 3


def test_a_walk_from_anywhere_gives_what_is_from_there_on(db: StateDB) -> None:
    view = db.view()
    root = view.head().root
    everything = [entry for page in checked_pages(view.node, root, bytes(32)) for entry in page]
    assert everything == sorted(everything)
    assert len(everything) == len(LEAVES) - 1
    for start in (everything[0][:32], everything[500][:32], everything[-1][:32], b"\xff" * 32, b"\x80" + bytes(31)):
        found = [entry for page in checked_pages(view.node, root, start) for entry in page]
        assert found == [entry for entry in everything if entry[:32] >= start]
    assert all(entry_of(view.node, root, entry[:32]) == entry for entry in everything)
    assert entry_of(view.node, root, bytes(32)) is None
    assert entry_of(view.node, b"", bytes(32)) is None
    with pytest.raises(TreeCorrupt):
        list(checked_pages(view.node, root[:-1] + bytes((root[-1] ^ 1,)), bytes(32)))
