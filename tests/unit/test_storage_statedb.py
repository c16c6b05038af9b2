"""The state database: what a block leaves behind, what is kept of the past, and what is not."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from abci_app.block import Changes
from abci_app.state.nodes import EMPTY_HASH
from abci_app.state.proof import verify_absence, verify_existence
from abci_app.storage.kv import KvStore, StorageFailure, StoreCorrupt
from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import Proved, StateDB, TreeEmpty, VersionPruned, VersionUnknown
from tests.support.tree import changes, plain_root


@pytest.fixture(params=["memory", "leveldb"])
def kv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KvStore]:
    opened: KvStore = MemoryStore() if request.param == "memory" else LevelDbStore(tmp_path / "db")
    yield opened
    opened.close()


def _commit(db: StateDB, **leaves: str | None) -> None:
    content = {key.encode(): None if value is None else value.encode() for key, value in leaves.items()}
    db.commit(db.stage(db.height + 1, changes(content)))


def _verify(proved: Proved) -> None:
    if proved.value is None:
        verify_absence(proved.root, proved.key, proved.proof)
    else:
        verify_existence(proved.root, proved.key, proved.value, proved.proof)


def test_a_new_state_is_empty_at_height_zero(kv: KvStore) -> None:
    db = StateDB(kv)
    assert (db.height, db.app_hash, db.meta("params")) == (0, EMPTY_HASH, None)
    with pytest.raises(VersionUnknown):
        db.prove(b"key", 0)
    with pytest.raises(VersionUnknown):
        db.prove(b"key", 1)


class _Recording(MemoryStore):
    """Keeps whether each write waited for the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.synced: list[bool] = []

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        self.synced.append(sync)
        super().write(batch, sync=sync)


def test_a_block_is_one_write_that_waits_for_the_disk_and_pruning_waits_for_nothing() -> None:
    kv = _Recording()
    db = StateDB(kv)
    for number in range(150):
        _commit(db, a=str(number))
    assert kv.synced == [True] * 150
    assert db.prune() > 0
    assert set(kv.synced[150:]) == {False}


def test_a_committed_block_is_there_when_the_state_opens_again(kv: KvStore) -> None:
    db = StateDB(kv)
    staged = db.stage(7, changes({b"a": b"1", b"b": b"2"}, {b"due/a": b""}), {"chain": b"test"})
    assert db.height == 0
    db.commit(staged)
    again = StateDB(kv)
    assert (again.height, again.app_hash) == (7, plain_root({b"a": b"1", b"b": b"2"}))
    assert again.meta("chain") == b"test"
    view = again.view()
    assert view.get(b"a") == b"1"
    assert view.get(b"due/a") is None
    assert view.index_get(b"due/a") == b""
    assert list(view.scan(b"")) == [(b"a", b"1"), (b"b", b"2")]
    assert list(view.scan(b"", after=b"a", limit=1)) == [(b"b", b"2")]
    assert list(view.index_scan(b"due/")) == [(b"due/a", b"")]


def test_staging_writes_nothing_and_gives_the_same_hash_again(kv: KvStore) -> None:
    db = StateDB(kv)
    _commit(db, a="1", b="2")
    before = list(kv.scan(b""))
    dropped = db.stage(2, changes({b"a": b"dropped", b"c": b"3"}))
    first = db.stage(2, changes({b"b": b"9"}))
    second = StateDB(kv).stage(2, changes({b"b": b"9"}))
    assert list(kv.scan(b"")) == before
    assert first.app_hash == second.app_hash != dropped.app_hash
    db.commit(first)
    assert db.app_hash == plain_root({b"a": b"1", b"b": b"9"})
    _commit(db, c="4")
    assert db.app_hash == plain_root({b"a": b"1", b"b": b"9", b"c": b"4"})
    with pytest.raises(ValueError, match="was staged on 1"):
        db.commit(dropped)


def test_a_block_out_of_turn_is_refused(kv: KvStore) -> None:
    db = StateDB(kv)
    with pytest.raises(ValueError):
        db.stage(0, Changes())
    db.commit(db.stage(5, changes({b"a": b"1"})))
    for height in (4, 5, 7):
        with pytest.raises(ValueError, match="cannot follow"):
            db.stage(height, Changes())


@pytest.mark.parametrize(
    "leaves",
    [
        ((b"", b"value"),),
        ((b"key", b""),),
        ((b"key", bytes(4097)),),
        ((bytes(1025), b"value"),),
        ((b"b", b"1"), (b"a", b"1")),
        ((b"a", b"1"), (b"a", b"2")),
    ],
)
def test_changes_that_are_malformed_are_refused(leaves: tuple[tuple[bytes, bytes], ...]) -> None:
    db = StateDB(MemoryStore())
    with pytest.raises(ValueError):
        db.stage(1, Changes(leaves))


def test_the_largest_key_and_value_are_kept(kv: KvStore) -> None:
    db = StateDB(kv)
    key, value = b"k" * 1024, bytes(4096)
    db.commit(db.stage(1, changes({key: value})))
    proved = db.prove(key, 1)
    assert proved.value == value
    _verify(proved)


def test_a_block_without_changes_keeps_the_root_and_can_be_asked_about(kv: KvStore) -> None:
    db = StateDB(kv)
    _commit(db, a="1")
    first = db.app_hash
    for _ in range(3):
        _commit(db)
    _commit(db, a="1")
    assert db.app_hash == first
    for height in range(1, 6):
        proved = db.prove(b"a", height)
        assert (proved.root, proved.value) == (first, b"1")
        _verify(proved)


def test_a_first_block_without_changes_has_the_empty_root(kv: KvStore) -> None:
    db = StateDB(kv)
    _commit(db)
    assert StateDB(kv).app_hash == db.app_hash == EMPTY_HASH
    with pytest.raises(TreeEmpty):
        db.prove(b"a", 1)
    with pytest.raises(ValueError, match="empty key"):
        db.prove(b"", 1)


def test_every_kept_height_proves_what_was_true_then_while_the_past_is_pruned(kv: KvStore) -> None:
    rnd = random.Random(4)
    db = StateDB(kv)
    content: dict[bytes, bytes] = {}
    past: dict[int, dict[bytes, bytes]] = {}
    for height in range(10, 260):
        batch: dict[bytes, bytes | None] = {}
        for _ in range(rnd.choice([0, 1, 12])):
            batch[b"key/%d" % rnd.randrange(40)] = None if rnd.random() < 0.3 else rnd.randbytes(3)
        db.commit(db.stage(height, changes(batch)))
        for key, value in batch.items():
            content.pop(key, None)
            if value is not None:
                content[key] = value
        past[height] = dict(content)
        db.prune(40)
    while db.prune(10):
        pass
    for height in range(160, 260):
        assert dict(db.view().leaves_at(height)) == past[height]
        for key in (b"key/%d" % rnd.randrange(40), b"never"):
            proved = db.prove(key, height)
            assert proved.value == past[height].get(key)
            assert proved.root == plain_root(past[height])
            _verify(proved)
    with pytest.raises(VersionPruned) as refused:
        db.prove(b"key/1", 159)
    assert (refused.value.height, refused.value.oldest) == (159, 160)
    with pytest.raises(VersionUnknown):
        db.prove(b"key/1", 260)


def test_as_many_heights_are_kept_as_was_said_and_not_one_more_though_none_was_pruned_yet(kv: KvStore) -> None:
    db = StateDB(kv, keep_versions=100)
    for number in range(101):
        _commit(db, a=str(number))
    _verify(db.prove(b"a", 2))
    with pytest.raises(VersionPruned) as refused:
        db.prove(b"a", 1)
    assert (refused.value.height, refused.value.oldest) == (1, 2)


def test_what_is_pruned_is_gone_and_nothing_else_is(kv: KvStore) -> None:
    db = StateDB(kv)
    for height in range(1, 50):
        db.commit(db.stage(height, changes({b"key/%d" % n: b"%d" % height for n in range(20)})))
    for _ in range(100):
        _commit(db)
    while db.prune():
        pass
    rebuilt = StateDB(MemoryStore()).stage(1, changes(dict(db.view().scan(b""))))
    assert rebuilt.app_hash == db.app_hash
    kept = {table: len(list(kv.scan(bytes((table,))))) for table in b"lnvrs"}
    assert kept == dict(zip(b"lnvrs", (20, len(rebuilt.tree.nodes()), 20, 1, 0), strict=True))


def test_pruning_takes_about_as_much_as_it_is_allowed(kv: KvStore) -> None:
    db = StateDB(kv)
    for height in range(1, 121):
        db.commit(db.stage(height, changes({b"key/%d" % n: b"%d" % height for n in range(30)})))
    taken = []
    while deleted := db.prune(100):
        taken.append(deleted)
    assert len(taken) > 3
    assert max(taken) <= 100


def test_at_least_a_hundred_heights_are_kept() -> None:
    with pytest.raises(ValueError):
        StateDB(MemoryStore(), keep_versions=99)


def test_heights_that_were_pruned_stay_so_when_more_are_to_be_kept(kv: KvStore) -> None:
    db = StateDB(kv)
    for height in range(1, 151):
        _commit(db, a=str(height))
    db.prune()
    wider = StateDB(kv, keep_versions=1000)
    assert wider.prove(b"a", 51).value == b"51"
    with pytest.raises(VersionPruned):
        wider.prove(b"a", 50)


def test_a_snapshot_stays_while_the_state_moves_on_and_is_pruned(kv: KvStore) -> None:
    db = StateDB(kv)
    _commit(db, a="1", b="2")
    snapshot = db.snapshot()
    for height in range(2, 150):
        _commit(db, a=str(height), b=None)
    db.prune()
    seen: list[object] = []

    def read() -> None:
        proved = snapshot.prove(b"b", 1)
        _verify(proved)
        seen.extend([snapshot.height, snapshot.get(b"a"), proved.value, list(snapshot.scan(b""))])

    reader = threading.Thread(target=read)
    reader.start()
    reader.join()
    assert seen == [1, b"1", b"2", [(b"a", b"1"), (b"b", b"2")]]
    snapshot.close()
    with pytest.raises(StorageFailure):
        snapshot.get(b"a")


def test_a_missing_node_is_corruption_and_not_absence(kv: KvStore) -> None:
    db = StateDB(kv)
    db.commit(db.stage(1, changes({b"key/%d" % n: b"v" for n in range(200)})))
    for key, _ in list(kv.scan(b"n")):
        if len(key) > 9:
            kv.write([(key, None)], sync=True)
    with pytest.raises(StoreCorrupt):
        StateDB(kv).prove(b"key/1", 1)
    with pytest.raises(StoreCorrupt):
        StateDB(kv).stage(2, changes({b"key/1": b"w"}))


def test_a_node_of_the_wrong_size_is_corruption(kv: KvStore) -> None:
    db = StateDB(kv)
    db.commit(db.stage(1, changes({b"key/%d" % n: b"v" for n in range(200)})))
    kv.write([(key, value[:-1]) for key, value in list(kv.scan(b"n"))], sync=True)
    with pytest.raises(StoreCorrupt):
        StateDB(kv).prove(b"key/1", 1)
    with pytest.raises(StoreCorrupt):
        StateDB(kv).stage(2, changes({b"key/1": b"w"}))


def test_a_store_of_another_format_is_not_opened(kv: KvStore) -> None:
    db = StateDB(kv)
    _commit(db, a="1")
    kv.write([(b"f", b"dta-state-9")], sync=True)
    with pytest.raises(StorageFailure, match="format"):
        StateDB(kv)
    kv.write([(b"f", None)], sync=True)
    with pytest.raises(StoreCorrupt):
        StateDB(kv)
