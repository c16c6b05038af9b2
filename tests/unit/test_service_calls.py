"""What a call says of itself, read: how long its caller would wait."""

from __future__ import annotations

import pytest

from dta.service.calls import wait_of


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        (None, 25.0), ("", 25.0), ("wait=0", 0.0), ("wait=7", 7.0), ("WAIT=7", 7.0), ("wait=25", 25.0),
        ("wait=26", 25.0), ("wait=100000000", 25.0), ("respond-async", 0.0), ("respond-async, wait=9", 0.0),
        ("wait=9, respond-async", 0.0), ("return=minimal, wait=3", 3.0), ("wait=3, wait=4", 3.0),
        ("wait=-1", 25.0), ("wait=1.5", 25.0), ("wait=soon", 25.0), ("wait", 25.0), ("wait=\u0663", 25.0),
        ("wait=" + "9" * 5_000, 25.0),
    ],
)  # fmt: skip
def test_a_caller_waits_as_long_as_it_prefers_and_25_seconds_at_most(prefer: str | None, wait_s: float) -> None:
    assert wait_of(prefer) == wait_s
