"""The demo's M-Pin part: Bob gets a token from a realm and logs in with a PIN that is stored nowhere, until revoked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dta.base.errors import EXIT_REFUSED
from dta.localnet.actors import Demo, DemoFailed
from dta.localnet.demo_authority import REALM
from dta.localnet.receipts import Receipts

_NAME = "bob@acme.example"
_LABEL = "work"
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class _Login:
    """Where Bob logs in."""

    url: str
    server: str
    good: Path
    wrong: Path


def run(demo: Demo, receipts: Receipts) -> None:
    """Server and client get their secrets from the fiduciaries; logins, good and bad; revocation, with its receipt."""
    net = demo.net
    with demo.tell.step("An authentication server and Bob get their M-Pin secrets, in shares that only they can open"):
        demo.enrol("rps")
        demo.by("alice", "mfa", "server", "register", demo.identities["rps"], "--realm", REALM)
        demo.by("rps", "mfa", "server", "request-secret", "--realm", REALM)
        demo.tell.done("the server's secret: put together by the server, checked against the realm's key, sealed")
        good, wrong = _pin_file(demo, "good", "4931"), _pin_file(demo, "wrong", "4932")
        client = _enrol(demo, good)
        demo.tell.done("Bob's: a token on his disk, a PIN in his head; the fiduciaries saw neither")
        demo.by("alice", "mfa", "permit", "issue", "--realm", REALM)
        demo.by("alice", "mfa", "permit", "get", client, "--realm", REALM)
        demo.tell.done("Alice, the registrar, had today's time permits issued")
    with _server(demo) as url:
        login = _Login(url, demo.identities["rps"], good, wrong)
        with demo.tell.step("Bob logs in over HTTP with his PIN; with a wrong one he is refused, then locked out"):
            _log_in(demo, login)
            demo.tell.done("logged in, both sides proved, a session key agreed")
            for _ in range(_ATTEMPTS):
                said = _refused(demo, login, login.wrong)
            demo.tell.done(f"{_ATTEMPTS} wrong PINs: {said}")
            demo.tell.done(f"the right PIN now: {_refused(demo, login, login.good)}")
            demo.by("rps", "mfa", "unlock", client)
            _log_in(demo, login)
            demo.tell.done("the server's operator lifts the lockout: Bob is in again")
        with demo.tell.step("Alice revokes Bob's token: no permit of a later day will ever exist"):
            demo.by("alice", "mfa", "revoke", client, "--realm", REALM, "--yes")
            demo.tell.done(f"the right PIN now: {_refused(demo, login, login.good)}")
            receipts.write_no_permit(net.client_home("alice"), REALM, client, "tomorrow")
    demo.tell.fact("M-Pin login", "right PIN, wrong PINs, lockout, revocation", "in, refused, locked out, refused")


def _pin_file(demo: Demo, name: str, pin: str) -> Path:
    path = demo.net.root / "pins" / f"mpin-{name}"
    path.write_text(pin + "\n")
    path.chmod(0o600)
    return path


def _enrol(demo: Demo, pin: Path) -> str:
    """Bob asks with a file, Alice authorises it, Bob finishes; his client hash, in hex."""
    request = demo.net.root / "bob.enrolment"
    arguments = ["mfa", "enrol", _NAME, "--realm", REALM, "--label", _LABEL, "--out", str(request)]
    arguments += ["--mpin-file", str(pin)]
    demo.by("bob", *arguments)
    demo.by("alice", "mfa", "authorise", str(request), "--yes")
    done = demo.by("bob", *arguments)
    client: str = done["client"]
    return client


@contextmanager
def _server(demo: Demo) -> Iterator[str]:
    """The authentication server, as a process of its own; its address."""
    home = demo.net.client_home("rps")
    command = [sys.executable, "-m", "dta", "--home", str(home), "--json", "mfa", "serve", "--port", "0"]
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=demo.net.environment(), text=True)
    try:
        yield _address(process)
    finally:
        process.terminate()
        process.wait(30)


def _address(process: subprocess.Popen[str]) -> str:
    """What it prints once it listens."""
    if process.stdout is None:
        raise DemoFailed("the authentication server has no output")
    text = ""
    for line in process.stdout:
        text += line
        try:
            address: str = json.loads(text)["listening"]
        except ValueError:
            continue
        return address
    raise DemoFailed("the authentication server did not start")


def _arguments(login: _Login, pin: Path) -> list[str]:
    return ["mfa", "login", _LABEL, "--url", login.url, "--server", login.server, "--mpin-file", str(pin)]


def _log_in(demo: Demo, login: _Login) -> None:
    demo.by("bob", *_arguments(login, login.good))


def _refused(demo: Demo, login: _Login, pin: Path) -> str:
    """A login that must be refused; what was said."""
    done = demo.net.dta(_arguments(login, pin), home=demo.net.client_home("bob"), accept=(EXIT_REFUSED,))
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return next((line.removeprefix("error: ") for line in said if line.startswith("error: ")), "")
