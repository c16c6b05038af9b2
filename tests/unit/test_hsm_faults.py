"""A token that fails in every way that we know of (tests/support/faulty_token.py): nothing is read out of its silence,
and whatever it did, it works again once it is well."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nacl.signing import VerifyKey
from pkcs11.exceptions import FunctionFailed

from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm import cryptoki, objects, selftest, softhsm
from dta.hsm.doctor import diagnose
from dta.hsm.errors import (
    AbsenceUnproved,
    KeyIncomplete,
    KeystoreError,
    ModuleMissing,
    TokenAmbiguous,
    TokenFailure,
    TokenGone,
)
from dta.hsm.keystore import Keystore, open_keystore
from dta.hsm.pkcs11 import Pkcs11Keystore
from dta.hsm.provision import init_token
from tests.support import faulty_token
from tests.support.faulty_token import FaultyModule

PIN = SecretBytes(b"users pin 1")
SO_PIN = SecretBytes(b"officers pin 1")
MODULE = softhsm.find_module()
pytestmark = [
    pytest.mark.skipif(MODULE is None, reason="SoftHSM2 is not installed"),
    pytest.mark.skipif(faulty_token.compiler() is None, reason="there is no C compiler"),
    # python-pkcs11 complains from a destructor when it ends a search on a session that is gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CODES = {
    "general error": 0x5, "function failed": 0x6, "device error": 0x30, "device memory": 0x31, "device removed": 0x32,
    "key handle": 0x60, "object handle": 0x82, "operation active": 0x90, "session closed": 0xB0,
    "session handle": 0xB3, "token not present": 0xE0, "not logged in": 0x101, "not initialised": 0x190,
    "mutex": 0x1A0, "a vendor's own": 0x80000384,
}  # fmt: skip
USES = ("C_FindObjectsInit", "C_FindObjects", "C_GetAttributeValue", "C_SignInit", "C_Sign")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> FaultyModule:
    assert MODULE is not None
    return faulty_token.build(tmp_path_factory.mktemp("faulty"), MODULE)


@pytest.fixture
def faulty(built: FaultyModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyModule]:
    monkeypatch.setenv(softhsm.CONFIG_VARIABLE, str(softhsm.make_home(tmp_path / "softhsm")))
    init_token(built.path, "main", SO_PIN, PIN)
    yield built
    built.heal()


@pytest.fixture
def config(faulty: FaultyModule, tmp_path: Path) -> KeystoreConfig:
    pin_file = tmp_path / "pin"
    pin_file.write_bytes(PIN.reveal())
    pin_file.chmod(0o600)
    return KeystoreConfig("pkcs11", module=faulty.path, token_label="main", pin_file=pin_file)


@pytest.fixture
def store(config: KeystoreConfig) -> Iterator[Pkcs11Keystore]:
    store = Pkcs11Keystore.open(config)
    store.ensure_signing_key("node-key")
    store.ensure_prf_key("root")
    store.ensure_prf_key("vault-1")
    store.rely_on("root")
    yield store
    store.close()


READINGS: dict[str, Callable[[Keystore], object]] = {
    "labels": lambda store: store.labels(),
    "has": lambda store: store.has_prf_key("vault-1"),
    "public": lambda store: store.signing_public_key("node-key"),
    "prf": lambda store: store.prf("vault-1", b""),
    "sign": lambda store: store.sign("node-key", b""),
    "destroy": lambda store: store.destroy("vault-1"),
    "make a prf key": lambda store: store.ensure_prf_key("vault-1"),
    "make a signing key": lambda store: store.ensure_signing_key("node-key"),
}


@pytest.mark.parametrize("reading", READINGS)
def test_a_token_that_shows_nothing_is_believed_in_nothing(
    store: Pkcs11Keystore, faulty: FaultyModule, reading: str
) -> None:
    faulty.fail("blind")
    with pytest.raises(AbsenceUnproved) as caught:
        READINGS[reading](store)
    assert "destroy" not in caught.value.hint
    faulty.heal()
    assert store.labels() == ["node-key", "root", "vault-1"]


@pytest.mark.parametrize("reading", READINGS)
def test_a_login_that_was_lost_is_found_out_and_made_again(
    store: Pkcs11Keystore, config: KeystoreConfig, faulty: FaultyModule, reading: str
) -> None:
    before = {"has": True, "destroy": True, "make a prf key": False, "labels": ["node-key", "root", "vault-1"]}
    public_key = store.signing_public_key("node-key")
    faulty.fail("logged-out")
    found = READINGS[reading](store)
    assert found == before.get(reading, found)
    assert found == public_key or reading not in ("public", "make a signing key")
    # The login of another process says what became of it.
    faulty.heal()
    assert store.has_prf_key("vault-1") is (reading != "destroy")


@pytest.mark.parametrize("reading", READINGS)
def test_nothing_follows_from_a_login_that_is_lost_for_good(
    store: Pkcs11Keystore, faulty: FaultyModule, reading: str
) -> None:
    faulty.fail("logged-out", "C_Login 6")
    with pytest.raises(KeystoreError) as caught:
        READINGS[reading](store)
    assert not isinstance(caught.value, KeyIncomplete)
    assert "destroy" not in caught.value.hint
    faulty.heal()
    assert store.labels() == ["node-key", "root", "vault-1"]


def test_without_a_key_to_rely_on_a_lost_login_is_found_out_all_the_same(
    config: KeystoreConfig, faulty: FaultyModule
) -> None:
    store = open_keystore(config)
    public_key = store.ensure_signing_key("operator-0")
    faulty.fail("logged-out")
    assert store.signing_public_key("operator-0") == public_key
    faulty.fail("logged-out", "C_Login 6")
    for reading in (store.labels, lambda: store.has_prf_key("root"), lambda: store.signing_public_key("operator-0")):
        with pytest.raises(TokenFailure):
            reading()
    store.close()


@pytest.mark.parametrize("relied_on", ["", "root"])
def test_a_key_that_is_shown_and_can_not_be_used_proves_no_absence(
    config: KeystoreConfig, store: Pkcs11Keystore, faulty: FaultyModule, relied_on: str
) -> None:
    other = open_keystore(config)
    if relied_on:
        other.rely_on(relied_on)
    faulty.fail("C_SignInit 6")
    for reading in (
        other.labels,
        lambda: other.has_prf_key("vault-2"),
        lambda: other.destroy("vault-2"),
        lambda: other.ensure_prf_key("vault-2"),
    ):
        with pytest.raises(TokenFailure):
            reading()
    faulty.heal()
    assert other.labels() == ["node-key", "root", "vault-1"]
    other.close()


@pytest.mark.parametrize("function", USES)
@pytest.mark.parametrize("code", CODES)
def test_an_error_that_comes_once_is_got_over(
    store: Pkcs11Keystore, faulty: FaultyModule, function: str, code: str
) -> None:
    before = store.prf("root", b"x")
    for fresh in (False, True):
        faulty.fail(f"{function} {CODES[code]:x} 1")
        assert store.prf("vault-1" if fresh else "root", b"x")
        assert store.sign("node-key", b"x")
        faulty.heal()
    assert store.prf("root", b"x") == before


@pytest.mark.parametrize("function", [*USES, "C_OpenSession", "C_Login", "C_GetSlotList", "C_GetTokenInfo"])
@pytest.mark.parametrize("code", ["function failed", "not initialised", "a vendor's own"])
def test_an_error_that_stays_is_told_and_forgotten_once_it_is_over(
    store: Pkcs11Keystore, faulty: FaultyModule, function: str, code: str
) -> None:
    before = store.prf("root", b"x")
    faulty.fail(f"{function} {CODES[code]:x}", f"C_SignInit {CODES[code]:x}", "C_Logout 6")
    for _ in range(3):
        with pytest.raises(KeystoreError) as caught:
            store.prf("root", b"x")
        assert caught.value.hint
    faulty.heal()
    assert store.prf("root", b"x") == before


def test_an_operation_that_is_stuck_costs_one_session(store: Pkcs11Keystore, faulty: FaultyModule) -> None:
    before = store.prf("root", b"x")
    faulty.fail("stuck")
    assert store.prf("root", b"x") == before
    assert store.sign("node-key", b"x")


def test_a_key_that_another_process_made_anew_is_used(
    store: Pkcs11Keystore, config: KeystoreConfig, faulty: FaultyModule
) -> None:
    old = store.prf("vault-1", b"x")
    other = Pkcs11Keystore.open(config)
    other.destroy("vault-1")
    other.ensure_prf_key("vault-1")
    for code in ("key handle", "object handle", "function failed", "a vendor's own"):
        # However the module says that the handle is stale.
        faulty.fail(f"C_SignInit {CODES[code]:x} 1")
        assert store.prf("vault-1", b"x") == other.prf("vault-1", b"x") != old
    other.close()


def test_sessions_that_can_not_log_out_are_closed(
    store: Pkcs11Keystore, faulty: FaultyModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """python-pkcs11 leaves them open: a token has room for a few."""
    closed: list[int] = []
    close_session = cryptoki.close_session
    monkeypatch.setattr(
        cryptoki, "close_session", lambda *arguments: (closed.append(close_session(*arguments)), closed[-1])[1]
    )
    for _ in range(3):
        faulty.fail("C_Logout 6", "C_SignInit 6 1")
        assert store.prf("root", b"x")
        faulty.heal()
        assert store.prf("root", b"x")
    assert closed == [cryptoki.CKR_OK] * 3


@pytest.mark.parametrize("faults", [("C_Finalize 6",), ("C_Finalize 6", "C_Logout 6", "C_CloseSession 6")])
def test_a_finalisation_that_fails_is_logged_and_the_module_used_again(
    store: Pkcs11Keystore, config: KeystoreConfig, faulty: FaultyModule, caplog: pytest.LogCaptureFixture,
    faults: tuple[str, ...],
) -> None:  # fmt: skip
    before = store.prf("root", b"x")
    faulty.fail(*faults)
    store.close()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING]
    for _ in range(2):
        again = open_keystore(config)
        assert again.prf("root", b"x") == before
        again.close()
        assert not [step for step in diagnose(config) if step.status == "failure"]
    faulty.heal()
    again = open_keystore(config)
    assert again.prf("root", b"x") == before
    again.close()


def test_opening_that_fails_beside_a_finalisation_that_fails_leaves_the_way_open(
    config: KeystoreConfig, faulty: FaultyModule
) -> None:
    for fault in ("C_OpenSession 6", "C_Login 6", "C_GetSlotList 6", "no-slots"):
        faulty.fail("C_Finalize 6", fault)
        for _ in range(2):
            with pytest.raises(KeystoreError):
                open_keystore(config)
        faulty.fail("C_Finalize 6")
        open_keystore(config).close()


@pytest.mark.parametrize("fault", ["max-label 47", "max-label 40", "max-message 65535", "max-message 2047"])
def test_the_doctor_fails_a_token_that_would_fail_at_the_first_vault(
    store: Pkcs11Keystore, config: KeystoreConfig, faulty: FaultyModule, fault: str
) -> None:
    faulty.fail(fault)
    steps = {step.name: step for step in diagnose(config)}
    assert [name for name, step in steps.items() if step.status == "failure"] == ["limits"]
    assert "docs/howto/hsm.md" in steps["limits"].advice
    faulty.heal()
    assert store.labels() == ["node-key", "root", "vault-1"]


def test_the_doctor_finds_no_keys_in_order_that_a_token_does_not_show(
    store: Pkcs11Keystore, faulty: FaultyModule
) -> None:
    faulty.fail("blind")
    steps = {step.name: step for step in store.check()}
    assert [steps[name].status for name in ("keys", "key attributes", "limits")] == ["failure"] * 3


def test_the_doctor_clears_away_what_an_interrupted_one_left(store: Pkcs11Keystore, config: KeystoreConfig) -> None:
    store.ensure_prf_key("doctor-left-over")
    assert not [step for step in diagnose(config) if step.status == "failure"]
    assert store.labels() == ["node-key", "root", "vault-1"]


def test_the_doctor_says_that_a_token_has_no_ed25519(config: KeystoreConfig, faulty: FaultyModule) -> None:
    faulty.fail("no-eddsa")
    failed = [step for step in diagnose(config) if step.status == "failure"]
    assert failed[0].name == "mechanisms"
    assert "EDDSA" in failed[0].detail


@pytest.mark.parametrize("code", ["device removed", "token not present"])
def test_a_token_that_went_away_is_to_be_put_back_and_never_made_anew(
    store: Pkcs11Keystore, faulty: FaultyModule, code: str
) -> None:
    faulty.fail(*(f"{function} {CODES[code]:x}" for function in (*USES, "C_OpenSession", "C_Login")))
    with pytest.raises(TokenGone) as caught:
        store.prf("root", b"x")
    assert "put the token back" in caught.value.hint
    assert "init" not in caught.value.hint


@pytest.mark.parametrize("function", ["C_Initialize", "C_GetSlotList", "C_GetTokenInfo", "C_OpenSession", "C_Login"])
def test_whatever_says_at_opening_that_the_device_is_away_the_hint_is_to_put_it_back(
    config: KeystoreConfig, faulty: FaultyModule, function: str
) -> None:
    faulty.fail(f"{function} {CODES['device removed']:x}")
    with pytest.raises(KeystoreError) as caught:
        open_keystore(config)
    assert caught.value.hint == TokenGone.default_hint


@pytest.mark.parametrize("code", ["not initialised", "a vendor's own"])
def test_a_module_that_is_loaded_and_refuses_to_work_is_not_taken_for_another_file(
    config: KeystoreConfig, faulty: FaultyModule, code: str
) -> None:
    faulty.fail(f"C_GetSlotList {CODES[code]:x}")
    with pytest.raises(KeystoreError) as caught:
        open_keystore(config)
    assert caught.value.hint.startswith("the module is loaded and refuses to work")


def test_of_several_tokens_the_hint_says_which_setting_chooses(config: KeystoreConfig, faulty: FaultyModule) -> None:
    init_token(faulty.path, "second", SO_PIN, PIN)
    with pytest.raises(TokenAmbiguous) as caught:
        open_keystore(KeystoreConfig("pkcs11", module=faulty.path, pin_file=config.pin_file))
    assert "token_label" in caught.value.hint
    assert "'main'" in str(caught.value)
    assert "'second'" in str(caught.value)


def test_a_key_that_was_made_beside_a_failure_is_one_and_proved(store: Pkcs11Keystore, faulty: FaultyModule) -> None:
    for fault in ("C_Sign 6 1", "C_FindObjects 6 1", "C_GetAttributeValue 6 1", "C_GenerateKeyPair 6 1"):
        faulty.fail(fault)
        public_key = store.ensure_signing_key("operator-0")
        VerifyKey(public_key).verify(b"m", store.sign("operator-0", b"m"))
        assert store.destroy("operator-0")
    faulty.fail("C_GenerateKey 6 1")
    assert store.ensure_prf_key("vault-2")
    assert store.labels() == ["node-key", "root", "vault-1", "vault-2"]


def test_a_key_that_could_not_be_proved_is_made_anew(store: Pkcs11Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    is_good = selftest.signature_is_good

    def failing_once(public_key: bytes, message: bytes, signature: bytes) -> bool:
        seen.append(public_key)
        if len(seen) == 1:
            raise FunctionFailed
        return is_good(public_key, message, signature)

    monkeypatch.setattr(selftest, "signature_is_good", failing_once)
    assert store.ensure_signing_key("operator-0") == seen[1] != seen[0]


def test_a_key_that_a_try_that_failed_had_destroyed_was_there(store: Pkcs11Keystore, faulty: FaultyModule) -> None:
    faulty.fail("C_SignInit 6 1")
    assert store.destroy("vault-1")
    assert not store.destroy("vault-1")


def test_what_a_call_that_failed_had_destroyed_is_durable_before_it_is_said_to_be_gone(
    store: Pkcs11Keystore, faulty: FaultyModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[None] = []
    monkeypatch.setattr(store._files, "flush", lambda: flushed.append(None))
    faulty.fail("C_SignInit 6")
    with pytest.raises(TokenFailure):
        store.destroy("vault-1")
    assert flushed == []
    faulty.heal()
    assert not store.destroy("vault-1")
    assert flushed == [None]


def test_a_key_made_by_a_try_that_failed_is_said_to_be_new_and_is_durable(
    store: Pkcs11Keystore, faulty: FaultyModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[None] = []
    monkeypatch.setattr(store._files, "flush", lambda: flushed.append(None))
    search, calls = objects.search, [0]

    def failing_once(*arguments: object) -> object:
        calls[0] += 1
        if calls[0] == 2:
            raise FunctionFailed
        return search(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(objects, "search", failing_once)
    assert store.ensure_prf_key("vault-2")
    assert calls[0] == 3
    assert flushed == [None]


def test_a_module_that_is_removed_while_it_is_loaded_is_named(
    config: KeystoreConfig, faulty: FaultyModule, tmp_path: Path
) -> None:
    faulty.path.rename(tmp_path / "away")
    try:
        with pytest.raises(ModuleMissing):
            open_keystore(config)
    finally:
        (tmp_path / "away").rename(faulty.path)
    store = open_keystore(config)
    store.ensure_prf_key("root")
    faulty.path.rename(tmp_path / "away")
    try:
        for change in (lambda: store.ensure_prf_key("root"), lambda: store.destroy("root")):
            with pytest.raises(ModuleMissing):
                change()
        faulty.fail("C_Logout 6", "C_SignInit 6 1")
        assert store.prf("root", b"x")
        assert store.check()
    finally:
        (tmp_path / "away").rename(faulty.path)
    store.close()


def test_a_signature_still_verifies_after_all_of_it(store: Pkcs11Keystore, faulty: FaultyModule) -> None:
    public_key = store.signing_public_key("node-key")
    assert public_key is not None
    for fault in ("stuck", "logged-out", "C_Sign 6 1", "C_FindObjects 80000384 1"):
        faulty.fail(fault)
        VerifyKey(public_key).verify(b"m", store.sign("node-key", b"m"))
