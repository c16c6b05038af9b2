"""The software keystore's file: damage and a wrong passphrase are told apart, and no crash loses a key."""

from __future__ import annotations

import json
import os
import stat
import warnings
from hashlib import sha256
from pathlib import Path

import pytest

from dta.base.secret import SecretBytes
from dta.hsm import sealed_file
from dta.hsm.errors import PassphraseWrong, PinUnusable, StoreCorrupt, StoreExists, StoreMissing
from dta.hsm.keystore import KeystoreConfig, open_keystore
from dta.hsm.software import NOTICE, SoftwareKeystore, SoftwareKeystoreWarning

PASSPHRASE = SecretBytes(b"correct horse")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    SoftwareKeystore.create(path, PASSPHRASE, log2_n=sealed_file.MIN_LOG2_N)
    return path


def config(path: Path) -> KeystoreConfig:
    pin_file = path.parent / "passphrase"
    pin_file.write_bytes(PASSPHRASE.reveal())
    pin_file.chmod(0o600)
    return KeystoreConfig("software", path=path, pin_file=pin_file)


def test_every_opening_says_that_the_keys_are_in_a_file(path: Path) -> None:
    for _ in range(2):
        with pytest.warns(SoftwareKeystoreWarning) as caught:
            open_keystore(config(path)).close()
        assert str(caught[0].message) == NOTICE
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_keystore(config(path), notice=said.append).close()
    assert said == [NOTICE]


def test_the_file_is_private_and_shows_neither_keys_nor_labels(path: Path) -> None:
    store = SoftwareKeystore(path, PASSPHRASE)
    store.ensure_signing_key("node-key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"node-key" not in path.read_bytes()


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PinUnusable):
        SoftwareKeystore.create(tmp_path / "keys", SecretBytes(b""))
    assert not list(tmp_path.iterdir())


def test_creating_never_overwrites(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(StoreExists):
        SoftwareKeystore.create(path, PASSPHRASE, log2_n=sealed_file.MIN_LOG2_N)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == ["keys"]


def test_a_wrong_passphrase_is_named_as_such(path: Path) -> None:
    with pytest.raises(PassphraseWrong) as caught:
        SoftwareKeystore(path, SecretBytes(b"incorrect horse"))
    assert "horse" not in str(caught.value) + caught.value.hint


def test_a_missing_file_is_named_before_anybody_is_asked_for_a_passphrase(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        open_keystore(KeystoreConfig("software", path=tmp_path / "none"), prompt=lambda: pytest.fail("asked"))


def test_every_damaged_byte_is_found_as_damage(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StoreCorrupt):
            SoftwareKeystore.check_form(path)
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreCorrupt):
            SoftwareKeystore(path, PASSPHRASE)


def test_every_byte_before_the_checksum_is_authenticated(path: Path) -> None:
    whole = path.read_bytes()[:-32]
    key = sealed_file.file_key(path.read_bytes(), PASSPHRASE, path)
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with pytest.raises((StoreCorrupt, PassphraseWrong)):
            sealed_file.unseal(key, changed + sha256(changed).digest(), path)


def test_an_unknown_version_or_an_absurd_cost_is_refused(path: Path) -> None:
    whole = path.read_bytes()[:-32]
    for place, value in ((8, 2), (9, sealed_file.MAX_LOG2_N + 1), (9, sealed_file.MIN_LOG2_N - 1)):
        changed = whole[:place] + bytes([value]) + whole[place + 1 :]
        path.write_bytes(changed + sha256(changed).digest())
        with pytest.raises(StoreCorrupt):
            SoftwareKeystore(path, PASSPHRASE)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"keys":{"a":["prf","00"]}}', b'{"keys":{"A":["prf","%s"]}}' % (b"0" * 64)]
)
def test_a_sealed_file_with_nonsense_in_it_is_corrupt_and_shows_nothing(path: Path, body: bytes) -> None:
    key = sealed_file.file_key(path.read_bytes(), PASSPHRASE, path)
    sealed_file.replace(path, sealed_file.seal(key, body))
    with pytest.raises(StoreCorrupt) as caught:
        SoftwareKeystore(path, PASSPHRASE)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_whole(path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    store = SoftwareKeystore(path, PASSPHRASE)
    public_key = store.ensure_signing_key("node-key")

    def fail(*arguments: object, **named: object) -> None:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os if failing == "fsync" else Path, failing, fail)
        with pytest.raises(OSError, match="no space"):
            store.ensure_prf_key("root")
    assert not store.has_prf_key("root")
    again = SoftwareKeystore(path, PASSPHRASE)
    assert again.labels() == ["node-key"]
    assert again.signing_public_key("node-key") == public_key
    assert sorted(item.name for item in path.parent.iterdir()) == ["keys", "keys.lock"]


def test_a_destroyed_key_is_not_in_the_new_file(path: Path) -> None:
    store = SoftwareKeystore(path, PASSPHRASE)
    store.ensure_prf_key("vault-1")
    assert store.destroy("vault-1")
    content = path.read_bytes()
    body = sealed_file.unseal(sealed_file.file_key(content, PASSPHRASE, path), content, path)
    assert json.loads(body) == {"keys": {}}


def test_no_two_files_share_a_nonce_or_a_salt(path: Path, tmp_path: Path) -> None:
    store = SoftwareKeystore(path, PASSPHRASE)
    nonces = set()
    for number in range(20):
        store.ensure_prf_key(f"vault-{number}")
        nonces.add(path.read_bytes()[26:38])
    assert len(nonces) == 20
    SoftwareKeystore.create(tmp_path / "other", PASSPHRASE, log2_n=sealed_file.MIN_LOG2_N)
    assert (tmp_path / "other").read_bytes()[10:26] != path.read_bytes()[10:26]


def test_the_doctor_warns_of_a_file_that_others_may_read(path: Path) -> None:
    path.chmod(0o644)
    steps = {step.name: step for step in SoftwareKeystore(path, PASSPHRASE).check()}
    assert steps["store file mode"].status == "warning"
    assert "chmod 600" in steps["store file mode"].advice
