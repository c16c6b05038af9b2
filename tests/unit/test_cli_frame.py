"""The command line's frame: where global options may stand, and what becomes of errors nobody expected."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dta.base.errors import RpcError
from dta.base.home import Home
from dta.base.keystore_config import KeystoreConfig
from dta.cli import custody, main
from dta.cli.session import Session
from dta.client.custody.session import Step


def test_global_options_may_stand_anywhere_before_two_dashes() -> None:
    assert main.hoisted(["a", "--home", "h", "b", "--json"]) == ["--json", "--home", "h", "a", "b"]
    assert main.hoisted(["a", "--identity=x", "--", "--json"]) == ["--identity=x", "a", "--", "--json"]
    assert main.hoisted(["a", "--home"]) == ["--home", "a"]


@pytest.mark.parametrize("words", [["--version"], ["order", "--version"], ["--version", "order", "list"]])
def test_the_version_is_said_of_program_and_rules(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if words[0] == "order":
        assert main.run(words) == 2  # it is the program's, not a command's
        return
    assert main.run(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("dta ")
    assert "ledger protocol 1" in said
    assert main.run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol_versions"] == [1]


def test_a_fault_of_this_program_shows_its_place_and_nothing_it_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DTA_DEBUG", raising=False)

    def broken(*_: object, **__: object) -> None:
        raise ValueError("a secret that an exception carries")

    monkeypatch.setattr(Home, "profile_names", broken)
    assert main.run(["identity", "list", "--json"]) == 1
    said = capsys.readouterr()
    assert "secret" not in said.out + said.err
    error = json.loads(said.out)["error"]
    assert error["kind"] == "internal"
    assert "ValueError" in error["message"]
    assert "Traceback" not in said.err


def test_an_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Home, "profile_names", interrupted)
    assert main.run(["identity", "list"]) == 130


def test_a_pin_descriptor_is_read_once_for_all_keystores() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"swordfish\n")
    os.close(writer)
    session = Session(Home.__new__(Home), pin_fd=reader)
    prompts = [session.prompt_for(KeystoreConfig("software", token_label=name)) for name in "ab"]
    assert next(prompt() for prompt in prompts if prompt).reveal() == b"swordfish"
    assert prompts[1] is not None
    assert prompts[1]().reveal() == b"swordfish"
    os.close(reader)


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["init"], ["genesis"], ["identity"], ["hsm"], ["debug"], ["start"], ["status"], ["doctor"]):
        assert main.run([*words, "--help"]) == 0
        assert "Usage: dta" in capsys.readouterr().out


def test_a_command_loads_its_own_group_alone() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys; from dta.cli.main import run; run(['--json', 'order', '--help']); "
         "print(sorted(name for name in sys.modules if name in ('dta.node.supervisor', 'dta.login.http', 'aiohttp')))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.splitlines()[-1] == "[]"


def test_every_group_is_offered_where_none_is_named() -> None:
    offered = set(main.command_line().commands)
    assert {"order", "mfa", "governance", "authority", "sign"} <= offered


def test_every_number_of_the_command_line_has_a_least_value() -> None:
    """A negative one would come as far as a field without a sign, and be called a fault of this program."""
    root = Path(main.__file__).parent
    unbounded = []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated"):
                continue
            annotated = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
            if len(annotated) < 2 or not re.search(r"\bint\b", ast.unparse(annotated[0])):
                continue
            given = annotated[1].keywords if isinstance(annotated[1], ast.Call) else []
            if not any(keyword.arg == "min" for keyword in given):
                unbounded.append(f"{path.name}:{node.lineno}")
    assert not unbounded


@pytest.mark.parametrize("words", [
    ["receipt", "get", "tx", "00" * 32, "--out", "x", "--height", "-1"],
    ["receipt", "verify", "x", "--trust", "x", "--not-revoked-at", "-1"],
    ["mfa", "serve", "--port", "99999"],
    ["order", "request", "00" * 32, "--allow-missing", "-1"],
])  # fmt: skip
def test_a_number_out_of_range_is_the_command_s_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(words) == 2
    assert f"Invalid value for '{words[-2]}'" in capsys.readouterr().err


SPOOFED = "\x1b]0;title\x07\x1b[2J \u202eevil \u2066 \u200b \x9b31m"


def test_no_word_of_a_node_s_moves_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lying(*_: object, **__: object) -> None:
        raise RpcError("status", 1, SPOOFED, "x\nhint: run this\rerror: that")

    monkeypatch.setattr(Home, "profile_names", lying)
    assert main.run(["identity", "list"]) != 0
    session = Session(Home(Path()))
    session.talk(f"warning: {SPOOFED}")
    session.show({}, ["\u00e4 \u4e16\there", f"name {SPOOFED}"])
    session.show_line({}, [f"label {SPOOFED}"])
    said = capsys.readouterr()
    assert said.err.count("\n") == 2, "one line each"
    assert "\u00e4 \u4e16\there\n" in said.out
    for text in (said.out, said.err):
        assert "\\x1b]0;title\\x07" in text
        assert "\\u202eevil" in text
        assert all(char.isprintable() or char in "\n\t" for char in text)


def test_a_key_s_name_is_no_markup_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes any output for a terminal then
    session = Session(Home(Path()))
    with custody._shown(session) as show:
        show(Step("seal", "under the key [/nothing] [bold]"))
    with session.working("[/nothing] too"):
        pass
    said = capsys.readouterr().err
    assert "under the key [/nothing] [bold]" in said
    assert "[/nothing] too" in said
