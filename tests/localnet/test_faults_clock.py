"""A node whose clock is wrong: far away, its hooks do nothing and say so; a little, nobody notices.

What is skewed is the clock of the node's own processes: the agent's, by which it judges the age of what it sees.
CometBFT's clock can't be set for one process; that a block's time is the median of its validators' is CometBFT's
promise, and what the ledger makes of a time that jumps is in tests/sim and tests/unit/test_orders.py.
"""

from __future__ import annotations

import pytest

from tests.localnet.conftest import People, WiredNetwork
from tests.localnet.faults import (
    same_app_hash,
    status,
    wait_until,
    wait_until_all_are_healthy,
    wait_until_fulfilled,
    wait_until_it_says,
)
from tests.localnet.harms import HARMS

pytestmark = pytest.mark.localnet
WRONG, A_LITTLE_WRONG = 3, 1


@pytest.mark.parametrize("way", ["fast", "slow"])
def test_a_node_whose_clock_is_far_off_releases_nothing_and_says_so(
    net: WiredNetwork, people: People, way: str
) -> None:
    far, a_little = HARMS[f"clock-{way}"], HARMS[f"clock-a-little-{way}"]
    with far.inflict(net, WRONG), a_little.inflict(net, A_LITTLE_WRONG):
        wait_until_it_says(net, WRONG, far.said)
        wait_until("the other to be healthy", lambda: status(net, A_LITTLE_WRONG)["healthy"])
        order = people.place_file(b"in spite of a wrong clock", "--allow-missing", "1")
        wait_until_fulfilled(net, order, net.plan.validators - 1)
        request = people.by("bob", "order", "request", order)["request"]
        assert people.receive_file(request) == b"in spite of a wrong clock"
        assert people.by("alice", "order", "show", order)["fulfilled"] == net.plan.validators - 1
        same_app_hash(net)
    wait_until_fulfilled(net, order)
    wait_until_all_are_healthy(net)
