"""``dta doctor`` before there is a ledger: it says what founding would meet without a word."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from dta.base.config import load_node_config, write_node_config
from dta.base.home import Home
from dta.cli.main import run
from dta.hsm.keystore import CheckStep
from dta.node.founding import draft as drafts
from dta.node.founding import preflight
from dta.node.founding.draft import Draft
from tests.unit.founding_harness import CHAIN_ID, TIME_S, make_founder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Draft]:
    """A founder's home, made once, and a draft of it and another."""
    root = tmp_path_factory.mktemp("preflight")
    cards = [make_founder(Home(root / f"node{number}"), number) for number in range(2)]
    return Home(root / "node0"), drafts.make_draft(CHAIN_ID, TIME_S, drafts.params_with([]), cards)


@pytest.fixture
def home(made: tuple[Home, Draft], monkeypatch: pytest.MonkeyPatch) -> Home:
    """Its addresses are known; its ports are free."""
    gateway, p2p, rpc = free_ports(3)
    config = load_node_config(made[0].path)
    write_node_config(replace(config, comet_binary="true", gateway_bind=("127.0.0.1", gateway)))
    comet = made[0].path / "comet.toml"
    lines = {"rpc_laddr": f"tcp://127.0.0.1:{rpc}", "p2p_laddr": f"tcp://127.0.0.1:{p2p}"}
    kept = [line for line in comet.read_text().splitlines() if line.partition(" = ")[0] not in lines]
    comet.write_text("\n".join([*kept, *(f'{name} = "{value}"' for name, value in lines.items()), ""]))
    monkeypatch.setattr(socket, "getaddrinfo", looked_up({"node0.example": "198.51.100.1", "node1.example": "::1"}))
    return made[0]


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def looked_up(known: dict[str, str]) -> object:
    def look_up(host: str, *_: object, **__: object) -> list[object]:
        return [(0, 0, 0, "", (known[host], 0))]

    return look_up


def steps(home: Home, draft: Draft | None = None) -> dict[str, CheckStep]:
    return {step.name: step for step in preflight.examine(home, draft)}


def test_a_machine_without_a_home_is_looked_at_too(tmp_path: Path) -> None:
    found = steps(Home(tmp_path / "not" / "there"))
    assert found["home"].status == "ok"
    assert found["disk"].status in ("ok", "warning")
    assert (found["node"].status, "dta init fiduciary" in found["node"].advice) == ("warning", True)
    assert "CometBFT" in found


def test_a_home_whose_sockets_would_have_no_path_is_refused_before_a_key_is_made() -> None:
    assert steps(Home(Path("/" + "\u00e9" * 75)))["home"].status == "failure"


def test_no_cometbft_is_a_failure_that_says_how_to_get_it(home: Home) -> None:
    write_node_config(replace(load_node_config(home.path), comet_binary="no-such-cometbft"))
    found = steps(home)["CometBFT"]
    assert (found.status, found.detail) == ("failure", "there is no no-such-cometbft")
    assert "ensure_cometbft" in found.advice
    assert "comet_binary" in found.advice


def test_founders_apart_are_well_and_what_is_not_known_yet_is_said(home: Home, made: tuple[Home, Draft]) -> None:
    found = steps(home, made[1])
    wanted = ("home", "configuration", "p2p port", "rpc port", "gateway port", "card", "addresses", "store file")
    assert {name: found[name].status for name in wanted} == dict.fromkeys(wanted, "ok")
    assert found["ledger"].status == "warning"
    without = steps(home)["addresses"]
    assert (without.status, "--peers" in without.advice) == ("warning", True)


def test_founders_behind_one_address_fail_and_are_named(
    home: Home, made: tuple[Home, Draft], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", looked_up(dict.fromkeys(["node0.example", "node1.example"], "::1")))
    found = steps(home, made[1])["addresses"]
    assert found.status == "failure"
    assert "fiduciary-0" in found.detail
    assert "fiduciary-1" in found.detail
    assert "private_network = true" in found.advice
    comet = home.path / "comet.toml"
    before = comet.read_text()
    comet.write_text(before.replace("private_network = false", "private_network = true"))
    try:
        assert steps(home, made[1])["addresses"].status == "ok"
    finally:
        comet.write_text(before)


def test_a_port_that_somebody_has_is_found_before_the_chain_needs_it(home: Home) -> None:
    host, port = load_node_config(home.path).gateway_bind
    with socket.socket() as taken:
        taken.bind((host, port))
        taken.listen()
        assert steps(home)["gateway port"].status == "failure"


def test_a_card_of_another_key_or_none_and_a_draft_without_it_are_failures(
    home: Home, made: tuple[Home, Draft], tmp_path: Path
) -> None:
    _, draft = made
    others = replace(draft, founders=draft.founders[1:] if draft.founders[0].identity == _own(home) else
                     draft.founders[:1])  # fmt: skip
    assert steps(home, others)["card"].status == "failure"
    changed = tuple(replace(founder, power=founder.power + 1) for founder in draft.founders)
    assert "another card" in steps(home, replace(draft, founders=changed))["card"].detail
    key = home.path / "cometbft/config/priv_validator_key.json"
    card, kept = home.founder_file.read_bytes(), key.read_bytes()
    try:
        key.write_bytes((made[0].path.parent / "node1/cometbft/config/priv_validator_key.json").read_bytes())
        assert "another consensus key" in steps(home)["card"].detail
        key.unlink()
        assert steps(home)["card"].status == "failure"
        home.founder_file.unlink()
        assert steps(home)["card"].status == "failure"
    finally:
        key.write_bytes(kept)
        home.founder_file.write_bytes(card)


def _own(home: Home) -> bytes:
    return load_node_config(home.path).identity


def test_a_configuration_that_is_wrong_is_a_failed_step_and_ends_with_1(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home.path / "node.toml"
    before = path.read_text()
    path.write_text(before.replace("max_state_age_s", "max_state_age"))
    try:
        assert run(["--home", str(home.path), "--json", "doctor"]) == 1
    finally:
        path.write_text(before)
    checks = {step["name"]: step for step in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["configuration"]["status"] == "failure"
    assert "hooks.max_state_age" in checks["configuration"]["detail"]


def test_the_draft_is_for_a_node_without_a_ledger(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    write_node_config(replace(load_node_config(home.path), chain_id="chain-1"))
    try:
        assert run(["--home", str(home.path), "doctor", "--peers", "draft.json"]) == 2
    finally:
        write_node_config(replace(load_node_config(home.path), chain_id=""))
    assert "on no ledger yet" in capsys.readouterr().err
