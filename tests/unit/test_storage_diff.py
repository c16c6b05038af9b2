"""Naming the first key at which two stores differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from abci_app.storage.diff import Difference, difference_between, first_difference, prefix_hashes
from abci_app.storage.kv import StorageFailure
from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB, VersionUnknown
from tests.support.tree import changes

_CONTENT: dict[bytes, bytes | None] = {b"key/%03d" % n: b"v%d" % n for n in range(500)}


def _state(*blocks: dict[bytes, bytes | None]) -> StateDB:
    db = StateDB(MemoryStore())
    for block in blocks:
        db.commit(db.stage(db.height + 1, changes(block)))
    return db


def test_equal_states_do_not_differ_whatever_way_they_came_about() -> None:
    other = _state({**_CONTENT, b"more": b"x"}, {b"more": None})
    assert difference_between(_state({}, _CONTENT).view(), other.view()) is None


@pytest.mark.parametrize(
    ("change", "key", "value_a", "value_b", "count"),
    [
        ({b"key/077": b"other"}, b"key/077", b"v77", b"other", 1),
        ({b"key/123": None}, b"key/123", b"v123", None, 1),
        ({b"another": b"x"}, b"another", None, b"x", 1),
        ({b"key/400": b"x", b"key/100": b"y", b"zzz": b"z"}, b"key/100", b"v100", b"y", 3),
        (dict.fromkeys(_CONTENT), b"key/000", b"v0", None, 500),
    ],
)
def test_the_first_differing_key_is_named_with_both_values(
    change: dict[bytes, bytes | None], key: bytes, value_a: bytes | None, value_b: bytes | None, count: int
) -> None:
    a, b = _state(_CONTENT, {}).view(), _state(_CONTENT, change).view()
    assert difference_between(a, b) == Difference(2, key, value_a, value_b, count)
    assert difference_between(b, a) == Difference(2, key, value_b, value_a, count)
    assert difference_between(a, b, 1) is None


def test_states_of_different_heights_are_compared_at_the_lower() -> None:
    a, b = _state(_CONTENT), _state(_CONTENT, {b"key/001": b"later"})
    assert difference_between(a.view(), b.view()) is None
    with pytest.raises(VersionUnknown):
        difference_between(a.view(), b.view(), 2)


def test_only_what_differs_is_read() -> None:
    a, b = _state(_CONTENT, {}), _state(_CONTENT, {b"key/250": b"other"})
    reads: list[bytes] = []
    view = a.view()
    node = view.node

    def counted(key: bytes) -> bytes:
        reads.append(key)
        return node(key)

    view.node = counted  # type: ignore[method-assign]
    assert difference_between(view, b.view()) is not None
    assert len(reads) <= 5


def test_two_stopped_stores_are_compared_by_their_directories(tmp_path: Path) -> None:
    for name, value in (("a", b"1"), ("b", b"2")):
        db = StateDB(LevelDbStore(tmp_path / name))
        db.commit(db.stage(1, changes({b"same": b"0", b"key": value})))
        db.close()
    assert first_difference(tmp_path / "a", tmp_path / "b") == Difference(1, b"key", b"1", b"2", 1)
    assert first_difference(tmp_path / "a", tmp_path / "b") is not None
    with pytest.raises(StorageFailure):
        first_difference(tmp_path / "a", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_hash_of_a_prefix_is_over_its_leaves_alone() -> None:
    a = prefix_hashes(_state({b"id/1": b"x", b"order/1": b"y"}).view(), [b"id/", b"order/", b"none/"])
    b = prefix_hashes(_state({b"id/1": b"x", b"order/1": b"z"}).view(), [b"id/", b"order/", b"none/"])
    assert a["id/"] == b["id/"]
    assert a["order/"] != b["order/"]
    assert a["none/"] == b["none/"]
