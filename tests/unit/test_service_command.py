"""`dta serve` on the command line: by itself it serves, and below it are the tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dta.base.home import ClientConfig, Home
from dta.cli import main
from dta.service import build
from dta.service.settings import load
from dta.service.tokens import TokenStore


def run(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> tuple[int, Any]:
    code = main.run(["--home", str(home), "--json", *words])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Home(tmp_path).save_client(ClientConfig("acme-1", bytes(32), ("http://127.0.0.1:1",)))
    return tmp_path


def test_a_token_is_made_shown_once_listed_and_revoked(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    words = ("serve", "token", "create", "--scope", "read", "--scope", "order:write", "--all-identities")
    code, made = run(capsys, home, *words, "--expires", "12h", "--name", "ci")
    assert (code, made["scopes"], made["identities"]) == (0, ["order:write", "read"], ["*"])
    assert made["expires_at_s"] - made["created_at_s"] == 12 * 3_600
    found = TokenStore(home / "serve" / "tokens").find(made["token"], made["created_at_s"])
    assert found is not None
    assert found.id == made["id"]
    _, listed = run(capsys, home, "serve", "token", "list")
    assert [one["id"] for one in listed["tokens"]] == [made["id"]]
    assert made["token"] not in json.dumps(listed)
    assert run(capsys, home, "serve", "token", "revoke", made["id"])[0] == 0
    assert run(capsys, home, "serve", "token", "list")[1] == {"tokens": [], "unreadable": []}
    assert run(capsys, home, "serve", "token", "revoke", made["id"])[0] == 7


def test_a_token_s_file_that_can_not_be_read_is_listed_as_such_and_revoked_as_any_other(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    words = ("serve", "token", "create", "--scope", "read", "--all-identities")
    broken, other = (run(capsys, home, *words)[1]["id"] for _ in range(2))
    [path] = (home / "serve" / "tokens").glob(f"{broken}*")
    path.write_text("{")
    code, listed = run(capsys, home, "serve", "token", "list")
    assert (code, [one["id"] for one in listed["tokens"]]) == (0, [other])
    assert [(one["id"], "is not JSON" in one["why"]) for one in listed["unreadable"]] == [(broken, True)]
    assert main.run(["--home", str(home), "serve", "token", "list"]) == 0
    shown = capsys.readouterr().out
    assert broken in shown
    assert "is not JSON" in shown
    for id_ in (other, broken):
        code, gone = run(capsys, home, "serve", "token", "revoke", id_)
        assert (code, gone["id"], gone["revoked"]) == (0, id_, True)
    assert run(capsys, home, "serve", "token", "list")[1] == {"tokens": [], "unreadable": []}


@pytest.mark.parametrize("words", [("--expires", "soon"), ("--expires", "0d"), ("--scope", "root")])
def test_a_token_of_no_known_scope_or_time_is_refused(
    capsys: pytest.CaptureFixture[str], home: Path, words: tuple[str, ...]
) -> None:
    create = ("serve", "token", "create", "--scope", "read", "--all-identities", *words)
    assert run(capsys, home, *create)[0] == 2
    assert run(capsys, home, "serve", "token", "list")[1] == {"tokens": [], "unreadable": []}


def test_the_word_by_itself_serves_and_says_why_it_can_not(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, said = run(capsys, tmp_path, "serve")
    assert (code, said["error"]["kind"]) == (2, "usage")
    assert "on no ledger" in said["error"]["message"]
    assert run(capsys, tmp_path, "serve", "nonsense")[0] == 2


def test_beyond_loopback_there_is_tls(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    (home / "serve.toml").write_text('listen = "0.0.0.0:8290"\n')
    code, said = run(capsys, home, "serve")
    assert (code, said["error"]["message"]) == (2, "beyond loopback (0.0.0.0:8290) the agent wants TLS")
    (home / "serve.toml").write_text('listen = "0.0.0.0:8290"\ntls_key = "key.pem"\n')
    code, said = run(capsys, home, "serve")
    assert (code, said["error"]["message"]) == (2, "TLS takes both tls_certificate and tls_key")
    (home / "serve.toml").write_text('lisen = "0.0.0.0:8290"\n')
    code, said = run(capsys, home, "serve")
    assert code == 2
    assert "lisen" in said["error"]["message"]


def test_a_second_agent_of_a_home_is_refused_wherever_it_would_listen(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    (home / "serve.toml").write_text('listen = "127.0.0.1:8290"\n')
    with build.alone(home):
        code, said = run(capsys, home, "serve")
        assert (code, "already" in said["error"]["message"]) == (2, True)
    with build.alone(home):
        pass


def test_a_home_without_the_file_has_every_setting(tmp_path: Path) -> None:
    assert (load(tmp_path).listen, load(tmp_path).calls_per_minute) == (None, 600)
