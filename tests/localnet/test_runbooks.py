"""docs/runbooks/lose-a-node.md and replace-an-hsm.md, command by command, on a network that goes on meanwhile."""

from __future__ import annotations

import secrets
import shutil

import pytest

from tests.localnet.conftest import People, WiredNetwork
from tests.localnet.faults import (
    kill,
    same_app_hash,
    token_directory,
    wait_until_all_are_healthy,
    wait_until_fulfilled,
    wait_until_it_says,
)
from tests.localnet.runbook import Runbook

pytestmark = pytest.mark.localnet
LOST, WELL = 2, 0


def test_a_lost_node_is_started_again(net: WiredNetwork, people: People) -> None:
    page = Runbook(net, "lose-a-node", DTA_HOME=str(net.home(LOST)), ANOTHER=str(net.home(WELL)))
    kill(net, LOST, "node")
    assert f"127.0.0.1:{net.gateway_port(LOST)}: does not answer" in page.run()
    assert "it ended with 2" in page.run()
    page.run(2)
    assert page.left == []
    order = people.place_file(b"after the node was lost")
    wait_until_fulfilled(net, order)
    same_app_hash(net)


def test_a_lost_token_is_replaced_by_another(net: WiredNetwork, people: People) -> None:
    if net.plan.hsm != "softhsm":
        pytest.skip("SoftHSM2 is not installed")
    secret = secrets.token_bytes(64)
    order = people.place_file(secret)
    wait_until_fulfilled(net, order)
    token = token_directory(net, f"node-{LOST}")
    module = next(
        line.split('"')[1] for line in (net.home(LOST) / "node.toml").read_text().splitlines() if "module =" in line
    )
    files = {name: net.root / "pins" / f"{name}-{LOST}" for name in ("replaced", "so")}
    for path in files.values():
        path.write_text(secrets.token_hex(8) + "\n")
        path.chmod(0o600)
    shutil.rmtree(token)
    wait_until_it_says(net, LOST, "keystore|token")

    page = Runbook(
        net, "replace-an-hsm", DTA_HOME=str(net.home(LOST)), TOKEN=f"replaced-{LOST}", MODULE=module,
        PIN_FILE=str(files["replaced"]), SO_PIN_FILE=str(files["so"]),
    )  # fmt: skip
    assert "it ended with 8" in page.run()
    page.run(3)
    assert page.left == []

    # What was placed before is released by the others; step 4: what is placed anew, by all.
    request = people.by("bob", "order", "request", order)["request"]
    assert people.receive_file(request) == secret
    people.by("alice", "order", "close", order)
    people.vault = people.by("alice", "vault", "open")["vault"]
    moved = people.place_file(secret, "--threshold", str(net.plan.validators))
    request = people.by("bob", "order", "request", moved)["request"]
    assert people.receive_file(request) == secret
    same_app_hash(net)
    wait_until_all_are_healthy(net)
