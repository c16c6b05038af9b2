"""Cables that are cut: two and two stand still and go on; one that is cut off releases nothing."""

from __future__ import annotations

import re
import secrets
import threading

import pytest

from abci_app.pb.dta.v1 import custody_pb2
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from tests.localnet.conftest import People, WiredNetwork
from tests.localnet.faults import (
    kill,
    request_record,
    same_app_hash,
    stands_still,
    wait_until,
    wait_until_all_are_healthy,
    wait_until_fulfilled,
    wait_until_it_says,
)

pytestmark = pytest.mark.localnet
CUT_OFF = 3
WINDOW_S = 15


def test_two_and_two_stand_still_and_go_on_when_the_cables_are_mended(net: WiredNetwork, people: People) -> None:
    secret = secrets.token_bytes(64)
    order, other = people.place_file(secret), people.place_file(b"to be closed")
    with net.links.parted({0, 1}):
        # What is sent now waits: the command sends the same bytes until they are in a block.
        closing = threading.Thread(target=people.by, args=("alice", "order", "close", other), daemon=True)
        closing.start()
        stuck = stands_still(net, list(net.nodes()))
        assert closing.is_alive()
    net.wait_for_height(stuck + 2)
    closing.join(90.0)
    assert people.by("alice", "order", "show", other)["status"] == "closed"
    request = people.by("bob", "order", "request", order)["request"]
    assert people.receive_file(request) == secret
    same_app_hash(net)
    wait_until_all_are_healthy(net)


def test_a_node_that_is_cut_off_does_not_release_what_was_vetoed_meanwhile(net: WiredNetwork, people: People) -> None:
    """It believes in a granted request until long after the window; a threshold of one: its share is the secret."""
    order = people.place_file(
        secrets.token_bytes(64), "--threshold", "1", "--veto-window", str(WINDOW_S), "--vetoer",
        people.identities["alice"],
    )  # fmt: skip
    wait_until_fulfilled(net, order)
    settings = net.home(CUT_OFF) / "node.toml"
    kept = settings.read_text()
    settings.write_text(re.sub(r"max_state_age_s = \d+", "max_state_age_s = 10", kept))
    others = [node for node in net.nodes() if node != CUT_OFF]
    try:
        kill(net, CUT_OFF, "agent")  # it reads its settings when it starts
        wait_until_all_are_healthy(net)
        request = people.by("bob", "order", "request", order)["request"]
        net.wait_for_height(max(net.height(node) for node in net.nodes()))
        with net.links.parted({CUT_OFF}):
            people.by("alice", "order", "veto", request)
            stuck = net.height(CUT_OFF)
            net.wait_for_height(stuck + 4, others)
            wait_until_it_says(net, CUT_OFF, "cut off")
            released_at_s = request_record(net, request, CUT_OFF).release_time_s
            wait_until("the window to end", lambda: time_of(net, 0) > released_at_s + 5)
            known = [request_record(net, request, node).status for node in (CUT_OFF, 0)]
            assert known == [custody_pb2.REQUEST_STATUS_GRANTED, custody_pb2.REQUEST_STATUS_VETOED]
            assert waits_to_be_sent(net, CUT_OFF) == []
            assert max(net.height(CUT_OFF), stuck) == stuck
        net.wait_for_height(max(net.height(node) for node in others), [CUT_OFF])
    finally:
        settings.write_text(kept)
    same_app_hash(net)
    kill(net, CUT_OFF, "agent")
    wait_until_all_are_healthy(net)
    # Nobody released anything, then or later.
    [shown] = people.by("bob", "order", "show", order)["requests"]
    assert [answer["answered_height"] for answer in shown["answers"]] == [0] * net.plan.validators


def time_of(net: WiredNetwork, node: int) -> int:
    """The time of the node's newest block, Unix seconds."""
    with Rpc(net.rpc_url(node)) as rpc:
        return rpc.call(requests.status()).latest_time.seconds


def waits_to_be_sent(net: WiredNetwork, node: int) -> list[str]:
    """The results that the node's agent has signed."""
    return [path.name for path in (net.home(node) / "outbox").rglob("*") if path.is_file()]
