"""CometBFT is given two of Go's processors where it would take one, unless its operator said otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dta.node.processors import for_go, processors


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("limit", "count"),
    [("max 100000", 8), ("100000 100000", 1), ("150000 100000", 2), ("1600000 100000", 8), ("5000 100000", 1)],
)
def test_a_container_s_limit_counts_where_it_is_less_than_the_machine_has(
    tmp_path: Path, limit: str, count: int
) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(limit + "\n")
    assert processors(file) == count


@pytest.mark.parametrize("content", ["", "max", "1 0", "a b", None])
def test_what_is_no_limit_is_none(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "cpu.max"
    if content is not None:
        file.write_text(content)
    assert processors(file) == 8


def test_one_processor_becomes_two_and_what_the_operator_set_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "cpu.max"
    assert for_go({"PATH": "/bin"}, missing) is None
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert for_go({"PATH": "/bin"}, missing) == {"PATH": "/bin", "GOMAXPROCS": "2"}
    assert for_go({"PATH": "/bin", "GOMAXPROCS": "1"}, missing) is None
