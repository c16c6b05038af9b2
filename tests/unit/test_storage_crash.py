"""Crashes at every point between FinalizeBlock and Commit: the state is that before the block, or that after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from abci_app.storage.diff import difference_between
from abci_app.storage.kv import KvSnapshot, StorageFailure
from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from tests.support.tree import changes, plain_root


class _FailingStore:
    """A store whose next write fails before or after it took place."""

    buffer_bytes = 1

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.fails: str | None = None

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        if self.fails == "before":
            raise StorageFailure("the disk is full")
        self.inner.write(batch, sync=sync)
        if self.fails == "after":
            raise StorageFailure("the answer was lost")

    def get(self, key: bytes) -> bytes | None:
        return self.inner.get(key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        return self.inner.scan(prefix, after, limit)

    def last_at_or_before(self, prefix: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        return self.inner.last_at_or_before(prefix, key)

    def check_files(self) -> None:
        self.inner.check_files()

    def snapshot(self) -> KvSnapshot:
        return self.inner.snapshot()

    def close(self) -> None:
        self.inner.close()


_BLOCKS = [
    changes({b"key/%d" % (n * block % 40): b"%d" % block for n in range(15)}, {b"due/%d" % block: b"x"})
    for block in range(1, 8)
]


def _finished(db: StateDB) -> StateDB:
    """Every block from where the state is to the last."""
    while db.height < len(_BLOCKS):
        db.commit(db.stage(db.height + 1, _BLOCKS[db.height], {"height": b"%d" % (db.height + 1)}))
        db.prune()
    return db


@pytest.mark.parametrize("fails", ["before", "after"])
@pytest.mark.parametrize("at", range(len(_BLOCKS)))
def test_a_failed_write_leaves_the_state_before_or_after_the_block(fails: str, at: int) -> None:
    kv = _FailingStore()
    db = StateDB(kv)
    for height in range(1, at + 1):
        db.commit(db.stage(height, _BLOCKS[height - 1], {"height": b"%d" % height}))
    before = list(kv.scan(b""))
    staged = db.stage(at + 1, _BLOCKS[at], {"height": b"%d" % (at + 1)})
    kv.fails = fails
    with pytest.raises(OSError, match=r"disk|answer"):
        db.commit(staged)
    assert db.height == at
    kv.fails = None
    again = StateDB(kv)
    if fails == "before":
        assert list(kv.scan(b"")) == before
        assert again.height == at
    else:
        assert (again.height, again.app_hash) == (at + 1, staged.app_hash)
    whole = StateDB(MemoryStore())
    _finished(whole)
    assert _finished(again).app_hash == whole.app_hash
    assert difference_between(again.view(), whole.view()) is None
    assert again.meta("height") == b"7"


_CHILD = """
import os, sys
from pathlib import Path
from abci_app.block import Changes
from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.statedb import StateDB

db = StateDB(LevelDbStore(Path(sys.argv[1])))
while True:
    height = db.height + 1
    leaves = sorted((b"key/%d" % (n * height % 997), b"%d" % height) for n in range(1, 400))
    staged = db.stage(height, Changes(tuple(dict(leaves).items()), ((b"height", b"%d" % height),)))
    os.write(1, b"%d staged %s\\n" % (height, staged.app_hash.hex().encode()))
    db.commit(staged)
    os.write(1, b"%d committed %s\\n" % (height, staged.app_hash.hex().encode()))
    db.prune()
"""


@pytest.mark.parametrize("lines", [7, 40, 251])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, lines: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path / "db")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    seen = [child.stdout.readline().decode().split() for _ in range(lines)]
    os.kill(child.pid, signal.SIGKILL)
    seen += [line.decode().split() for line in child.stdout if line.endswith(b"\n")]
    child.wait()
    child.stdout.close()
    committed = [(int(height), app_hash) for height, what, app_hash in seen if what == "committed"]
    staged = {int(height): app_hash for height, what, app_hash in seen if what == "staged"}
    db = StateDB(LevelDbStore(tmp_path / "db", create=False))
    assert db.height >= (committed[-1][0] if committed else 0)
    assert db.app_hash.hex() == staged[db.height]
    assert db.view().index_get(b"height") == b"%d" % db.height
    leaves = dict(db.view().scan(b""))
    assert plain_root(leaves) == db.app_hash
    assert dict(db.view().leaves_at(db.height)) == leaves
    db.close()
