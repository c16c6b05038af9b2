"""The numbers of a ceremony, for every size."""

from __future__ import annotations

import pytest

from abci_app.authority import rules
from abci_app.pb.dta.v1 import authority_pb2 as pb


@pytest.mark.parametrize("agreed", range(2, 65))
def test_an_epoch_takes_over_only_if_the_honest_that_confirmed_can_use_the_key(agreed: int) -> None:
    """Fewer than a third of those that were agreed to lie, and at least one may, however few of them are left."""
    liars = max(1, (agreed - 1) // 3)
    for members in range(2, agreed + 1):
        for threshold in range(2, members + 1):
            needed = rules.confirmations_needed(pb.CEREMONY_KIND_REFRESH, members, threshold, agreed)
            assert needed == members or needed - liars >= threshold


def test_a_first_key_is_in_force_once_it_can_be_used() -> None:
    assert rules.confirmations_needed(pb.CEREMONY_KIND_KEY, 4, 3, 4) == 3


def test_with_the_default_threshold_every_member_must_confirm_new_shares() -> None:
    for members in range(1, 65):
        threshold = rules.default_threshold(members)
        assert rules.confirmations_needed(pb.CEREMONY_KIND_RESHARE, members, threshold, members) == members
