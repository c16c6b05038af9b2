"""Both stores behave the same: LevelDB and its in-memory twin."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from abci_app.storage.kv import KvStore, StorageFailure, prefix_end
from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.memory import MemoryStore


@pytest.fixture(params=["memory", "leveldb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KvStore]:
    opened: KvStore = MemoryStore() if request.param == "memory" else LevelDbStore(tmp_path / "db")
    yield opened
    opened.close()


def test_what_is_written_is_read(store: KvStore) -> None:
    store.write([(b"a", b"1"), (b"b", b"")], sync=True)
    assert store.get(b"a") == b"1"
    assert store.get(b"b") == b""
    assert store.get(b"c") is None


def test_a_batch_is_applied_in_order(store: KvStore) -> None:
    store.write([(b"a", b"1"), (b"a", None), (b"b", None), (b"b", b"2")], sync=False)
    assert list(store.scan(b"")) == [(b"b", b"2")]
    store.write([(b"b", None), (b"b", b"3"), (b"c", b"4"), (b"c", None)], sync=False)
    assert list(store.scan(b"")) == [(b"b", b"3")]


def test_a_scan_keeps_to_its_prefix_its_start_and_its_limit(store: KvStore) -> None:
    keys = [b"a", b"a\x00", b"a\x01", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff\x01"]
    store.write([(key, key) for key in keys], sync=False)
    assert [key for key, _ in store.scan(b"a")] == keys[:5]
    assert [key for key, _ in store.scan(b"a", after=b"a\x00")] == keys[2:5]
    assert [key for key, _ in store.scan(b"a", after=b"A")] == keys[:5]
    assert [key for key, _ in store.scan(b"a", after=b"b")] == []
    assert [key for key, _ in store.scan(b"a", limit=2)] == keys[:2]
    assert [key for key, _ in store.scan(b"a", after=b"a", limit=0)] == []
    assert [key for key, _ in store.scan(b"\xff")] == keys[6:]


def test_the_last_entry_at_or_before_a_key_stays_in_its_prefix(store: KvStore) -> None:
    store.write([(key, b"") for key in (b"a5", b"b1", b"b3", b"c0")], sync=False)
    assert store.last_at_or_before(b"b", b"b3") == (b"b3", b"")
    assert store.last_at_or_before(b"b", b"b2") == (b"b1", b"")
    assert store.last_at_or_before(b"b", b"b0") is None
    assert store.last_at_or_before(b"b", b"a9") is None
    assert store.last_at_or_before(b"b", b"z") == (b"b3", b"")


def test_a_snapshot_does_not_see_later_writes(store: KvStore) -> None:
    store.write([(b"a", b"1"), (b"b", b"2")], sync=False)
    snapshot = store.snapshot()
    store.write([(b"a", b"9"), (b"b", None), (b"c", b"3")], sync=False)
    assert list(snapshot.scan(b"")) == [(b"a", b"1"), (b"b", b"2")]
    assert snapshot.get(b"a") == b"1"
    assert snapshot.last_at_or_before(b"", b"z") == (b"b", b"2")
    assert list(store.scan(b"")) == [(b"a", b"9"), (b"c", b"3")]
    snapshot.close()


def test_a_scan_does_not_see_writes_made_under_it(store: KvStore) -> None:
    store.write([(bytes((n,)), b"") for n in range(5)], sync=False)
    seen = []
    for key, _ in store.scan(b""):
        seen.append(key)
        store.write([(bytes((4,)), None), (b"\x09", b"")], sync=False)
    assert seen == [bytes((n,)) for n in range(5)]


def test_a_snapshot_is_read_from_another_thread(store: KvStore) -> None:
    store.write([(b"a", b"1")], sync=False)
    snapshot = store.snapshot()
    seen: list[object] = []
    reader = threading.Thread(target=lambda: seen.append(snapshot.get(b"a")))
    reader.start()
    reader.join()
    assert seen == [b"1"]
    snapshot.close()


def _scan_all(store: KvStore) -> object:
    return list(store.scan(b""))


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.get(b"a"),
        _scan_all,
        lambda store: store.last_at_or_before(b"", b"a"),
        lambda store: store.write([(b"a", b"1")], sync=True),
        lambda store: store.snapshot(),
    ],
)
def test_a_closed_store_refuses_every_use(store: KvStore, use: Callable[[KvStore], object]) -> None:
    store.close()
    with pytest.raises(StorageFailure):
        use(store)


def test_a_closed_snapshot_refuses_to_be_read(store: KvStore) -> None:
    snapshot = store.snapshot()
    snapshot.close()
    with pytest.raises(StorageFailure):
        snapshot.get(b"a")
    with pytest.raises(StorageFailure):
        list(snapshot.scan(b""))


_keys = st.binary(min_size=1, max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.tuples(_keys, st.none() | st.binary(max_size=2)), max_size=12), max_size=5),
    prefix=st.binary(max_size=2),
    after=st.binary(max_size=3),
)
@example(batches=[[(b"\x00", b"")]], prefix=b"\x00", after=b"\x00")  # a key that is the whole prefix
@example(batches=[[(b"\x00", b"")]], prefix=b"\x00", after=b"\x01")  # and the greatest below another
def test_both_stores_and_a_dictionary_agree(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[bytes, bytes | None]]],
    prefix: bytes,
    after: bytes,
) -> None:
    expected: dict[bytes, bytes] = {}
    stores: list[KvStore] = [MemoryStore(), LevelDbStore(tmp_path_factory.mktemp("kv") / "db")]
    for batch in batches:
        for key, value in batch:
            expected.pop(key, None)
            if value is not None:
                expected[key] = value
        for store in stores:
            store.write(batch, sync=False)
    inside = sorted(item for item in expected.items() if item[0].startswith(prefix))
    for store in stores:
        assert list(store.scan(prefix, after)) == [item for item in inside if item[0] > after or not after]
        at_or_before = [item for item in inside if item[0] <= after]
        assert store.last_at_or_before(prefix, after) == (at_or_before[-1] if at_or_before else None)
        store.close()


@pytest.mark.parametrize(("prefix", "end"), [(b"", None), (b"\xff", None), (b"a", b"b"), (b"a\xff", b"b")])
def test_the_end_of_a_prefix_is_the_next_key_after_it(prefix: bytes, end: bytes | None) -> None:
    assert prefix_end(prefix) == end
