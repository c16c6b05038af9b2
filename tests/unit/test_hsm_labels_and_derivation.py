"""Labels and derived keys never change: a node that lost its disk finds its keys by them."""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path

import pytest

from abci_app.hashing import tagged, tagged_hash
from dta.base.secret import SecretBytes
from dta.hsm import labels, sealed_file
from dta.hsm.derive import derive
from dta.hsm.errors import KeyMissing
from dta.hsm.keystore import checked_label
from dta.hsm.software import SoftwareKeystore

GID = bytes(range(32))


def test_labels_are_as_documented() -> None:
    assert labels.node_key() == "node-key"
    assert labels.root() == "root"
    assert labels.operator_key(12) == "operator-12"
    assert labels.vault(GID, b"v") == "vault-" + tagged_hash("DTA-v1-label-vault", GID, b"v").hex()[:40]
    with pytest.raises(ValueError):
        labels.operator_key(-1)


def test_labels_are_valid_and_differ_by_kind_ledger_and_subject() -> None:
    made = [make(gid, subject) for make in (labels.vault, labels.receive, labels.deal)
            for gid in (GID, bytes(32)) for subject in (b"", b"a", b"b")]  # fmt: skip
    assert len(set(made)) == len(made)
    for label in made:
        checked_label(label)


@pytest.fixture
def store(tmp_path: Path) -> SoftwareKeystore:
    SoftwareKeystore.create(tmp_path / "keys", SecretBytes(b"p"), log2_n=sealed_file.MIN_LOG2_N)
    store = SoftwareKeystore(tmp_path / "keys", SecretBytes(b"p"))
    store.ensure_prf_key("root")
    return store


def test_derivation_is_hkdf_as_documented(store: SoftwareKeystore) -> None:
    # RFC 5869 by hand: extract under 32 zero bytes, one block of expand.
    seed = store.prf("root", tagged("DTA-v1-derive-input", b"hpke", b"context")).reveal()
    pseudorandom = hmac.digest(bytes(32), seed, sha256)
    info = tagged("DTA-v1-derive", b"hpke", b"context", bytes([0, 0, 0, 32]))
    expected = hmac.digest(pseudorandom, info + b"\x01", sha256)
    assert derive(store, "root", "hpke", b"context", 32) == SecretBytes(expected)


def test_derived_keys_differ_by_everything_that_enters(store: SoftwareKeystore) -> None:
    store.ensure_prf_key("vault-1")
    made = [
        derive(store, key, purpose, context, length).reveal()[:16]
        for key in ("root", "vault-1")
        for purpose in ("hpke", "bls")
        for context in (b"", b"a")
        for length in (32, 48)
    ]
    assert len(set(made)) == len(made)


def test_a_derived_key_has_the_length_asked_for_and_is_redacted(store: SoftwareKeystore) -> None:
    for length in (1, 48, 64, 8160):
        assert len(derive(store, "root", "p", b"", length)) == length
    assert repr(derive(store, "root", "p", b"", 32)) == "<redacted>"
    for length in (0, 8161):
        with pytest.raises(ValueError):
            derive(store, "root", "p", b"", length)
    with pytest.raises(KeyMissing):
        derive(store, "none", "p", b"", 32)
