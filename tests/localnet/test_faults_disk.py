"""A fiduciary that loses its disk and keeps its tokens loses nothing: docs/runbooks/lose-a-disk.md, step by step."""

from __future__ import annotations

import json
import secrets

import pytest

from dta.client import requests
from dta.client.rpc import Rpc
from dta.localnet.network import Network
from tests.localnet.conftest import People
from tests.localnet.faults import (
    lose_disk,
    rejoin,
    same_app_hash,
    status,
    wait_until,
    wait_until_fulfilled,
)

pytestmark = pytest.mark.localnet
LOST = 3


def voting_keys(net: Network, node: int) -> list[str]:
    """The keys of the validators that the node's newest block names, in hex."""
    rpc = Rpc(net.rpc_url(node))
    found = rpc.run(requests.validators(rpc.call(requests.status()).latest_height))
    return [validator.public_key.hex() for validator in found.validators]


def test_a_lost_disk_is_made_again_from_tokens_fulfils_and_gets_its_vote_back(net: Network, people: People) -> None:
    secret = secrets.token_bytes(64)
    # Threshold four of four: the request below can't be answered without the one that lost its disk.
    order = people.place_file(secret, "--threshold", str(net.plan.validators))
    wait_until_fulfilled(net, order)
    lose_disk(net, LOST)

    made = rejoin(net, LOST)
    assert made["validator_key"] not in voting_keys(net, 0)
    net.start(LOST)
    net.wait_for_height(max(net.height(node) for node in net.nodes()), [LOST])

    request = people.by("bob", "order", "request", order)["request"]
    assert people.receive_file(request) == secret

    shown = net.dta_json(["validator", "show"], home=net.home(LOST))
    assert (shown["votes"], shown["key"]) == (False, made["validator_key"])
    rotated = net.dta_json(["validator", "rotate", "--yes"], home=net.home(LOST))
    assert (rotated["key"], rotated["restarted"]) == (made["validator_key"], False)
    net.wait_for_height(rotated["effective_height"])
    assert made["validator_key"] in voting_keys(net, 0)
    assert shown["ledger_key"] not in voting_keys(net, 0)
    same_app_hash(net)
    wait_until("the node to be healthy", lambda: status(net, LOST)["healthy"])

    # Its vote counts: with another one down, the three that are left need it.
    net.stop(0)
    others = [node for node in net.nodes() if node != 0]
    net.wait_for_height(net.height(1) + 3, others)
    net.start(0)
    net.wait_for_height(max(net.height(node) for node in others), [0])
    # A client's trust, from before the change, follows it.
    assert people.by("alice", "order", "show", order)["status"] == "active"


def test_the_key_that_was_given_up_never_votes_again(net: Network, people: People) -> None:
    """Depends on the change above: the next one has to wait for the window, the ledger says so with a code."""
    del people
    done = net.dta(["--json", "validator", "rotate", "--new-key", "--yes"], home=net.home(1), accept=(3,))
    assert "VALIDATOR_CHANGE_TOO_SOON" in json.loads(done.stdout)["error"]["message"]


def test_a_key_without_its_sign_state_does_not_start(net: Network) -> None:
    net.stop(2)
    sign_state = net.home(2) / "cometbft/data/priv_validator_state.json"
    kept = sign_state.read_bytes()
    sign_state.unlink()
    try:
        done = net.dta(["start"], home=net.home(2), accept=(2,))
        assert b"sign-state" in done.stderr
    finally:
        sign_state.write_bytes(kept)
        net.start(2)
    same_app_hash(net)
