"""What the scripts and tests on real processes do to them."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dta.base.config import NodeConfig, write_node_config
from dta.base.errors import TimedOut
from dta.base.keystore_config import KeystoreConfig
from dta.localnet import network
from dta.localnet.network import CommandFailed, Network, Plan
from tests.unit.test_node_running import held, sleeping


@pytest.fixture
def net(tmp_path: Path) -> Network:
    """One node's home, which nothing runs in."""
    (tmp_path / network.STATE_FILE).write_text(json.dumps(asdict(Plan(1, "software", "chain", 1, "cometbft"))))
    home = tmp_path / "node0"
    home.mkdir()
    keystore = KeystoreConfig("software", path=home / "keys")
    config = NodeConfig(home, "chain", bytes(32), keystore, "http://127.0.0.1:1", ("127.0.0.1", 1))
    write_node_config(config)
    config.run_dir.mkdir()
    return Network(tmp_path)


def say_child(net: Network, pid: int) -> None:
    (net.home(0) / "run/supervisor.json").write_text(json.dumps({"agent": {"pid": pid}}))


def test_a_process_that_went_by_itself_is_no_error(net: Network) -> None:
    """The children of a node go with their supervisor, and CometBFT goes with the application, before they are hit."""
    assert not net.send_signal(0, "node", signal.SIGKILL)
    assert not net.send_signal(0, "agent", signal.SIGKILL)
    net.stop(0)


def test_a_node_s_own_processes_are_signalled_and_no_others_of_their_number(net: Network) -> None:
    config = network.load_node_config(net.home(0))
    with held(config, "child") as (process, child), sleeping() as other:
        say_child(net, other.pid)
        assert net.child_pid(0, "agent") is None
        assert not net.send_signal(0, "agent", signal.SIGKILL)
        say_child(net, child)
        assert net.send_signal(0, "agent", signal.SIGSTOP)
        assert other.poll() is None
        assert net.pid(0) == process.pid
        net.kill(0)
        assert process.wait() == -signal.SIGKILL
        assert net.pid(0) is None


class Told(Network):
    """``dta status`` exits and says so, one after another; then the heights that the node is at."""

    def __init__(
        self, root: Path, say: Any, statuses: Sequence[tuple[int, str]], heights: Sequence[int], door: bool = True
    ) -> None:
        super().__init__(root, say)
        self.statuses, self.heights, self.started, self.door = list(statuses), list(heights), 0, door

    def door_is_ready(self, node: int) -> bool:
        return self.door

    def start(self, node: int) -> None:
        self.started += 1

    def height(self, node: int) -> int:
        return self.heights.pop(0) if len(self.heights) > 1 else self.heights[0]

    def dta(self, arguments: Sequence[str], **_: Any) -> Any:
        code, trouble = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        said = json.dumps({"trouble": [trouble]}).encode()
        return subprocess.CompletedProcess([], code, said, b"")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(network.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(network.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def test_up_is_over_when_each_node_is_well_and_has_a_block_made_since(net: Network, clock: list[float]) -> None:
    told = Told(net.root, lambda _: None, [(2, ""), (1, "agent is down"), (0, "")], [40, 40, 40, 41])
    told.up()
    assert told.started == 1
    assert told.statuses == [(0, "")]
    assert told.heights == [41]


def test_up_fails_where_a_node_ends_or_is_never_well_and_says_why(net: Network, clock: list[float]) -> None:
    with pytest.raises(CommandFailed, match="node 0 ended"):
        Told(net.root, lambda _: None, [(1, "x"), (2, "")], [1]).up()
    said: list[str] = []
    stranger = "what answers at http://x is not this node"
    with pytest.raises(TimedOut, match=f"node 0 is not well: {stranger}"):
        Told(net.root, said.append, [(1, stranger)], [1]).up()
    assert said == [f"waiting for node 0: {stranger}"]
    with pytest.raises(TimedOut, match="node 0 is not well: its door is not ready"):
        Told(net.root, lambda _: None, [(0, "")], [1], door=False).up()
    with pytest.raises(TimedOut, match="did not reach height 8"):
        Told(net.root, lambda _: None, [(0, "")], [7]).up()
