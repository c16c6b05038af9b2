"""``dta mfa`` as people run it: a server process on loopback, a person who logs in, is locked out, changes the PIN."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dta.base.errors import EXIT_NOT_FOUND
from dta.base.home import Home
from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.cli.main import run
from dta.client.identity.profile import Profile, save_profile
from dta.client.mfa.credentials import CredentialStore, ServerSecret, save_server_secret
from dta.client.mfa.login import redeem
from dta.hsm import labels
from dta.hsm.sealed_file import MIN_LOG2_N
from dta.hsm.software import SoftwareKeystore
from dta.login.store import ServerState
from dta.mpin.pin import token_of
from dta.mpin.sealing import Sealer
from dta.mpin.secret_point import SecretPoint
from tests.support.mfa import MASTER, SERVER, World, facts, pin

PASSPHRASE = "correct horse"


def private(path: Path, text: str) -> Path:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def profile(home: Path, name: str, identity: bytes) -> Sealer:
    """An identity whose keystore is a file; what seals under it."""
    home.mkdir(mode=0o700, exist_ok=True)
    SoftwareKeystore.create(home / f"{name}.keys", SecretBytes(PASSPHRASE.encode()), log2_n=MIN_LOG2_N)
    keystore = SoftwareKeystore(home / f"{name}.keys", SecretBytes(PASSPHRASE.encode()))
    keystore.ensure_prf_key(labels.root())
    config = KeystoreConfig("software", path=home / f"{name}.keys", pin_file=private(home / "pass", PASSPHRASE))
    save_profile(Home(home), Profile(name, identity, ("principal",), 0, 0, False, config, config, config))
    return Sealer(keystore)


@dataclass
class Stage:
    """A server's home and a person's, and what the command line said."""

    directory: Path
    captured: Any

    def __post_init__(self) -> None:
        self.world = World(self.directory, facts(lockout_s=0))
        self.alice = self.world.credential()
        self.server_home, self.home = self.directory / "rps", self.directory / "alice"
        known = self.world.facts
        q = known.parties(bytes(32), SERVER).q
        secret = ServerSecret(known.gid, known.realm, known.authority, known.suite, SERVER, SecretPoint(q * MASTER))
        self.secret = self.server_home / "mfa" / "servers" / "staff.json"
        save_server_secret(self.secret, secret, profile(self.server_home, "rps", SERVER))
        # A state that was made just now takes no one-pass login of this minute.
        ServerState(self.secret.with_suffix(".sqlite"), int(time.time()) - 3_600).close()
        self.facts = self.directory / "facts.json"
        self.write_facts()
        self.pins = {
            name: private(self.directory / name, digits) for name, digits in (("right", "2718"), ("wrong", "0000"))
        }
        CredentialStore(self.home).add("staff", self.alice.at(b"", ""))

    def write_facts(self, **changes: object) -> None:
        known = self.world.facts
        self.facts.write_text(
            json.dumps(
                {
                    "format": "dta-mfa-realm-1", "gid": known.gid.hex(), "realm": known.realm.hex(),
                    "authority": known.authority.hex(), "suite": known.suite.name,
                    "public_key": known.public_key.hex(), "permits_required": False, "max_attempts": 3,
                    "lockout_s": 0, "one_pass_max_age_s": 300, "name": "staff", "servers": [{"server": SERVER.hex()}],
                    "clients": [{"client": self.alice.client.hex(), "status": "enrolled"}], "permits": [], **changes,
                }
            )
        )  # fmt: skip

    def dta(self, *words: str | Path, home: Path | None = None) -> tuple[int, str, str]:
        self.captured.readouterr()
        code = run(["--home", str(home or self.home), *map(str, words)])
        said = self.captured.readouterr()
        return code, said.out, said.err

    def login(self, which: str, *more: str | Path) -> tuple[int, str, str]:
        return self.dta("mfa", "login", "staff", "--mpin-file", self.pins[which], *more)

    def serving(self, end: signal.Signals = signal.SIGTERM) -> _Process:
        return _Process(self, end)


class _Process:
    """``dta mfa serve`` in a process of its own."""

    def __init__(self, stage: Stage, end: signal.Signals) -> None:
        self.end = end
        words = ["--home", str(stage.server_home), "mfa", "serve", "--facts", str(stage.facts), "--port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dta", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line + self.process.stderr.read()  # type: ignore[union-attr]
        self.url = line.split()[-1]

    def __enter__(self) -> str:
        return self.url

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(self.end)
        try:
            assert self.process.wait(30) == (0 if self.end is signal.SIGTERM else -self.end)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            _, errors = self.process.communicate()
        assert "2718" not in errors
        assert "Traceback" not in errors


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    for variable in ("DTA_HOME", "DTA_PIN_FILE", "DTA_DEBUG"):
        monkeypatch.delenv(variable, raising=False)
    with open(os.devnull) as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        yield Stage(tmp_path, capsys)


def test_a_person_logs_in_is_locked_out_for_good_and_unlocked_by_the_operator(stage: Stage) -> None:
    ticket, key = stage.directory / "ticket", stage.directory / "key"
    with stage.serving(signal.SIGKILL) as url:
        code, out, err = stage.login("right")
        assert (code, out, err) == (
            2, "", "error: at which server?\nhint: give --url and --server once: they are kept with the credential\n",
        )  # fmt: skip
        code, out, err = stage.login(
            "right", "--url", url, "--server", SERVER.hex(), "--ticket-out", ticket, "--key-out", key
        )
        assert (code, err) == (0, "")
        assert out == (
            "logged in  alice@example.org\nmode       full\n"
            f"server     {SERVER.hex()} (it proved that it is this server)\n"
        )
        assert ticket.stat().st_mode & 0o777 == key.stat().st_mode & 0o777 == 0o600
        who = redeem(url, SecretBytes(bytes.fromhex(ticket.read_text())))
        assert (who["client"], who["session_key"]) == (stage.alice.client.hex(), key.read_text().strip())
        for mode in ("two-pass", "one-pass"):  # where it logs in is remembered now
            code, out, _ = stage.login("right", "--mode", mode)
            assert code == 0
            assert f"mode       {mode}" in out
        for _ in range(3):
            code, out, err = stage.login("wrong")
            assert (code, out) == (3, "")
            assert err == (
                "error: not authenticated\nhint: check the PIN; too many failures lock the client out\n"
            )  # fmt: skip
        code, out, err = stage.login("right", "--mode", "two-pass")
        assert code == 3
        assert err.startswith("error: locked out after too many failures\nhint: ")
    with stage.serving() as url:  # restarted, on another port
        code, out, _ = stage.dta("--json", "mfa", "login", "staff", "--url", url, "--mpin-file", stage.pins["right"])
        assert code == 3
        assert json.loads(out)["error"]["data"] == {"code": "LOCKED_OUT"}
        code, out, _ = stage.dta("mfa", "lockouts", home=stage.server_home)
        assert stage.alice.client.hex() in out
        code, out, _ = stage.dta("mfa", "unlock", stage.alice.client.hex()[:8], home=stage.server_home)
        assert (code, out) == (0, f"unlocked  {stage.alice.client.hex()}\n")
        assert stage.dta("mfa", "lockouts", home=stage.server_home)[1] == "nobody is locked out\n"
        assert stage.login("right", "--url", url)[0] == 0
        stage.write_facts(clients=[{"client": stage.alice.client.hex(), "status": "revoked"}])
        code, _, err = stage.login("right", "--url", url)
        assert code == 3
        assert "error: the client is revoked" in err
        stage.write_facts(servers=[])
        assert "SERVER_NOT_REGISTERED" in stage.dta(
            "--json", "mfa", "login", "staff", "--url", url, "--mpin-file", stage.pins["right"]
        )[1]  # fmt: skip


def test_a_pin_is_changed_on_the_client_s_side_alone(stage: Stage) -> None:
    new = private(stage.directory / "new", "314159")
    change = ("mfa", "pin", "change", "staff", "--new-mpin-file", new)
    code, out, err = stage.dta(*change, "--mpin-file", stage.pins["right"])  # with no server anywhere
    assert (code, out) == (0, "the PIN of staff is changed\n")
    assert err == "If the old PIN was wrong, no PIN opens it now: log in to see.\n"
    a = stage.alice.parties(SERVER).a
    changed = CredentialStore(stage.home).load("staff").token
    assert changed == token_of(SecretPoint(a * MASTER), a, pin("314159"))
    code, _, err = stage.dta(*change, "--mpin-file", new, "--check")
    assert code == 2
    assert err.startswith("error: this credential has logged in nowhere yet: --check can't\n")


def test_with_check_a_wrong_old_pin_changes_nothing(stage: Stage) -> None:
    new = private(stage.directory / "new", "314159")
    change = ("mfa", "pin", "change", "staff", "--check", "--new-mpin-file", new)
    with stage.serving() as url:
        assert stage.login("right", "--url", url, "--server", SERVER.hex())[0] == 0
        assert stage.dta(*change, "--mpin-file", stage.pins["wrong"])[0] == 3
        assert CredentialStore(stage.home).load("staff").token == stage.alice.token
        assert stage.dta(*change, "--mpin-file", stage.pins["right"])[0] == 0
        assert stage.dta("mfa", "login", "staff", "--mpin-file", new)[0] == 0
        assert stage.login("right")[0] == 3


def test_a_pin_comes_from_a_private_file_or_a_descriptor_and_from_nowhere_else(stage: Stage) -> None:
    code, _, err = stage.dta("mfa", "login", "staff", "--url", "http://127.0.0.1:1", "--server", SERVER.hex())
    assert (code, err) == (
        2, "error: there is no terminal to ask for the PIN\nhint: give --mpin-file FILE, or --mpin-fd\n",
    )  # fmt: skip
    where = ("--url", "http://127.0.0.1:1", "--server", SERVER.hex())
    stage.pins["wrong"].chmod(0o644)
    code, _, err = stage.login("wrong", *where)
    assert code == 8
    assert "others may read the PIN file" in err
    reading, writing = os.pipe()
    os.write(writing, b"2718\n")
    os.close(writing)
    code, _, err = stage.dta("mfa", "login", "staff", *where, "--mpin-fd", str(reading))
    os.close(reading)
    assert code == 4  # the PIN was read; nobody listens there
    code, _, err = stage.dta("mfa", "login", "staff", *where, "--mpin-fd", "0", "--mpin-file", stage.pins["right"])
    assert code == 2
    private(stage.directory / "right", "27I8")
    code, _, err = stage.login("right", *where)
    assert (code, err) == (2, "error: a PIN has 4 to 12 digits, and nothing else\n")
    assert "2718" not in " ".join(sys.argv)


def test_a_sealed_credential_needs_the_identity_it_was_sealed_for(stage: Stage) -> None:
    sealer = profile(stage.home, "alice", bytes(32))
    CredentialStore(stage.home, sealer).add("sealed", stage.alice)
    code, out, _ = stage.dta("mfa", "credentials")
    assert code == 0
    assert [line.split() for line in out.splitlines()[1:]] == [["sealed", "yes"], ["staff", "no"]]
    with stage.serving() as url:
        words = ("mfa", "login", "sealed", "--url", url, "--mpin-file", stage.pins["right"])
        assert stage.dta(*words)[0] == 0
        assert CredentialStore(stage.home).is_sealed("sealed")


def test_mistakes_are_told_apart(stage: Stage) -> None:
    assert stage.dta("mfa", "login", "nobody")[2] == (
        "error: there is no M-Pin credential 'nobody' here\nhint: there is: staff\n"
    )
    assert "only --mode full makes a session key" in stage.login("right", "--mode", "one-pass", "--key-out", "k")[2]
    code, _, err = stage.dta("mfa", "serve", "--facts", stage.facts)
    assert (code, err) == (
        2,
        f"error: there is no server secret in {stage.home}\n"
        "hint: `dta mfa server request-secret` asks the fiduciaries for one\n",
    )
    other = ("mfa", "serve", "--port", "0", "--facts")
    stage.write_facts(realm="00" * 32)
    assert "is of another realm than the secret" in stage.dta(*other, stage.facts, home=stage.server_home)[2]
    public_key = (stage.alice.parties(SERVER).a).encode().hex()
    stage.write_facts(public_key=public_key)
    code, _, err = stage.dta(*other, stage.facts, home=stage.server_home)
    assert code == 5
    assert "is not this realm's key's" in err
    stage.write_facts(suite="MPIN")
    assert stage.dta(*other, stage.facts, home=stage.server_home)[0] == 2
    tls = ("--tls-cert", stage.facts)
    assert "TLS takes both" in stage.dta(*other, stage.facts, *tls, home=stage.server_home)[2]
    assert stage.dta(*other, stage.facts, *tls, "--tls-key", stage.facts, home=stage.server_home)[0] == 2
    assert stage.dta("mfa", "unlock", "00" * 32, home=stage.server_home)[0] == 7


def test_looking_for_lockouts_makes_no_state(stage: Stage) -> None:
    for path in stage.secret.parent.glob("*.sqlite*"):
        path.unlink()
    for words in (("lockouts",), ("unlock", stage.alice.client.hex())):
        code, _, err = stage.dta("mfa", *words, home=stage.server_home)
        assert code == EXIT_NOT_FOUND
        assert "where it ran before, the file was lost" in err
    assert list(stage.secret.parent.glob("*.sqlite*")) == []


def test_a_realm_that_wants_permits_takes_them_from_the_ledger_or_nobody_logs_in(stage: Stage) -> None:
    CredentialStore(stage.home).replace("staff", replace(stage.alice, permits_required=True, url="http://127.0.0.1:1"))
    for words in (("login", "staff"), ("pin", "change", "staff", "--new-mpin-file", stage.pins["wrong"], "--check")):
        code, _, err = stage.dta("mfa", *words, "--mpin-file", stage.pins["right"])
        assert (code, "127.0.0.1:1" in err) == (2, False), "no ledger is known here, and no server was asked"
