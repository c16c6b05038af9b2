"""The keystores that ship, under the suite that every keystore has to pass (dta/hsm/conformance.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from nacl.signing import VerifyKey

from dta.base.secret import SecretBytes
from dta.hsm import conformance, softhsm
from dta.hsm.keystore import Keystore, KeystoreConfig, open_keystore
from dta.hsm.provision import init_token
from dta.hsm.sealed_file import MIN_LOG2_N
from dta.hsm.software import SoftwareKeystore
from tests.support.patience import PATIENCE_S

PIN = SecretBytes(b"conformance pin")
SO_PIN = SecretBytes(b"conformance so pin")

OTHER_PROCESS = """
import sys
from pathlib import Path
from dta.hsm.keystore import KeystoreConfig, open_keystore
kind, path, module, token, pin_file, action, label = sys.argv[1:]
config = KeystoreConfig(kind, Path(path), Path(module), token, Path(pin_file))
store = open_keystore(config, notice=lambda _: None)
if action == "public":
    print(store.ensure_signing_key(label).hex())
else:
    print(getattr(store, action)(label))
store.close()
"""


def _pin_file(directory: Path) -> Path:
    path = directory / "pin"
    path.write_bytes(PIN.reveal() + b"\n")
    path.chmod(0o600)
    return path


def _kryoptic(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second PKCS#11 module (scripts/test.sh --kryoptic), with one blank token."""
    module = os.environ.get("DTA_KRYOPTIC_MODULE")
    if not module:
        pytest.skip("Kryoptic is built on demand: scripts/test.sh --kryoptic")
    settings = directory / "kryoptic.conf"
    settings.write_text(f'[[slots]]\nslot = 1\ndbtype = "sqlite"\ndbargs = "{directory / "token.sql"}"\n')
    monkeypatch.setenv("KRYOPTIC_CONF", str(settings))
    return Path(module)


def _softhsm(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    module = softhsm.find_module()
    if module is None:
        pytest.skip("SoftHSM2 is not installed")
    monkeypatch.setenv(softhsm.CONFIG_VARIABLE, str(softhsm.make_home(directory / "softhsm")))
    return module


@pytest.fixture(params=["softhsm", "kryoptic", "software"])
def config(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeystoreConfig:
    path = tmp_path / "keys"
    if request.param == "software":
        SoftwareKeystore.create(path, PIN, log2_n=MIN_LOG2_N)
        return KeystoreConfig("software", path=path, pin_file=_pin_file(tmp_path))
    module = (_kryoptic if request.param == "kryoptic" else _softhsm)(tmp_path, monkeypatch)
    init_token(module, "main", SO_PIN, PIN)
    return KeystoreConfig("pkcs11", module=module, token_label="main", pin_file=_pin_file(tmp_path))


def opener(config: KeystoreConfig) -> Callable[[], Keystore]:
    return lambda: open_keystore(config, notice=lambda _: None)


def elsewhere(config: KeystoreConfig, action: str, label: str) -> subprocess.Popen[str]:
    """Does one thing with the same store in another process."""
    values = (config.kind, config.path, config.module, config.token_label, config.pin_file, action, label)
    return subprocess.Popen([sys.executable, "-c", OTHER_PROCESS, *map(str, values)], stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    return output.strip()


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_every_keystore_passes_the_suite(check: Callable[..., None], config: KeystoreConfig) -> None:
    check(opener(config))


def test_a_key_made_in_another_process_is_found(config: KeystoreConfig) -> None:
    store = opener(config)()
    assert store.signing_public_key("node-key") is None
    public_key = bytes.fromhex(said(elsewhere(config, "public", "node-key")))
    assert store.signing_public_key("node-key") == public_key
    assert store.ensure_signing_key("node-key") == public_key
    VerifyKey(public_key).verify(b"m", store.sign("node-key", b"m"))
    store.close()


def test_a_key_destroyed_in_another_process_is_gone(config: KeystoreConfig) -> None:
    store = opener(config)()
    store.ensure_prf_key("vault-1")
    store.ensure_prf_key("root")
    store.prf("vault-1", b"x")
    assert said(elsewhere(config, "destroy", "vault-1")) == "True"
    assert not store.has_prf_key("vault-1")
    with pytest.raises(conformance.KeyMissing):
        store.prf("vault-1", b"x")
    assert store.labels() == ["root"]
    store.close()


def test_three_processes_that_race_make_one_key(config: KeystoreConfig) -> None:
    racers = [elsewhere(config, "public", "node-key") for _ in range(3)]
    assert len({said(racer) for racer in racers}) == 1
    store = opener(config)()
    assert store.labels() == ["node-key"]
    store.close()
