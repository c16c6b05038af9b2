"""The running number of committed batches: what is kept of it, what is looked at, and what it finds."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from abci_app.hashing import u64
from abci_app.storage.batches import BATCHES, KEPT_BUFFERS, NO_BATCHES, Batches, next_batch, read_batches
from abci_app.storage.kv import StoreCorrupt
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from tests.support.tree import changes, plain_root

ENTRY_ROW_BYTES = 81  # 9 of the key, and what docs/spec/state-tree.md has under `b`


class Buffered(MemoryStore):
    """A store that collects a thousand bytes before it makes a table of them."""

    buffer_bytes = 1_000


def app_hash(height: int) -> bytes:
    return sha256(b"%d" % height).digest()


def written(sizes_bytes: list[int], first: int = 1) -> tuple[Buffered, Batches]:
    store, batches = Buffered(), NO_BATCHES
    for height, size_bytes in enumerate(sizes_bytes, first):
        rows, batches = next_batch(store, batches, height, app_hash(height), size_bytes)
        store.write(rows, sync=True)
    return store, batches


@pytest.mark.parametrize("seed", range(20))
def test_an_entry_stays_as_long_as_its_batch_may_be_lost_unseen(seed: int) -> None:
    """Whatever the sizes: the last eight buffers' worth and the batch before them, without a gap, and little more."""
    seeded = random.Random(seed)
    store, batches = Buffered(), NO_BATCHES
    sizes: list[int] = []
    first = seeded.choice([1, 7])
    for height in range(first, first + 300):
        sizes.append(seeded.choice([1, 10, 300, 999, 1_000, 5_000]) if seeded.random() < 0.5 else 100)
        rows, batches = next_batch(store, batches, height, app_hash(height), sizes[-1])
        store.write(rows, sync=True)
        kept = [int.from_bytes(key[1:], "big") for key, _ in store.scan(BATCHES)]
        assert kept == list(range(batches.oldest, height + 1))
        counted = [min(size + ENTRY_ROW_BYTES, store.buffer_bytes) for size in sizes]
        after_oldest = sum(counted[batches.oldest - first + 1 :])
        assert batches.oldest == first or after_oldest + counted[batches.oldest - first] > 8 * 1_000
        assert read_batches(store, height, batches.oldest, app_hash(height)) == batches
    for height in range(first + 300, first + 400):  # up to four leave with one
        sizes.append(1)
        rows, batches = next_batch(store, batches, height, app_hash(height), 1)
        store.write(rows, sync=True)
    counted = [min(size + ENTRY_ROW_BYTES, store.buffer_bytes) for size in sizes]
    assert sum(counted[batches.oldest - first + 1 :]) <= KEPT_BUFFERS * store.buffer_bytes


def test_every_missing_entry_is_found_and_the_blocks_are_named() -> None:
    store, batches = written([100] * 40)
    assert batches.oldest == 1
    for start, end in [(1, 1), (1, 5), (17, 17), (20, 39)]:
        damaged, _ = written([100] * 40)
        damaged.write([(BATCHES + u64(height), None) for height in range(start, end + 1)], sync=True)
        with pytest.raises(StoreCorrupt, match=f"blocks {start} to {end} are missing; the head is 40"):
            read_batches(damaged, 40, 1, app_hash(40))
    for end in (39, 1, 0):
        damaged, _ = written([100] * end)
        with pytest.raises(StoreCorrupt, match=f"last batch is that of block {end}"):
            read_batches(damaged, 40, 1, app_hash(40))
    assert read_batches(store, 40, 1, app_hash(40)) == batches


def test_a_batch_of_another_history_is_found() -> None:
    """Heights without a gap are not enough: the tables may be of one store and the log of another."""
    store, _ = written([100] * 20)
    other, _ = written([101] * 30)
    for height in range(21, 31):
        store.write([(BATCHES + u64(height), other.get(BATCHES + u64(height)))], sync=True)
    with pytest.raises(StoreCorrupt, match="block 21 does not follow"):
        read_batches(store, 30, 1, app_hash(30))
    whole, _ = written([100] * 30)
    with pytest.raises(StoreCorrupt, match="another app hash"):
        read_batches(whole, 30, 1, app_hash(29))
    whole.write([(BATCHES + u64(30), b"short")], sync=True)
    with pytest.raises(StoreCorrupt):
        read_batches(whole, 30, 1, app_hash(30))


def test_a_batch_beyond_the_head_is_found() -> None:
    store, _ = written([100] * 31)
    with pytest.raises(StoreCorrupt):
        read_batches(store, 30, 1, app_hash(30))


def test_a_state_that_lost_a_batch_does_not_open_and_one_that_lost_the_last_ones_does() -> None:
    store = Buffered()
    db = StateDB(store)
    images = []
    for height in range(1, 30):
        db.commit(db.stage(height, changes({b"key/%d" % height: bytes(100)})))
        images.append(dict(store.scan(b"")))
    oldest = db.view().head().oldest_batch
    assert 1 < oldest < 25
    for lost in range(oldest, 29):
        holed = Buffered()
        holed.write(list(images[-1].items()), sync=True)
        before = images[lost - 2]
        changed = {key: before.get(key) for key, value in images[lost - 1].items() if before.get(key) != value}
        after = {key for key, value in images[-1].items() if images[lost - 1].get(key) != value}
        holed.write([(key, value) for key, value in changed.items() if key not in after], sync=True)
        with pytest.raises(StoreCorrupt):
            StateDB(holed)
    earlier = Buffered()
    earlier.write(list(images[14].items()), sync=True)
    assert StateDB(earlier).height == 15


def test_the_number_is_no_leaf_and_changes_no_app_hash() -> None:
    leaves = {b"key/%d" % n: b"v" for n in range(50)}
    for store in (MemoryStore(), Buffered()):
        db = StateDB(store)
        db.commit(db.stage(3, changes(leaves)))
        assert db.app_hash == plain_root(leaves)
        assert dict(db.view().scan(b"")) == leaves
