"""What only the embedded block store can show: its files, damaged, half written, or without room."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.cid import cid_of, digest_of
from dta.blocks import files
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import BlockCorrupt, BlockMissing, StoreBusy, StoreFull

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
    assert store.delete_unpinned(0, 1e12) == []


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
    killed = subprocess.run([sys.executable, "-c", script, str(root)], timeout=60, check=False)
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
        assert reopened.delete_unpinned(0, 1e12) == []
    finally:
        reopened.close()
    assert sorted(os.listdir(strange.parent)) == sorted([CID, "notes.txt"])
