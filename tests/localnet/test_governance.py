"""Four fiduciaries admit a fifth that joins from nothing, remove one, change a parameter, and reject what they must.

docs/runbooks/admit-a-fiduciary.md, step by step; the tests depend on each other, in their order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.localnet.network import Network
from tests.localnet.conftest import People, make_plan
from tests.localnet.faults import same_app_hash, status, wait_until
from tests.localnet.own_network import own_network

pytestmark = pytest.mark.localnet
PORT_BASE = 30_000
FIFTH = 4
REMOVED = 3
WINDOW_BLOCKS = 20


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    plan = make_plan(port_base=PORT_BASE)
    with own_network(plan, [f"validator_change_window_blocks={WINDOW_BLOCKS}"]) as network:
        yield network


@pytest.fixture(scope="module")
def people(net: Network) -> People:
    people = People(net)
    for name in ("alice", "bob"):
        people.enrol(name)
    people.vault = people.by("alice", "vault", "open")["vault"]
    return people


def governance(net: Network, node: int, *words: str) -> Any:
    return net.dta_json(["governance", *words], home=net.home(node))


def voting_keys(net: Network, node: int) -> list[str]:
    """The keys of the validators that the node's newest block names, in hex."""
    rpc = Rpc(net.rpc_url(node))
    found = rpc.run(requests.validators(rpc.call(requests.status()).latest_height))
    return [validator.public_key.hex() for validator in found.validators]


def fiduciaries(net: Network, node: int) -> list[str]:
    found = net.dta_json(["identity", "list", "--fiduciaries"], home=net.home(node))
    return [row["identity"] for row in found["fiduciaries"]]


def test_a_fifth_joins_from_nothing_and_gets_its_vote(net: Network, people: People) -> None:
    order = people.place_file(b"from before")  # an open order that names the founders
    made = net.join()
    assert made == FIFTH
    home = net.home(FIFTH)
    card = json.loads((home / "admission.json").read_text())
    net.dta(["identity", "sponsor", str(home / "request.json")], home=net.home(0))
    net.start(FIFTH)
    net.wait_for_height(net.height(0), [FIFTH])  # it follows the chain from its first block
    assert len(voting_keys(net, 0)) == 4

    proposed = governance(net, 0, "propose", "admit", str(home / "admission.json"), "--power", "10")
    assert (proposed["status"], proposed["proposes"]) == ("open", "admit-fiduciary")
    assert proposed["action"]["identity"] == card["identity"]
    proposal = proposed["proposal"]
    assert governance(net, 1, "vote", proposal)["status"] == "open"
    assert [row["proposal"] for row in governance(net, 2, "list")["proposals"]] == [proposal]
    decided = governance(net, 2, "vote", proposal)
    assert (decided["status"], decided["power_for"], decided["power_total"]) == ("executed", 30, 40)

    net.wait_for_height(decided["height"] + 3)
    mine = net.dta_json(["validator", "show"], home=home)
    assert mine["votes"]
    wait_until("five validators", lambda: len(voting_keys(net, 1)) == 5)
    assert mine["key"] in voting_keys(net, 1)
    wait_until("all five to be shown", lambda: card["identity"] in fiduciaries(net, 2))
    wait_until("the fifth to be healthy", lambda: status(net, FIFTH)["healthy"])
    same_app_hash(net)
    assert people.by("alice", "order", "show", order)["status"] == "active"  # a client's trust followed the change


def test_what_it_is_admitted_for_it_does(net: Network, people: People) -> None:
    """It votes: with another one down, four of five go on. It serves: a new vault names it, and it answers."""
    net.stop(0)
    others = [node for node in net.nodes() if node != 0]
    net.wait_for_height(net.height(1) + 3, others)
    net.start(0)
    net.wait_for_height(net.height(1), [0])
    vault = people.by("alice", "vault", "open", "--title", "of five")
    assert len(vault["fiduciaries"]) == 5
    assert all(one["key"] == "published" for one in vault["fiduciaries"]), vault


def test_one_is_removed_once_there_is_room_and_answers_what_it_owes(net: Network, people: People) -> None:
    secret = b"of three that all answer"
    order = people.place_file(secret, "--threshold", "4")  # of the four founders: each is needed
    proposed = governance(net, FIFTH, "propose", "remove", f"fiduciary-{REMOVED}")
    proposal = proposed["proposal"]
    assert proposed["impact"]["open_orders"] >= 2
    assert proposed["impact"]["below_threshold"] == 1
    shown = governance(net, 1, "show", proposal)
    assert [one["order"] for one in shown["affected_orders"] if one["below_threshold"]] == [order]
    said = net.dta(["governance", "show", proposal], home=net.home(1)).stdout.decode()
    assert "below its threshold" in said
    for node in (0, 1):
        governance(net, node, "vote", proposal)
    decided = governance(net, 2, "vote", proposal)
    assert decided["power_total"] == 50
    wait_until("the removal", lambda: governance(net, 0, "show", proposal)["status"] == "executed", 120)
    wait_until("four validators", lambda: len(voting_keys(net, 0)) == 4)
    refused = net.dta(["--json", "governance", "vote", proposal], home=net.home(REMOVED), accept=(3,))
    assert "NOT_FIDUCIARY" in json.loads(refused.stdout)["error"]["message"]
    request = people.by("bob", "order", "request", order)["request"]
    assert people.receive_file(request) == secret  # all four were needed: it answered
    same_app_hash(net)


def test_parameters_change_by_vote(net: Network, people: People) -> None:
    del people
    settings = ["--set", "max_upkeep_cost=150", "--set", "request_ttl_s=500"]
    proposal = governance(net, 1, "propose", "params", *settings)["proposal"]
    said = net.dta(["governance", "show", proposal], home=net.home(0)).stdout.decode()
    assert "500000 -> 150" in said
    governance(net, 0, "vote", proposal)
    assert governance(net, 2, "vote", proposal)["status"] == "executed"
    refused = net.dta(
        ["--json", "governance", "propose", "params", "--set", "max_upkeep_cost=0"], home=net.home(1), accept=(3,)
    )
    error = json.loads(refused.stdout)["error"]
    assert "PARAMS_REFUSED" in error["message"]
    assert "max_upkeep_cost" in error["message"]


def test_a_proposal_that_a_third_is_against_is_rejected_and_one_can_be_withdrawn(net: Network) -> None:
    proposal = governance(net, 0, "propose", "params", "--set", "max_upkeep_cost=1")["proposal"]
    assert governance(net, 1, "vote", proposal, "--against")["status"] == "open"
    rejected = governance(net, 2, "vote", proposal, "--against")
    assert (rejected["status"], rejected["power_against"]) == ("rejected", 20)
    late = net.dta(["--json", "governance", "vote", proposal], home=net.home(FIFTH), accept=(3,))
    assert "PROPOSAL_NOT_OPEN" in json.loads(late.stdout)["error"]["message"]
    other = governance(net, 0, "propose", "params", "--set", "max_upkeep_cost=2")["proposal"]
    assert governance(net, 0, "withdraw", other)["status"] == "withdrawn"
    assert governance(net, 0, "list")["proposals"] == []


def test_an_identity_is_revoked_by_vote(net: Network, people: People) -> None:
    bob = people.identities["bob"]
    proposal = governance(net, 0, "propose", "revoke-identity", bob)["proposal"]
    for node in (1, 2):
        decided = governance(net, node, "vote", proposal)
    assert decided["status"] == "executed"
    assert people.by("alice", "identity", "show", bob)["status"] == "revoked"
