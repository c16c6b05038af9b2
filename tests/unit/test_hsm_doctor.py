"""The doctor names the step that failed, says what to do, and says that it went no further."""

from __future__ import annotations

import ctypes.util
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from abci_app.limits import MAX_TX_BYTES
from abci_app.pb.dta.v1 import tx_pb2
from dta.base.errors import UsageError
from dta.base.secret import SecretBytes
from dta.client.ledger.tx import build_tx
from dta.hsm import labels, pace, sealed_file, softhsm
from dta.hsm.derive import derive
from dta.hsm.doctor import NOT_REACHED, diagnose
from dta.hsm.errors import KeystoreError
from dta.hsm.keystore import (
    LONGEST_MESSAGE_BYTES,
    LONGEST_PRF_INPUT_BYTES,
    CheckStep,
    KeystoreConfig,
    open_keystore,
)
from dta.hsm.provision import init_token
from dta.hsm.software import SoftwareKeystore

PIN = SecretBytes(b"a doctors pin")
MODULE = softhsm.find_module()
needs_softhsm = pytest.mark.skipif(MODULE is None, reason="SoftHSM2 is not installed")


def private_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeystoreConfig:
    assert MODULE is not None
    monkeypatch.setenv(softhsm.CONFIG_VARIABLE, str(softhsm.make_home(tmp_path / "softhsm")))
    init_token(MODULE, "main", SecretBytes(b"so pin"), PIN)
    return KeystoreConfig(
        "pkcs11", module=MODULE, token_label="main", pin_file=private_file(tmp_path / "pin", PIN.reveal())
    )


@pytest.fixture
def file(tmp_path: Path) -> KeystoreConfig:
    SoftwareKeystore.create(tmp_path / "keys", PIN, log2_n=sealed_file.MIN_LOG2_N)
    return KeystoreConfig("software", path=tmp_path / "keys", pin_file=private_file(tmp_path / "pin", PIN.reveal()))


def ended_at(steps: list[CheckStep], name: str) -> CheckStep:
    """The failed step, checked to be the named one, to carry advice and to be followed by "not tried"."""
    assert [step.name for step in steps if step.status == "failure"] == [name]
    assert steps[-2].name == name
    assert steps[-2].advice
    assert steps[-1].name == NOT_REACHED
    return steps[-2]


@needs_softhsm
def test_a_healthy_token_passes_every_step_in_order(token: KeystoreConfig) -> None:
    store = open_keystore(token)
    store.ensure_signing_key("node-key")
    store.ensure_prf_key("root")
    store.close()
    steps = diagnose(token, measured=True)
    assert [step.name for step in diagnose(token)] == [step.name for step in steps[:-1]]
    assert [step.name for step in steps] == [
        "module file", "module loads", "slots", "token", "PIN source", "login", "sessions", "mechanisms", "keys",
        "key attributes", "capacity", "limits", "signs", "PRF", "pace",
    ]  # fmt: skip
    assert {step.status for step in steps} == {"ok"}
    store = open_keystore(token)
    assert store.labels() == ["node-key", "root"]
    store.close()


@needs_softhsm
def test_a_new_token_only_lacks_the_nodes_keys(token: KeystoreConfig) -> None:
    (warning,) = (step for step in diagnose(token) if step.status != "ok")
    assert warning.name == "keys"
    assert warning.status == "warning"
    assert "node-key" in warning.detail
    assert "root" in warning.detail


def test_a_missing_module_is_the_first_step(tmp_path: Path) -> None:
    steps = diagnose(KeystoreConfig("pkcs11", module=tmp_path / "none.so"))
    assert str(tmp_path / "none.so") in ended_at(steps, "module file").detail


def test_a_file_that_is_no_library_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "module.so"
    path.write_text("not a library")
    assert "module.so" in ended_at(diagnose(KeystoreConfig("pkcs11", module=path)), "module loads").detail


def test_a_library_that_is_no_module_does_not_load() -> None:
    libraries = [path for path in Path("/lib").rglob("libz.so.1") if path.is_file()]
    if not libraries or ctypes.util.find_library("z") is None:
        pytest.skip("no zlib to mistake for a module")
    ended_at(diagnose(KeystoreConfig("pkcs11", module=libraries[0])), "module loads")


@needs_softhsm
def test_a_module_whose_own_configuration_is_missing_says_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(softhsm.CONFIG_VARIABLE, str(tmp_path / "none.conf"))
    step = ended_at(diagnose(KeystoreConfig("pkcs11", module=MODULE, token_label="main")), "module loads")
    assert softhsm.CONFIG_VARIABLE in step.advice


@needs_softhsm
def test_an_unknown_token_is_named_with_those_that_are_there(token: KeystoreConfig) -> None:
    step = ended_at(diagnose(KeystoreConfig("pkcs11", module=MODULE, token_label="other")), "token")
    assert "'main'" in step.detail


@needs_softhsm
def test_a_pin_file_that_others_may_read_is_named(token: KeystoreConfig) -> None:
    assert token.pin_file is not None
    token.pin_file.chmod(0o644)
    assert ended_at(diagnose(token), "PIN source").advice == f"chmod 600 {token.pin_file}"
    token.pin_file.unlink()
    ended_at(diagnose(token), "PIN source")


@needs_softhsm
def test_a_wrong_pin_ends_at_login_and_the_next_login_warns_of_it(token: KeystoreConfig) -> None:
    assert token.pin_file is not None
    private_file(token.pin_file, b"guess")
    step = ended_at(diagnose(token), "login")
    assert "guess" not in repr(step)
    private_file(token.pin_file, PIN.reveal())
    login = next(step for step in diagnose(token) if step.name == "login")
    assert login.status == "warning"
    assert login.advice


@needs_softhsm
def test_the_doctor_leaves_an_open_store_working(token: KeystoreConfig) -> None:
    store = open_keystore(token)
    store.ensure_prf_key("root")
    assert not [step for step in diagnose(token) if step.status == "failure"]
    assert store.prf("root", b"x") == store.prf("root", b"x")
    store.close()


@pytest.mark.parametrize(
    ("rates", "enough"),
    [
        ({1: 100.0, 2: 101.0, 4: 99.0}, 1), ({1: 100.0, 2: 190.0, 4: 200.0}, 2), ({1: 100.0, 2: 190.0, 4: 380.0}, 4),
        ({1: 100.0, 2: 110.0, 4: 130.0}, 4), ({1: 100.0, 2: 50.0, 4: 25.0}, 1), ({1: 100.0, 2: 119.9, 4: 119.9}, 1),
        ({1: 100.0, 2: 120.0, 4: 120.0}, 2),
    ],
)  # fmt: skip
def test_threads_gain_where_they_do_a_fifth_more_than_fewer(rates: dict[int, float], enough: int) -> None:
    assert pace.gaining(rates) == enough


def test_the_pace_is_shown_where_the_nodes_keys_are_and_a_fault_of_the_keystore_is_a_failure(
    file: KeystoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "pace" not in [step.name for step in diagnose(file, measured=True)]
    store = open_keystore(file, notice=lambda _: None)
    store.ensure_signing_key("node-key")
    store.ensure_prf_key("root")
    step = pace.check_pace(store)[0]
    assert (step.name, step.status) == ("pace", "ok")
    assert all(f" in {threads}" in step.detail for threads in (1, 2, 4, 8))

    def away(label: str, data: bytes) -> SecretBytes:
        raise KeystoreError("the token is away")

    monkeypatch.setattr(store, "prf", away)
    assert [(step.name, step.status) for step in pace.check_pace(store)] == [("pace", "failure")]
    store.close()


def test_a_software_keystore_is_walked_the_same_way(file: KeystoreConfig) -> None:
    names = [step.name for step in diagnose(file)]
    assert names[:3] == ["store file", "PIN source", "login"]
    assert not [step for step in diagnose(file) if step.status == "failure"]


def test_what_is_wrong_with_a_software_keystore_is_named(file: KeystoreConfig, tmp_path: Path) -> None:
    assert file.path is not None
    assert file.pin_file is not None
    ended_at(diagnose(KeystoreConfig("software")), "configuration")
    ended_at(diagnose(KeystoreConfig("software", path=tmp_path / "none")), "store file")
    private_file(file.pin_file, b"guess")
    ended_at(diagnose(file), "login")
    os.truncate(file.path, 50)
    ended_at(diagnose(file), "store file")


@needs_softhsm
def test_a_pin_file_that_an_editor_changed_is_not_tried_on_the_token(token: KeystoreConfig) -> None:
    assert token.pin_file is not None
    for content in (b"\xef\xbb\xbf" + PIN.reveal(), PIN.reveal() + b" \n", PIN.reveal() + b"\n\n"):
        private_file(token.pin_file, content)
        ended_at(diagnose(token), "PIN source")
    private_file(token.pin_file, PIN.reveal())
    (login,) = (step for step in diagnose(token) if step.name == "login")
    assert login.status == "ok"  # no wrong PIN was counted


@pytest.mark.parametrize(
    "label",
    [
        labels.node_key(), labels.root(), labels.operator_key(10**6), labels.vault(bytes(32), bytes(32)),
        labels.receive(bytes(32), bytes(32)), labels.deal(bytes(32), bytes(32)), labels.trial("a" * 80),
    ],
)  # fmt: skip
def test_no_label_is_longer_than_the_one_that_the_doctor_tries(label: str) -> None:
    assert len(label) <= labels.LONGEST_CHARS == len(labels.trial("a"))


def test_no_transaction_has_more_to_sign_than_the_doctor_tries() -> None:
    signed: list[bytes] = []

    class Signer:
        identity = bytes(32)

        def sign(self, message: bytes) -> bytes:
            signed.append(message)
            return bytes(64)

    def tx(size: int) -> bytes:
        message = tx_pb2.FulfilSecret(request=bytes(32), sealed=bytes(size))
        return build_tx("c" * 50, bytes(32), Signer(), message, 2**53 - 1, bytes(16)).tx

    room = MAX_TX_BYTES - len(tx(0))
    size = max(size for size in range(room - 16, room + 1) if fits(lambda size=size: tx(size)))
    assert len(tx(size)) > MAX_TX_BYTES - 16
    assert len(signed[-1]) <= LONGEST_MESSAGE_BYTES


def fits(make: Callable[[], bytes]) -> bool:
    try:
        make()
    except UsageError:
        return False
    return True


def test_what_is_derived_fits_what_the_doctor_tries(file: KeystoreConfig) -> None:
    store = open_keystore(file, notice=lambda _: None)
    store.ensure_prf_key("root")
    with pytest.raises(ValueError, match="more than"):
        derive(store, "root", "purpose", bytes(LONGEST_PRF_INPUT_BYTES), 32)
    store.close()


def test_an_unknown_kind_is_named() -> None:
    ended_at(diagnose(KeystoreConfig("cloud")), "configuration")
