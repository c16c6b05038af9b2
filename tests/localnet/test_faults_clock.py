"""A node whose clock is wrong: far away, its hooks do nothing and say so; a little, nobody notices.

What is skewed is the clock of the node's own processes: the agent's, by which it judges the age of what it sees.
CometBFT's clock can't be set for one process; that a block's time is the median of its validators' is CometBFT's
promise, and what the ledger makes of a time that jumps is in tests/sim and tests/unit/test_orders.py.
"""

from __future__ import annotations

from pathlib import Path

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

pytestmark = pytest.mark.localnet
WRONG, A_LITTLE_FAST = 3, 1
SKEWED = Path(__file__).parent / "skewed"


def start_with_clock(net: WiredNetwork, node: int, offset_s: int) -> None:
    net.restart(node, PYTHONPATH=str(SKEWED), DTA_TEST_CLOCK_OFFSET_S=str(offset_s))


@pytest.mark.parametrize(("offset_s", "said"), [(600, "the last block is 6"), (-600, "ahead of this machine's clock")])
def test_a_node_whose_clock_is_far_off_releases_nothing_and_says_so(
    net: WiredNetwork, people: People, offset_s: int, said: str
) -> None:
    start_with_clock(net, WRONG, offset_s)
    start_with_clock(net, A_LITTLE_FAST, offset_s // 30)
    try:
        wait_until_it_says(net, WRONG, said)
        wait_until("the other to be healthy", lambda: status(net, A_LITTLE_FAST)["healthy"])
        order = people.place_file(b"in spite of a wrong clock", "--allow-missing", "1")
        wait_until_fulfilled(net, order, net.plan.validators - 1)
        request = people.by("bob", "order", "request", order)["request"]
        assert people.receive_file(request) == b"in spite of a wrong clock"
        assert people.by("alice", "order", "show", order)["fulfilled"] == net.plan.validators - 1
        same_app_hash(net)
    finally:
        net.restart(WRONG)
        net.restart(A_LITTLE_FAST)
    wait_until_fulfilled(net, order)
    wait_until_all_are_healthy(net)
