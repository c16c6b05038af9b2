"""M-Pin on real processes: a realm by vote and ceremony, people enrolled, logins over HTTP, revocation and its receipt.

The tests depend on each other, in their order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from abci_app.crypto.curve import G1
from dta.base.errors import EXIT_NOT_FOUND
from dta.base.secret import SecretBytes
from dta.client.mfa.credentials import CredentialStore
from dta.client.mfa.login import MfaClient, Permit
from dta.localnet.network import Network
from dta.mpin.logins import Mode
from dta.mpin.pin import Pin
from dta.mpin.refusals import LoginRefused, Refusal
from tests.localnet.conftest import People, make_plan
from tests.localnet.faults import wait_until
from tests.localnet.own_network import own_network

pytestmark = pytest.mark.localnet
PORT_BASE = 31_600
RIGHT_PIN = 4711


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with own_network(make_plan(port_base=PORT_BASE)) as network:
        yield network


@pytest.fixture(scope="module")
def people(net: Network) -> People:
    """Alice, who will be the registrar; bob, who runs a server; carol has a home but no identity."""
    found = People(net)
    for name in ("alice", "bob"):
        found.enrol(name)
    home = net.client_home("carol")
    home.mkdir(mode=0o700, parents=True)
    urls = [argument for node in net.nodes() for argument in ("--node", net.door_url(node))]
    net.dta(["init", "client", "--genesis", str(net.root / "genesis.json"), *urls], home=home)
    pin = home / "mpin"
    pin.write_text(f"{RIGHT_PIN}\n")
    pin.chmod(0o600)
    return found


class Server:
    """`dta mfa serve` in bob's home."""

    def __init__(self, net: Network) -> None:
        command = [
            sys.executable, "-m", "dta", "--home", str(net.client_home("bob")), "--json", "mfa", "serve", "--port", "0"
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=net.environment(), start_new_session=True)
        assert self.process.stdout is not None
        said = ""
        while not said.rstrip().endswith("}"):
            line = self.process.stdout.readline().decode()
            assert line, f"dta mfa serve ended: {said}"
            said += line
        self.url: str = json.loads(said)["listening"]

    def stop(self) -> None:
        os.kill(self.process.pid, signal.SIGTERM)
        assert self.process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def server(net: Network, people: People) -> Iterator[Server]:
    """Started once bob has his secret."""
    running = Server(net)
    yield running
    running.stop()


def enrolment(net: Network, people: People) -> dict[str, Any]:
    """One run of carol's `dta mfa enrol`."""
    home = net.client_home("carol")
    words = ("mfa", "enrol", "carol@example.org", "--realm", "web", "--mpin-file", str(home / "mpin"))
    done: dict[str, Any] = people.by("carol", *words, "--out", str(home / "carol.enrolment"))
    return done


def todays_permit(net: Network, people: People) -> Permit:
    """What `dta mfa login` takes from the ledger, kept for many logins."""
    found = people.by("carol", "mfa", "permit", "get", carol(net), "--realm", "web")
    return Permit(bytes.fromhex(found["client"]), found["day"], G1.decode(bytes.fromhex(found["permit"])))


def login(net: Network, people: People, server: Server, pin: int, permit: Permit) -> None:
    """Raises LoginRefused."""
    credential = CredentialStore(net.client_home("carol")).load("carol-example.org")
    with MfaClient(server.url) as client:
        who = bytes.fromhex(people.identities["bob"])
        client.login(credential, who, Pin(SecretBytes(b"%04d" % pin)), Mode.TWO_PASS, permit)


def test_four_fiduciaries_make_a_realm_with_a_key_of_its_own(net: Network, people: People) -> None:
    made = net.dta_json(
        ["mfa", "realm", "create", "--name", "web", "--registrar", people.identities["alice"], "--max-attempts", "0"],
        home=net.home(0),
    )
    for node in (1, 2):
        decided = net.dta_json(["governance", "vote", made["proposal"]], home=net.home(node))
    assert decided["status"] == "executed", decided
    for node in net.nodes():
        net.dta(["authority", "accept", made["authority"], "--yes"], home=net.home(node))

    def shown() -> Any:
        return people.by("alice", "mfa", "realm", "show", "web")

    wait_until("the realm's key", lambda: shown()["epoch"] == 1, 120)
    assert shown()["realm"] == made["realm"]
    authority = net.dta_json(["authority", "show", made["authority"]], home=net.home(0))
    assert authority["public_key_g2"] == ""


def test_a_server_and_a_client_are_issued_their_secrets(net: Network, people: People) -> None:
    refused = people.refused("bob", "bob asks too early", "mfa", "server", "request-secret", "--realm", "web")
    assert "UNKNOWN_SERVER" in refused
    people.by("alice", "mfa", "server", "register", people.identities["bob"], "--realm", "web")
    made = people.by("bob", "mfa", "server", "request-secret", "--realm", "web")
    assert Path(made["file"]).stat().st_mode & 0o777 == 0o600
    first = enrolment(net, people)
    people.by("alice", "mfa", "authorise", first["file"])
    assert enrolment(net, people)["done"] is True


def test_the_right_pin_logs_in_and_each_of_twenty_wrong_ones_does_not(
    net: Network, people: People, server: Server
) -> None:
    route = f"{server.url}/rps/timePermit/{carol(net)}"
    assert httpx.get(route, trust_env=False, timeout=30).json()["error"]["code"] == Refusal.NO_PERMIT
    home, bob = net.client_home("carol"), people.identities["bob"]
    at = ("--url", server.url, "--server", bob, "--mpin-file", str(home / "mpin"))
    words = ("mfa", "login", "carol-example.org", *at)
    assert b"no permit was issued" in net.dta(words, home=home, accept=(EXIT_NOT_FOUND,)).stderr
    assert people.by("alice", "mfa", "permit", "issue", "--realm", "web")["clients"] == 1
    permit = todays_permit(net, people)
    assert httpx.get(route, trust_env=False, timeout=30).json()["permit"] == permit.point.encode().hex()
    login(net, people, server, RIGHT_PIN, permit)
    wrong = [number for number in range(RIGHT_PIN - 10, RIGHT_PIN + 11) if number != RIGHT_PIN]
    assert len(wrong) == 20
    for number in wrong:
        with pytest.raises(LoginRefused) as refused:
            login(net, people, server, number, permit)
        assert refused.value.code == Refusal.NOT_AUTHENTICATED
    login(net, people, server, RIGHT_PIN, permit)


def carol(net: Network) -> str:
    """The hash that carol is on the ledger."""
    return CredentialStore(net.client_home("carol")).load("carol-example.org").client.hex()


def test_the_command_logs_in_with_a_session_key(net: Network, people: People, server: Server) -> None:
    home = net.client_home("carol")
    done = people.by(
        "carol", "mfa", "login", "carol-example.org", "--url", server.url, "--server", people.identities["bob"],
        "--mpin-file", str(home / "mpin"),
    )  # fmt: skip
    assert (done["mode"], done["client"]) == ("full", carol(net))


def test_after_revocation_the_next_days_permit_does_not_exist_and_a_receipt_proves_it(
    net: Network, people: People, server: Server
) -> None:
    people.by("alice", "mfa", "revoke", "carol@example.org", "--realm", "web")
    receipt = net.root / "revoked.receipt"
    made = people.by(
        "carol", "receipt", "get", "permit", carol(net), "--realm", "web", "--day", "tomorrow", "--out", str(receipt)
    )  # fmt: skip
    assert [(one["asked"], one["never"]) for one in made["permits"]] == [(False, True)]
    net.dta(["receipt", "verify", str(receipt), "--trust", str(net.root / "genesis.json")], home=net.client_home("bob"))
    with pytest.raises(LoginRefused) as refused:
        login(net, people, server, RIGHT_PIN, todays_permit(net, people))
    assert refused.value.code in (Refusal.REVOKED, Refusal.NOT_AUTHENTICATED)
    words = ("mfa", "permit", "issue", "--realm", "web")
    assert people.by("alice", *words)["clients"] == 0
