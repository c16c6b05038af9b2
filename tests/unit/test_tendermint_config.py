"""CometBFT's configuration, keys and genesis as we write them."""

from __future__ import annotations

import json
import tomllib
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from dta.client.genesis.cometbft import (
    BLOCK_MAX_BYTES,
    EVIDENCE_MAX_BYTES,
    GenesisValidator,
    genesis_json,
)
from dta.node.tendermint_config import (
    Settings,
    TemplateError,
    double_sign_check_height_blocks,
    load_template,
    new_node_key,
    new_sign_state,
    new_validator_key,
    render,
)

SETTINGS = Settings(moniker="alice", proxy_app="unix:///run/dta/alice/abci.sock")


def test_each_placeholder_is_replaced_wherever_it_stands() -> None:
    assert render('a = "{{x}}" # {{x}}\nb = {{y_ms}}', {"x": "1", "y_ms": "true"}) == 'a = "1" # 1\nb = true'


def test_a_placeholder_without_a_value_and_a_value_without_a_placeholder_are_refused() -> None:
    with pytest.raises(TemplateError) as caught:
        render("{{a}} {{b}}", {"b": "1", "c": "2"})
    assert (caught.value.missing, caught.value.unknown) == (("a",), ("c",))


@pytest.mark.parametrize("value", ['a"\nunsafe = true #', "a\\", "a\nb", "a\x00"])
def test_a_value_that_would_end_its_string_is_refused(value: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render('a = "{{a}}"', {"a": value})
    assert caught.value.unusable == ("a",)
    assert value not in str(caught.value)


@pytest.mark.parametrize("template", ["{{ a }}", "{{A}}", "{{a", "a}}", "{{}}"])
def test_braces_that_are_no_placeholder_are_refused(template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(template, {})
    assert caught.value.malformed


def test_a_value_is_never_itself_expanded() -> None:
    assert render("{{a}}{{b}}", {"a": "{{b}}", "b": "x"}) == "{{b}}x"


def test_the_template_takes_exactly_the_settings_and_is_toml() -> None:
    config = tomllib.loads(render(load_template(), SETTINGS.values()))
    assert config["proxy_app"] == "unix:///run/dta/alice/abci.sock"
    assert config["mempool"]["recheck_timeout"] == "10s"
    assert config["consensus"]["create_empty_blocks_interval"] == "5s"
    assert config["consensus"]["timeout_commit"] == "1000ms"
    assert config["p2p"]["addr_book_strict"] is True
    assert config["rpc"]["laddr"].startswith("tcp://127.0.0.1:")


def test_one_proposal_can_show_the_whole_mempool() -> None:
    mempool = tomllib.loads(render(load_template(), SETTINGS.values()))["mempool"]
    # Each transaction costs up to 5 bytes more in a block; header, commit and overhead are far below 64 KiB.
    assert mempool["max_txs_bytes"] + 5 * mempool["size"] + 65536 <= BLOCK_MAX_BYTES - EVIDENCE_MAX_BYTES


def test_every_setting_of_the_template_stands_under_a_reason() -> None:
    # The few that explain themselves.
    plain = {"abci", "moniker", "log_level", "genesis_file", "node_key_file", "unsafe", "type", "recheck"}
    for before, line in zip(load_template().splitlines(), load_template().splitlines()[1:], strict=False):
        name = line.split(" = ")[0]
        if " = " in line and not line.startswith("#") and name not in plain:
            assert before.startswith(("#", "[")) or " = " in before, line


def test_keys_are_in_cometbfts_form_and_nobody_else_can_read_them(tmp_path: Path) -> None:
    public = new_validator_key(tmp_path / "key.json")
    node_id = new_node_key(tmp_path / "node.json")
    new_sign_state(tmp_path / "state.json")
    document = json.loads((tmp_path / "key.json").read_text())
    private = b64decode(document["priv_key"]["value"])
    assert document["pub_key"]["type"] == "tendermint/PubKeyEd25519"
    assert document["priv_key"]["type"] == "tendermint/PrivKeyEd25519"
    assert b64decode(document["pub_key"]["value"]) == public == private[32:]
    assert bytes(SigningKey(private[:32]).verify_key) == public
    assert document["address"] == sha256(public).hexdigest()[:40].upper()
    node = b64decode(json.loads((tmp_path / "node.json").read_text())["priv_key"]["value"])
    assert node_id == sha256(node[32:]).hexdigest()[:40]
    assert json.loads((tmp_path / "state.json").read_text()) == {"height": "0", "round": 0, "step": 0}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_only_a_key_that_has_not_signed_here_looks_back_for_its_own_signatures(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with pytest.raises(FileNotFoundError):
        double_sign_check_height_blocks(state)
    new_sign_state(state)
    assert double_sign_check_height_blocks(state) == 20
    state.write_text('{"height": "7", "round": 0, "step": 3, "signature": "", "signbytes": ""}')
    assert double_sign_check_height_blocks(state) == 0


@pytest.mark.parametrize("write", [new_validator_key, new_node_key, new_sign_state])
def test_what_is_there_is_never_replaced(tmp_path: Path, write: object) -> None:
    path = tmp_path / "there.json"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        write(path)  # type: ignore[operator]
    assert path.read_text() == "precious"


def test_the_genesis_is_the_same_bytes_for_the_same_arguments(tmp_path: Path) -> None:
    validator = GenesisValidator(new_validator_key(tmp_path / "key.json"), 10, "alice")
    arguments = {
        "chain_id": "dta-test",
        "genesis_time": "2026-11-01T00:00:00Z",
        "validators": [validator],
        "app_state": {"params": {}},
    }
    document = genesis_json(**arguments)  # type: ignore[arg-type]
    assert document == genesis_json(**arguments)  # type: ignore[arg-type]
    read = json.loads(document)
    assert read["consensus_params"]["block"] == {"max_bytes": str(BLOCK_MAX_BYTES), "max_gas": "-1"}
    assert read["validators"][0]["power"] == "10"
    assert read["app_state"] == {"params": {}}


@pytest.mark.parametrize(
    ("chain_id", "key", "power"),
    [("", bytes(32), 1), ("x" * 51, bytes(32), 1), ("x", bytes(31), 1), ("x", bytes(32), 0)],
)
def test_a_genesis_that_cometbft_would_refuse_is_refused_here(chain_id: str, key: bytes, power: int) -> None:
    with pytest.raises(ValueError):
        genesis_json(
            chain_id=chain_id,
            genesis_time="2026-11-01T00:00:00Z",
            validators=[GenesisValidator(key, power, "a")],
            app_state={},
        )
