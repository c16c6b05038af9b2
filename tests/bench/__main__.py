"""``scripts/bench.sh``: parts that measure, one JSON document that they give, and the tables made from it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.bench import (
    authority,
    costs,
    figures,
    growth,
    hsm,
    issuing,
    job,
    report,
    serve,
    stages,
    startup,
    throughput,
    tree,
)

PORT_BASE = 25_000
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """``measure(quick, arguments, say)`` gives the part's figures. ``about_s``: how long it takes here, for people."""

    name: str
    what: str
    about_s: int
    measure: Callable[[bool, argparse.Namespace, Say], dict[str, Any]]


def _throughput(validators: int) -> Callable[[bool, argparse.Namespace, Say], dict[str, Any]]:
    def measure(quick: bool, arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
        asked = throughput.Load(rounds=arguments.rounds, window=arguments.window)
        load = replace(throughput.QUICK if quick else asked, abci=arguments.abci)
        return throughput.run(validators, load, arguments.comet, arguments.port, say)

    return measure


def _stages(quick: bool, _: argparse.Namespace, say: Say) -> dict[str, Any]:
    return stages.run(say, blocks=2, orders=50) if quick else stages.run(say)


def _tree(quick: bool, _: argparse.Namespace, say: Say) -> dict[str, Any]:
    return tree.run(say, small=1_000, large=5_000, rounds=1, batches=2) if quick else tree.run(say)


def _hsm(quick: bool, _: argparse.Namespace, say: Say) -> dict[str, Any]:
    return hsm.run(say, seconds=0.05 if quick else 2.0)


def _job(quick: bool, arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    return job.run(arguments.comet, arguments.port, say, job.QUICK if quick else job.Plan())


def _growth(quick: bool, arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    full = growth.Plan()
    sizes = (*(size for size in full.sizes if size < arguments.existing), arguments.existing)
    plan = growth.QUICK if quick else replace(full, sizes=sizes)
    return growth.run(arguments.comet, arguments.port, say, plan)


def _curve(quick: bool, _: argparse.Namespace, say: Say) -> dict[str, Any]:
    return authority.curve(say, rounds=3, items=2) if quick else authority.curve(say)


def _keygen(quick: bool, _: argparse.Namespace, say: Say) -> dict[str, Any]:
    return authority.keygen(say, sizes=(4,)) if quick else authority.keygen(say)


def _secrets(quick: bool, arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    return issuing.run(arguments.comet, arguments.port, say, issuing.QUICK if quick else issuing.Plan())


def _costs(quick: bool, _: argparse.Namespace, say: Say) -> dict[str, Any]:
    return costs.run(say, rounds=1, cases=costs.QUICK) if quick else costs.run(say)


def _serve(quick: bool, arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    return serve.run(arguments.comet, arguments.port, say, serve.QUICK if quick else serve.Plan())


def _startup(quick: bool, _: argparse.Namespace, say: Say) -> dict[str, Any]:
    return startup.run(say, rounds=1) if quick else startup.run(say)


PARTS = (
    Part("ratio-4", "orders a second against CometBFT's kvstore, 4 validators", 240, _throughput(4)),
    Part("ratio-1", "the same, 1 validator", 180, _throughput(1)),
    Part("job", "whole nodes: secrets entrusted and released, and their cost beside bare cryptography", 600, _job),
    Part("serve", "what `dta serve` adds to the client's own flow, and orders a second through one agent", 240, _serve),
    Part("stages", "what an order costs the application in each call", 15, _stages),
    Part("tree", "what a changed key costs at 10 thousand and a million keys, and memory", 240, _tree),
    Part("startup", "what starting the command line costs, beside a Python that does nothing", 45, _startup),
    Part("costs", "what each message is declared to cost beside what it does, at its least and greatest", 240, _costs),
    Part("hsm", "rates of the keystores", 15, _hsm),
    Part("curve", "authority: partials and M-Pin's steps against the curve operations they need", 30, _curve),
    Part("keygen", "authority: key generation for 4, 16 and 64 fiduciaries", 240, _keygen),
    Part("secrets", "authority: client secrets and permits for 10,000 clients issued by whole nodes", 480, _secrets),
    Part("growth", "the job and what a node costs by itself with 1,000 and 100,000 orders there", 1_500, _growth),
)

GROUPS = {"authority": ("curve", "keygen", "secrets")}


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {part.name:<10} {part.what} (about {part.about_s} s)" for part in PARTS)
    parser = argparse.ArgumentParser(
        prog="scripts/bench.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__, epilog=f"parts (without a name, all; authority: curve, keygen and secrets):\n{listed}",
    )  # fmt: skip
    parser.add_argument("parts", nargs="*", metavar="PART", help="or `table FILE...`: rewrite docs/bench.md from files")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    parser.add_argument("--out", type=Path, help="write the JSON document to a file too, after each part")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: whether it runs, no figures")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of a ratio (default 3)")
    parser.add_argument("--window", type=int, default=2_000, help="transactions under way in a ratio (default 2,000)")
    parser.add_argument("--existing", type=int, default=100_000, help="growth's greatest size (default 100,000)")
    parser.add_argument("--abci", choices=("unix", "tcp"), default="unix", help="a ratio's socket; nodes have unix")
    parser.add_argument("--port", type=int, default=PORT_BASE, help="the first of the ports")
    parser.add_argument("--comet", default=os.environ.get("DTA_COMETBFT", "cometbft"), help=argparse.SUPPRESS)
    return parser


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    chosen = [name for named in arguments.parts for name in GROUPS.get(named, (named,))]
    chosen = chosen or [part.name for part in PARTS]
    document: dict[str, Any] = {"machine": figures.machine(), "quick": arguments.quick, "parts": {}, "failed": {}}
    for part in PARTS:
        if part.name not in chosen:
            continue
        _say(f"== {part.name}: {part.what}")
        try:
            document["parts"][part.name] = part.measure(arguments.quick, arguments, _say)
        except Exception as error:  # the other parts are worth having
            traceback.print_exc()
            document["failed"][part.name] = f"{type(error).__name__}: {error}"
        if arguments.out is not None:
            arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    return document


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """0; 1 when a part failed, the others' figures being there; 2 for a part that is not there."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.parts[:1] == ["table"]:
        report.rewrite([json.loads(Path(name).read_text()) for name in arguments.parts[1:]])
        return 0
    unknown = [name for name in arguments.parts if name not in [*GROUPS, *(part.name for part in PARTS)]]
    if unknown:
        parser.error(f"no part is called {unknown[0]}")
    document = _measure(arguments)
    if arguments.json:
        print(json.dumps(document, indent=2))
    else:
        print(report.tables(document))
    for name, why in document["failed"].items():
        _say(f"error: {name}: {why}")
    return 1 if document["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
