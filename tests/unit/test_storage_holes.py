"""A store that lost a part of itself never opens as a newest state that lacks something: by many damages.

Each is found when the store opens or by the check of its leaves, or the state that opens is that of an earlier height,
whole: CometBFT replays from there.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import plyvel
import pytest

from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.statedb import StateDB
from tests.support.damage import History, Verdict, block, crashed_in_flush, files, log_records, quick_directory

HEIGHTS = 60
BUFFER_BYTES = 64 << 10
SEEDS = int(os.environ.get("DTA_DAMAGES", "150"))


Copy = Callable[[Path], Path]


@pytest.fixture(scope="module")
def history() -> Iterator[History]:
    with quick_directory() as directory:
        yield History.make(Path(directory), HEIGHTS, BUFFER_BYTES)


@pytest.fixture
def copied() -> Iterator[Copy]:
    """Gives a fresh copy of an image each time it is called."""
    with quick_directory() as directory:
        target = Path(directory) / "state"

        def copy(image: Path) -> Path:
            shutil.rmtree(target, ignore_errors=True)
            return Path(shutil.copytree(image, target))

        yield copy


def test_every_image_of_a_crash_opens_whole_at_its_height(history: History, copied: Copy) -> None:
    for height in range(1, HEIGHTS + 1):
        assert history.verdict(copied(history.image(height))) == Verdict("whole", height)


def test_a_list_of_tables_cut_anywhere_is_found_when_the_store_opens(history: History, copied: Copy) -> None:
    image = history.image(HEIGHTS)
    (manifest,) = files(image, "MANIFEST-*")
    records = log_records(manifest)
    assert len(records) > 5
    for start, end in pairwise(records):
        for cut in (start, start + 3, (start + end) // 2, end - 1):
            path = copied(image)
            os.truncate(path / manifest.name, cut)
            assert history.verdict(path).found == "corrupt", cut


def test_a_list_of_tables_that_lost_its_last_record_is_found_at_every_height(history: History, copied: Copy) -> None:
    seen = Counter[str]()
    for height in range(1, HEIGHTS + 1):
        image = history.image(height)
        (manifest,) = files(image, "MANIFEST-*")
        path = copied(image)
        os.truncate(path / manifest.name, log_records(manifest)[-2])
        verdict = history.verdict(path)
        # The log that the last record made a table of, and the tables that it merged, may not have been deleted yet.
        assert verdict in (Verdict("corrupt"), Verdict("whole", height))
        seen[verdict.found] += 1
    assert seen["corrupt"] > HEIGHTS // 2


def test_an_older_list_of_tables_with_a_newer_log_is_found_when_the_store_opens(
    history: History, copied: Copy
) -> None:
    """A backup that is copied over a live directory: what it has is consistent, and the newest log follows it."""
    found = Counter[str]()
    for older in range(1, HEIGHTS, 3):
        for newer in range(older + 1, HEIGHTS + 1, 7):
            path = copied(history.image(newer))
            for file in history.image(older).iterdir():
                shutil.copy(file, path / file.name)
            # The backup's log of that name is shorter than the one that is there: the longer one is put back.
            for file in files(history.image(newer), "*.log"):
                shutil.copy(file, path / file.name)
            verdict = history.verdict(path)
            assert verdict in (Verdict("corrupt"), Verdict("whole", newer), Verdict("whole", older)), (older, newer)
            found[verdict.found] += 1
    assert found["corrupt"] > found["whole"]


def test_a_hole_is_found_although_a_process_before_opened_the_store_and_was_killed(
    history: History, copied: Copy
) -> None:
    """LevelDB makes tables of the logs when it opens: what the hole lay beside is then no log any more."""
    image = history.image(HEIGHTS)
    (manifest,) = files(image, "MANIFEST-*")
    path = copied(image)
    os.truncate(path / manifest.name, log_records(manifest)[-2])
    # Where its own compaction wrote the last edit, LevelDB itself misses the tables, and does not open.
    with contextlib.suppress(plyvel.CorruptionError):
        plyvel.DB(str(path)).close()
    assert history.verdict(path) == Verdict("corrupt")


def test_of_two_logs_the_older_one_cut_anywhere_is_found_and_the_newer_one_leaves_an_earlier_height(
    history: History, copied: Copy
) -> None:
    seen = Counter[str]()
    for height, image, older in crashed_in_flush(history):
        path = copied(image)
        assert history.verdict(path) == Verdict("whole", height)
        for cut in log_records(older)[:-1]:
            path = copied(image)
            os.truncate(path / older.name, cut)
            # What pruning deletes is written without a number: it is deleted again.
            verdict = history.verdict(path)
            assert verdict == Verdict("corrupt") or cut == log_records(older)[-2], (height, cut)
            seen[verdict.found] += 1
        path = copied(image)
        (path / older.name).unlink()
        assert history.verdict(path) == Verdict("corrupt")
        newer = files(image, "*.log")[-1]
        for cut in log_records(newer)[:-1]:
            path = copied(image)
            os.truncate(path / newer.name, cut)
            assert history.verdict(path) == Verdict("whole", height - 1)
    assert seen["corrupt"] > 20


@pytest.mark.parametrize("cut", [lambda size: size - 1, lambda size: size // 2, lambda size: 0, None])
def test_a_table_that_is_gone_or_cut_short_is_found_when_the_store_opens(
    history: History, copied: Copy, cut: Callable[[int], int] | None
) -> None:
    image = history.image(HEIGHTS)
    tables = files(image, "*.ldb")
    assert len(tables) > 3
    for table in tables:
        path = copied(image)
        if cut is None:
            (path / table.name).unlink()
        else:
            os.truncate(path / table.name, cut(table.stat().st_size))
        assert history.verdict(path) == Verdict("corrupt"), table.name


def _flip(path: Path, seeded: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[seeded.randrange(len(content))] ^= 1 << seeded.randrange(8)
    path.write_bytes(content)


def _zero(path: Path, seeded: random.Random) -> None:
    content = bytearray(path.read_bytes())
    start = seeded.randrange(len(content))
    end = min(len(content), start + seeded.choice([16, 512, 4096, 1 << 20]))
    content[start:end] = bytes(end - start)
    path.write_bytes(content)


def _cut(path: Path, seeded: random.Random) -> None:
    os.truncate(path, seeded.randrange(path.stat().st_size))


def _delete(path: Path, seeded: random.Random) -> None:
    path.unlink()


def _exchange(path: Path, seeded: random.Random) -> None:
    other = seeded.choice(files(path.parent, f"*{path.suffix}"))
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


def _append(path: Path, seeded: random.Random) -> None:
    path.write_bytes(path.read_bytes() + seeded.randbytes(seeded.randrange(1, 300)))


def test_no_damage_of_any_file_opens_a_state_that_lacks_something(
    history: History, copied: Copy
) -> None:
    images = [history.image(height) for height in range(1, HEIGHTS + 1)]
    images += [image for _, image, _ in crashed_in_flush(history)]
    seen = Counter[str]()
    for seed in range(SEEDS):
        seeded = random.Random(seed)
        path = copied(seeded.choice(images))
        done = []
        for _ in range(seeded.choice([1, 1, 2])):
            candidates = [file for file in files(path, "*") if file.name not in ("LOCK", "LOG") and file.stat().st_size]
            damage = seeded.choice([_flip, _zero, _cut, _delete, _exchange, _append])
            file = seeded.choice(candidates)
            damage(file, seeded)
            done.append((damage.__name__, file.name))
        try:
            seen[history.verdict(path).found] += 1
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {done}") from error
    assert set(seen) == {"corrupt", "found", "whole"}, seen


def test_a_state_that_opened_at_an_earlier_height_comes_to_the_same_state_again(
    history: History, copied: Copy
) -> None:
    path = copied(history.image(HEIGHTS))
    (log,) = files(path, "*.log")
    os.truncate(log, log_records(log)[len(log_records(log)) // 2])
    store = LevelDbStore(path)
    db = StateDB(store)
    assert 0 < db.height < HEIGHTS
    while db.height < HEIGHTS:
        db.commit(db.stage(db.height + 1, block(db.height + 1), {"time": b"%d" % (db.height + 1)}))
    assert db.app_hash == history.app_hashes[HEIGHTS]
    store.close()
    assert history.verdict(path) == Verdict("whole", HEIGHTS)
