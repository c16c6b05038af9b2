"""Part ``startup``: processor time of whole processes of ``dta`` that list commands or look at a node."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.figures import ROOT
from tests.support.pretended_dta_node import pretended, stopped

BARE = "python -c pass"


@dataclass(frozen=True)
class Line:
    """What is run. ``aim_s``: what it may take, if anything is asked. ``exit_code``: the one that it ends with."""

    name: str
    arguments: tuple[str, ...]
    aim_s: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    exit_code: int = 0


def _dta(*words: str, aim_s: float | None = None, exit_code: int = 0) -> Line:
    return Line(f"dta {' '.join(words)}", ("-m", "dta", *words), aim_s, exit_code=exit_code)


def _status(home: Path, which: str, exit_code: int) -> Line:
    return Line(f"dta status, of a node that {which}", ("-m", "dta", "--home", str(home), "status"), 0.5, {}, exit_code)


def _completion(*words: str, aim_s: float) -> Line:
    typed = " ".join(["dta", *words, ""])
    asked = {"_DTA_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) + 1)}
    return Line(f"completion of `{typed}`", ("-m", "dta"), aim_s, asked)


@contextmanager
def _lines() -> Iterator[list[Line]]:
    with tempfile.TemporaryDirectory(prefix="dta-bench-") as directory:
        off, on = Path(directory) / "off", Path(directory) / "on"
        off.mkdir()
        on.mkdir()
        stopped(off)
        with pretended(on):
            yield [
                Line(BARE, ("-c", "pass")),
                Line("python -c 'import typer'", ("-c", "import typer")),
                _dta("--help", aim_s=0.15),
                _completion(aim_s=0.15),
                _dta("no-such-command", aim_s=0.15, exit_code=2),
                _dta("order", "--help", aim_s=0.25),
                _completion("order", aim_s=0.25),
                _dta("governance", "propose", "--help", aim_s=0.25),
                _status(off, "does not run", 2),
                _status(on, "runs", 0),
                _dta("order", "place", "--help"),
            ]


def run(say: Callable[[str], None], *, rounds: int = 15) -> dict[str, Any]:
    """Medians of each line's user and system time, all in turn ``rounds`` times, after one that compiles bytecode."""
    with _lines() as lines, tempfile.TemporaryDirectory(prefix="dta-bench-") as compiled:
        for line in lines:
            _seconds(line, compiled)
        taken: dict[str, list[float]] = {line.name: [] for line in lines}
        for _ in range(rounds):
            for line in lines:
                taken[line.name].append(_seconds(line, compiled))
        figures = [{"name": line.name, "s": median(taken[line.name]), "aim_s": line.aim_s} for line in lines]
    for one in figures:
        say(f"{one['name']}: {one['s']:.3f} s")
    return {"rounds": rounds, "commands": figures}


def _seconds(line: Line, compiled: str) -> float:
    """Of one run, by wait4. A Python that may not write bytecode would compile this checkout anew each time."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DTA_", "_DTA_"))}
    process = subprocess.Popen(
        [sys.executable, *line.arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**environment, **line.environment, "PYTHONPYCACHEPREFIX": compiled},
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != line.exit_code:
        raise RuntimeError(f"{line.name} exited with {process.returncode}")
    return used.ru_utime + used.ru_stime
