"""A token's sessions in several threads, over SoftHSM2: uses side by side, changes alone, and what becomes of the
others where one fails (tests/support/faulty_pkcs11.c counts who is inside)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import VerifyKey

from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm import conformance, softhsm
from dta.hsm import session as sessions
from dta.hsm.doctor import diagnose
from dta.hsm.errors import KeystoreClosed, KeystoreError
from dta.hsm.keystore import open_keystore
from dta.hsm.pkcs11 import Pkcs11Keystore
from dta.hsm.provision import init_token
from tests.support import faulty_token
from tests.support.faulty_token import FaultyModule

PIN = SecretBytes(b"users pin 1")
MODULE = softhsm.find_module()
MANY = 4
pytestmark = [
    pytest.mark.skipif(MODULE is None, reason="SoftHSM2 is not installed"),
    pytest.mark.skipif(faulty_token.compiler() is None, reason="there is no C compiler"),
    # python-pkcs11 complains from a destructor when it ends a search on a session that is gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> FaultyModule:
    assert MODULE is not None
    return faulty_token.build(tmp_path_factory.mktemp("faulty"), MODULE)


@pytest.fixture
def token(built: FaultyModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyModule]:
    monkeypatch.setenv(softhsm.CONFIG_VARIABLE, str(softhsm.make_home(tmp_path / "softhsm")))
    init_token(built.path, "main", SecretBytes(b"officers pin 1"), PIN)
    built.forget()
    yield built
    built.heal()


@pytest.fixture
def config(token: FaultyModule, tmp_path: Path) -> KeystoreConfig:
    pin_file = tmp_path / "pin"
    pin_file.write_bytes(PIN.reveal())
    pin_file.chmod(0o600)
    return KeystoreConfig("pkcs11", module=token.path, token_label="main", pin_file=pin_file)


def opened(config: KeystoreConfig) -> Pkcs11Keystore:
    """The keystore of a node that has run before."""
    store = Pkcs11Keystore.open(config)
    for label in ("root", "vault-1"):
        store.ensure_prf_key(label)
    store.ensure_signing_key("node-key")
    store.rely_on("root")
    return store


@pytest.fixture
def store(config: KeystoreConfig) -> Iterator[Pkcs11Keystore]:
    store = opened(config)
    yield store
    store.close()


def at_once(work: Callable[[int], object], threads: int = MANY) -> list[object]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(threads)))


def handles(store: Pkcs11Keystore) -> set[int]:
    assert store._session is not None
    return {int(session.handle) for session in store._session.open_sessions}


def have_many_sessions(store: Pkcs11Keystore, token: FaultyModule, label: str = "vault-1") -> None:
    """``MANY`` sessions are open, each of which remembers the PRF key under ``label``."""
    token.fail(f"together {MANY}")
    token.forget()
    at_once(lambda _: store.prf(label, b""))
    token.heal()
    assert len(handles(store)) == MANY


def logins(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    seen: list[None] = []
    login = sessions.login

    def counted(token: Any, pin: SecretBytes, module: Path) -> Any:
        seen.append(None)
        return login(token, pin, module)

    monkeypatch.setattr(sessions, "login", counted)
    return seen


def test_signatures_and_derivations_are_in_the_module_at_once(store: Pkcs11Keystore, token: FaultyModule) -> None:
    public_key = store.signing_public_key("node-key")
    assert public_key is not None
    assert len(handles(store)) == 1  # no more than are needed
    for use in (lambda number: store.sign("node-key", bytes([number])), lambda _: store.prf("root", b"x")):
        token.fail(f"together {MANY}")
        token.forget()
        answers = at_once(use)
        token.heal()
        assert token.seen("signing at once") == MANY
    assert answers == [store.prf("root", b"x")] * MANY
    for number, signature in enumerate(at_once(lambda number: store.sign("node-key", bytes([number])))):
        assert isinstance(signature, bytes)
        VerifyKey(public_key).verify(bytes([number]), signature)
    assert len(handles(store)) == token.seen("open sessions") == MANY


def test_a_module_that_bears_no_threads_takes_one_call_at_a_time(config: KeystoreConfig, token: FaultyModule) -> None:
    token.fail("can't-lock", "slow 1000")
    conformance.check_eight_threads_agree(lambda: open_keystore(config))
    store = opened(config)
    at_once(lambda number: [store.sign("node-key", bytes([number])) for _ in range(5)])
    assert token.seen("signing at once") == token.seen("open sessions") == 1
    store.close()
    steps = {step.name: step for step in diagnose(config)}
    assert steps["sessions"].detail == "one: the module takes one call at a time"


def test_two_tokens_of_a_module_without_threads_take_turns(config: KeystoreConfig, token: FaultyModule) -> None:
    init_token(token.path, "next", SecretBytes(b"officers pin 1"), PIN)
    token.fail("can't-lock", "slow 5000")
    stores = [opened(config), opened(replace(config, token_label="next"))]
    token.forget()
    at_once(lambda number: [stores[number % 2].sign("node-key", bytes([number])) for _ in range(10)])
    assert token.seen("signing at once") == 1
    for store in stores:
        store.close()


def test_a_module_that_can_not_be_finalised_is_used_as_it_is(config: KeystoreConfig, token: FaultyModule) -> None:
    token.fail("C_Finalize 6", "slow 1000")
    store = opened(config)
    at_once(lambda number: [store.sign("node-key", bytes([number])) for _ in range(5)])
    assert token.seen("signing at once") == token.seen("open sessions") == 1
    store.close()
    token.heal()
    store = opened(config)
    have_many_sessions(store, token)
    store.close()


def test_one_session_is_one_where_that_is_configured(config: KeystoreConfig, token: FaultyModule) -> None:
    token.fail("slow 1000")
    one = replace(config, sessions=1)
    store = opened(one)
    at_once(lambda number: [store.sign("node-key", bytes([number])) for _ in range(5)])
    assert token.seen("signing at once") == token.seen("open sessions") == 1
    store.close()
    assert {step.name: step.detail for step in diagnose(one)}["sessions"] == "one (keystore.sessions)"
    assert {step.name: step.detail for step in diagnose(config)}["sessions"].startswith("8 at once at most")


def test_a_token_with_room_for_few_sessions_is_used_by_as_many(config: KeystoreConfig, token: FaultyModule) -> None:
    store = opened(config)
    token.fail("max-sessions 2", "slow 1000")
    at_once(lambda number: [store.sign("node-key", bytes([number])) for _ in range(5)], 2 * MANY)
    assert 1 <= token.seen("open sessions") <= 2
    token.fail("max-sessions 2", "together 2")
    token.forget()
    at_once(lambda number: store.sign("node-key", bytes([number])), 2)
    store.close()


def test_keys_are_made_used_and_destroyed_side_by_side(store: Pkcs11Keystore, token: FaultyModule) -> None:
    before = {label: store.prf(label, b"x") for label in ("root", "vault-1")}
    public_key = store.signing_public_key("node-key")
    assert public_key is not None
    have_many_sessions(store, token)

    def changes(number: int) -> None:
        for turn in range(6):
            label = f"vault-{number}-{turn}"
            assert store.ensure_prf_key(label)
            output = store.prf(label, b"x")
            assert store.prf(label, b"x") == output
            assert store.destroy(label)
            assert not store.has_prf_key(label)

    def uses(_: int) -> None:
        for turn in range(60):
            VerifyKey(public_key).verify(bytes([turn]), store.sign("node-key", bytes([turn])))
            assert {label: store.prf(label, b"x") for label in before} == before
            assert store.has_prf_key("vault-1")

    token.forget()
    at_once(lambda number: (changes if number % 2 else uses)(number), 2 * MANY)
    assert token.seen("changes beside a use") == 0
    assert store.labels() == ["node-key", "root", "vault-1"]


def test_a_session_that_fails_goes_alone(
    store: Pkcs11Keystore, token: FaultyModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = store.prf("vault-1", b"x")
    have_many_sessions(store, token)
    before, again = handles(store), logins(monkeypatch)
    token.fail("C_SignInit b3 1")  # CKR_SESSION_HANDLE_INVALID
    assert store.prf("vault-1", b"x") == output
    assert handles(store) < before
    assert len(handles(store)) == token.seen("open sessions") == MANY - 1
    assert again == []
    have_many_sessions(store, token)
    assert again == []


def test_a_login_that_is_lost_is_lost_for_all_and_made_again(
    store: Pkcs11Keystore, token: FaultyModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = store.prf("vault-1", b"x")
    have_many_sessions(store, token)
    again = logins(monkeypatch)
    token.forget()
    token.fail("logged-out")
    for _ in range(3):
        assert at_once(lambda _: (store.has_prf_key("vault-1"), store.prf("vault-1", b"x"))) == [(True, output)] * MANY
    assert 1 <= len(again) <= MANY
    assert token.seen("changes beside a use") == 0
    token.heal()
    have_many_sessions(store, token)


@pytest.mark.parametrize("fault", ["C_SignInit 32 3", "C_SignInit 101 3"])
def test_what_fails_in_two_sessions_is_tried_after_a_new_login(
    store: Pkcs11Keystore, token: FaultyModule, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    output = store.prf("vault-1", b"x")
    have_many_sessions(store, token)
    again = logins(monkeypatch)
    token.fail(fault)
    assert store.prf("vault-1", b"x") == output
    assert len(again) == len(handles(store)) == token.seen("open sessions") == 1
    have_many_sessions(store, token)
    assert len(again) == 1


def test_a_token_that_is_away_is_told_to_every_thread_and_used_again(
    store: Pkcs11Keystore, token: FaultyModule
) -> None:
    output = store.prf("vault-1", b"x")
    have_many_sessions(store, token)

    def attempt(_: int) -> bool:
        with pytest.raises(KeystoreError):
            store.prf("vault-1", b"x")
        return True

    token.fail("C_SignInit 32", "C_FindObjectsInit 32", "C_OpenSession 32", "C_CloseSession 32", "C_Logout 32")
    assert all(at_once(attempt))
    token.heal()
    assert at_once(lambda _: store.prf("vault-1", b"x")) == [output] * MANY


def test_no_session_remembers_a_key_that_was_destroyed(store: Pkcs11Keystore, token: FaultyModule) -> None:
    """A module may give its handle to the next key."""
    old = store.prf("vault-1", b"x")
    have_many_sessions(store, token)
    assert store._session is not None
    assert sum("vault-1" in session.keys for session in store._session._pool.sessions) == MANY
    assert store.destroy("vault-1")
    assert not any("vault-1" in session.keys for session in store._session._pool.sessions)
    assert store.ensure_prf_key("vault-1")
    new = store.prf("vault-1", b"x")
    assert new != old
    assert at_once(lambda _: store.prf("vault-1", b"x")) == [new] * MANY


def test_what_is_closed_is_not_opened_by_a_thread_that_comes_late(config: KeystoreConfig, token: FaultyModule) -> None:
    store = opened(config)
    have_many_sessions(store, token)
    late = store._session
    assert late is not None
    store.close()
    assert token.seen("open sessions") == 0
    for alone in (False, True):
        with pytest.raises(KeystoreClosed):
            late.run(lambda _: None, alone=alone)


def test_two_keystores_of_one_token_share_its_sessions(
    store: Pkcs11Keystore, config: KeystoreConfig, token: FaultyModule
) -> None:
    other = opened(config)
    have_many_sessions(store, token)
    assert handles(other) == handles(store)
    other.close()
    assert token.seen("open sessions") == MANY
    assert store.prf("root", b"x") == store.prf("root", b"x")
