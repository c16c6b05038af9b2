"""What only the embedded block store can show: its files, damaged, half written, or without room."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from abci_app.cid import cid_of, digest_of
from dta.blocks import embedded, files
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import BlockCorrupt, BlockMissing, StoreBusy, StoreFull
from tests.support.memory_blocks import nobody
from tests.support.patience import PATIENCE_S

BLOCK = b"an envelope"
CID = cid_of(BLOCK)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(root)
    yield opened
    opened.close()


def path_of(root: Path, cid: str) -> Path:
    shard = digest_of(cid)[:2].hex()
    return root / "blocks" / shard[:2] / shard[2:] / cid


@pytest.mark.parametrize("damage", [b"", b"an envelopE", b"an envelope and more", bytes(2 << 20)])
def test_a_block_corrupted_on_disk_is_never_returned_and_is_set_aside(
    store: EmbeddedStore, root: Path, damage: bytes
) -> None:
    store.put(BLOCK)
    path_of(root, CID).write_bytes(damage)
    with pytest.raises(BlockCorrupt):
        store.get(CID)
    assert not store.has(CID)
    assert (root / "quarantine" / CID).read_bytes() == damage
    with pytest.raises(BlockMissing):
        store.get(CID)


def test_putting_a_corrupted_block_again_repairs_it(store: EmbeddedStore, root: Path) -> None:
    store.put(BLOCK)
    path_of(root, CID).write_bytes(b"damaged")
    store.put(BLOCK)
    assert store.get(CID) == BLOCK


def test_a_corrupted_pinned_block_stays_wanted(store: EmbeddedStore, root: Path) -> None:
    store.put(BLOCK)
    store.pin(CID)
    path_of(root, CID).write_bytes(b"damaged")
    with pytest.raises(BlockCorrupt):
        store.get(CID)
    assert (store.pins(), store.has(CID), store.size_bytes()) == ([CID], False, 0)
    store.put(BLOCK)
    assert store.delete_unpinned(0, 1e12, nobody) == []


def test_a_block_deleted_behind_the_store_is_missing(store: EmbeddedStore, root: Path) -> None:
    store.put(BLOCK)
    path_of(root, CID).unlink()
    assert not store.has(CID)
    with pytest.raises(BlockMissing):
        store.get(CID)
    assert store.size_bytes() == 0


def test_a_symbolic_link_in_a_blocks_place_is_not_followed(store: EmbeddedStore, root: Path, tmp_path: Path) -> None:
    store.put(BLOCK)
    outside = tmp_path / "outside"
    outside.write_bytes(BLOCK)
    path_of(root, CID).unlink()
    path_of(root, CID).symlink_to(outside)
    with pytest.raises(BlockCorrupt):
        store.get(CID)


def test_files_are_for_their_owner_alone(store: EmbeddedStore, root: Path) -> None:
    store.put(BLOCK)
    store.pin(CID)
    for path in root.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_a_directory_is_open_once(store: EmbeddedStore, root: Path) -> None:
    with pytest.raises(StoreBusy):
        EmbeddedStore(root)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_plainly_and_leaves_nothing(
    store: EmbeddedStore, root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(descriptor: int, data: object) -> int:
        raise OSError(number, "full")

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "write", full)
        with pytest.raises(StoreFull) as caught:
            store.put(BLOCK)
    assert caught.value.size_bytes == len(BLOCK)
    assert not store.has(CID)
    assert list((root / "tmp").iterdir()) == []
    store.put(BLOCK)


class Disk:
    """Notes what is synced; ``durable`` are the names that ``pins`` had then: those that a power cut leaves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.root, self.synced, self.durable = root, list[Path](), set[str]()
        real = embedded.sync_directory

        def noted(directory: Path) -> None:
            real(directory)
            self.synced.append(directory.relative_to(root))
            if directory == root / "pins":
                self.durable = set(os.listdir(directory))

        monkeypatch.setattr(embedded, "sync_directory", noted)


def test_many_pins_are_durable_on_return_by_one_sync(
    store: EmbeddedStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cids = [store.put(b"block %d" % number) for number in range(20)]
    disk = Disk(monkeypatch, root)
    assert store.pin_many(cids) == []
    assert disk.synced == [Path("pins")]
    assert disk.durable == set(cids)
    assert store.pin_many(cids) == []
    store.pin(cids[0])
    assert len(disk.synced) == 1  # they are durable already


def test_pins_that_were_not_made_durable_are_not_said_to_be(
    store: EmbeddedStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cids = [store.put(b"block %d" % number) for number in range(3)]
    with monkeypatch.context() as patched:
        patched.setattr(embedded, "sync_directory", _broken)
        with pytest.raises(OSError, match="broken"):
            store.pin_many(cids)
        assert [store.is_pinned(cid) for cid in cids] == [False] * 3
        assert store.unpinned_bytes() == sum(len(store.get(cid)) for cid in cids)
    disk = Disk(monkeypatch, root)
    assert store.pin_many(cids) == []
    assert disk.durable == set(cids)


def _broken(directory: Path) -> None:
    raise OSError(errno.EIO, "broken")


@pytest.mark.parametrize("look", [True, False])
def test_a_block_whose_name_is_not_durable_yet_is_not_held(
    root: Path, monkeypatch: pytest.MonkeyPatch, look: bool
) -> None:
    """Else it could be pinned, and its pin promised, before the block itself would survive."""
    store = EmbeddedStore(root, look=look)
    seen: list[bool] = []
    real = embedded.sync_directory

    def noted(directory: Path) -> None:
        seen.append(store.has(CID))
        real(directory)

    monkeypatch.setattr(embedded, "sync_directory", noted)
    store.put(BLOCK)
    assert seen == [False]
    assert store.has(CID)
    store.close()


@pytest.mark.parametrize("look", [True, False])
def test_a_put_that_the_disk_does_not_confirm_is_not_held(
    root: Path, monkeypatch: pytest.MonkeyPatch, look: bool
) -> None:
    store = EmbeddedStore(root, look=look)
    monkeypatch.setattr(embedded, "sync_directory", _broken)
    with pytest.raises(OSError, match="broken"):
        store.put(BLOCK)
    assert not store.has(CID)
    if not look:
        monkeypatch.undo()
        store.open()
    assert (store.has(CID), store.unpinned_bytes()) == (False, 0)
    store.close()


def test_others_go_on_while_a_put_waits_for_the_disk(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    other = store.put(b"another")
    entered, let_go = threading.Event(), threading.Event()
    real = embedded.sync_directory

    def slow(directory: Path) -> None:
        if directory.parent.parent.name == "blocks":
            entered.set()
            let_go.wait(PATIENCE_S)
        real(directory)

    monkeypatch.setattr(embedded, "sync_directory", slow)
    with ThreadPoolExecutor(1) as pool:
        put = pool.submit(store.put, BLOCK)
        assert entered.wait(PATIENCE_S)
        try:
            store.pin(other)
            assert store.cids() == [other]
        finally:
            let_go.set()
        assert put.result(60) == CID
    assert store.has(CID)


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_a_block_that_is_repaired_or_put_again_is_not_deleted_meanwhile(
    root: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    now_s = 1_000_000.0
    store = EmbeddedStore(root, lambda: now_s)
    store.put(BLOCK)
    path_of(root, CID).write_bytes(b"damaged")
    now_s += 7200
    deleted: list[str] = []
    real = embedded.sync_directory

    def noted(directory: Path) -> None:
        deleted.extend(store.delete_unpinned(3600, now_s + seconds - 1, nobody))
        real(directory)

    monkeypatch.setattr(embedded, "sync_directory", noted)
    store.put(BLOCK)
    assert deleted == []
    assert store.get(CID) == BLOCK
    store.close()


def test_a_block_discarded_while_it_is_put_is_not_held_without_its_file(
    store: EmbeddedStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = embedded.sync_directory

    def gone(directory: Path) -> None:
        path_of(root, CID).unlink()
        real(directory)

    monkeypatch.setattr(embedded, "sync_directory", gone)
    store.put(BLOCK)
    assert (store.has(CID), store.cids(), store.unpinned_bytes()) == (False, [], 0)


def test_what_is_unpinned_is_counted_whatever_becomes_of_it(store: EmbeddedStore, root: Path) -> None:
    """The total that is kept is what adding up would give."""
    random = Random(7)
    blocks = {cid_of(bytes([n]) * n): bytes([n]) * n for n in range(1, 9)}
    cids = list(blocks)
    for _ in range(400):
        cid = random.choice(cids)
        action = random.randrange(8)
        if action < 3:
            store.put(blocks[cid], uploaded=action < 2)
        elif action == 3:
            with suppress(BlockMissing):
                store.pin(cid)
        elif action == 4:
            store.unpin(cid)
        elif action == 5:
            store.discard(cid, nobody)
        elif path_of(root, cid).exists():
            path_of(root, cid).write_bytes(b"damaged") if action == 6 else path_of(root, cid).unlink()
            with suppress(BlockCorrupt, BlockMissing):
                store.get(cid)
        loose = {one for one in store.cids() if not store.is_pinned(one) and not store.is_let_go(one)}
        assert store.unpinned_bytes() == sum(len(blocks[one]) for one in loose)


def test_an_upload_is_one_durably_though_it_was_let_go_before(
    store: EmbeddedStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut would leave it minutes, and whoever uploaded it was told that it is stored."""
    store.put(BLOCK)
    store.unpin(CID)
    disk = Disk(monkeypatch, root)
    store.put(BLOCK)
    assert Path("released") in disk.synced


def test_what_was_let_go_and_is_wanted_by_the_time_that_it_would_go_stays(store: EmbeddedStore) -> None:
    """State named it again, and it is not pinned yet."""
    first, second = sorted(store.put(block) for block in (b"1", b"2"))
    store.unpin(first)
    store.unpin(second)
    asked: list[str] = []

    def wanted(cid: str) -> bool:
        asked.append(cid)
        return len(asked) == 2

    assert store.delete_let_go(0, 1e12, wanted) == [first]
    assert (asked, store.cids()) == ([first, second], [second])


def test_names_of_what_was_let_go_that_a_crash_left_mean_nothing_where_it_is_pinned_or_gone(root: Path) -> None:
    store = EmbeddedStore(root)
    store.pin(store.put(BLOCK))
    gone = cid_of(b"gone")
    for cid in (CID, gone):
        (root / "released" / cid).touch()
    store.close()
    reopened = EmbeddedStore(root)
    try:
        assert (reopened.is_pinned(CID), reopened.is_let_go(CID), reopened.is_let_go(gone)) == (True, False, False)
        assert reopened.delete_let_go(0, 1e12, nobody) == []
        assert list((root / "released").iterdir()) == []
    finally:
        reopened.close()


def test_a_block_is_let_go_though_the_disk_has_no_room_to_say_so(
    store: EmbeddedStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(BLOCK)
    real = os.open

    def full(path: os.PathLike[str], *arguments: int) -> int:
        if Path(path).parent.name == "released":
            raise OSError(errno.ENOSPC, "full")
        return real(path, *arguments)

    monkeypatch.setattr(embedded.os, "open", full)
    store.unpin(CID)
    assert (store.is_let_go(CID), store.unpinned_bytes()) == (True, 0)
    assert store.delete_let_go(0, 1e12, nobody) == [CID]
    assert store.cids() == []


CRASHES = {
    "before the block is whole": "files.os.fsync",
    "before it has its name": "files.Path.replace",
    "before its name is durable": "embedded.sync_directory",
}


@pytest.mark.parametrize("where", CRASHES.values(), ids=CRASHES.keys())
def test_a_process_killed_while_it_puts_leaves_the_block_whole_or_not_at_all(root: Path, where: str) -> None:
    EmbeddedStore(root).close()
    script = f"""
import os, signal, sys
from pathlib import Path
from dta.blocks import embedded, files
store = embedded.EmbeddedStore(Path(sys.argv[1]))
def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
{where} = die
store.put({BLOCK!r})
"""
    killed = subprocess.run([sys.executable, "-c", script, str(root)], timeout=PATIENCE_S, check=False)
    assert killed.returncode == -signal.SIGKILL
    reopened = EmbeddedStore(root)
    try:
        assert list((root / "tmp").iterdir()) == []
        if reopened.has(CID):
            assert reopened.get(CID) == BLOCK
        else:
            assert reopened.cids() == []
        reopened.put(BLOCK)
        assert reopened.get(CID) == BLOCK
    finally:
        reopened.close()


def test_foreign_files_in_the_directory_are_left_alone(root: Path) -> None:
    strange = root / "blocks" / "00" / "11" / CID
    strange.parent.mkdir(parents=True)
    strange.write_bytes(BLOCK)
    (root / "blocks" / "00" / "11" / "notes.txt").write_text("mine")
    reopened = EmbeddedStore(root)
    try:
        assert reopened.cids() == []
        assert reopened.delete_unpinned(0, 1e12, nobody) == []
    finally:
        reopened.close()
    assert sorted(os.listdir(strange.parent)) == sorted([CID, "notes.txt"])
