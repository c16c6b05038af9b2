"""What ``dta status`` and ``dta doctor`` make of what they see."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from dta.cli import nodestatus
from dta.config import NodeConfig
from dta.doctor import examine
from dta.hsm.config import KeystoreConfig
from dta.hsm.keystore import CheckStep
from tests.unit.founding_harness import write_pin

NOW_S = 1_790_000_000.0
WELL = {"keystore": {"open": True, "trouble": ""}, "hooks": {"trouble": "", "late": 0, "hung": False}, "trouble": {}}


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keystore = KeystoreConfig("software", path=tmp_path / "keys", pin_file=write_pin(tmp_path))
    return NodeConfig(tmp_path, "chain", bytes(32), keystore, f"http://127.0.0.1:{port}", ("127.0.0.1", port))


def pretend_running(config: NodeConfig, agent: object) -> None:
    config.run_dir.mkdir()
    (config.run_dir / "node.pid").write_text(str(os.getpid()))
    (config.run_dir / "supervisor.json").write_text(json.dumps({"agent": {"pid": 1}, "cometbft": {"pid": None}}))
    config.status_file.write_text(json.dumps(agent))
    os.utime(config.status_file, (NOW_S, NOW_S))


def steps(config: NodeConfig, **changes: object) -> dict[str, CheckStep]:
    given: dict[str, object] = {"running": False, "gateways": [], "agent": None, "now_s": NOW_S, **changes}
    return {step.name: step for step in examine(config, **given)}  # type: ignore[arg-type]


def test_a_node_that_does_not_run_is_said_not_to(config: NodeConfig) -> None:
    found = nodestatus.look(config, NOW_S)
    assert (found.exit_code, found.trouble) == (nodestatus.NOT_RUNNING, [])


def test_what_is_down_or_silent_is_trouble(config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodestatus, "is_running", lambda _: True)
    pretend_running(config, WELL)
    found = nodestatus.look(config, NOW_S + 31)
    assert found.exit_code == nodestatus.UNHEALTHY
    assert "cometbft is down" in found.trouble
    assert "the agent has said nothing for 31 s" in found.trouble
    assert any("can't be reached" in sentence for sentence in found.trouble)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"keystore": {"open": False, "trouble": "PIN locked"}}, "the keystore is not open: PIN locked"),
        ({"hooks": {"late": 2}}, "hooks: 2 are late"),
        ({"hooks": {"hung": True}}, "hooks: a job hangs"),
        ({"hooks": {"trouble": "the last block is old"}}, "hooks: the last block is old"),
        ({"trouble": {"gateway": "address in use"}}, "gateway: address in use"),
    ],
)
def test_what_the_agent_complains_of_is_passed_on(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], sentence: str
) -> None:
    monkeypatch.setattr(nodestatus, "is_running", lambda _: True)
    pretend_running(config, WELL | change)
    assert sentence in nodestatus.look(config, NOW_S).trouble


def test_a_half_written_status_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    assert nodestatus.read_status_file(path) is None
    path.write_text('{"a": ')
    assert nodestatus.read_status_file(path) is None
    path.write_text("[1]")
    assert nodestatus.read_status_file(path) is None


def test_the_doctor_says_what_is_missing_and_goes_on(config: NodeConfig) -> None:
    found = steps(config, gateways=["http://127.0.0.1:9"])
    assert found["disk"].status in ("ok", "warning")
    assert found["gateway port"].status == "ok"
    assert found["ledger"].status == "warning"
    assert found["store file"].status == "failure"
    assert found["gateway http://127.0.0.1:9"].status == "warning"
    assert all(step.advice for step in found.values() if step.status != "ok" and step.name != "later steps")


def test_a_port_that_somebody_has_is_a_failure(config: NodeConfig) -> None:
    with socket.socket() as taken:
        taken.bind(config.gateway_bind)
        taken.listen()
        assert steps(config)["gateway port"].status == "failure"


def test_a_running_node_that_answers_nothing_fails(config: NodeConfig) -> None:
    found = steps(config, running=True)
    assert (found["ledger"].status, found["gateway port"].status, found["hooks"].status) == ("failure",) * 3


def test_late_hooks_are_a_warning(config: NodeConfig) -> None:
    assert steps(config, running=True, agent={"hooks": {"due": 3, "late": 1}})["hooks"].status == "warning"
    assert steps(config, running=True, agent={"hooks": {"due": 3, "late": 0}})["hooks"].status == "ok"


def test_an_unknown_cometbft_is_a_failure(config: NodeConfig, tmp_path: Path) -> None:
    program = tmp_path / "comet"
    program.write_text("#!/bin/sh\necho v0.34.0\n")
    program.chmod(0o700)
    other = NodeConfig(
        tmp_path, "chain", bytes(32), config.keystore, config.rpc_url, config.gateway_bind, comet_binary=str(program)
    )
    assert steps(other)["CometBFT"].status == "failure"
    program.write_text("#!/bin/sh\necho 0.39.4\n")
    assert steps(other)["CometBFT"].status == "ok"
