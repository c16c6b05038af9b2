"""Configuration files: what is unknown or out of range is refused with file, key and what was meant."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from dta.base import address, settings
from dta.base.config import NodeConfig, check_node_config, load_node_config, write_node_config
from dta.base.errors import UsageError
from dta.base.home import ClientConfig, Home
from dta.base.keystore_config import KeystoreConfig
from dta.cli.config import FILES, declared
from dta.cli.main import run


def config(home: Path, **changes: object) -> NodeConfig:
    keystore = KeystoreConfig("software", path=home / "node.keys", pin_file=home / "pin")
    made = {
        "home": home, "chain_id": "chain-1", "identity": bytes(32), "keystore": keystore,
        "rpc_url": "http://127.0.0.1:26657", "gateway_bind": ("127.0.0.1", 8080), **changes,
    }  # fmt: skip
    return NodeConfig(**made)  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_node_config(config(tmp_path))
    return tmp_path


def edited(home: Path, old: str, new: str) -> None:
    path = home / "node.toml"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))


def refused(home: Path) -> tuple[str, str, str]:
    """(key, what is wrong, hint) of the one problem."""
    with pytest.raises(UsageError) as caught:
        load_node_config(home)
    [problem] = caught.value.data["problems"]  # type: ignore[union-attr]
    assert str(home / "node.toml") in caught.value.message
    assert problem["key"] in caught.value.message  # type: ignore[index,call-overload,operator]
    return problem["key"], problem["wrong"], caught.value.hint  # type: ignore[index,call-overload,return-value]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "node.example"])
def test_what_is_written_is_what_is_read(tmp_path: Path, host: str) -> None:
    written = config(tmp_path, gateway_bind=(host, 8080), blocks="kubo", kubo_api="http://[::1]:5001",
                     kubo_gateway="[::1]:8081", max_state_age_s=7)  # fmt: skip
    write_node_config(written)
    assert load_node_config(tmp_path) == written


@pytest.mark.parametrize(("old", "new", "key", "hint"), [
    ("max_state_age_s", "max_state_age", "hooks.max_state_age", "hooks.max_state_age_s"),
    ("max_state_age_s = 60", "max_state_age_s = -5", "hooks.max_state_age_s", "1 to 86400"),
    ("max_state_age_s = 60", "max_state_age_s = 60.0", "hooks.max_state_age_s", "a whole number"),
    ("max_state_age_s = 60", 'max_state_age_s = "60"', "hooks.max_state_age_s", "a whole number"),
    ("max_state_age_s = 60", "max_state_age_s = true", "hooks.max_state_age_s", "a whole number"),
    ("concurrency = 4", "concurrency = 0", "hooks.concurrency", "1 to 256"),
    ("127.0.0.1:8080", "127.0.0.1:99999", "gateway.bind", "host:port"),
    ("127.0.0.1:8080", "::1:8080", "gateway.bind", "host:port"),
    ("127.0.0.1:8080", "8080", "gateway.bind", "host:port"),
    ("127.0.0.1:8080", "a..b:8080", "gateway.bind", "host:port"),
    ("127.0.0.1:8080", "[::g]:8080", "gateway.bind", "host:port"),
    ("http://127.0.0.1:26657", "http://a..b:26657", "rpc_url", "http://"),
    ("http://127.0.0.1:26657", "http://a b:26657", "rpc_url", "http://"),
    ("http://127.0.0.1:26657", "http://127.0.0.1:26657/@", "rpc_url", "http://"),
    ("[hooks]", "[hoks]", "hoks", "hooks"),
    ("http://127.0.0.1:26657", "127.0.0.1:26657", "rpc_url", "http://"),
    ("http://127.0.0.1:26657", "http://127.0.0.1:99999", "rpc_url", "http://"),
    ('store = "embedded"', 'store = "ipfs"', "blocks.store", "embedded or kubo"),
    ('store = "embedded"', 'store = "kubo"', "blocks", "table"),
    ('chain_id = "chain-1"', 'chain_id = "no chain"', "chain_id", "a chain's id"),
    ('chain_id = "chain-1"', "", "chain_id", "a chain's id"),
    ('kind = "software"', "", "keystore.kind", "software"),
    (f'identity = "{bytes(32).hex()}"', 'identity = "00"', "identity", "64 hex digits"),
    ('comet_binary = "cometbft"', 'comet_binary = ""', "comet_binary", "a program"),
    ('comet_binary = "cometbft"', 'max_state_age_s = 5', "max_state_age_s", "hooks.max_state_age_s"),
])  # fmt: skip
def test_a_setting_that_can_not_be_is_refused_by_file_key_and_what_was_meant(
    home: Path, old: str, new: str, key: str, hint: str
) -> None:
    edited(home, old, new)
    found_key, _, found_hint = refused(home)
    assert found_key == key
    assert hint in found_hint


def test_an_error_never_repeats_what_stands_there(home: Path) -> None:
    edited(home, "pin_file = ", 'pin = "hunter22"\npin_file = ')
    with pytest.raises(UsageError) as caught:
        load_node_config(home)
    assert "hunter22" not in json.dumps(caught.value.as_json())
    assert "pin_file" in caught.value.hint


def test_what_could_not_be_read_again_is_not_written(home: Path) -> None:
    before = (home / "node.toml").read_bytes()
    for change in ({"hook_concurrency": 0}, {"gateway_bind": ("h", 99_999)}, {"rpc_url": "nowhere"}):
        with pytest.raises(UsageError):
            write_node_config(config(home, **change))
    assert (home / "node.toml").read_bytes() == before
    with pytest.raises(UsageError):
        Home(home).save_client(ClientConfig("chain", bytes(32), ("nowhere",)))
    assert not Home(home).client_file.exists()


def test_a_home_of_75_two_byte_characters_is_too_long_for_a_socket(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long for a socket"):
        check_node_config(config(Path("/" + "é" * 75)))
    check_node_config(config(Path("/" + "e" * 75)))
    check_node_config(config(Path("/" + "é" * 40)))


@pytest.mark.parametrize("name", FILES)
def test_every_setting_is_declared_with_what_it_means(name: str) -> None:
    found = list(declared(name))
    assert found
    for setting in found:
        assert setting.meant, setting.key
        assert setting.says, setting.key


@pytest.mark.parametrize(("text", "expected"), [
    ("[::1]:26656", ("::1", 26_656)), ("host.example:1", ("host.example", 1)), ("0.0.0.0:65535", ("0.0.0.0", 65_535)),
    ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)), ("node_1.example.:1", ("node_1.example.", 1)),
])  # fmt: skip
def test_an_address_is_split_and_put_together(text: str, expected: tuple[str, int]) -> None:
    assert address.split(text) == expected
    assert address.join(*expected) == text


@pytest.mark.parametrize("text", [
    "", "h", ":1", "a b:1", "h:", "h:0", "h:65536", "h:99999", "h:+1", "h:٣", "::1:5", "[::1]", "[h]:1", "[]:1",
    "[::1:1", "a..b:1", ".a:1", f"{'a' * 64}:1", f"{'a.' * 127}:1", "\u00e9:1", "[::g]:1", "a\u202e:1",
])  # fmt: skip
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        address.split(text)


def test_config_check_says_all_that_is_wrong_at_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home", str(home), "config", "check"]) == 0
    edited(home, "concurrency = 4", "concurrency = 0")
    edited(home, "127.0.0.1:8080", "127.0.0.1:99999")
    (home / "client.toml").write_text("nonsense")
    capsys.readouterr()
    assert run(["--home", str(home), "--json", "config", "check"]) == 2
    said = json.loads(capsys.readouterr().out)
    keys = {problem["key"] for file in said["files"] for problem in file["problems"]}
    assert keys == {"hooks.concurrency", "gateway.bind", ""}


def test_config_check_knows_which_kinds_of_keystores_are_installed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--home", str(home), "config", "check"]) == 0
    capsys.readouterr()
    edited(home, 'kind = "software"', 'kind = "pkcs12"')
    assert run(["--home", str(home), "--json", "config", "check"]) == 2
    [file] = json.loads(capsys.readouterr().out)["files"]
    [problem] = file["problems"]
    assert (problem["key"], problem["wrong"]) == ("keystore.kind", "there is no keystore of kind 'pkcs12'")
    assert "pkcs11, software" in problem["meant"]


def test_config_show_tells_a_default_from_what_was_set(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(home, "concurrency = 4\n", "")
    assert run(["--home", str(home), "config", "show"]) == 0
    said = capsys.readouterr().out
    assert "  hooks.concurrency = 4  (default)" in said
    assert "  hooks.max_state_age_s = 60\n" in said


def test_config_show_names_what_is_misspelt_or_missing_without_what_stands_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(home, "max_state_age_s = 60", "max_state_age = 84321")
    edited(home, 'rpc_url = "http://127.0.0.1:26657"\n', "")
    assert run(["--home", str(home), "config", "show"]) == 0
    said = capsys.readouterr().out
    assert "  hooks.max_state_age: there is no such setting (`dta config check`)\n" in said
    assert "  rpc_url: the setting is missing (`dta config check`)\n" in said
    assert "  hooks.max_state_age_s = 60  (default)\n" in said
    assert "84321" not in said


def test_config_explain_knows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    for name in FILES:
        for setting in declared(name):
            assert run(["config", "explain", f"{name}:{setting.key}"]) == 0
            assert setting.meant in capsys.readouterr().out
    assert run(["config", "explain", "max_state_age"]) == 7
    assert "hooks.max_state_age_s" in capsys.readouterr().err


def test_the_page_has_a_row_for_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs/howto/configuration.md").read_text(encoding="utf-8")
    missing = [
        f"{name}:{setting.key}" for name in FILES for setting in declared(name)
        if not setting.key.startswith(("next.", "root.", "node."))  # as keys.
        and not any(f"| `{setting.key}` | {setting.meant} |" in line for line in page.splitlines())
    ]  # fmt: skip
    assert not missing


def test_the_declarations_are_of_toml_that_we_write(home: Path) -> None:
    assert settings.problems(settings.NodeFile, tomllib.loads((home / "node.toml").read_text())) == []


def test_a_wrong_value_is_not_shown_it_may_be_a_password(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(home, "http://127.0.0.1:26657", "http://me:hunter22@127.0.0.1:26657")
    for words in (["show"], ["show", "--json"], ["check"], ["check", "--json"]):
        assert run(["--home", str(home), "config", *words]) == (2 if words[0] == "check" else 0)
        said = capsys.readouterr()
        assert "rpc_url" in said.out
        assert "hunter22" not in said.out + said.err


@pytest.mark.parametrize("content", ["x = " + "[" * 20_000, "x = " + "1" * 5_000])
def test_a_file_that_no_parser_bears_is_no_fault_of_this_program(home: Path, content: str) -> None:
    (home / "node.toml").write_text(content)
    with pytest.raises(UsageError, match=r"node\.toml"):
        load_node_config(home)


def test_peers_are_reached_by_tcp_alone() -> None:
    table = {
        "moniker": "m", "p2p_laddr": "unix:///p2p.sock", "rpc_laddr": "unix:///rpc.sock", "external_address": "h:1",
        "private_network": True,
    }  # fmt: skip
    assert [one.key for one in settings.problems(settings.CometFile, table)] == ["p2p_laddr"]
