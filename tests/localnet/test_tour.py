"""README.md's tour, as it stands there: in one shell, command by command, from `scripts/localnet.sh up` to `clean`.

What an upper-case word stands for is what the commands before it printed. `scripts/localnet.sh` is here the program
that it ends in, without its bringing up of the machine, in a directory of the test's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dta.hsm import softhsm
from tests.localnet.conftest import comet_binary
from tests.support.command_blocks import commands, to_run
from tests.support.command_player import Names

pytestmark = pytest.mark.localnet
HERE = "tests/localnet/test_tour.py"
COMMAND_S = 300.0
ENDED = "-- the command ended with"


class Shell:
    """One bash, as a reader has it open. ``names``: what was printed in it."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.names = Names()
        self._bash = subprocess.Popen(
            ["bash", "--norc"], cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def type(self, line: str) -> str:
        """Run one line; what it printed. It must succeed."""
        typed = self.names.put_known_in(line)
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{typed}\necho; echo '{ENDED}' $?\n")
        self._bash.stdin.flush()
        code, said = self._answer()
        assert code == "0", f"{typed}\nended with {code}:\n{said}"
        self.names.learn(said)
        return said

    def _answer(self) -> tuple[str, str]:
        assert self._bash.stdout is not None
        late = threading.Timer(COMMAND_S, self._bash.kill)
        late.start()
        said = ""
        try:
            for line in self._bash.stdout:
                if line.startswith(ENDED):
                    return line.removeprefix(ENDED).strip(), said
                said += line
            return f"nothing after {COMMAND_S:.0f} s", said
        finally:
            late.cancel()

    def close(self) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._bash.wait(timeout=30)


@pytest.fixture
def shell() -> Iterator[Shell]:
    """In a directory with a `scripts/localnet.sh`; whatever the tour left running is stopped."""
    directory = Path(tempfile.mkdtemp(prefix="dta-tour-"))
    script = directory / "scripts" / "localnet.sh"
    script.parent.mkdir()
    script.write_text(f'#!/usr/bin/env bash\nset -euo pipefail\nexec {sys.executable} -m dta.localnet "$@"\n')
    script.chmod(0o755)
    environment = {**os.environ, "DTA_COMETBFT": comet_binary(), "DTA_SOFTHSM_MODULE": str(softhsm.find_module() or "")}
    shell = Shell(directory, environment)
    try:
        yield shell
    finally:
        shell.close()
        subprocess.run([script, "clean"], cwd=directory, env=environment, check=False, timeout=COMMAND_S)
        shutil.rmtree(directory, ignore_errors=True)


def test_the_tour_of_the_readme_goes_from_its_first_command_to_its_last(shell: Shell) -> None:
    said = ""
    for block in to_run("README.md", HERE):
        for line in commands(block):
            said += shell.type(line)
    assert shell.type("cat treasure.txt").startswith("the treasure is under the oak")
    assert "the receipt holds: order" in said
    assert not shell.type("ls -A").count(".localnet")
