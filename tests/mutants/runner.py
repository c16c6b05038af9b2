"""Running tests on a scratch copy of the tree, with one mutant in it at a time.

Each run is a child that was forked from a process which has imported the libraries but nothing of ours, so that it
costs no start. What makes a run worth nothing is looked for, not assumed away: a module of ours that did not come from
the copy (the distribution is installed in place), a mutated module that nothing imported, old bytecode, tests that fail
without any mutant, a test that never came to its body.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest

from tests.mutants.table import PACKAGES, Mutant

OURS = (*PACKAGES, "tests")
LEFT_OUT = (
    ".git", ".venv", "tools", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".localnet", "*.egg-info",
)  # fmt: skip
# Imported once, before the forks: none of them starts a thread or opens a file by being imported.
LIBRARIES = (
    "aiohttp", "cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography.hazmat.primitives.ciphers.aead",
    "google.protobuf.message", "google.protobuf.internal.builder", "httpx", "nacl.bindings", "plyvel",
    "py_arkworks_bls12381", "pyblst", "typer",
)  # fmt: skip
# Many times what the slowest takes: a mutant that makes a test wait for ever is a row to change, and not killed.
DEADLINE_S = 600


class Verdict(Enum):
    """``VOID``: the row shows nothing, whatever its tests did."""

    KILLED = "killed"
    LIVED = "lived"
    VOID = "VOID"


@dataclass(slots=True)
class Run:
    """One child: by the node id of each test that ran, what its phases came to; ``fault``: why that says nothing."""

    phases: dict[str, dict[str, str]] = field(default_factory=dict)
    fault: str = ""
    reason: str = ""

    def cases(self, test: str) -> list[dict[str, str]]:
        """The phases of each case of a test."""
        return [phases for id_, phases in self.phases.items() if id_ == test or id_.startswith(f"{test}[")]


@dataclass(frozen=True, slots=True)
class Result:
    """``reason``: what the first failing test said, or why there is no verdict."""

    mutant: Mutant
    verdict: Verdict
    seconds: float
    reason: str


class Copy:
    """A scratch copy of the tree ``root`` in ``place``."""

    def __init__(self, root: Path, place: Path) -> None:
        self.tree = place / "tree"
        self._scratch = place
        # With modification times: bytecode that is there already stays good.
        shutil.copytree(root, self.tree, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)

    def run(self, tests: Sequence[str], module: str = "") -> Run:
        """Run these tests, and see that ``module`` was imported from the copy. Unmutated where there is none."""
        answer, output = self._scratch / "answer.json", self._scratch / "output.txt"
        answer.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            _in_child(self.tree, tests, module, answer, output)
        if not _ended(child):
            return Run(fault=f"it did not end in {DEADLINE_S} s")
        if not answer.is_file():
            return Run(fault=f"the run died: {output.read_text(errors='replace')[-600:]}")
        return Run(**json.loads(answer.read_text()))

    def mutated(self, mutant: Mutant) -> Run:
        """Run the mutant's tests with it in the tree, and take it out again."""
        path = self.tree / mutant.file
        before, times = path.read_bytes(), path.stat()
        text = before.decode("utf-8")
        if text.count(mutant.old) != 1:
            return Run(fault="its old text is not there once")
        for bytecode in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            bytecode.unlink()
        try:
            path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
            return self.run(mutant.tests, mutant.module)
        finally:
            path.write_bytes(before)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def preload() -> None:
    """Import what every run needs. Nothing of ours: that must come from the copy, with the mutant in it."""
    for name in LIBRARIES:
        importlib.import_module(name)


def judge(copy: Copy, one: Mutant, control: Run) -> Result:
    """The verdict of a row. ``control``: its tests, and perhaps others, on the tree as it is, where they must pass."""
    bad = [test for test in one.tests if not _passed(control.cases(test))]
    if control.fault or bad:
        return Result(one, Verdict.VOID, 0.0, control.fault or f"fails, or is skipped, without the mutant: {bad[0]}")
    started = time.monotonic()
    run = copy.mutated(one)
    seconds = time.monotonic() - started
    if run.fault:
        return Result(one, Verdict.VOID, seconds, run.fault)
    passing = [test for test in one.tests if not _failed(run.cases(test))]
    unready = [test for test in passing if any("failed" in phases.values() for phases in run.cases(test))]
    if unready:
        return Result(one, Verdict.VOID, seconds, f"fails before its body: {unready[0]}")
    if passing:
        return Result(one, Verdict.LIVED, seconds, f"passes: {', '.join(passing)}")
    return Result(one, Verdict.KILLED, seconds, run.reason)


def _passed(cases: Sequence[dict[str, str]]) -> bool:
    return bool(cases) and all(phases.get("call") == "passed" and "failed" not in phases.values() for phases in cases)


def _failed(cases: Sequence[dict[str, str]]) -> bool:
    """Whether a case failed in its body. One that fails before it tests something else than it says."""
    return any(phases.get("call") == "failed" for phases in cases)


class _Recorder:
    """A plugin of pytest that keeps what became of each test."""

    def __init__(self) -> None:
        self.run = Run()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.run.phases.setdefault(report.nodeid, {})[report.when or ""] = report.outcome
        if report.failed and not self.run.reason:
            crash = getattr(report.longrepr, "reprcrash", None)
            self.run.reason = " ".join(str(getattr(crash, "message", report.longrepr)).split())[:200]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.run.fault = f"can't be collected: {' '.join(str(report.longrepr).split())[-200:]}"


def _in_child(tree: Path, tests: Sequence[str], module: str, answer: Path, output: Path) -> None:
    """Never returns."""
    try:
        os.setsid()
        written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(written, 1)
        os.dup2(written, 2)
        for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
            del sys.modules[name]
        os.chdir(tree)
        sys.path[:] = [str(tree), *(one for one in sys.path if one and (Path(one) / "abci_app").is_dir() is False)]
        # A program that a test starts finds the copy too. Bytecode is written of the unmutated tree alone.
        os.environ.update(PYTHONPATH=str(tree), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
        if module:
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            sys.dont_write_bytecode = True
        recorder = _Recorder()
        options = ["-p", "no:cacheprovider", f"--rootdir={tree}", f"--basetemp={tree.parent / 'temporary'}"]
        options += ["--exitfirst"] if module and len(tests) == 1 else []
        status = pytest.main([*options, *tests], plugins=[recorder])
        run = recorder.run
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            run.fault = run.fault or f"pytest ended with {status!r}"
        run.fault = run.fault or _strays(tree, module)
        answer.write_text(json.dumps({"phases": run.phases, "fault": run.fault, "reason": run.reason}))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _strays(tree: Path, module: str) -> str:
    """What of ours was imported from elsewhere than the copy, or was to be and was not."""
    ours = {name: one for name, one in sys.modules.items() if name.split(".")[0] in OURS}
    for name, one in ours.items():
        if not all(Path(place).is_relative_to(tree) for place in _places(one)):
            return f"{name} was not imported from the copy"
    return f"{module} was not imported" if module and module not in ours else ""


def _places(module: object) -> list[str]:
    file = getattr(module, "__file__", None)
    return [file] if file else list(getattr(module, "__path__", []))


def _ended(child: int) -> bool:
    """Wait for the child, until the deadline; kill it and whatever it started and left."""
    until = time.monotonic() + DEADLINE_S
    ended = None
    while ended is None and time.monotonic() < until:
        time.sleep(0.02)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    # Not reaped yet, so that its number is nobody else's: what a failing test started and left goes with it.
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return ended is not None
