"""The store on disk when something is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from abci_app.storage.kv import StorageFailure, StoreCorrupt
from abci_app.storage.leveldb import LevelDbStore, move_aside


def test_a_batch_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    store = LevelDbStore(tmp_path / "db")
    with pytest.raises(TypeError):
        store.write([(b"a", b"1"), (b"b", "text")], sync=True)  # type: ignore[list-item]
    assert list(store.scan(b"")) == []
    store.close()


def test_what_was_synced_is_there_when_the_store_opens_again(tmp_path: Path) -> None:
    store = LevelDbStore(tmp_path / "db")
    store.write([(b"a", b"1")], sync=True)
    store.close()
    again = LevelDbStore(tmp_path / "db", create=False)
    assert again.get(b"a") == b"1"
    again.close()


def test_a_store_in_use_is_refused(tmp_path: Path) -> None:
    store = LevelDbStore(tmp_path / "db")
    with pytest.raises(StorageFailure):
        LevelDbStore(tmp_path / "db")
    store.close()


def test_a_store_that_must_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageFailure):
        LevelDbStore(tmp_path / "db", create=False)


def _table_store(path: Path) -> list[Path]:
    """A closed store whose entries lie in table files, not in the log; returns those files."""
    for start in range(3):
        store = LevelDbStore(path)
        store.write([(b"%d/%d" % (start, n), bytes(100)) for n in range(1000)], sync=True)
        store.close()
    LevelDbStore(path).close()
    return sorted(path.glob("*.ldb"))


def test_a_flipped_byte_in_a_table_is_found_when_it_is_read(tmp_path: Path) -> None:
    tables = _table_store(tmp_path / "db")
    assert tables
    for table in tables:
        content = bytearray(table.read_bytes())
        content[5000] ^= 1
        table.write_bytes(content)
    store = LevelDbStore(tmp_path / "db")
    with pytest.raises(StoreCorrupt):
        list(store.scan(b""))
    store.close()


def test_a_damaged_manifest_is_found_when_the_store_opens(tmp_path: Path) -> None:
    _table_store(tmp_path / "db")
    for manifest in (tmp_path / "db").glob("MANIFEST-*"):
        content = bytearray(manifest.read_bytes())
        content[len(content) // 2] ^= 0xFF
        manifest.write_bytes(content)
    with pytest.raises(StoreCorrupt):
        LevelDbStore(tmp_path / "db")


def test_a_damaged_store_is_moved_aside_under_a_free_name(tmp_path: Path) -> None:
    for expected in ("db.corrupt-1", "db.corrupt-2"):
        (tmp_path / "db").mkdir()
        assert move_aside(tmp_path / "db") == tmp_path / expected
        assert not (tmp_path / "db").exists()
