"""Random schedules of ceremonies: whatever fewer than a third do, the honest keep the key (authority.md)."""

from __future__ import annotations

import pytest

from tests.sim.ceremony_schedule import Schedule


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_third_do_the_honest_keep_the_key_and_nothing_shrinks_in_silence(seed: int) -> None:
    """More of them: ``python -m tests.sim.ceremony_schedule FIRST COUNT``."""
    Schedule(seed).run()
