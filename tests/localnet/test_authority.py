"""Keys of four real fiduciaries: one is killed half way, then most at once; shares are renewed; the key is passed on.

The tests depend on each other, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dta.base.config import load_node_config
from dta.hsm.keystore import open_keystore
from dta.localnet.network import Network
from tests.localnet.conftest import make_plan
from tests.localnet.faults import kill, same_app_hash, status, wait_until
from tests.localnet.own_network import own_network

pytestmark = pytest.mark.localnet
PORT_BASE = 30_400
# A killed node has time to come back within a phase: at this pace 300 blocks are a minute or two.
PARAMETERS = ["validator_change_window_blocks=2", "ceremony_window_blocks=300"]
FOUNDERS = range(4)
KILLED = 2


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with own_network(make_plan(port_base=PORT_BASE), PARAMETERS) as network:
        yield network


def authority(net: Network, node: int, *words: str) -> Any:
    return net.dta_json(["authority", *words], home=net.home(node))


def decide(net: Network, proposed: dict[str, Any], voters: tuple[int, ...] = (1, 2)) -> None:
    for node in voters:
        decided = net.dta_json(["governance", "vote", proposed["proposal"]], home=net.home(node))
    assert decided["status"] == "executed", decided


def consent(net: Network, which: str, nodes: Any = FOUNDERS) -> None:
    for node in nodes:
        authority(net, node, "accept", which, "--yes")


def _status_of(net: Network, proposal: str) -> str:
    return str(net.dta_json(["governance", "show", proposal], home=net.home(0))["status"])


def wait_for(net: Network, which: str, is_so: Callable[[dict[str, Any]], bool], timeout_s: float = 90.0) -> Any:
    shown: list[Any] = [None]

    def look() -> bool:
        shown[0] = authority(net, 0, "show", which)
        return is_so(shown[0])

    wait_until(f"{which} to be as it should", look, timeout_s)
    return shown[0]


def ceremony_labels(net: Network, node: int) -> list[str]:
    """The labels of the ceremony keys on the node's token."""
    keystore = open_keystore(load_node_config(net.home(node)).keystore)
    try:
        return [label for label in keystore.labels() if label.startswith(("receive-", "deal-"))]
    finally:
        keystore.close()


def test_four_make_a_custody_key_and_one_of_them_is_killed_in_each_phase(net: Network) -> None:
    proposed = authority(net, 0, "create", "safe", "--purpose", "custody")
    decide(net, proposed)
    waiting = authority(net, 1, "show", "safe")
    assert (waiting["status"], waiting["last"]["phase"]) == ("pending", "consent")
    assert len(waiting["last"]["waits_for"]) == 4
    consent(net, "safe")
    # Whatever phase it is in by then: the whole node dies, and forgets.
    net.kill(KILLED, supervisor=False)
    made = wait_for(net, "safe", lambda shown: shown["status"] == "active")
    assert made["in_force"]["threshold"] == 3
    assert len(made["public_key_g2"]) == 192
    complete = wait_for(net, "safe", lambda shown: shown["in_force"]["confirmations"] == 4, 120)
    assert complete["in_force"]["margin"] == 1
    assert complete["last"]["faults"] == []
    for node in FOUNDERS:
        wait_until("the deal keys to be destroyed", lambda node=node: len(ceremony_labels(net, node)) == 1)


def test_a_signing_key_is_made_though_one_is_down_and_the_others_are_killed_at_once(net: Network) -> None:
    proposed = authority(net, 1, "create", "seal", "--purpose", "signing", "--threshold", "3")
    decide(net, proposed, (0, 2))
    consent(net, "seal")
    net.stop(3)
    for node in (0, 1, 2):  # kill -9, whatever phase it is in; the fourth comes back with them
        kill(net, node, "node")
    for node in FOUNDERS:
        net.start(node)
    wait_until("node 0 to be healthy again", lambda: status(net, 0)["healthy"])
    made = wait_for(net, "seal", lambda shown: shown["status"] == "active", 120)
    assert made["in_force"]["confirmations"] >= 3
    wait_for(net, "seal", lambda shown: not shown["ceremony"], 120)
    assert [one["name"] for one in authority(net, 2, "list")["authorities"]] == ["safe", "seal"]
    same_app_hash(net)


def test_new_shares_on_command_need_no_consent_and_the_key_stays(net: Network) -> None:
    before = authority(net, 0, "show", "safe")
    wait_until("node 3 to be healthy", lambda: status(net, 3)["healthy"])
    decide(net, authority(net, 0, "reshare", "safe"))
    after = wait_for(net, "safe", lambda shown: shown["epoch"] == before["epoch"] + 1, 120)
    assert after["public_key_g1"] == before["public_key_g1"]
    assert after["public_key_g2"] == before["public_key_g2"]
    assert after["last"]["kind"] == "refresh"
    for node in FOUNDERS:  # one for each authority: the old epoch's are gone
        wait_until("the old keys to be destroyed", lambda node=node: len(ceremony_labels(net, node)) == 2)
    same_app_hash(net)


def test_two_join_one_leaves_and_the_key_stays(net: Network) -> None:
    """From 3 of 4 to 4 of 5: the fifth and the sixth join from nothing, the first holds no share any more."""
    joined = []
    for voters in ((0, 1, 2), (0, 1, 2, 3)):
        joined.append(net.join())
        proposal = net.admit(joined[-1], voters)
        wait_until("the admission", lambda proposal=proposal: _status_of(net, proposal) == "executed")
    for node in joined:
        wait_until("the new node to be healthy", lambda node=node: status(net, node)["healthy"])
    before = authority(net, 1, "show", "safe")
    members = [1, 2, 3, *joined]
    named = sorted(status(net, node)["identity"] for node in members)
    words = [word for one in named for word in ("--member", one)]
    decide(net, authority(net, 1, "reshare", "safe", *words, "--threshold", "4"), (2, 3, 0, joined[0]))
    authority(net, 0, "accept", "safe", "--decline", "--yes")
    consent(net, "safe", members)
    after = wait_for(net, "safe", lambda shown: shown["epoch"] == before["epoch"] + 1, 180)
    assert after["public_key_g1"] == before["public_key_g1"]
    assert sorted(row["fiduciary"] for row in after["in_force"]["members"]) == named
    assert after["in_force"]["threshold"] == 4
    wait_until("the one that left to destroy its key", lambda: len(ceremony_labels(net, 0)) == 1)
    same_app_hash(net)
