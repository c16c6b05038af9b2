"""What is particular to tokens: keys that never leave, twins, several tokens, lost sessions, provisioning."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import VerifyKey
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass, TokenFlag
from pkcs11.exceptions import AttributeSensitive
from pkcs11.mechanisms import KeyType, Mechanism

from dta.base.secret import SecretBytes
from dta.hsm import objects, softhsm
from dta.hsm import session as sessions
from dta.hsm.errors import (
    AbsenceUnproved,
    BackendMissing,
    ConfigIncomplete,
    KeyAmbiguous,
    KeyIncomplete,
    KeyMissing,
    PinFinalTry,
    PinLocked,
    PinUnusable,
    PinWrong,
    TokenAmbiguous,
    TokenExists,
    TokenMissing,
)
from dta.hsm.keystore import KeystoreConfig, open_keystore
from dta.hsm.pkcs11 import Pkcs11Keystore
from dta.hsm.provision import init_token

PIN = SecretBytes(b"users pin 1")
SO_PIN = SecretBytes(b"officers pin 1")

MODULE = softhsm.find_module()
pytestmark = pytest.mark.skipif(MODULE is None, reason="SoftHSM2 is not installed")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeystoreConfig:
    assert MODULE is not None
    monkeypatch.setenv(softhsm.CONFIG_VARIABLE, str(softhsm.make_home(tmp_path / "softhsm")))
    init_token(MODULE, "main", SO_PIN, PIN)
    return token_config("main", tmp_path, PIN)


def token_config(label: str, directory: Path, pin: SecretBytes) -> KeystoreConfig:
    pin_file = directory / f"pin-{label}"
    pin_file.write_bytes(pin.reveal())
    pin_file.chmod(0o600)
    return KeystoreConfig("pkcs11", module=MODULE, token_label=label, pin_file=pin_file)


@pytest.fixture
def store(config: KeystoreConfig) -> Iterator[Pkcs11Keystore]:
    store = Pkcs11Keystore.open(config)
    yield store
    store.close()


def run(store: Pkcs11Keystore, operation: Callable[[Any], Any]) -> Any:
    assert store._session is not None
    return store._session.run(operation)


def lose_session(store: Pkcs11Keystore) -> None:
    """The session is closed behind the keystore's back, and the login with it."""
    assert store._session is not None
    for session in store._session.open_sessions:
        session.close()


def test_no_key_can_be_taken_out(store: Pkcs11Keystore) -> None:
    store.ensure_signing_key("node-key")
    store.ensure_prf_key("root")

    def attributes(session: Any) -> None:
        for label in ("node-key", "root"):
            key = objects.search(session, label, "").key  # type: ignore[union-attr]
            for name in (Attribute.SENSITIVE, Attribute.ALWAYS_SENSITIVE, Attribute.NEVER_EXTRACTABLE, Attribute.LOCAL):
                assert key[name] is True
            assert key[Attribute.EXTRACTABLE] is False
            with pytest.raises(AttributeSensitive):
                key[Attribute.VALUE]

    run(store, attributes)


def test_two_keys_under_one_label_are_refused_until_destroyed(store: Pkcs11Keystore) -> None:
    store.ensure_prf_key("root")
    run(store, lambda session: objects.make(session, "root", "prf"))
    for attempt in (
        lambda: store.prf("root", b""),
        lambda: store.has_prf_key("root"),
        lambda: store.ensure_prf_key("root"),
    ):
        with pytest.raises(KeyAmbiguous) as caught:
            attempt()
        assert caught.value.label == "root"
    assert store.destroy("root")
    assert store.labels() == []


def test_half_a_pair_is_refused_until_destroyed(store: Pkcs11Keystore) -> None:
    for half in (ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY):
        store.ensure_signing_key("node-key")
        run(store, lambda session, half=half: [
            item.destroy() for item in list(session.get_objects({Attribute.CLASS: half}))
        ])  # fmt: skip
        with pytest.raises(KeyIncomplete):
            store.signing_public_key("node-key")
        with pytest.raises(KeyIncomplete):
            store.ensure_signing_key("node-key")
        assert store.destroy("node-key")


def test_somebody_elses_key_under_the_label_is_neither_used_nor_destroyed(store: Pkcs11Keystore) -> None:
    run(store, lambda session: session.generate_key(KeyType.AES, 256, label="root", store=True))
    for attempt in (lambda: store.ensure_prf_key("root"), lambda: store.prf("root", b"")):
        with pytest.raises(KeyAmbiguous):
            attempt()
    with pytest.raises(KeyAmbiguous):
        store.destroy("root")
    assert len(run(store, lambda session: list(session.get_objects({Attribute.LABEL: "root"})))) == 1


def test_foreign_objects_on_a_shared_token_are_left_out(store: Pkcs11Keystore) -> None:
    run(store, lambda session: session.generate_key(KeyType.AES, 256, label="Somebody Else", store=True))
    store.ensure_prf_key("root")
    assert store.labels() == ["root"]


def test_the_doctor_fails_a_key_that_can_be_extracted(store: Pkcs11Keystore) -> None:
    def imported(session: Any) -> None:
        session.create_object({
            Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
            Attribute.VALUE: bytes(32), Attribute.LABEL: "root", Attribute.TOKEN: True, Attribute.SIGN: True,
            Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True,
        })  # fmt: skip

    run(store, imported)
    steps = {step.name: step for step in store.check()}
    assert steps["key attributes"].status == "failure"
    assert "root" in steps["key attributes"].detail


def test_a_root_that_is_shown_without_a_login_proves_no_absence(store: Pkcs11Keystore) -> None:
    """It would be there, and usable, for a session that lost its login and is shown nothing else."""

    def shown_to_all(session: Any) -> None:
        session.generate_key(
            KeyType.GENERIC_SECRET, 256, label="root", store=True, capabilities=MechanismFlag.SIGN,
            mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
            template={Attribute.PRIVATE: False, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        )  # fmt: skip

    run(store, shown_to_all)
    assert not store.has_prf_key("vault-1")
    store.rely_on("root")
    assert len(store.prf("root", b"").reveal()) == 32
    for attempt in (lambda: store.has_prf_key("vault-1"), lambda: store.destroy("vault-1"), store.labels):
        with pytest.raises(AbsenceUnproved):
            attempt()


def test_two_tokens_of_one_module_work_at_once(tmp_path: Path, config: KeystoreConfig) -> None:
    assert MODULE is not None
    other_pin = SecretBytes(b"another pin")
    main = open_keystore(config)
    init_token(MODULE, "next", SO_PIN, other_pin)
    following = open_keystore(token_config("next", tmp_path, other_pin))
    keys = [store.ensure_signing_key("operator-0") for store in (main, following)]
    assert keys[0] != keys[1]
    for store, key in zip((main, following), keys, strict=True):
        VerifyKey(key).verify(b"m", store.sign("operator-0", b"m"))
    assert main.destroy("operator-0")
    assert following.labels() == ["operator-0"]
    main.close()
    VerifyKey(keys[1]).verify(b"m", following.sign("operator-0", b"m"))
    following.close()


def test_a_wrong_pin_is_refused_even_while_the_token_is_open(tmp_path: Path, config: KeystoreConfig) -> None:
    wrong = token_config("main", tmp_path / "..", SecretBytes(b"not the pin"))
    for keep_open in (False, True):
        store = open_keystore(config) if keep_open else None
        with pytest.raises(PinWrong) as caught:
            open_keystore(wrong)
        assert caught.value.token == "main"
        shown = str(caught.value) + repr(caught.value) + caught.value.hint + repr(vars(caught.value))
        assert "not the pin" not in shown
        if store is not None:
            assert store.labels() == []
            store.close()
    open_keystore(config).close()


# python-pkcs11 complains from a destructor when it ends a search on a session that is gone.
lost_session = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@lost_session
def test_a_lost_session_is_opened_again(store: Pkcs11Keystore) -> None:
    public_key = store.ensure_signing_key("node-key")
    lose_session(store)
    VerifyKey(public_key).verify(b"m", store.sign("node-key", b"m"))


@lost_session
def test_a_pin_that_no_longer_holds_is_tried_once_only(store: Pkcs11Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    run(store, lambda session: session.set_pin(PIN.reveal().decode(), "changed meanwhile"))
    tries: list[None] = []
    login = sessions.login
    monkeypatch.setattr(sessions, "login", lambda *arguments: (tries.append(None), login(*arguments))[1])
    lose_session(store)
    for _ in range(5):
        with pytest.raises(PinWrong):
            store.labels()
    assert len(tries) == 1


class _Token:
    """What check_pin_flags reads of a token: SoftHSM2 never locks."""

    label = "main"

    class slot:
        slot_id = 0

    def __init__(self, flags: TokenFlag) -> None:
        self.flags = flags | TokenFlag.USER_PIN_INITIALIZED


def test_a_token_about_to_lock_is_not_tried_unless_asked() -> None:
    assert sessions.check_pin_flags(_Token(TokenFlag(0))) is None
    assert sessions.check_pin_flags(_Token(TokenFlag.USER_PIN_COUNT_LOW))
    with pytest.raises(PinFinalTry):
        sessions.check_pin_flags(_Token(TokenFlag.USER_PIN_FINAL_TRY))
    assert sessions.check_pin_flags(_Token(TokenFlag.USER_PIN_FINAL_TRY), final_try=True)
    with pytest.raises(PinLocked):
        sessions.check_pin_flags(_Token(TokenFlag.USER_PIN_LOCKED | TokenFlag.USER_PIN_FINAL_TRY), final_try=True)


def test_a_mistyped_pin_is_reported_at_the_next_opening(tmp_path: Path, config: KeystoreConfig) -> None:
    with pytest.raises(PinWrong):
        open_keystore(token_config("main", tmp_path / "..", SecretBytes(b"mistyped")))
    said: list[str] = []
    open_keystore(config, notice=said.append).close()
    assert len(said) == 1
    assert "wrong PIN" in said[0]


def test_initialising_a_token_twice_is_refused(config: KeystoreConfig) -> None:
    assert config.module is not None
    with pytest.raises(TokenExists):
        init_token(config.module, "main", SO_PIN, PIN)
    open_keystore(config).close()


def test_a_pin_that_the_token_refuses_is_named_at_initialising(config: KeystoreConfig) -> None:
    assert config.module is not None
    with pytest.raises(PinUnusable):
        init_token(config.module, "short", SecretBytes(b"1"), PIN)
    with pytest.raises(ValueError):
        init_token(config.module, "x" * 33, SO_PIN, PIN)


def test_no_pin_reaches_an_argument_list(config: KeystoreConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.module is not None
    started: list[str] = []
    active = True
    sys.addaudithook(
        lambda event, arguments: (
            started.append(event)
            if active and event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork")
            else None
        )
    )
    init_token(config.module, "more", SO_PIN, PIN)
    open_keystore(config).close()
    active = False
    assert started == []


def test_what_the_configuration_lacks_is_said(config: KeystoreConfig) -> None:
    assert config.module is not None
    with pytest.raises(ConfigIncomplete):
        open_keystore(KeystoreConfig("pkcs11"))
    with pytest.raises(BackendMissing):
        open_keystore(KeystoreConfig("cloud"))
    with pytest.raises(TokenMissing) as caught:
        open_keystore(KeystoreConfig("pkcs11", module=config.module, token_label="mian"))
    assert "'main'" in str(caught.value)
    init_token(config.module, "second", SO_PIN, PIN)
    with pytest.raises(TokenAmbiguous):
        open_keystore(KeystoreConfig("pkcs11", module=config.module))


def test_a_key_that_may_not_sign_is_refused(store: Pkcs11Keystore) -> None:
    run(store, lambda session: session.generate_key(
        KeyType.GENERIC_SECRET, 256, label="root", store=True, capabilities=MechanismFlag(0),
        mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
    ))  # fmt: skip
    with pytest.raises(KeyAmbiguous):
        store.prf("root", b"")
    with pytest.raises(KeyMissing):
        store.prf("vault-1", b"")
