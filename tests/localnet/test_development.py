"""``dta dev up`` as a developer runs it, and the lines of README and docs/howto/sdk.md against what is up then."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dta.localnet import agents
from dta.localnet.development import PEOPLE
from dta.localnet.network import Network
from tests.localnet.conftest import comet_binary

pytestmark = pytest.mark.localnet
ROOT = Path(__file__).parents[2]
HERE = ".dta-dev"


class Developer:
    """A shell in a directory of its own, with ``dta`` on its PATH."""

    def __init__(self, directory: Path, comet: str) -> None:
        self.directory = directory
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
    network = Network(made.directory / HERE)
    try:
        yield made
    finally:
        for name in PEOPLE:
            agents.stop(network, name)
        if (network.home(0) / "node.toml").exists():
            network.down()


def readme_part() -> list[tuple[str, str]]:
    """The blocks of README that this file runs: language and lines, as they stand."""
    mark = r"<!-- run by tests/localnet/test_development\.py -->\n```(sh|python)\n(.*?)```\n"
    found: list[tuple[str, str]] = re.findall(mark, (ROOT / "README.md").read_text(), re.DOTALL)
    return found


def test_the_readme_s_lines_place_a_secret_and_receive_it_and_leave_nothing(developer: Developer) -> None:
    (_, up), (language, application), (_, identity), (_, secret), (_, down) = readme_part()
    assert language == "python"
    assert len([line for line in application.splitlines() if line]) <= 10
    developer.shell(up)
    assert developer.python(application) == "the treasure is under the oak\n"
    made = json.loads(developer.shell(identity))
    assert made["status"] == "registered"
    received: dict[str, Any] = {}
    for _ in range(20):  # of one shell; both calls may be repeated, and neither is done twice
        again, received = in_turn(developer.shell(identity + secret))
        assert again == made
        if "secret" in received:
            break
        assert received["status"] in ("pending", "granted"), received
    assert received["extension"] == {"plainText": "the treasure is under the oak"}
    assert b64decode(received["secret"]) == b"the treasure is under the oak"
    developer.shell(down)
    assert not (developer.directory / HERE).exists()
    assert Network(developer.directory / HERE).processes() == []


def in_turn(said: str) -> list[Any]:
    """JSON values, one after the other."""
    decoder, found, rest = json.JSONDecoder(), [], said.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


def test_what_is_up_is_found_again_and_outlives_a_stop(developer: Developer) -> None:
    port = 32_300
    first = developer.dta_json("dev", "up", "--port", str(port))
    assert first["rpc"].endswith(f":{port + 1}")
    order = developer.python(
        "import dta\n"
        f"with dta.Client({first['people']['alice']['home']!r}) as alice:\n"
        "    order = alice.orders.place(b'kept', vault=alice.vaults.open().id, beneficiary='bob')\n"
        "print(order.id)\n"
    ).strip()
    for name, one in first["people"].items():
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
    Network(developer.directory / HERE).kill(0)
    assert developer.dta_json("dev", "up") == first
    assert developer.dta_json("dev", "down", "--forget") == {"stopped": True, "forgotten": True}
    assert Network(developer.directory / HERE).processes() == []
