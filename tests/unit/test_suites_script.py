"""``scripts/test.sh``: which suites it would run, and what it says to arguments that it does not know."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "scripts/test.sh", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def test_the_list_has_the_directories_of_tests_and_what_is_on_demand() -> None:
    listed = run("--list").stdout.split()
    directories = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert directories <= set(listed)
    assert {"--kubo", "--compat", "--networks", "--mutants"} <= set(listed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("units",), "no suite is called units"),
        (("unit", "--everything"), "no suite is called --everything"),
        (("--networks", "--seed"), "--seed takes a number"),
        (("--networks", "--count", "many"), "--count takes a number"),
    ],
)
def test_what_it_does_not_know_is_refused_before_anything_runs(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.returncode != 0
    assert said in done.stderr
    assert "hint: " in done.stderr
    assert done.stdout == ""
