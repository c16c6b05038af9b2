"""kill -9, and halts, at random while orders flow (DTA_CHAOS_ROUNDS, DTA_CHAOS_SEED): scripts/chaos.sh in small."""

from __future__ import annotations

import os
import secrets

import pytest

from dta.localnet.chaos import Chaos
from tests.localnet.conftest import People

pytestmark = pytest.mark.localnet
ROUNDS = int(os.environ.get("DTA_CHAOS_ROUNDS", "10"))
SEED = int(os.environ.get("DTA_CHAOS_SEED", "0")) or secrets.randbelow(2**32)


def test_random_kills_lose_nothing_and_double_nothing(people: People) -> None:
    lines: list[str] = []
    verdict = Chaos(people, people.vault, SEED, lines.append).run(ROUNDS)
    assert verdict.is_clean, (SEED, verdict, lines)
    assert verdict.bundles > 0, "what was killed had results together in hand"
    print(verdict.rows(), lines)
