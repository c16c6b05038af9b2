"""How many must confirm before the shares that an epoch replaces are destroyed (authority.md, Confirm)."""

from __future__ import annotations

import pytest

from abci_app.authority import rules
from abci_app.pb.dta.v1 import authority_pb2 as pb


@pytest.mark.parametrize("members", range(2, 65))
def test_an_epoch_takes_over_only_if_the_honest_that_confirmed_can_use_the_key(members: int) -> None:
    """Fewer than a third of the members lie, none of whom need lose its seat; any others may have lost theirs."""
    liars = (members - 1) // 3
    for threshold in range(2, members + 1):
        for seats in range(threshold, members + 1):
            needed = rules.confirmations_needed(pb.CEREMONY_KIND_RESHARE, seats, members, threshold)
            assert needed <= seats
            everybody_confirmed = needed == seats
            assert everybody_confirmed or needed - liars >= threshold


def test_a_first_key_is_in_force_once_it_can_be_used() -> None:
    assert rules.confirmations_needed(pb.CEREMONY_KIND_KEY, 4, 4, 3) == 3
