"""From the ledger to a login: enrolled by the consortium, logged in over HTTP, refused, locked out, revoked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dta.base.errors import EXIT_REFUSED
from dta.cli.main import run
from dta.login.store import ServerState
from tests.cli.mfa_world import mfa_world
from tests.cli.order_world import ServedWorld


class People:
    """alice registers, bob serves, carol logs in: each with a home in the world's directory."""

    def __init__(self, world: ServedWorld, captured: Any) -> None:
        self.world = world
        self.captured = captured
        self.printed = ""

    def __call__(self, who: str, *words: str) -> tuple[int, Any]:
        """A command's exit code and what it printed as JSON."""
        self.captured.readouterr()
        code = run(["--home", str(self.world.directory / who), "--json", *words])
        said = self.captured.readouterr()
        self.printed += said.out + said.err
        return code, json.loads(said.out)

    def log_in(self, digits: str, *more: str) -> str:
        """How carol's login ended: its mode, the code of its refusal, or the kind of error where nobody was asked."""
        file = self.world.directory / "typed"
        file.write_text(digits + "\n")
        file.chmod(0o600)
        code, said = self("carol", "mfa", "login", "carol-example.org", "--mpin-file", str(file), *more)
        if code == 0:
            return str(said["mode"])
        error = said["error"]
        return str(error["data"]["code"] if code == EXIT_REFUSED else error["kind"])


@pytest.fixture
def people(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    for variable in ("DTA_HOME", "DTA_PIN_FILE", "DTA_DEBUG"):
        monkeypatch.delenv(variable, raising=False)
    with mfa_world(tmp_path) as (world, _), open(os.devnull) as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        monkeypatch.chdir(tmp_path)
        yield People(world, capsys)


class Serving:
    """``dta mfa serve`` of bob's, in a process of its own."""

    def __init__(self, directory: Path) -> None:
        words = ["--home", str(directory / "bob"), "mfa", "serve", "--port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dta", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            pytest.fail(line + self.process.communicate()[1])
        return line.split()[-1]

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, out + err
        assert "Traceback" not in err


def test_the_consortium_enrols_a_person_who_logs_in_until_revoked(people: People) -> None:
    directory = people.world.directory
    chosen = directory / "chosen"
    chosen.write_text("2718\n")
    chosen.chmod(0o600)
    enrol = ("mfa", "enrol", "carol@example.org", "--realm", "web")
    assert people("alice", "mfa", "server", "register", "bob", "--realm", "web")[0] == 0
    assert people("bob", "mfa", "server", "request-secret", "--realm", "web")[0] == 0
    file = people("carol", *enrol)[1]["file"]
    assert people("alice", "mfa", "authorise", file)[0] == 0
    client = people("carol", *enrol, "--mpin-file", str(chosen))[1]["client"]
    server = people.world.people["bob"].hex()
    (secret,) = (directory / "bob" / "mfa" / "servers").glob("*.json")
    # A state that was made just now takes no one-pass login of this minute.
    ServerState(secret.with_suffix(".sqlite"), int(time.time()) - 3_600).close()
    with Serving(directory) as url:
        first = ("--url", url, "--server", server)
        assert people.log_in("2718", *first) == "not-found"
        assert people("alice", "mfa", "permit", "issue", "--realm", "web")[0] == 0
        assert people("alice", "mfa", "permit", "get", client, "--realm", "web")[0] == 0  # waits for the fiduciaries
        assert people.log_in("2718", *first) == "full"
        assert people.log_in("2718", "--mode", "one-pass") == "one-pass"
        for wrong in ("2719", "0000", "8172"):
            assert people.log_in(wrong) == "NOT_AUTHENTICATED"
        assert people.log_in("2718") == "LOCKED_OUT"
        assert people("bob", "mfa", "unlock", client)[0] == 0
        assert people.log_in("2718") == "full"
        assert people("alice", "mfa", "revoke", client, "--realm", "web", "--yes")[0] == 0
        assert people.log_in("2718") == "REVOKED"
        assert people.log_in("2719") == "NOT_AUTHENTICATED"
    assert "2718" not in people.printed
