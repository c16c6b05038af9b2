"""An HSM that is gone, refuses its PIN or hangs: the node says so, tries again, catches up; the chain never notices."""

from __future__ import annotations

import pytest

from tests.localnet.conftest import People, WiredNetwork
from tests.localnet.faults import kill, same_app_hash, status, wait_until, wait_until_fulfilled, wait_until_it_says
from tests.localnet.harms import HARMS
from tests.localnet.networks import TOKENS

pytestmark = pytest.mark.localnet
VICTIM = 1


def restarts(net: WiredNetwork) -> dict[str, int]:
    """How often each process of the node was started again, the agent's apart."""
    return {**{name: child["restarts"] for name, child in status(net, VICTIM)["processes"].items()}, "agent": 0}


@pytest.mark.parametrize("name", TOKENS)
def test_a_node_without_its_token_says_so_and_catches_up(net: WiredNetwork, people: People, name: str) -> None:
    """The others take an order meanwhile. (A PIN that is wrong is tried once, and again when its file changes.)"""
    if net.plan.hsm != "softhsm":
        pytest.skip("SoftHSM2 is not installed")
    pin = (net.root / "pins" / f"node-{VICTIM}").read_text().strip()
    before = restarts(net)
    with HARMS[name].inflict(net, VICTIM):
        order = people.place_file(b"while the HSM is away", "--allow-missing", "1")
        wait_until_fulfilled(net, order, net.plan.validators - 1)
        wait_until_it_says(net, VICTIM, HARMS[name].said)
        assert status(net, VICTIM)["ledger"]["age_s"] < 30
    wait_until_fulfilled(net, order)
    wait_until("the node to be healthy", lambda: status(net, VICTIM)["healthy"])
    assert restarts(net) == before
    assert pin not in (net.home(VICTIM) / "logs/agent.log").read_text()
    same_app_hash(net)
    kill(net, VICTIM, "agent")  # what it was told of the token, a new one learns by itself
    wait_until("the node to be healthy", lambda: status(net, VICTIM)["healthy"])
