"""What authority keys are for, on real nodes with one of four down: an order under a custody key, and a signature.

The tests depend on each other, in their order.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dta.base.errors import EXIT_NOT_VERIFIED
from dta.crypto.bls.verify import main as verify_signature
from dta.localnet.network import Network
from tests.localnet.conftest import People, make_plan
from tests.localnet.faults import same_app_hash, status, wait_until
from tests.localnet.own_network import own_network
from tests.support.go_tools import built_tool

pytestmark = pytest.mark.localnet
PORT_BASE = 30_600
FOUNDERS = range(4)
DOWN = 3
SECRET = secrets.token_bytes(64)


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    """Four fiduciaries with a key for custody and one for signing; then one of them is stopped."""
    with own_network(make_plan(port_base=PORT_BASE)) as network:
        for name, purpose in (("safe", "custody"), ("seal", "signing")):
            proposed = network.dta_json(
                ["authority", "create", name, "--purpose", purpose], home=network.home(0)
            )
            for node in (1, 2):
                network.dta_json(["governance", "vote", proposed["proposal"]], home=network.home(node))
            for node in FOUNDERS:
                network.dta_json(["authority", "accept", name, "--yes"], home=network.home(node))
        for name in ("safe", "seal"):
            wait_until(f"{name} to be made", lambda name=name: confirmed(network, name) == 4, 180)
        yield network


def confirmed(net: Network, name: str) -> int:
    shown = net.dta_json(["authority", "show", name], home=net.home(0))
    return int(shown["in_force"]["confirmations"]) if shown["status"] == "active" else 0


@pytest.fixture(scope="module")
def people(net: Network) -> People:
    people = People(net)
    for name in ("alice", "bob"):
        people.enrol(name)
    return people


def place(people: People, content: bytes, *options: str) -> Any:
    path = people.net.client_home("alice") / f"{secrets.token_hex(4)}.secret"
    path.write_bytes(content)
    return people.by(
        "alice", "order", "place", "--custodian", "mpc-bls", "--authority", "safe", "--secret-file", str(path),
        "--beneficiary", people.identities["bob"], *options,
    )  # fmt: skip


def test_an_order_under_a_key_is_active_at_once_and_opens_with_three_of_four(net: Network, people: People) -> None:
    before = place(people, SECRET)
    assert before["status"] == "active"
    net.stop(DOWN)
    request = people.by("bob", "order", "request", before["order"])["request"]
    assert people.receive_file(request) == SECRET
    meanwhile = place(people, SECRET, "--allow-missing", "1")
    request = people.by("bob", "order", "request", meanwhile["order"])["request"]
    assert people.receive_file(request) == SECRET
    shown = people.by("alice", "order", "show", before["order"])
    assert [one["status"] for one in shown["requests"]] == ["completed"]


def test_three_of_four_sign_and_others_verify_it(net: Network, people: People, tmp_path: Path) -> None:
    file, signed, signature = tmp_path / "release", tmp_path / "signed", tmp_path / "signature"
    file.write_bytes(b"release 1.0")
    asked = people.by("alice", "sign", "request", str(file), "--authority", "seal", "--kind", "release")
    assert (asked["status"], asked["signature"]) == ("pending", "")
    for node in (0, 1, 2):
        net.dta_json(["sign", "approve", asked["request"], "--yes"], home=net.home(node))
    made = people.by("alice", "sign", "wait", asked["request"], "--seconds", "120")
    assert people.by("bob", "sign", "verify", asked["request"], "--file", str(file))["valid"] is True
    people.by("bob", "sign", "export", asked["request"], "--out", str(signed), "--signature-out", str(signature))
    assert (signed.read_bytes().hex(), signature.read_bytes().hex()) == (made["bytes_signed"], made["signature"])
    words = ["--scheme", "min-sig", "--dst", made["suite"], "--public-key", made["public_key"]]
    assert verify_signature([*words, "--message", made["bytes_signed"], "--signature", made["signature"]]) == 0
    line = f"min-sig {made['suite']} {made['public_key']} {made['bytes_signed']} {made['signature']}\n"
    program = [built_tool("authority-verifier"), "signatures"]
    in_go = subprocess.run(program, input=line, capture_output=True, text=True, check=True, timeout=120)
    assert in_go.stdout.startswith("valid")
    file.write_bytes(b"release 6.66")
    words = ["sign", "verify", asked["request"], "--file", str(file)]
    assert b"is not what was signed" in net.dta(words, home=net.client_home("bob"), accept=(EXIT_NOT_VERIFIED,)).stderr


def test_closing_is_the_ledgers_and_the_fourth_comes_back(net: Network, people: People) -> None:
    order = place(people, SECRET, "--allow-missing", "1")["order"]
    people.by("alice", "order", "close", order, "--yes")
    assert "ORDER_NOT_OPEN" in people.refused("bob", "bob asks", "order", "request", order)
    net.start(DOWN)
    wait_until("the fourth to be healthy", lambda: status(net, DOWN)["healthy"], 120)
    same_app_hash(net)
