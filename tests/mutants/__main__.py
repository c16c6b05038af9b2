"""``python -m tests.mutants``: every mutant, or some; a table of verdicts. Exits with 1 where one lived or is void."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutants import runner, table
from tests.mutants.runner import Copy, Result, Verdict
from tests.mutants.table import Mutant

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = 20
"""About a minute's worth on one core."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    mutants = table.load(ROOT)
    wrong = list(table.faults(ROOT, mutants))
    if wrong:
        print("\n".join(["rows that say nothing any more:", *wrong]))
        return 1
    chosen = [one for one in mutants if any(options.only in text for text in (one.name, one.area, one.file))]
    if options.sample is not None:
        chosen = table.sample(chosen, options.sample, options.count)
        print(f"{len(chosen)} of {len(mutants)} mutants, drawn by {options.sample}")
    started = time.monotonic()
    results = _judged(chosen, options.jobs)
    counts = {verdict: sum(one.verdict is verdict for one in results) for verdict in Verdict}
    said = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)
    spent = sum(one.seconds for one in results)
    print(f"\n{len(results)} mutants: {said}; {spent:.0f} s of runs, {time.monotonic() - started:.0f} s in all")
    return 0 if counts[Verdict.KILLED] == len(chosen) > 0 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="those whose name, area or file has this in it")
    parser.add_argument("--sample", metavar="COMMIT", help="a few, drawn by this text")
    parser.add_argument("--count", type=int, default=SAMPLE, metavar="N", help="how many a sample has (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many at once, each on a copy of its own")
    return parser


def _judged(mutants: Sequence[Mutant], jobs: int) -> list[Result]:
    """Rows with the same tests come after each other, so that a part of them has few tests to run unmutated."""
    ordered = sorted(mutants, key=lambda one: (one.tests, one.name))
    size = -(-len(ordered) // jobs) if ordered else 1
    parts = [ordered[at : at + size] for at in range(0, len(ordered), size)]
    runner.preload()
    found = []
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for results in pool.imap_unordered(_part, parts):
            found += results
    return found


def _part(mutants: Sequence[Mutant]) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        copy = Copy(ROOT, Path(place))
        control = copy.run(sorted({test for one in mutants for test in one.tests}))
        results = []
        for one in mutants:
            results.append(runner.judge(copy, one, control))
            _show(results[-1])
        return results


def _show(one: Result) -> None:
    print(f"{one.verdict.value:7} {one.seconds:5.1f} s  {one.mutant.area}/{one.mutant.name}: {one.reason}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
