"""The embedded block store while it is looked through, beside other uses, and what it finds old afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from abci_app.cid import cid_of, digest_of
from dta.blocks import embedded
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import BlockCorrupt, BlockMissing, StoreUnreachable
from dta.blocks.loose import Loose
from tests.support.memory_blocks import nobody

CID = cid_of(b"an envelope")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def path_of(root: Path, cid: str) -> Path:
    shard = digest_of(cid)[:2].hex()
    return root / "blocks" / shard[:2] / shard[2:] / cid


def act(store: EmbeddedStore, root: Path, blocks: dict[str, bytes], cid: str, random: Random) -> None:
    """Somebody uses the store."""
    action = random.randrange(6)
    if action == 0:
        store.put(blocks[cid], uploaded=bool(random.randrange(2)))
    elif action == 1:
        with suppress(BlockMissing):
            store.pin(cid)
    elif action == 2:
        store.unpin(cid)
    elif action == 3:
        store.discard(cid, nobody)
    elif action == 4 and path_of(root, cid).exists():
        path_of(root, cid).write_bytes(b"damaged") if random.randrange(2) else path_of(root, cid).unlink()
        with suppress(BlockCorrupt, BlockMissing):
            store.get(cid)
    assert store.has(cid) is path_of(root, cid).exists()
    assert store.is_pinned(cid) is (root / "pins" / cid).exists()
    assert not (store.is_let_go(cid) and store.is_pinned(cid))


def known(store: EmbeddedStore) -> list[object]:
    """All that a store says of what it has."""
    let_go = [cid for cid in store.cids() if store.is_let_go(cid)]
    return [sorted(store.pins()), store.cids(), let_go, store.unpinned_bytes(), store.size_bytes()]


@pytest.mark.parametrize("seed", range(12))
def test_a_store_that_is_used_while_it_is_looked_through_knows_in_the_end_what_is_there(
    root: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = Random(seed)
    blocks = {cid_of(bytes([n]) * n): bytes([n]) * n for n in range(1, 13)}
    first = EmbeddedStore(root)
    for cid, block in blocks.items():
        if random.randrange(3):
            first.put(block)
            if random.randrange(2):
                first.pin(cid)
    first.close()
    store = EmbeddedStore(root, look=False)
    names = embedded._names

    def used_meanwhile(directory: Path) -> Iterator[str]:
        for name in [*names(directory)]:
            act(store, root, blocks, name, random)
            yield name
            act(store, root, blocks, random.choice([*blocks]), random)

    monkeypatch.setattr(embedded, "_names", used_meanwhile)
    store.open()
    monkeypatch.undo()
    found = known(store)
    store.close()
    again = EmbeddedStore(root)
    assert found == known(again)
    again.close()


def test_a_store_that_was_not_looked_through_says_what_the_disk_says_and_counts_nothing(root: Path) -> None:
    first = EmbeddedStore(root, lambda: 0.0)
    pinned, loose = first.put(b"pinned"), first.put(b"loose")
    first.pin(pinned)
    first.close()
    store = EmbeddedStore(root, look=False)
    assert [(store.has(cid), store.is_pinned(cid)) for cid in (pinned, loose, CID)] == [
        (True, True), (True, False), (False, False),
    ]  # fmt: skip
    assert (store.get(loose), store.pin_many([loose, CID])) == (b"loose", [CID])
    store.unpin(pinned)
    assert store.is_let_go(pinned)
    assert (store.delete_unpinned(0, 1e12, nobody), store.delete_let_go(0, 1e12, nobody)) == ([], [])
    for count in (store.unpinned_bytes, store.size_bytes, store.pins, store.cids):
        with pytest.raises(StoreUnreachable):
            count()
    store.open()
    assert (store.pins(), store.unpinned_bytes(), store.is_let_go(pinned)) == ([loose], 0, True)
    assert store.delete_unpinned(0, 1e12, nobody) == []
    assert store.delete_let_go(0, 1e12, nobody) == [pinned]
    store.close()


def test_only_what_is_not_pinned_is_asked_for_its_size_at_the_start(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = EmbeddedStore(root)
    pinned, loose = first.put(b"pinned"), first.put(b"loose")
    first.pin(pinned)
    first.close()
    asked: list[str] = []
    lstat = Path.lstat

    def noted(path: Path) -> os.stat_result:
        asked.append(path.name)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", noted)
    store = EmbeddedStore(root)
    assert [name for name in asked if name in (pinned, loose)] == [loose]
    store.close()


def test_a_store_that_is_closed_while_it_is_looked_through_looks_no_further(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = EmbeddedStore(root)
    for number in range(5):
        first.put(bytes([number]))
    first.close()
    store, names, looked = EmbeddedStore(root, look=False), embedded._names, []

    def closed_meanwhile(directory: Path) -> Iterator[str]:
        looked.append(directory)
        if directory.parent != root:
            store.close()
        return names(directory)

    monkeypatch.setattr(embedded, "_names", closed_meanwhile)
    store.open()
    assert len(looked) == 2  # the pins, and one directory of blocks


def test_deleting_looks_at_what_is_old_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    loose, looked = Loose(), []
    for number in range(100):
        loose.set(f"cid-{number:02}", 10, float(number))
    loose.set("cid-01", 20, 500.0)  # put again
    loose.drop("cid-00")
    since = Loose._since

    def noted(self: Loose, cid: str) -> float | None:
        looked.append(cid)
        return since(self, cid)

    monkeypatch.setattr(Loose, "_since", noted)
    assert loose.old(97.0, 100.0) == ["cid-02", "cid-03"]
    assert looked == ["cid-00", "cid-01", "cid-02", "cid-03"]
    assert loose.old(97.0, 100.0) == ["cid-02", "cid-03"], "until they are dropped"
    assert (loose.is_old("cid-02", 97.0, 100.0), loose.is_old("cid-04", 97.0, 100.0)) == (True, False)
    for cid in ("cid-02", "cid-03"):
        loose.drop(cid)
    assert loose.old(97.0, 100.0) == []
    assert loose.total_bytes == 96 * 10 + 20
