"""``dta dev up`` as a developer runs it, and the lines of README and docs/howto/sdk.md against what is up then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dta.localnet import agents
from dta.localnet.development import PEOPLE
from dta.localnet.network import Network
from tests.localnet.conftest import comet_binary
from tests.support.command_blocks import statements, to_run
from tests.support.command_shell import Shell

pytestmark = pytest.mark.localnet
HERE = "tests/localnet/test_development.py"
MADE = ".dta-dev"


ROOT = Path(__file__).parents[2]


class Developer:
    """A shell in a directory of its own, with ``dta`` on its PATH and the checkout's `scripts/env.sh`."""

    def __init__(self, directory: Path, comet: str) -> None:
        self.directory = directory
        script = directory / "scripts" / "env.sh"
        script.parent.mkdir()
        script.write_text(f'#!/usr/bin/env bash\nexec {ROOT}/scripts/env.sh "$@"\n')
        script.chmod(0o755)
        programs = Path(sys.executable).parent
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "DTA_COMETBFT": comet}

    def shell(self, lines: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", lines], cwd=self.directory, env=self.environment, capture_output=True,
            text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def dta_json(self, *words: str) -> Any:
        return json.loads(self.shell(" ".join(("dta", "--json", *words))))

    def python(self, lines: str) -> str:
        (self.directory / "application.py").write_text(lines)
        return self.shell("python application.py")


@pytest.fixture
def developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Developer]:
    made = Developer(tmp_path_factory.mktemp("dev"), comet_binary())
    network = Network(made.directory / MADE)
    try:
        yield made
    finally:
        for name in PEOPLE:
            agents.stop(network, name)
        if (network.home(0) / "node.toml").exists():
            network.down()


def typed(shell: Shell, statement: str) -> str:
    """What it says; a call again where the ledger takes longer than a call waits (25 s): a 202, and no failure."""
    for _ in range(20):
        said = shell.type(statement)
        if not any(f'"status":"{unfinished}"' in said for unfinished in ("placing", "pending", "granted")):
            return said
    raise AssertionError(f"twenty calls, and nothing came of it: {statement}")


def test_the_readme_s_lines_place_a_secret_and_receive_it_and_leave_nothing(developer: Developer) -> None:
    blocks = to_run("README.md", HERE)
    shell = Shell(developer.directory, developer.environment)
    try:
        said = "".join(typed(shell, one) for block in blocks for one in statements(block))
    finally:
        shell.close()
    assert "the treasure is under the oak\n" in said
    assert f'"secret":"{b64encode(b"the oak by the well").decode()}"' in said
    assert len(blocks) == 4
    assert set(to_run("docs/howto/sdk.md", HERE)) <= set(blocks), "the page has the same lines"
    assert not (developer.directory / MADE).exists()
    assert Network(developer.directory / MADE).processes() == []


def test_what_is_up_is_found_again_and_outlives_a_stop(developer: Developer) -> None:
    port, listen = 32_300, "127.0.0.1:32305"
    first = developer.dta_json("dev", "up", "--port", str(port))
    assert first["rpc"].endswith(f":{port + 1}")
    order = developer.python(
        "import dta\n"
        f"with dta.Client({first['people']['alice']['home']!r}) as alice:\n"
        "    order = alice.orders.place(b'kept', vault=alice.vaults.open().id, beneficiary='bob')\n"
        "print(order.id)\n"
    ).strip()
    for name, one in first["people"].items():
        assert one["url"] == "http://dta"
        call = f'curl -sS --unix-socket {one["socket"]} -H "Authorization: Bearer $(cat {one["token_file"]})"'
        [identity] = json.loads(developer.shell(f"{call} http://dta/v1/status"))["identities"]
        assert identity == {"name": name, "identity": one["identity"]}
        assert Path(one["token_file"]).stat().st_mode & 0o077 == 0
    assert developer.dta_json("dev", "up") == first, "it runs already"
    assert developer.dta_json("dev", "down") == {"stopped": True, "forgotten": False}
    assert developer.dta_json("dev", "down")["stopped"] is False
    assert developer.dta_json("dev", "up") == first
    received = developer.python(
        "import dta\n"
        f"with dta.Client({first['people']['bob']['home']!r}) as bob:\n"
        f"    print(bob.orders.receive(bob.orders.request({order!r}).id).reveal())\n"
    )
    assert received == "b'kept'\n"
    # A wrong end: killed, and then asked for again.
    Network(developer.directory / MADE).kill(0)
    assert developer.dta_json("dev", "up") == first
    # Where a language has no calls over a unix socket (docs/howto/serve.md).
    bob = first["people"]["bob"]
    settings = Path(bob["home"]) / "serve.toml"
    settings.write_text(f'listen = "{listen}"\n' + settings.read_text())
    moved = developer.dta_json("dev", "up")["people"]["bob"]
    assert (moved["url"], moved["socket"]) == (f"http://{listen}", None)
    developer.shell(f'curl -sS -f -H "Authorization: Bearer $(cat {bob["token_file"]})" {moved["url"]}/v1/status')
    assert developer.dta_json("dev", "down", "--forget") == {"stopped": True, "forgotten": True}
    assert Network(developer.directory / MADE).processes() == []
