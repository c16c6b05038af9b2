"""A fiduciary that loses its disk and keeps its tokens loses nothing: lose-a-disk.md and restore-a-vote.md are run."""

from __future__ import annotations

import json
import secrets

import pytest

from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.localnet.network import Network
from dta.node.validator_key import KeyFiles, public_key
from tests.localnet.conftest import People, WiredNetwork
from tests.localnet.faults import (
    lose_disk,
    rejoin_page,
    same_app_hash,
    wait_until,
    wait_until_fulfilled,
)
from tests.localnet.runbook import Runbook

pytestmark = pytest.mark.localnet
LOST = 3


def voting_keys(net: Network, node: int) -> list[str]:
    """The keys of the validators that the node's newest block names, in hex."""
    rpc = Rpc(net.rpc_url(node))
    found = rpc.run(requests.validators(rpc.call(requests.status()).latest_height))
    return [validator.public_key.hex() for validator in found.validators]


def test_a_lost_disk_is_made_again_from_tokens_and_its_vote_restored(net: WiredNetwork, people: People) -> None:
    secret = secrets.token_bytes(64)
    # Threshold four of four: the request below can't be answered without the one that lost its disk.
    order = people.place_file(secret, "--threshold", str(net.plan.validators))
    wait_until_fulfilled(net, order)
    lose_disk(net, LOST)

    page = rejoin_page(net, LOST)
    page.run()
    net.wire(LOST)
    new_key = public_key(KeyFiles(net.home(LOST) / "cometbft").key).hex()
    assert new_key not in voting_keys(net, 0)
    page.run()
    assert page.left == []

    request = people.by("bob", "order", "request", order)["request"]
    assert people.receive_file(request) == secret

    old_keys = voting_keys(net, 0)
    page = Runbook(net, "restore-a-vote", DTA_HOME=str(net.home(LOST)))
    assert "this node does not vote" in page.run()
    assert "this node votes" in page.run()
    assert page.left == []
    wait_until("the new key to vote", lambda: new_key in voting_keys(net, 0))
    assert len(set(old_keys) - set(voting_keys(net, 0))) == 1, "the key that was lost votes no more"
    same_app_hash(net)

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
