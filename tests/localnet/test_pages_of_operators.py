"""docs/howto/authority.md and docs/howto/mfa.md, as they stand: four fiduciaries, a registrar, a server, a person.

Each command runs at a terminal, which answers what it asks. One network for both; the tests go in their order.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dta.localnet.actors import Demo
from dta.localnet.network import Network
from tests.localnet.conftest import make_plan
from tests.localnet.faults import wait_until
from tests.localnet.own_network import own_network
from tests.support.command_blocks import to_run
from tests.support.command_player import Player
from tests.support.command_terminal import at_a_terminal

pytestmark = pytest.mark.localnet
HERE = "tests/localnet/test_pages_of_operators.py"
PORT_BASE = 28_200
FOUNDERS = [f"fiduciary-{number}" for number in range(4)]
SEVERAL = {"each of the others": FOUNDERS[1:3], "each": FOUNDERS, "the three": FOUNDERS[1:], "the registrar": ["alice"]}
PIN = "4711"
ANSWERS = {
    "Type yes to go on: ": "yes", "M-Pin PIN: ": PIN, "4 to 12 digits: ": PIN, "The same again: ": PIN,
}  # fmt: skip
KEY_S = 300.0


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with own_network(make_plan(port_base=PORT_BASE)) as network:
        yield network


class Cast:
    """Whoever runs a command of a page, in the homes of a localnet; all stand in the directory of clients' homes."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.serving: subprocess.Popen[bytes] | None = None
        people = Demo(net)
        for name in ("alice", "bob"):
            people.enrol(name)
        self.directory = net.client_home("alice").parent
        carol = net.client_home("carol")
        carol.mkdir(mode=0o700)
        genesis = net.root / "genesis.json"
        net.dta(["init", "client", "--genesis", str(genesis), "--node", net.door_url(0)], home=carol)
        shutil.copy(genesis, self.directory)
        contacts = "".join(f'{name} = "{id_}"\n' for name, id_ in people.identities.items())
        for home in (*map(net.home, net.nodes()), net.client_home("alice")):
            (home / "contacts.toml").write_text(contacts)
        self.player = Player(("alice", "bob", *FOUNDERS), FOUNDERS[0], self.run, SEVERAL)
        self.player.names["BOB"] = people.identities["bob"]

    def run(self, who: str, words: list[str]) -> tuple[int, str]:
        home = self.net.home(FOUNDERS.index(who)) if who in FOUNDERS else self.net.client_home(who)
        environment = {**self.net.environment(), "DTA_HOME": str(home), "TERM": "dumb"}
        command = [sys.executable, "-m", "dta", *words]
        if words[-2:] == ["mfa", "serve"]:
            return self.serve(command, environment)
        return at_a_terminal(command, self.directory, environment, ANSWERS)

    def serve(self, command: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """It stays in the foreground: here it goes on beside the test."""
        self.serving = subprocess.Popen(
            command, cwd=self.directory, env=environment, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.serving.stdout is not None
        said = self.serving.stdout.readline().decode()
        assert said, "dta mfa serve ended"
        return 0, said

    def key(self, which: str, home: Path) -> dict[str, Any]:
        shown: dict[str, Any] = self.net.dta_json(["authority", "show", which], home=home)
        return shown

    def wait_for_key(self, which: str, epoch: int) -> None:
        """Until the nodes have made it, and everybody has confirmed a share."""

        def is_there() -> bool:
            shown = self.key(which, self.net.home(0))
            return shown["status"] == "active" and shown["epoch"] == epoch and not shown["ceremony"]

        wait_until(f"epoch {epoch} of {which}", is_there, KEY_S)

    def close(self) -> None:
        if self.serving is not None:
            os.kill(self.serving.pid, signal.SIGTERM)
            assert self.serving.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def cast(net: Network) -> Iterator[Cast]:
    found = Cast(net)
    yield found
    found.close()


def test_the_page_on_keys_does_what_it_says(cast: Cast) -> None:
    proposed, consented, renewed, passed_on = to_run("docs/howto/authority.md", HERE)
    cast.player.play(proposed)
    assert "consent" in cast.player.play(consented)
    cast.wait_for_key("seal", 1)
    cast.player.play(renewed)
    cast.wait_for_key("seal", 2)
    cast.player.play(passed_on)
    cast.wait_for_key("seal", 3)
    members = cast.key("seal", cast.net.home(1))["in_force"]["members"]
    assert len(members) == 3


def test_the_page_on_logins_does_what_it_says(cast: Cast) -> None:
    play = cast.player.play
    realm, server, asked, authorised, logged_in, permits, revoked, proved = to_run("docs/howto/mfa.md", HERE)
    play(realm)
    cast.wait_for_key(cast.player.names["AUTHORITY"], 1)
    play(server)
    play(asked)
    play(authorised)
    assert "logged in" in play(logged_in)
    play(permits)
    play(revoked)
    assert "the receipt holds" in play(proved)
