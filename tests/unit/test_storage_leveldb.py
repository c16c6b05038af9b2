"""The store on disk when something is wrong with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from abci_app.storage import kv
from abci_app.storage.kv import (
    StorageFailure,
    StoreCorrupt,
    StoreDenied,
    StoreFull,
    StoreInUse,
    StoreMissing,
    StoreOfAnotherFormat,
)
from abci_app.storage.leveldb import TABLE_BYTES, WRITE_BUFFER_BYTES, LevelDbStore, move_aside
from tests.support.disk import fill, mount_small_disk, unmount


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


def test_a_store_in_use_is_refused_as_that_and_stays_open(tmp_path: Path) -> None:
    store = LevelDbStore(tmp_path / "db")
    for _ in range(2):
        with pytest.raises(StoreInUse) as caught:
            LevelDbStore(tmp_path / "db")
        assert caught.value.path == tmp_path / "db"
    store.write([(b"a", b"1")], sync=True)
    store.close()
    LevelDbStore(tmp_path / "db").close()


_HOLDER = """
import signal, sys
from pathlib import Path
from abci_app.storage.leveldb import LevelDbStore

store = LevelDbStore(Path(sys.argv[1]))
print("open", flush=True)
signal.pause()
"""


def test_a_store_that_another_process_has_open_is_refused_as_that_and_not_moved(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path / "db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n"
            with pytest.raises(StoreInUse):
                LevelDbStore(tmp_path / "db")
            with pytest.raises(StoreInUse):
                move_aside(tmp_path / "db")
        finally:
            holder.kill()
    LevelDbStore(tmp_path / "db").close()


def test_a_store_that_must_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing) as caught:
        LevelDbStore(tmp_path / "db", create=False)
    assert caught.value.path == tmp_path / "db"
    assert not (tmp_path / "db").exists()


_NOBODY = """
import os, sys
from pathlib import Path
from abci_app.storage.kv import StoreDenied
from abci_app.storage.leveldb import LevelDbStore

if not os.geteuid():
    os.setuid(65534)
try:
    LevelDbStore(Path(sys.argv[1]))
except StoreDenied as error:
    print(error.path.name)
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that every user reaches: pytest's own are for their owner."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.mark.parametrize(("mode", "lock_mode", "named"), [(0o000, 0o600, "CURRENT"), (0o555, 0o000, "state")])
def test_a_store_that_this_user_may_not_read_or_write_is_refused_as_that(
    open_to_all: Path, mode: int, lock_mode: int, named: str
) -> None:
    path = open_to_all / "state"
    LevelDbStore(path).close()
    (path / "LOCK").chmod(lock_mode)
    path.chmod(mode)
    try:
        command = [sys.executable, "-c", _NOBODY, str(path)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{named}\n"
    finally:
        path.chmod(0o700)


def test_a_directory_that_cannot_be_made_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "db", tmp_path / "none" / "db"):
        with pytest.raises(StorageFailure, match=str(path)):
            LevelDbStore(path)


def _fill(store: LevelDbStore) -> None:
    for number in range(1_000):
        store.write([(b"%d" % number, bytes(4_000))], sync=True)


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount_small_disk(disk, 4)
    try:
        store = LevelDbStore(disk / "db")
        fill(disk / "filler")
        with pytest.raises(StoreFull) as caught:
            _fill(store)
        assert caught.value.free_bytes < WRITE_BUFFER_BYTES + TABLE_BYTES
        store.close()
        with pytest.raises(StoreFull):
            LevelDbStore(disk / "other")
    finally:
        unmount(disk)


def test_every_kind_of_failure_has_a_hint_of_its_own() -> None:
    kinds = [StorageFailure, StoreCorrupt, StoreInUse, StoreMissing, StoreDenied, StoreFull, StoreOfAnotherFormat]
    assert {one for one in vars(kv).values() if isinstance(one, type) and issubclass(one, StorageFailure)} == {*kinds}
    assert len({kind.hint for kind in kinds}) == len(kinds)
    assert [kind for kind in kinds if "another application" in kind.hint] == [StoreInUse]


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


@pytest.mark.parametrize("cut", [lambda size: size - 1, lambda size: size - 48, lambda size: size // 2, lambda _: 0])
def test_a_table_that_was_cut_short_is_corrupt_and_not_a_failing_disk(
    tmp_path: Path, cut: Callable[[int], int]
) -> None:
    for number, table in enumerate(_table_store(tmp_path / "db")):
        copy = Path(shutil.copytree(tmp_path / "db", tmp_path / str(number)))
        os.truncate(copy / table.name, cut(table.stat().st_size))
        with pytest.raises(StoreCorrupt, match=table.name.removesuffix(".ldb").lstrip("0")):
            LevelDbStore(copy)
        assert LevelDbStore(Path(shutil.copytree(tmp_path / "db", tmp_path / f"whole-{number}"))).get(b"0/1")


def test_a_table_that_is_cut_short_while_the_store_is_open_is_corrupt_when_it_is_read(tmp_path: Path) -> None:
    tables = _table_store(tmp_path / "db")
    store = LevelDbStore(tmp_path / "db")
    for table in tables:
        os.truncate(table, table.stat().st_size - 1)
    with pytest.raises(StoreCorrupt):
        store.get(b"0/1")
    with pytest.raises(StoreCorrupt):
        list(store.scan(b""))
    with pytest.raises(StoreCorrupt):
        store.last_at_or_before(b"0/", b"0/9")
    snapshot = store.snapshot()
    with pytest.raises(StoreCorrupt):
        snapshot.get(b"0/1")
    store.close()


def test_a_table_that_goes_while_the_store_is_open_is_found_by_looking_at_the_files(tmp_path: Path) -> None:
    tables = _table_store(tmp_path / "db")
    store = LevelDbStore(tmp_path / "db")
    store.check_files()
    for table in tables:
        table.unlink()
    with pytest.raises(StoreCorrupt, match="missing"):
        store.check_files()
    # Which is why it is looked at: LevelDB takes the keys of a table that it can't find as absent, and says nothing.
    assert store.get(b"0/1") is None
    store.close()


def test_tables_that_are_merged_meanwhile_are_not_taken_for_missing(tmp_path: Path) -> None:
    store = LevelDbStore(tmp_path / "db")
    listings = iter([b" 999:5['a' @ 1 : 1 .. 'b' @ 1 : 1]\n", b""])
    store._tables = lambda: next(listings)  # type: ignore[method-assign]
    store.check_files()
    store.close()


def test_a_directory_that_lost_the_name_of_its_list_of_tables_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    tables = _table_store(tmp_path / "db")
    (tmp_path / "db" / "CURRENT").unlink()
    with pytest.raises(StoreCorrupt):
        LevelDbStore(tmp_path / "db")
    assert all(table.exists() for table in tables)


@pytest.mark.parametrize(
    "content",
    [b"", b"MANIFEST-000001", b"MANIFEST-999999\n", b"MANIFEST-000001\n\n", b"../MANIFEST-000001\n", bytes(9_000)],
)
def test_a_damaged_name_of_the_list_of_tables_is_damage_and_not_a_disk_that_fails(
    tmp_path: Path, content: bytes
) -> None:
    tables = _table_store(tmp_path / "db")
    (tmp_path / "db" / "CURRENT").write_bytes(content)
    with pytest.raises(StoreCorrupt):
        LevelDbStore(tmp_path / "db")
    assert all(table.exists() for table in tables)


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
