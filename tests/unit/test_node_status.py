"""What ``dta status`` and ``dta doctor`` make of what they see."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest

from abci_app.block import Time
from dta.base.config import NodeConfig
from dta.base.home import Home
from dta.base.keystore_config import KeystoreConfig
from dta.cli import nodestatus
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.hsm.keystore import CheckStep
from dta.light.hashes import header_hash
from dta.node import doctor, running, tendermint_config
from dta.node.doctor import examine
from tests.support.light_chain import Chain, Node, members
from tests.support.pretended_dta_node import NODE_ID, write_node_key
from tests.unit.founding_harness import write_pin

NOW_S = 1_790_000_000.0
WELL = {
    "keystore": {"open": True, "trouble": ""}, "hooks": {"trouble": "", "late": 0, "hung": False}, "trouble": {},
    "gateway": "127.0.0.1:1",
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keystore = KeystoreConfig("software", path=tmp_path / "keys", pin_file=write_pin(tmp_path))
    return NodeConfig(tmp_path, "chain", bytes(32), keystore, f"http://127.0.0.1:{port}", ("127.0.0.1", port))


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The pid of a child of this process, which is taken for the node's supervisor."""
    for module in (nodestatus, doctor):
        monkeypatch.setattr(module, "holder", lambda _: os.getpid())
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


def pretend_running(config: NodeConfig, agent: object, child: int, **comet: object) -> None:
    config.run_dir.mkdir()
    children = {"agent": {"pid": child}, "cometbft": {"pid": None, **comet}}
    (config.run_dir / "supervisor.json").write_text(json.dumps(children))
    config.status_file.write_text(json.dumps(agent))
    os.utime(config.status_file, (NOW_S, NOW_S))


def steps(config: NodeConfig, **changes: object) -> dict[str, CheckStep]:
    given: dict[str, object] = {"running": False, "gateways": [], "agent": None, "now_s": NOW_S, **changes}
    return {step.name: step for step in examine(config, **given)}  # type: ignore[arg-type]


def test_a_node_that_does_not_run_is_said_not_to(config: NodeConfig) -> None:
    found = nodestatus.look(config, NOW_S)
    assert (found.exit_code, found.trouble) == (nodestatus.NOT_RUNNING, [])


def test_what_is_down_or_silent_is_trouble(config: NodeConfig, child: int) -> None:
    pretend_running(config, WELL, child)
    found = nodestatus.look(config, NOW_S + 31)
    assert found.exit_code == nodestatus.UNHEALTHY
    assert "cometbft is down" in found.trouble
    assert "the agent has said nothing for 31 s" in found.trouble
    assert any("can't be reached" in sentence for sentence in found.trouble)


def test_a_process_that_keeps_ending_is_named_with_its_log(config: NodeConfig, child: int) -> None:
    pretend_running(config, WELL, child, last_exit=1)
    said = f"cometbft is down: it last ended with 1, see {config.log_dir}/cometbft.log"
    assert said in nodestatus.look(config, NOW_S).trouble


def test_a_key_that_came_back_after_its_erasure_was_attested_is_trouble(config: NodeConfig, child: int) -> None:
    late = [f"{number:064x}" for number in range(5)]
    pretend_running(config, {**WELL, "pid": child, "keys_found_late": late}, child)
    found = nodestatus.look(config, NOW_S)
    (told,) = (sentence for sentence in found.trouble if sentence.startswith("keys: "))
    assert f"{2:064x} and others" in told
    assert "destroyed now" in told


def test_what_an_agent_before_this_one_said_counts_for_nothing(config: NodeConfig, child: int) -> None:
    pretend_running(config, {**WELL, "pid": child + 1}, child)
    assert "the agent has said nothing yet" in nodestatus.look(config, NOW_S).trouble
    config.status_file.write_text(json.dumps({**WELL, "pid": child}))
    os.utime(config.status_file, (NOW_S, NOW_S))
    assert "the agent has said nothing yet" not in nodestatus.look(config, NOW_S).trouble


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"keystore": {"open": False, "trouble": "PIN locked"}}, "the keystore is not open: PIN locked"),
        ({"hooks": {"late": 2}}, "hooks: 2 are late"),
        ({"hooks": {"hung": True}}, "hooks: a job hangs"),
        ({"hooks": {"trouble": "the last block is old"}}, "hooks: the last block is old"),
        ({"trouble": {"gateway": "address in use"}}, "gateway: address in use"),
        ({"gateway": ""}, "the gateway does not listen yet"),
    ],
)
def test_what_the_agent_complains_of_is_passed_on(
    config: NodeConfig, child: int, change: dict[str, object], sentence: str
) -> None:
    pretend_running(config, WELL | change, child)
    trouble = nodestatus.look(config, NOW_S).trouble
    assert sentence in trouble
    assert ("the gateway does not listen yet" in trouble) == (change == {"gateway": ""})


@pytest.mark.parametrize(
    ("whole_at_height", "said"), [(0, "no pass is whole yet"), (120, "the last whole pass ended at height 120")]
)
def test_how_far_the_check_of_the_state_is_is_shown(
    config: NodeConfig, child: int, whole_at_height: int, said: str
) -> None:
    agent = WELL | {"state_check": {"leaves": 48, "passes": 3, "whole_at_height": whole_at_height}}
    pretend_running(config, agent, child)
    line = f"48 leaves of this pass checked, {said}"
    assert f"state       {line}" in nodestatus.look(config, NOW_S).lines()
    found = steps(config, running=True, agent=agent)["state"]
    assert (found.status, found.detail) == ("ok", line)


def test_the_doctor_names_a_state_that_was_moved_aside(config: NodeConfig) -> None:
    assert steps(config)["state"].status == "ok"
    for number in (1, 2):
        (config.home / f"state.corrupt-{number}").mkdir()
    found = steps(config)["state"]
    assert found.status == "warning"
    assert "state.corrupt-1, state.corrupt-2" in found.detail
    assert "damaged-state.md" in found.advice


def test_a_half_written_status_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    assert running.read_status_file(path) is None
    path.write_text('{"a": ')
    assert running.read_status_file(path) is None
    path.write_text("[1]")
    assert running.read_status_file(path) is None


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


def comet(directory: Path, said: str) -> str:
    """A program that says ``said`` of its version."""
    program = directory / "comet"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o700)
    return str(program)


@pytest.mark.parametrize(
    ("said", "version", "abci"),
    [
        ('{"cometbft": "v0.34.0", "abci": "0.17.0"}', "failure", "failure"),
        ('{"tendermint": "0.38.26", "abci": "2.0.0"}', "ok", "ok"),
        ('{"cometbft": "0.39.4", "abci": "2.0.0"}', "ok", "ok"),
        ('{"cometbft": "0.40.0", "abci": "3.0.0"}', "ok", "failure"),
        ("0.39.4", "failure", None),
        ("[1]", "failure", None),
    ],
)
def test_the_versions_of_cometbft_and_of_its_abci_are_looked_at(
    config: NodeConfig, tmp_path: Path, said: str, version: str, abci: str | None
) -> None:
    found = steps(replace(config, comet_binary=comet(tmp_path, said)))
    assert found["CometBFT"].status == version
    assert (found["ABCI"].status if "ABCI" in found else None) == abci


def test_every_port_that_cometbft_is_configured_to_listen_on_is_tried(config: NodeConfig) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        write_comet_config(config, p2p_laddr=f"tcp://127.0.0.1:{taken.getsockname()[1]}", rpc_laddr="tcp://[::1]:0")
        found = steps(config)
        assert (found["p2p port"].status, found["rpc port"].status) == ("failure", "ok")
        assert found["sign-state"].status == "ok"
        assert steps(config, running=True)["p2p port"].status == "ok"
        assert steps(config, running=True)["rpc port"].status == "failure"
        assert "cometbft.log" in steps(config, running=True)["rpc port"].advice


def test_what_listens_on_a_port_of_cometbft_s_while_it_is_down_is_another_program(
    config: NodeConfig, child: int
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        write_comet_config(config, rpc_laddr=f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        pretend_running(config, WELL, child)
        found = steps(config, running=True)["rpc port"]
        assert found.status == "failure"
        assert found.detail.endswith("and this node's cometbft is down")
        said = {"cometbft": {"pid": child}}
        (config.run_dir / "supervisor.json").write_text(json.dumps(said))
        assert steps(config, running=True)["rpc port"].status == "ok"


def test_a_program_that_has_a_port_of_cometbft_s_and_accepts_nothing_is_another_program(
    config: NodeConfig, child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_TIMEOUT_S", 0.1)
    with socket.socket() as taken, socket.socket() as waiting:
        taken.bind(("127.0.0.1", 0))
        taken.listen(0)
        waiting.connect(taken.getsockname())  # its queue is full now: who connects next hears nothing
        write_comet_config(config, rpc_laddr=f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        pretend_running(config, WELL, child, pid=child)
        found = steps(config, running=True)["rpc port"]
        assert (found.status, found.detail.rpartition(": ")[2]) == ("failure", "no answer in time")
        (config.run_dir / "supervisor.json").write_text(json.dumps({"cometbft": {"pid": None}}))
        found = steps(config, running=True)["rpc port"]
        assert (found.status, found.advice.partition(":")[0]) == ("failure", "another program has the port")
        assert found.detail.endswith("Address already in use, and this node's cometbft is down")


def write_comet_config(config: NodeConfig, **settings: str | bool) -> None:
    directory = config.comet_home / "config"
    directory.mkdir(parents=True)
    values = tendermint_config.Settings("node", "unix:///a", **settings).values()  # type: ignore[arg-type]
    text = tendermint_config.render(tendermint_config.load_template(), values)
    (directory / "config.toml").write_text(text)


@pytest.mark.parametrize(
    ("connected", "age_s", "catching_up", "expected"),
    [
        (2, 3, False, {"peers": "ok", "catching up": "ok", "clock": "ok", "this ledger": "ok", "this node": "ok"}),
        (1, 3, True, {"peers": "warning", "catching up": "warning", "clock": "ok"}),
        (0, 90, False, {"peers": "failure", "catching up": "ok", "clock": "warning"}),
        (2, -60, False, {"peers": "ok", "catching up": "ok", "clock": "failure"}),
    ],
)
def test_what_cometbft_says_is_judged(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, connected: int, age_s: int, catching_up: bool,
    expected: dict[str, str],
) -> None:  # fmt: skip
    write_comet_config(config, persistent_peers="a@127.0.0.1:1,b@127.0.0.1:2")
    write_node_key(config)
    newest = Time(int(NOW_S) - age_s)
    answers: dict[str, object] = {
        "status": requests.Status("chain", NODE_ID, "node", "0.39.4", 7, newest, b"", 1, catching_up, b""),
        "abci_info": requests.AbciInfo("dta", "0.1", 7),
        "net_info": requests.NetInfo(True, tuple(requests.Peer(str(n), "", "127.0.0.1") for n in range(connected))),
    }
    monkeypatch.setattr(Rpc, "call", lambda self, request: answers[request.method])
    monkeypatch.setattr(doctor, "_of_this_ledger", lambda _: CheckStep("this ledger", "ok", ""))
    found = steps(config, running=True)
    assert {name: found[name].status for name in expected} == expected
    assert found["application"].detail == "dta 0.1 at height 7"
    assert all(found[name].advice for name in expected if found[name].status != "ok")


def without_a_block(config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What CometBFT says before the first block: its newest is of 1970."""
    write_node_key(config)
    answers: dict[str, object] = {
        "status": requests.Status("chain", NODE_ID, "node", "0.39.4", 0, Time(0), b"", 0, True, b""),
        "abci_info": requests.AbciInfo("dta", "0.1", 0), "net_info": requests.NetInfo(True, ()),
    }  # fmt: skip
    monkeypatch.setattr(Rpc, "call", lambda self, request: answers[request.method])


def test_a_chain_without_its_first_block_is_not_57_years_old(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, child: int
) -> None:
    pretend_running(config, WELL, child)
    without_a_block(config, monkeypatch)
    seen = nodestatus.look(config, NOW_S)
    assert seen.data["ledger"] | {"age_s": None, "height": 0} == seen.data["ledger"]
    assert "ledger      height 0, no block yet, catching up" in seen.lines()
    assert any(line.startswith("there is no block yet") for line in seen.trouble)
    assert not any(" old" in line or "1970" in line for line in seen.lines())
    found = steps(config, running=True)
    assert (found["first block"].status, "2/3 of the power" in found["first block"].advice) == ("warning", True)
    assert not {"clock", "catching up", "this ledger"} & set(found)


def test_a_chain_that_has_not_begun_is_said_to_begin(config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    without_a_block(config, monkeypatch)
    for later_s, said in ((90, "begins in 90 s"), (-90, "there is none yet")):
        begins = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW_S + later_s))
        (config.comet_home / "config/genesis.json").write_text(json.dumps({"genesis_time": begins}))
        found = steps(config, running=True)["first block"]
        assert said in found.detail
        assert ("begins" in found.detail) == (later_s > 0)


@pytest.mark.parametrize(
    ("peers", "allowed", "status"),
    [
        ("a@127.0.0.1:1,b@127.0.0.2:1", False, "ok"),
        ("a@127.0.0.1:1,b@127.0.0.1:2", False, "failure"),
        ("a@127.0.0.1:1,b@localhost:2", False, "failure"),
        ("a@127.0.0.3:1", False, "failure"),
        ("a@127.0.0.1:1,b@127.0.0.1:2", True, "ok"),
        ("a@no-such-host.invalid:1", False, "warning"),
    ],
    ids=["apart", "two peers", "by another name", "a peer and this node", "allowed", "not found"],
)
def test_peers_behind_one_address_are_found_before_cometbft_refuses_them_without_a_word(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, peers: str, allowed: bool, status: str
) -> None:
    known = {"127.0.0.1": "127.0.0.1", "127.0.0.2": "127.0.0.2", "127.0.0.3": "127.0.0.3", "localhost": "127.0.0.1"}

    def look_up(host: str, *_: object, **__: object) -> list[object]:
        if host not in known:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    write_comet_config(
        config, persistent_peers=peers, external_address="127.0.0.3:26656", allow_duplicate_ip=allowed
    )  # fmt: skip
    found = steps(config)["addresses"]
    assert found.status == status
    if status == "failure":
        assert "behind one address" in found.detail
        assert "private_network" in found.advice


def test_blocks_that_are_nowhere_are_a_warning(config: NodeConfig) -> None:
    for missing, expected in (([], "ok"), ([{"cid": "bafk", "error": "nobody has it"}], "warning")):
        agent = {"blocks": {"pinned": 3, "missing": missing, "missing_count": len(missing)}}
        assert steps(config, running=True, agent=agent)["blocks"].status == expected


def test_blocks_that_are_missing_are_counted_though_not_all_are_named(config: NodeConfig) -> None:
    agent = {"blocks": {"pinned": 3, "missing": [{"cid": "bafk", "error": ""}] * 20, "missing_count": 500}}
    found = steps(config, running=True, agent=agent)["blocks"]
    assert found.detail == "3 pinned, 500 missing"
    assert "which the first 20 are" in found.advice


def test_peers_clocks_are_compared_with_ours(config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    dates = {"http://a": NOW_S + 2, "http://b": NOW_S - 30}

    def answer(_: str, url: str, *_verify: object) -> httpx.Response:
        when = formatdate(dates[url.removesuffix("/ipfs/")], usegmt=True)
        return httpx.Response(400, headers={"Date": when})

    monkeypatch.setattr(doctor, "_asked", answer)
    found = steps(config, gateways=list(dates))
    assert found["gateway http://a"].status == "ok"
    assert (found["gateway http://b"].status, "30 s apart" in found["gateway http://b"].detail) == ("warning", True)


@pytest.mark.parametrize("url", ["http://xn--", "http://[zz]", "http://a..b"])
def test_an_address_of_a_peer_s_that_is_none_ends_no_examination(url: str) -> None:
    """The ledger takes these; httpx finds out as late as when it asks."""
    assert doctor._gateway(url, NOW_S, True).status == "warning"


def answers_as(monkeypatch: pytest.MonkeyPatch, node_id: str, chain_id: str = "chain") -> None:
    """What is on the RPC port says this of itself."""
    newest = Time(int(NOW_S) - 1)
    said = requests.Status(chain_id, node_id, "node", "0.39.4", 7, newest, b"", 1, False, b"")
    monkeypatch.setattr(Rpc, "call", lambda self, request: said)


@pytest.mark.parametrize(
    ("node_id", "chain_id", "sentence"),
    [("ab" * 20, "chain", f"its id is {'ab' * 20}, not {NODE_ID}"), (NODE_ID, "other", "it is on the chain other")],
)
def test_somebody_else_s_node_on_this_node_s_port_is_not_examined(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, child: int, node_id: str, chain_id: str, sentence: str
) -> None:
    pretend_running(config, WELL, child)
    write_node_key(config)
    answers_as(monkeypatch, node_id, chain_id)
    seen = nodestatus.look(config, NOW_S)
    assert seen.data["ledger"] is None
    assert any(sentence in line for line in seen.trouble)
    found = steps(config, running=True)
    assert found["this node"].status == "failure"
    assert sentence in found["this node"].detail
    assert not {"application", "peers", "catching up", "clock"} & set(found)


def test_a_node_whose_own_id_is_not_known_proves_nothing(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, child: int
) -> None:
    pretend_running(config, WELL, child)
    answers_as(monkeypatch, "")
    assert any("node_key.json can't be read" in line for line in nodestatus.look(config, NOW_S).trouble)
    write_node_key(config)
    answers_as(monkeypatch, NODE_ID)
    assert nodestatus.look(config, NOW_S).data["ledger"]["node_id"] == NODE_ID


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"identity": "00" * 32, "chain_id": "chain"}, "ok"),
        ({"identity": "11" * 32, "chain_id": "chain"}, "failure"),
        ({"identity": "00" * 32, "chain_id": "other"}, "failure"),
        ([], "failure"),
    ],
)
def test_the_gateway_on_this_node_s_port_has_to_be_its_own(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, said: object, status: str
) -> None:
    monkeypatch.setattr(doctor, "_asked", lambda method, url: httpx.Response(200, json=said))
    with socket.socket() as taken:
        taken.bind(config.gateway_bind)
        taken.listen()
        assert steps(config, running=True)["gateway port"].status == status


@pytest.mark.parametrize("moved", [False, True], ids=["at genesis", "moved on"])
def test_another_ledger_of_the_same_name_is_found_out(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    ours, theirs = Chain(members(3)), Chain(members(3, first=7))
    for chain in (ours, theirs):
        chain.add()
        chain.add()
    trust = ours.trust_file()
    if moved:
        trust = replace(trust, height=2, header_hash=header_hash(ours.blocks[2].header))
    trust.save(Home(config.home).trust_file)
    for chain, expected in ((ours, "ok"), (theirs, "failure")):
        node = httpx.MockTransport(Node(chain).handle)
        monkeypatch.setattr(doctor, "Rpc", lambda url, node=node, **_: Rpc(url, transport=node))
        assert doctor._of_this_ledger(config).status == expected


def test_children_are_the_supervisor_s_own(config: NodeConfig, child: int) -> None:
    pretend_running(config, WELL, child, pid=os.getppid())  # a process that runs, and is no child of it
    assert "cometbft is down" in nodestatus.look(config, NOW_S).trouble
    found = steps(config, running=True)["processes"]
    assert (found.status, found.detail) == ("failure", "cometbft is down")


def test_a_consensus_that_ended_is_named_by_status_and_doctor(config: NodeConfig, child: int) -> None:
    fault = "its consensus ended: read-only file system"
    pretend_running(config, WELL, child, pid=child, fault=fault)
    assert f"cometbft: {fault}" in nodestatus.look(config, NOW_S).trouble
    assert steps(config, running=True)["processes"].detail == f"cometbft: {fault}"


def test_a_disk_that_takes_no_writes_is_trouble_though_there_is_room(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, child: int
) -> None:
    pretend_running(config, WELL, child)
    assert not any("written" in line for line in nodestatus.look(config, NOW_S).trouble)
    assert steps(config)["disk"].status in ("ok", "warning")
    for module in (nodestatus, doctor):
        monkeypatch.setattr(module, "write_trouble", lambda _: "nothing can be written in x: Disk quota exceeded")
    assert steps(config)["disk"].status == "failure"
    assert steps(config)["disk"].detail == "nothing can be written in x: Disk quota exceeded"
    assert "nothing can be written in x: Disk quota exceeded: the node stops until that is over" in (
        nodestatus.look(config, NOW_S).trouble
    )
