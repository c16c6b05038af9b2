"""An upgrade to a version that the program lacks: every node stops before that block, says so, and loses nothing.

docs/runbooks/upgrade.md. Another program, made here, has the version, and goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from dta.localnet.network import Network
from tests.localnet.conftest import make_plan
from tests.localnet.faults import wait_until
from tests.localnet.own_network import own_network

pytestmark = pytest.mark.localnet
PORT_BASE = 30_200

# Stands for the program of the next version: it knows one more, whose rules are the same.
WITH_THE_VERSION = "import abci_app.transition as t; t.PROTOCOL_VERSIONS = (1, 2)"


def start_and_wait(net: Network, node: int) -> tuple[int, str]:
    """Start the node in the foreground and wait for its end: (exit code, stderr)."""
    done = subprocess.run(
        [sys.executable, "-m", "dta", "--home", str(net.home(node)), "start"],
        stdin=subprocess.DEVNULL, capture_output=True, env=net.environment(), timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr.decode(errors="replace")


def says(log: Path, words: str) -> bool:
    return words in log.read_text()


def test_every_node_stops_before_the_block_and_one_with_the_version_goes_on(tmp_path: Path) -> None:
    with own_network(make_plan(4, PORT_BASE)) as net:
        at = net.height(0) + 12  # an idle chain makes a block in 5 s
        propose = ["governance", "propose", "upgrade", "--height", str(at), "--version", "2"]
        proposal = net.dta_json(propose, home=net.home(0))["proposal"]
        for node in (1, 2):
            net.dta(["governance", "vote", proposal], home=net.home(node))
        wait_until("all four to stop by themselves", lambda: not any(net.pid(node) for node in net.nodes()), 180)
        for node in net.nodes():
            log = net.home(node) / "logs" / "node.log"
            wait_until("it to say why", partial(says, log, "hint: install"), 60)  # its lock is free before
            said = log.read_text()
            assert "a protocol version that this program lacks" in said
            assert "hint: install a dta that has it" in said
            application = (net.home(node) / "logs" / "application.log").read_text()
            assert "the chain is at protocol version 2" in application
        code, said = start_and_wait(net, 0)
        assert code == 10
        assert "error: the ledger's next block has a protocol version" in said

        (tmp_path / "sitecustomize.py").write_text(WITH_THE_VERSION + "\n")
        os.environ["PYTHONPATH"] = str(tmp_path)
        try:
            for node in net.nodes():
                net.start(node)
            net.wait_for_height(at + 2)
        finally:
            del os.environ["PYTHONPATH"]
