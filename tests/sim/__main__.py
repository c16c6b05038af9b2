"""Any number of schedules: ``python -m tests.sim --schedules N --seed S`` (the first seed; the rest follow it)."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from abci_app.codes import info
from tests.sim.schedule import Divergence, run_schedule


def main() -> int:
    """Run, and print what happened in them; on a failure the seed with which it happens again."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    codes: Counter[int] = Counter()
    actions: Counter[str] = Counter()
    blocks = crashes = 0
    for seed in range(arguments.seed, arguments.seed + arguments.schedules):
        try:
            run = run_schedule(seed)
        except Divergence as error:
            print(f"{error}\nagain: python -m tests.sim --seed {seed}", file=sys.stderr)
            return 1
        codes += run.codes
        actions += run.actions
        blocks += len(run.blocks)
        crashes += run.crashes
    print(f"{arguments.schedules} schedules, {blocks} blocks, {codes.total()} transactions, {crashes} crashes")
    for code, count in sorted(codes.items()):
        print(f"  {count:8} {info(code).name}")
    for action, count in sorted(actions.items()):
        print(f"  {count:8} {action}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
