"""The supervisor and an application that ends for want of a protocol version: all stops, once, and says why."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from founding_harness import consortium
from test_join import join_into

from dta.base.config import load_node_config
from dta.base.errors import UpgradeRequired
from dta.base.home import Home
from dta.node import supervisor
from dta.node.running import is_running

LISTENS_AND_ENDS = """
import socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
listening.accept()
sys.exit(76)
"""


@pytest.mark.parametrize("program", [LISTENS_AND_ENDS, "import sys; sys.exit(76)"], ids=["in time", "at once"])
def test_a_node_whose_application_lacks_the_version_stops_and_is_not_started_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], program: str
) -> None:
    (tmp_path / "founders").mkdir()
    join_into(Home(tmp_path / "n"), consortium(tmp_path / "founders", 1))
    comet = tmp_path / "comet"
    comet.write_text("#!/bin/sh\nexec sleep 60\n")
    comet.chmod(0o700)
    config = replace(load_node_config(tmp_path / "n"), comet_binary=str(comet))
    node = supervisor.Supervisor(config)
    node.application.command = [sys.executable, "-c", program, str(config.abci_socket)]
    node.agent.command = ["sleep", "60"]
    with pytest.raises(UpgradeRequired) as refused:
        asyncio.run(node.run())
    assert refused.value.exit_code == 10
    assert "docs/runbooks/upgrade.md" in refused.value.hint
    assert node.application.restarts == 0
    for child in (node.application, node.comet, node.agent):
        assert child.process is None or child.process.returncode is not None
    assert "starting it again" not in capfd.readouterr().err
    assert not is_running(config)
