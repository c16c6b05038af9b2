"""Stores as a crash leaves them, whole and damaged, and what may be said of them then."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from abci_app.block import Changes
from abci_app.storage import leveldb
from abci_app.storage.check import LeafCheck
from abci_app.storage.kv import StoreCorrupt
from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.statedb import StateDB
from tests.support.tree import changes

LOG_BLOCK_BYTES = 32 << 10
Content = tuple[dict[bytes, bytes], dict[bytes, bytes]]


def block(height: int) -> Changes:
    """Some leaves written, changed and deleted, some index entries too: the same for the same height."""
    seeded = random.Random(height * 7919)
    leaves: dict[bytes, bytes | None] = {
        b"key/%d" % seeded.randrange(900): seeded.randbytes(seeded.randrange(20, 300)) for _ in range(40)
    }
    leaves |= {key: None for key in (b"key/%d" % seeded.randrange(900) for _ in range(4)) if key not in leaves}
    index: dict[bytes, bytes | None] = {
        b"due/%d" % seeded.randrange(300): None if seeded.random() < 0.3 else b"%d" % height for _ in range(20)
    }
    return changes(leaves, index)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``corrupt`` (found when it opened), ``found`` (by the check) or ``whole``, and the height that it opened at."""

    found: str
    height: int = 0


@dataclass
class History:
    """A store's directory as it was after each block, and what the state was then. Height 0: before the first."""

    directory: Path
    contents: list[Content] = field(default_factory=lambda: [({}, {})])
    app_hashes: list[bytes] = field(default_factory=lambda: [b""])

    @classmethod
    def make(cls, directory: Path, heights: int, buffer_bytes: int) -> History:
        """Commit the blocks 1 to ``heights`` with buffers and tables of ``buffer_bytes``, pruning as a node does."""
        made = cls(directory)
        with pytest.MonkeyPatch.context() as small:
            small.setattr(leveldb, "WRITE_BUFFER_BYTES", buffer_bytes)
            small.setattr(leveldb, "TABLE_BYTES", buffer_bytes)
            db = StateDB(LevelDbStore(directory / "live"))
            for height in range(1, heights + 1):
                db.commit(db.stage(height, block(height), {"time": b"%d" % height}))
                db.prune()
                leaves, index = (dict(kind) for kind in made.contents[-1])
                _apply(leaves, block(height).leaves)
                _apply(index, block(height).index)
                made.contents.append((leaves, index))
                made.app_hashes.append(db.app_hash)
                _copy_of_live(directory / "live", made.image(height))
            db.close()
        return made

    def image(self, height: int) -> Path:
        """The directory as ``kill -9`` would have left it after block ``height``."""
        return self.directory / f"after-{height}"

    @property
    def heights(self) -> int:
        """The last height."""
        return len(self.contents) - 1

    def verdict(self, damaged: Path) -> Verdict:
        """What becomes of a store, the last in which something was damaged.

        Fails for a state that opens and lacks something, or has something else, without anybody finding it.
        """
        try:
            store = LevelDbStore(damaged)
        except StoreCorrupt:
            return Verdict("corrupt")
        try:
            return self._judged(store)
        finally:
            store.close()

    def _judged(self, store: LevelDbStore) -> Verdict:
        try:
            db = StateDB(store)
        except StoreCorrupt:
            return Verdict("corrupt")
        if not db.height:
            return Verdict("whole")
        try:
            check = LeafCheck(db)
            while not check.piece(100):
                pass
            found = dict(db.view().scan(b"")), dict(db.view().index_scan(b""))
        except StoreCorrupt:
            return Verdict("found", db.height)
        assert db.app_hash == self.app_hashes[db.height]
        assert found == self.contents[db.height], f"opened at height {db.height} and lacks something"
        return Verdict("whole", db.height)


def _copy_of_live(live: Path, target: Path) -> None:
    """As ``kill -9`` would leave it: LevelDB merges tables in a thread of its own, so until nothing moves meanwhile."""
    while True:
        before = _listing(live)
        try:
            shutil.copytree(live, target)
        except shutil.Error:
            before = {}
        if before and _listing(live) == before:
            return
        shutil.rmtree(target)


def _listing(directory: Path) -> dict[str, int]:
    found = {}
    for path in directory.iterdir():
        with suppress(FileNotFoundError):
            found[path.name] = path.stat().st_size
    return found


def _apply(content: dict[bytes, bytes], changed: tuple[tuple[bytes, bytes | None], ...]) -> None:
    for key, value in changed:
        if value is None:
            content.pop(key, None)
        else:
            content[key] = value


def log_records(path: Path) -> list[int]:
    """Where the records of a file in LevelDB's log format begin (MANIFEST is one too), and where the last one ends."""
    content = path.read_bytes()
    at, found = 0, []
    while at + 7 <= len(content):
        left = LOG_BLOCK_BYTES - at % LOG_BLOCK_BYTES
        if left < 7:
            at += left
            continue
        found.append(at)
        at += 7 + int.from_bytes(content[at + 4 : at + 6], "little")
    return [*found, at]


def quick_directory() -> tempfile.TemporaryDirectory[str]:
    """A directory in memory where there is one: these tests write thousands of files, and none is about syncing."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)


def files(directory: Path, pattern: str) -> list[Path]:
    """The files of ``directory`` that ``pattern`` names, by name."""
    return sorted(directory.glob(pattern))


def crashed_in_flush(history: History) -> Iterator[tuple[int, Path, Path]]:
    """(height, image, older log): where a full log was still to become a table, and a new one had been begun."""
    for height in range(2, history.heights + 1):
        before, after = history.image(height - 1), history.image(height)
        old, new = files(before, "*.log"), files(after, "*.log")
        if old[-1].name == new[-1].name:
            continue
        image = history.directory / f"in-flush-{height}"
        if not image.exists():
            shutil.copytree(before, image)
            shutil.copy(new[-1], image / new[-1].name)
        yield height, image, image / old[-1].name
