"""README.md's tour, as it stands there: in one shell, command by command, from `scripts/localnet.sh up` to `clean`.

What an upper-case word stands for is what the commands before it printed, but for the shell's own variables.
`scripts/localnet.sh` is here the program that it ends in, without its bringing up of the machine, in a directory of the
test's own; and the ports are others than the README's, which a network beside this one may have.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dta.hsm import softhsm
from dta.localnet.network import DEFAULT_PORT_BASE
from tests.localnet.conftest import comet_binary
from tests.support.command_blocks import statements, to_run
from tests.support.command_shell import Shell

pytestmark = pytest.mark.localnet
HERE = "tests/localnet/test_tour.py"
PORT_BASE = int(os.environ.get("DTA_TOUR_PORT", "28400"))
README_PORT = re.compile(rf"(?<=:){DEFAULT_PORT_BASE // 1000}\d\d\d\b")
CLEANING_S = 120.0


@pytest.fixture
def shell() -> Iterator[Shell]:
    """In a directory with a `scripts/localnet.sh`; whatever the tour left running is stopped."""
    directory = Path(tempfile.mkdtemp(prefix="dta-tour-"))
    script = directory / "scripts" / "localnet.sh"
    script.parent.mkdir()
    program = f'exec {sys.executable} -m dta.localnet --port {PORT_BASE} "$@"'
    script.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{program}\n")
    script.chmod(0o755)
    environment = {**os.environ, "DTA_COMETBFT": comet_binary(), "DTA_SOFTHSM_MODULE": str(softhsm.find_module() or "")}
    shell = Shell(directory, environment)
    try:
        yield shell
    finally:
        shell.close()
        subprocess.run([script, "clean"], cwd=directory, env=environment, check=False, timeout=CLEANING_S)
        shutil.rmtree(directory, ignore_errors=True)


def ours(port: re.Match[str]) -> str:
    """The port that the tour's network has here for one of the README's."""
    return str(int(port[0]) - DEFAULT_PORT_BASE + PORT_BASE)


def test_the_tour_of_the_readme_goes_from_its_first_command_to_its_last(shell: Shell) -> None:
    said = ""
    for block in to_run("README.md", HERE):
        for statement in statements(block):
            said += shell.type(README_PORT.sub(ours, statement))
    assert shell.type("cat treasure.txt").startswith("the treasure is under the oak")
    assert "the receipt holds: order" in said
    assert not shell.type("ls -A").count(".localnet")
