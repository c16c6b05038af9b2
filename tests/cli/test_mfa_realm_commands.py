"""``dta mfa`` as a registrar, a server and a person run it, over real proofs and real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state.due import DueKind
from abci_app.state.records import EXTRACTIONS, REALM_CLIENTS
from dta.base.errors import EXIT_NOT_FOUND, EXIT_NOT_VERIFIED
from dta.cli.main import run
from dta.client.mfa.credentials import CredentialStore
from dta.mpin.suite import AMCL
from tests.cli.mfa_world import inject, mfa_world
from tests.cli.order_world import ServedWorld


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[ServedWorld, bytes]]:
    with mfa_world(tmp_path) as made:
        yield made


class Typist:
    """Runs command lines in people's homes."""

    def __init__(self, world: ServedWorld, captured: Any) -> None:
        self.world = world
        self.captured = captured
        self.printed = ""

    def __call__(self, who: str, *words: str) -> tuple[int, str, str]:
        self.captured.readouterr()
        code = run(["--home", str(self.world.directory / who), *words])
        said = self.captured.readouterr()
        self.printed += said.out + said.err
        return code, said.out, said.err

    def json(self, who: str, *words: str, exit_code: int = 0) -> Any:
        code, out, err = self(who, "--json", *words)
        assert code == exit_code, out + err
        return json.loads(out)


@pytest.fixture
def dta(served: tuple[ServedWorld, bytes], capsys: Any, monkeypatch: Any) -> Typist:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    monkeypatch.chdir(served[0].directory)
    (served[0].directory / "carol.pin").write_text("4711\n")
    (served[0].directory / "carol.pin").chmod(0o600)
    return Typist(served[0], capsys)


def carol_is_enrolled(dta: Typist) -> str:
    """Both runs of carol's, the registrar between them. Returns the client's hash."""
    first = dta.json("carol", "mfa", "enrol", "carol@example.org", "--realm", "web")
    assert first["done"] is False
    dta.json("alice", "mfa", "authorise", first["file"])
    second = dta.json("carol", "mfa", "enrol", "carol@example.org", "--realm", "web", "--mpin-file", "carol.pin")
    assert second["done"] is True
    client: str = second["client"]
    return client


def test_a_realm_is_found_by_its_name_and_shown(served: tuple[ServedWorld, bytes], dta: Typist) -> None:
    listed = dta.json("carol", "mfa", "realm", "list")["realms"]
    assert [(one["realm"], one["key"]) for one in listed] == [(served[1].hex(), "in force")]
    shown = dta.json("carol", "mfa", "realm", "show", served[1].hex()[:8])
    assert shown["registrar"] == served[0].people["alice"].hex()
    code, _, said = dta("carol", "mfa", "realm", "show", "nowhere")
    assert code == 7
    assert "hint: `dta mfa realm list`" in said


def test_only_a_fiduciary_proposes_a_realm_and_a_wrong_suite_is_said_before(dta: Typist) -> None:
    words = ("mfa", "realm", "create", "--name", "mine", "--registrar", "alice")
    refused = dta.json("alice", *words, exit_code=3)
    assert refused["error"]["data"]["name"] == "NOT_FIDUCIARY"
    code, _, said = dta("alice", *words, "--suite", "sha1")
    assert code == 2
    assert "hint: rfc9380 or amcl" in said


def test_a_person_is_enrolled_by_running_the_same_command_twice(served: tuple[ServedWorld, bytes], dta: Typist) -> None:
    client = carol_is_enrolled(dta)
    home = served[0].directory / "carol"
    credential = CredentialStore(home).load("carol-example.org")
    assert credential.client.hex() == client
    assert list((home / "mfa" / "pending").iterdir()) == []
    shown = dta.json("carol", "mfa", "realm", "show", "web", "--clients")
    assert [one["client"] for one in shown["client_list"]] == [client]
    assert credential.salt.reveal().hex() not in dta.printed
    code, _, said = dta("carol", "mfa", "enrol", "carol@example.org", "--realm", "web")
    assert code == 2
    assert "already" in said


def test_before_the_registrar_acts_the_second_run_says_what_it_waits_for(dta: Typist) -> None:
    dta.json("carol", "mfa", "enrol", "carol@example.org", "--realm", "web")
    code, _, said = dta("carol", "mfa", "enrol", "carol@example.org", "--realm", "web", "--wait", "0")
    assert code == 7
    assert "hand the enrolment file to the registrar" in said


def test_a_lost_token_is_replaced_under_the_same_hash(dta: Typist) -> None:
    client = carol_is_enrolled(dta)
    words = ("mfa", "enrol", "carol@example.org", "--realm", "web", "--again")
    dta.json("alice", "mfa", "authorise", dta.json("carol", *words)["file"])
    done = dta.json("carol", *words, "--mpin-file", "carol.pin")
    assert done["client"] == client
    shown = dta.json("alice", "mfa", "realm", "show", "web", "--clients")
    assert shown["client_list"][0]["enrolments"] == 2


def test_a_request_that_nobody_answered_is_made_again_under_the_same_hash(
    served: tuple[ServedWorld, bytes], dta: Typist
) -> None:
    world, realm = served
    for agent in world.chain.agents:
        agent.silent.add(DueKind.SUBMIT_PARTIALS)
    words = ("mfa", "enrol", "carol@example.org", "--realm", "web")
    first = dta.json("carol", *words)
    dta.json("alice", "mfa", "authorise", first["file"])
    view = world.chain.replica.view
    request = REALM_CLIENTS.get(view, realm, bytes.fromhex(first["client"])).request
    record = EXTRACTIONS.get(view, request)
    record.status = extraction_pb2.EXTRACTION_STATUS_EXPIRED
    inject(world, {EXTRACTIONS.key(request): record.SerializeToString(deterministic=True)})
    code, _, said = dta("carol", *words)
    assert code == 0
    assert "asking once more" in said
    for agent in world.chain.agents:
        agent.silent.clear()
    dta.json("alice", "mfa", "authorise", first["file"])
    done = dta.json("carol", *words, "--mpin-file", "carol.pin")
    assert (done["done"], done["client"]) == (True, first["client"])


def test_the_registrar_enrols_in_one_go_and_many_at_once(dta: Typist) -> None:
    done = dta.json("alice", "mfa", "enrol", "alice", "--realm", "web", "--mpin-file", "carol.pin")
    assert done["done"] is True
    files = []
    for name in ("dave", "erin", "frank"):
        made = dta.json("carol", "mfa", "enrol", name, "--realm", "web", "--out", f"{name}.file")
        files.append(made["file"])
    together = dta.json("alice", "mfa", "authorise", *files)
    assert together["transactions"] == 1
    assert len(together["clients"]) == 3


def test_a_file_made_for_anothers_name_is_refused(dta: Typist) -> None:
    """Attack: bob makes a ticket with a salt of his own and writes carol's name on it."""
    made = dta.json("bob", "mfa", "enrol", "bob", "--realm", "web")
    content = json.loads(Path(made["file"]).read_text())
    content["name"] = "carol@example.org"
    Path("forged").write_text(json.dumps(content))
    code, _, said = dta("alice", "mfa", "authorise", "forged")
    assert code == 2
    assert "another client's hash" in said


def test_a_server_gets_its_secret_sealed_once_it_is_registered(served: tuple[ServedWorld, bytes], dta: Typist) -> None:
    refused = dta.json("bob", "mfa", "server", "request-secret", "--realm", "web", exit_code=3)
    assert refused["error"]["data"]["name"] == "UNKNOWN_SERVER"
    dta.json("alice", "mfa", "server", "register", "bob", "--realm", "web")
    made = dta.json("bob", "mfa", "server", "request-secret", "--realm", "web")
    sealed = Path(made["file"])
    assert sealed.stat().st_mode & 0o777 == 0o600
    code, _, said = dta("bob", "mfa", "server", "request-secret", "--realm", "web")
    assert code == 2
    assert "already" in said
    sealed.unlink()  # the disk was lost; the token was not
    dta.json("bob", "mfa", "server", "request-secret", "--realm", "web", "--resume")
    assert sealed.exists()


def test_permits_are_issued_until_a_client_is_revoked_and_a_receipt_shows_that_none_will_be(dta: Typist) -> None:
    client = carol_is_enrolled(dta)
    assert dta.json("alice", "mfa", "permit", "issue", "--realm", "web")["clients"] == 1
    assert dta.json("alice", "mfa", "permit", "issue", "--realm", "web")["clients"] == 0
    permit = dta.json("carol", "mfa", "permit", "get", client, "--realm", "web")
    assert len(permit["permit"]) == 96
    dta.json("alice", "mfa", "revoke", "carol@example.org", "--realm", "web")
    words = ("receipt", "get", "permit", client, "--realm", "web", "--day", "tomorrow", "--out", "revoked.receipt")
    made = dta.json("carol", *words)
    assert [(one["asked"], one["never"]) for one in made["permits"]] == [(False, True)]
    code, out, _ = dta("carol", "receipt", "verify", "revoked.receipt", "--trust", "carol/genesis.json")
    assert code == 0
    assert "none ever will be: the client was revoked at height" in out
    refused = dta.json("alice", "mfa", "revoke", client, "--realm", "web", exit_code=3)
    assert refused["error"]["data"]["name"] == "ALREADY_DONE"


@contextmanager
def serving(world: ServedWorld) -> Iterator[str]:
    """``dta mfa serve`` in bob's home, in a process of its own, its facts from the ledger. Gives its address."""
    command = [
        sys.executable, "-m", "dta", "--home", str(world.directory / "bob"), "mfa", "serve", "--port", "0",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("listening on "), said
        yield said.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_a_person_logs_in_at_a_server_that_asks_the_ledger_and_after_revocation_does_not(
    served: tuple[ServedWorld, bytes], dta: Typist
) -> None:
    dta.json("alice", "mfa", "server", "register", "bob", "--realm", "web")
    dta.json("bob", "mfa", "server", "request-secret", "--realm", "web")
    client = carol_is_enrolled(dta)
    bob = served[0].people["bob"].hex()
    with serving(served[0]) as url:
        words = ("mfa", "login", "carol-example.org", "--url", url, "--server", bob, "--mpin-file", "carol.pin")
        early = dta.json("carol", *words, exit_code=EXIT_NOT_FOUND)
        assert early["error"]["kind"] == "not-found"
        assert early["error"]["message"].startswith("no permit was issued to this client for day ")
        dta.json("bob", "mfa", "permit", "issue", "--realm", "web")
        dta.json("carol", "mfa", "permit", "get", client, "--realm", "web")
        done = dta.json("carol", *words)
        assert (done["client"], done["mode"], done["server"]) == (client, "full", bob)
        Path("carol.pin").write_text("4712\n")
        wrong = dta.json("carol", *words, exit_code=3)
        assert wrong["error"]["data"]["code"] == "NOT_AUTHENTICATED"
        Path("carol.pin").write_text("4711\n")
        dta.json("alice", "mfa", "revoke", "carol@example.org", "--realm", "web")
        gone = dta.json("carol", *words, exit_code=3)
        assert gone["error"]["data"]["code"] == "REVOKED"


@pytest.mark.parametrize(
    "strange", [{"gid": bytes(32)}, {"authority": bytes(32)}, {"suite": AMCL}], ids=lambda strange: next(iter(strange))
)
def test_a_credential_of_another_ledger_or_key_takes_no_permit_here(
    served: tuple[ServedWorld, bytes], dta: Typist, strange: dict[str, Any]
) -> None:
    """A permit of this ledger's would be false to it: nothing is sent."""
    carol_is_enrolled(dta)
    store = CredentialStore(served[0].directory / "carol")
    store.replace("carol-example.org", replace(store.load("carol-example.org"), **strange))
    where = ("--url", "http://127.0.0.1:1", "--server", "00" * 32, "--mpin-file", "carol.pin")
    said = dta.json("carol", "mfa", "login", "carol-example.org", *where, exit_code=EXIT_NOT_VERIFIED)
    assert said["error"]["data"]["step"] == "realm"
