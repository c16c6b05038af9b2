"""Part ``tree``: what a changed key costs with 10 thousand and with a million of them, on LevelDB, pruning on.

Each size has a process of its own that holds the whole application's code, so that memory is told apart. Rounds of
batches of 1,000 are run in the two in turn. After them the resident memory of the large one is read.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from tests.bench.figures import ROOT, process_peak_rss_mb, process_rss_mb

BATCH_KEYS = 1_000
FILL_KEYS = 10_000
VALUE_BYTES = 120
PRUNE_ENTRIES = 2_048  # as abci_app/server/pruning.py
SEED = 1


def run(
    say: Callable[[str], None], *, small: int = 10_000, large: int = 1_000_000, rounds: int = 5, batches: int = 30
) -> dict[str, Any]:
    """Medians over rounds of processor microseconds a key, by size, and the large one's memory."""
    root = Path(tempfile.mkdtemp(prefix="dta-bench-"))
    sizes = {"small": small, "large": large}
    workers = {name: _Worker(root / name, keys) for name, keys in sizes.items()}
    try:
        for name, worker in workers.items():
            worker.ask("fill")
            say(f"{sizes[name]} keys are there")
        found: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
        for _ in range(rounds):
            for name, worker in workers.items():
                found[name].append(worker.ask(f"batches {batches}"))
        figures: dict[str, Any] = {"batch_keys": BATCH_KEYS, "value_bytes": VALUE_BYTES, "rounds": rounds}
        for name, of in found.items():
            figures[f"{name}_keys"] = sizes[name]
            for stage in of[0]:
                figures[f"{name}_{stage}_us"] = median(one[stage] for one in of)
            figures[f"{name}_rss_mb"] = process_rss_mb(workers[name].pid)
            figures[f"{name}_peak_rss_mb"] = process_peak_rss_mb(workers[name].pid)
        figures["ratio"] = figures["large_all_us"] / figures["small_all_us"]
        beside = [figures[f"{size}_all_us"] + figures[f"{size}_compaction_us"] for size in ("small", "large")]
        figures["ratio_with_compaction"] = beside[1] / beside[0]
        ratios = f"{figures['ratio']:.2f} times; {figures['ratio_with_compaction']:.2f} with compaction"
        say(
            f"{figures['small_all_us']:.0f} us a key, {figures['large_all_us']:.0f} us in the large one "
            f"({ratios}), {figures['large_rss_mb']:.0f} MB"
        )
        return figures
    finally:
        for worker in workers.values():
            worker.stop()
        shutil.rmtree(root, ignore_errors=True)


class _Worker:
    """The other side of a pipe: commands as lines, answers as lines of JSON."""

    def __init__(self, directory: Path, keys: int) -> None:
        command = [sys.executable, "-m", "tests.bench.tree", str(directory), str(keys)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.pid = self._process.pid

    def ask(self, command: str) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def _serve(directory: Path, keys: int) -> None:
    from abci_app import transition  # all that the application holds in memory beside its state
    from abci_app.block import Changes
    from abci_app.server import main
    from abci_app.storage.leveldb import LevelDbStore
    from abci_app.storage.statedb import StateDB

    assert transition, main
    database = StateDB(LevelDbStore(directory))
    random = Random(SEED)
    height = 0

    def write(numbers: list[int]) -> dict[str, float]:
        nonlocal height
        height += 1
        leaves = tuple(sorted((_key(number), _value(number, height)) for number in numbers))
        begun_s = time.process_time()
        marks = [time.thread_time()]
        staged = database.stage(height, Changes(leaves=leaves))
        marks.append(time.thread_time())
        database.commit(staged)
        marks.append(time.thread_time())
        while database.prune(PRUNE_ENTRIES):
            pass
        marks.append(time.thread_time())
        found = {name: marks[at + 1] - marks[at] for at, name in enumerate(("stage", "commit", "prune"))}
        found["all"] = marks[-1] - marks[0]
        # LevelDB has one thread of its own. It is this process's only other one at work.
        found["compaction"] = max(0.0, time.process_time() - begun_s - found["all"])
        return found

    for line in sys.stdin:
        words = line.split()
        total: dict[str, float] = {}
        if words[0] == "fill":
            for start in range(0, keys, FILL_KEYS):
                write(list(range(start, min(start + FILL_KEYS, keys))))
            for _ in range(110):  # beyond the heights that are kept, so that pruning has its steady work
                write(random.sample(range(keys), min(BATCH_KEYS, keys)))
        else:
            count = min(BATCH_KEYS, keys)
            for _ in range(int(words[1])):
                for name, seconds in write(random.sample(range(keys), count)).items():
                    total[name] = total.get(name, 0.0) + seconds / int(words[1]) / count * 1e6
        print(json.dumps(total), flush=True)
    database.close()


def _key(number: int) -> bytes:
    return b"order/" + sha256(number.to_bytes(8, "big")).digest()


def _value(number: int, height: int) -> bytes:
    return (number.to_bytes(8, "big") + height.to_bytes(8, "big")).ljust(VALUE_BYTES, b"v")


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
