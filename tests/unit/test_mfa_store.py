"""What clients and servers keep on disk: closed to others, sealed where it says so, and no help with a PIN."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from abci_app.crypto.curve import G1
from dta.base.errors import NotFound, UsageError
from dta.base.secret import SecretBytes
from dta.client.mfa.credentials import Credential, CredentialStore, ServerSecret, load_server_secret, save_server_secret
from dta.hsm import labels
from dta.hsm.sealed_file import MIN_LOG2_N
from dta.hsm.software import SoftwareKeystore
from dta.mpin.pin import changed
from dta.mpin.sealing import Sealer
from dta.mpin.secret_point import SecretPoint
from tests.support.mfa import MASTER, SERVER, World, facts, pin

PASSPHRASE = SecretBytes(b"correct horse")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def new_sealer(tmp_path: Path) -> Callable[[str], Sealer]:
    def made(name: str) -> Sealer:
        path = tmp_path / name
        SoftwareKeystore.create(path, PASSPHRASE, log2_n=MIN_LOG2_N)
        keystore = SoftwareKeystore(path, PASSPHRASE)
        keystore.ensure_prf_key(labels.root())
        return Sealer(keystore)

    return made


def same(one: Credential, other: Credential) -> bool:
    return one == other and one.token == other.token and one.salt == other.salt


def test_a_credential_comes_back_as_it_was_kept_and_others_cannot_read_it(world: World, tmp_path: Path) -> None:
    store = CredentialStore(tmp_path)
    alice = world.credential("alice ✓").at(SERVER, "http://127.0.0.1:1")
    store.add("staff", alice)
    assert same(store.load("staff"), alice)
    assert store.labels() == ["staff"]
    path = store.path("staff")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert "redacted" in repr(store.load("staff"))
    assert alice.salt.reveal().hex() not in repr(alice)


def test_a_label_is_taken_once_and_replaced_on_purpose(world: World, tmp_path: Path) -> None:
    store = CredentialStore(tmp_path)
    alice = world.credential()
    store.add("staff", alice)
    with pytest.raises(UsageError):
        store.add("staff", world.credential("bob"))
    other = alice.with_token(changed(alice.token, alice.parties(SERVER).a, pin(), pin("31415")))
    store.replace("staff", other)
    assert same(store.load("staff"), other)
    with pytest.raises(NotFound) as caught:
        store.load("other")
    assert caught.value.hint == "there is: staff"
    with pytest.raises(UsageError):
        store.load("../staff")


def test_nothing_in_the_file_tells_a_pin(world: World, tmp_path: Path) -> None:
    """With the file alone any PIN is as good as another: each gives a point, and none that the file knows of."""
    store = CredentialStore(tmp_path)
    alice = world.credential()
    store.add("staff", alice)
    file = json.loads(store.path("staff").read_text())
    assert set(file) == {
        "format", "gid", "realm", "authority", "suite", "permits_required", "name", "server", "url", "secret",
    }  # fmt: skip
    token = alice.token.reveal()
    a = alice.parties(SERVER).a
    candidates = {(token + a * number).encode().hex() for number in range(2700, 2730)}
    assert (a * MASTER).encode().hex() in candidates
    text = store.path("staff").read_text()
    assert not any(candidate in text for candidate in candidates)


def test_a_sealed_credential_opens_with_its_keystore_alone(
    world: World, tmp_path: Path, new_sealer: Callable[[str], Sealer]
) -> None:
    sealer = new_sealer("mine")
    store = CredentialStore(tmp_path, sealer)
    alice = world.credential()
    store.add("staff", alice)
    text = store.path("staff").read_text()
    assert alice.salt.reveal().hex() not in text
    assert alice.token.reveal().encode().hex() not in text
    assert same(store.load("staff"), alice)
    store.replace("staff", alice.at(SERVER, "http://127.0.0.1:1"))
    assert store.is_sealed("staff")
    assert store.load("staff").url == "http://127.0.0.1:1"
    for other in (CredentialStore(tmp_path), CredentialStore(tmp_path, new_sealer("other"))):
        with pytest.raises(UsageError):
            other.load("staff")
    edited = json.loads(text)
    edited["name"] = "mallory"
    store.path("staff").write_text(json.dumps(edited))
    with pytest.raises(UsageError):
        store.load("staff")


@pytest.mark.parametrize(
    "changes",
    [
        {"gid": "00"}, {"suite": "MPIN"}, {"permits_required": 1}, {"server": "00"}, {"secret": {}}, {"secret": "x"},
        {"secret": {"sealed": False, "content": "00"}}, {"secret": {"sealed": False, "content": "zz"}}, {"name": 1},
        {"secret": {"sealed": 0, "content": "00"}}, {"more": 1}, {"format": "dta-mfa-client-2"},
        {"secret": {"sealed": False, "content": G1.generator().encode().hex() + "00" * 15}},
        {"secret": {"sealed": False, "content": "c0" + "00" * 63}},
    ],
    ids=str,
)  # fmt: skip
def test_a_credential_of_another_form_is_refused(world: World, tmp_path: Path, changes: dict[str, object]) -> None:
    store = CredentialStore(tmp_path)
    store.add("staff", world.credential())
    path = store.path("staff")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(UsageError):
        store.load("staff")


def test_a_server_s_secret_is_never_in_clear(tmp_path: Path, new_sealer: Callable[[str], Sealer]) -> None:
    known = facts()
    point = known.parties(bytes(32), SERVER).q * MASTER
    secret = ServerSecret(known.gid, known.realm, known.authority, known.suite, SERVER, SecretPoint(point))
    path = tmp_path / "servers" / "rps.json"
    sealer = new_sealer("mine")
    save_server_secret(path, secret, sealer)
    assert path.stat().st_mode & 0o777 == 0o600
    assert point.encode().hex() not in path.read_text()
    assert load_server_secret(path, sealer) == secret
    assert "redacted" in repr(secret)
    with pytest.raises(UsageError):
        save_server_secret(path, secret, sealer)
    with pytest.raises(UsageError):
        load_server_secret(path, new_sealer("other"))
    whole = json.loads(path.read_text())
    for name, value in (("realm", "00" * 32), ("server", "00" * 32), ("sealed", "00"), ("sealed", "zz"), ("more", 1)):
        path.write_text(json.dumps({**whole, name: value}))
        with pytest.raises(UsageError):
            load_server_secret(path, sealer)
