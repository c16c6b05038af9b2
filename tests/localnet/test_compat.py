"""The same application under each CometBFT series that it is to work with, and under each Python.

v0.39 is what we run and is always tested; scripts/test.sh --compat brings the others, and a second Python where the
machine has one.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.localnet.network import Network
from tests.localnet.conftest import People, make_plan
from tests.localnet.own_network import PORT_BASE, eventually, own_network
from tests.localnet.recorded import record, replayed
from tests.support.go_tools import built

# The pinned series is tested on the network that others share.
pytestmark = [pytest.mark.localnet, pytest.mark.shared_network]
SERIES = {"0.39": 0, "0.38": PORT_BASE + 100, "0.40": PORT_BASE + 300}
# v0.40.0 calls itself 0.39.0: version/version.go was not changed for it.
SAYS = {"0.38": ("0.38.",), "0.39": ("0.39.",), "0.40": ("0.39.0", "0.40.")}
OURS = "0.39"


@pytest.fixture(scope="module", params=SERIES)
def consortium(request: pytest.FixtureRequest) -> Iterator[People]:
    """Four validators of one series; of ours, those that the suite has anyway."""
    series: str = request.param
    if series == OURS:
        yield request.getfixturevalue("people")
        return
    if not os.environ.get("DTA_COMPAT"):
        pytest.skip(f"CometBFT {series} is tested by scripts/test.sh --compat")
    binary = built(f"cometbft-v{series}.*", f"DTA_COMETBFT_{series.replace('.', '_')}", "scripts/test.sh --compat")
    plan = replace(make_plan(4, SERIES[series]), chain_id=f"dta-compat-{series}", comet_binary=binary)
    with own_network(plan) as net:
        assert Rpc(net.rpc_url(0)).call(requests.status()).version.startswith(SAYS[series])
        people = People(net)
        for name in ("alice", "bob", "mallory"):
            people.enrol(name)
        people.vault = people.by("alice", "vault", "open")["vault"]
        yield people


def height_of_one_app_hash(net: Network) -> int:
    """A height at which every node has the same app hash."""
    at = max(net.height(node) for node in net.nodes())
    net.wait_for_height(at + 1)
    assert len({net.app_hash(node, at) for node in net.nodes()}) == 1
    return at


def test_what_goes_in_comes_out_and_nobody_else_gets_it(consortium: People) -> None:
    secret = secrets.token_bytes(32)
    order = consortium.place_file(secret)
    consortium.refused("mallory", "Mallory asks", "order", "request", order)
    request = consortium.by("bob", "order", "request", order)["request"]
    assert consortium.receive_file(request) == secret
    height_of_one_app_hash(consortium.net)


def test_killed_processes_and_a_stopped_node_come_back_to_the_same_state(consortium: People) -> None:
    net = consortium.net
    for node, victim in ((1, "application"), (2, "cometbft")):
        pid = net.child_pid(node, victim)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    order = consortium.place_file(b"while things fall")
    net.stop(3)
    request = consortium.by("bob", "order", "request", order)["request"]
    assert consortium.receive_file(request) == b"while things fall"
    net.start(3)
    eventually("all have fulfilled", lambda: consortium.by("alice", "order", "show", order)["fulfilled"] == 4)
    height_of_one_app_hash(net)


def test_status_and_doctor_know_the_version(consortium: People) -> None:
    net = consortium.net
    eventually("healthy", lambda: net.dta(["status"], home=net.home(0), accept=(0, 1)).returncode == 0)
    shown = net.dta_json(["doctor"], home=net.home(0))
    assert [check["status"] for check in shown["checks"] if check["name"] == "CometBFT"] == ["ok"]


def test_a_replay_of_its_blocks_comes_to_the_app_hashes_of_its_headers(consortium: People, tmp_path: Path) -> None:
    """Under two hash seeds, and under the other Python where DTA_OTHER_PYTHON names one."""
    at = height_of_one_app_hash(consortium.net)
    path = tmp_path / "blocks.json"
    expected = record(consortium.net, 0, at - 1, path)
    assert len(set(expected)) > 10, "the workload changed the state"
    assert replayed(path, sys.executable, 1) == expected
    assert replayed(path, sys.executable, 2) == expected
    other = os.environ.get("DTA_OTHER_PYTHON")
    if other:
        assert replayed(path, other, 3) == expected
    elif os.environ.get("DTA_COMPAT"):
        pytest.skip("replayed under this Python; there is no second one (3.11 or 3.12) on this machine")
