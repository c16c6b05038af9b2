"""Keystores of other packages: one module and an entry point, chosen by ``--hsm`` like those that ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from dta.base.config import keystore_from, keystore_to_toml
from dta.base.errors import UsageError
from dta.base.settings import Keystore
from dta.cli.keystores import Choice
from dta.client.identity.document import KeyPlaces
from dta.client.identity.keyring import Keyring
from dta.client.identity.keys import make_keys
from dta.hsm.doctor import diagnose
from dta.hsm.errors import BackendAmbiguous
from dta.hsm.keystore import open_keystore

MODULE = """
from dta.hsm.software import SoftwareKeystore
from dta.hsm.pin import read_pin

class VaultlineKeystore:
    @classmethod
    def open(cls, config, *, prompt, notice):
        path = config.path.with_suffix("." + config.token_label)
        if not path.exists():
            SoftwareKeystore.create(path, read_pin(config, prompt=prompt), log2_n=15)
        return SoftwareKeystore(path, read_pin(config, prompt=prompt))
"""


def install(monkeypatch: pytest.MonkeyPatch, site: Path, package: str) -> None:
    """A package whose one module offers keystores of kind ``vaultline``."""
    metadata = site / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[dta.keystores]\nvaultline = {package}:VaultlineKeystore\n")
    (site / f"{package}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(site))


def test_a_back_end_of_another_package_is_chosen_made_ready_and_found_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, tmp_path / "site", "vaultline_one")
    pin_file = tmp_path / "pin"
    pin_file.write_text("a passphrase\n")
    pin_file.chmod(0o600)
    common = Choice("vaultline", pin_file=pin_file)
    chosen = {role: Choice().place(role, "acme", tmp_path, common) for role in ("operator", "next")}
    assert chosen["next"].token_label == "acme-next"
    places = KeyPlaces(0, 0, keys=chosen["operator"], next_keys=chosen["next"], root=chosen["operator"], node=None)
    with Keyring() as ring:
        make_keys(ring, places)
    kept = {"kind": "vaultline", "path": str(chosen["operator"].path), "token_label": "acme-operator"}
    elsewhere = tmp_path / "elsewhere"
    written = keystore_to_toml(chosen["operator"], elsewhere, elsewhere)
    assert all(f'{name} = "{value}"' in written for name, value in kept.items())
    again = keystore_from(Keystore(**kept, pin_file=str(pin_file)), tmp_path)
    assert again == chosen["operator"]
    store = open_keystore(again)
    assert store.has_prf_key("root")
    store.close()
    assert [step.name for step in diagnose(again)][:2] == ["back end", "opens"]


def test_a_kind_that_nobody_offers_is_refused_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, tmp_path / "site", "vaultline_one")
    with pytest.raises(UsageError) as caught:
        Choice("magic").place("operator", "acme", tmp_path, Choice())
    assert caught.value.hint == "kinds: software, pkcs11, softhsm, vaultline"


def test_two_packages_that_claim_one_kind_of_keystore_disable_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, tmp_path / "a", "vaultline_one")
    install(monkeypatch, tmp_path / "b", "vaultline_two")
    config = Choice("vaultline").place("operator", "acme", tmp_path, Choice())
    with pytest.raises(BackendAmbiguous, match="vaultline_one:VaultlineKeystore, vaultline_two:VaultlineKeystore"):
        open_keystore(config)
