"""kill -9 at random while orders flow (DTA_CHAOS_ROUNDS, DTA_CHAOS_SEED): scripts/chaos.sh in small."""

from __future__ import annotations

import os
import secrets
import threading
import time

import pytest

from dta.localnet.chaos import Chaos
from dta.localnet.network import Network
from tests.localnet.conftest import People
from tests.localnet.faults import same_app_hash, status, wait_until

pytestmark = pytest.mark.localnet
ROUNDS = int(os.environ.get("DTA_CHAOS_ROUNDS", "10"))
SEED = int(os.environ.get("DTA_CHAOS_SEED", "0")) or secrets.randbelow(2**32)


def test_random_kills_lose_nothing_and_double_nothing(people: People) -> None:
    lines: list[str] = []
    verdict = Chaos(people, people.vault, SEED, lines.append).run(ROUNDS)
    assert verdict.is_clean, (SEED, verdict, lines)
    print(verdict.rows(), lines)


def test_with_two_of_four_down_the_chain_waits_and_then_resumes(net: Network, people: People) -> None:
    secret = secrets.token_bytes(64)
    order, other = people.place_file(secret), people.place_file(b"to be closed")
    for node in (2, 3):
        net.stop(node)
    # What is sent now waits: the command sends the same bytes until they are in a block.
    closing = threading.Thread(target=people.by, args=("alice", "order", "close", other), daemon=True)
    closing.start()
    time.sleep(6.0)
    stuck = max(net.height(0), net.height(1))
    time.sleep(6.0)
    assert max(net.height(0), net.height(1)) == stuck
    assert closing.is_alive()
    net.start(2)
    closing.join(90.0)
    assert people.by("alice", "order", "show", other)["status"] == "closed"
    wait_until("node 2 to be healthy", lambda: status(net, 2)["healthy"])
    request = people.by("bob", "order", "request", order)["request"]
    assert people.receive_file(request) == secret
    net.start(3)
    wait_until("the last one to be healthy", lambda: status(net, 3)["healthy"])
    same_app_hash(net)
