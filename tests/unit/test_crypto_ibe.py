"""Encryption to an identity: opens with its key, and with every check in its place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abci_app.crypto.curve import G1, G2, ORDER
from dta.base.secret import SecretBytes
from dta.crypto import ibe
from dta.crypto.ibe import CannotDecrypt, Ciphertext, Recipient
from tests.support.ceremony_crypto import scalar, seeded

S = scalar("master").reveal()
ID, OTHER_ID, KEY = (bytes((n,)) * 32 for n in (1, 2, 3))
TAG = b"DTA-v1-test-CUSTODY"
PUBLIC = G2.generator() * S


def recipient(identity: bytes = ID, authority: bytes = KEY, public: G2 = PUBLIC) -> Recipient:
    return Recipient(identity, G1.hash(identity, TAG), authority, public)


TO = recipient()
K = TO.point * S
SECRET = SecretBytes(b"the treasure is under the oak")
SEALED = ibe.encrypt(TO, SECRET, seeded("ibe"))


def refused(to: Recipient, key: G1, sealed: Ciphertext) -> str:
    with pytest.raises(CannotDecrypt) as caught:
        ibe.decrypt(to, key, sealed)
    return caught.value.reason


@pytest.mark.parametrize("length", [0, 1, 32, 100_000])
def test_what_is_encrypted_to_an_identity_opens_with_its_key(length: int) -> None:
    plaintext = SecretBytes(b"\x07" * length)
    sealed = ibe.encrypt(TO, plaintext)
    assert ibe.decrypt(TO, K, sealed) == plaintext
    assert len(sealed.encode()) == length + ibe.OVERHEAD_BYTES
    assert ibe.decrypt(TO, K, Ciphertext.decode(sealed.encode())) == plaintext


def test_what_is_bound_has_to_be_said_again() -> None:
    sealed = ibe.encrypt(TO, SECRET, bound=b"this order")
    assert ibe.decrypt(TO, K, sealed, bound=b"this order") == SECRET
    for said in (b"", b"another order", b"this order "):
        with pytest.raises(CannotDecrypt) as caught:
            ibe.decrypt(TO, K, sealed, bound=said)
        assert caught.value.reason == "the body was changed"
    with pytest.raises(CannotDecrypt):
        ibe.decrypt(TO, K, SEALED, bound=b"this order")


def test_two_encryptions_of_one_secret_share_nothing() -> None:
    first, second = ibe.encrypt(TO, SECRET), ibe.encrypt(TO, SECRET)
    assert first.u != second.u
    assert first.v != second.v
    assert first.w != second.w
    assert first.body != second.body


def test_another_key_is_refused_before_anything_is_opened() -> None:
    other = recipient(OTHER_ID)
    reason = "the key is not that of this identity"
    assert refused(TO, other.point * S, SEALED) == reason
    assert refused(TO, TO.point * (S + 1), SEALED) == reason
    assert refused(TO, TO.point * (ORDER - S), SEALED) == reason
    assert refused(TO, G1.identity(), SEALED) == reason
    assert not ibe.is_identity_key(TO, G1.identity())


def test_a_ciphertext_belongs_to_one_identity_and_one_authority() -> None:
    """The identity's key is right in each case; the other order's ciphertext still does not open as this one's."""
    other = recipient(OTHER_ID)
    assert "U" in refused(other, other.point * S, SEALED)
    moved = recipient(authority=bytes(32))
    assert "U" in refused(moved, K, SEALED)


@pytest.mark.parametrize("part", ["u", "v", "w", "body"])
def test_every_part_of_a_ciphertext_counts(part: str) -> None:
    data = getattr(SEALED, part)
    for place in (0, len(data) // 2, len(data) - 1):
        changed = data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]
        refused(TO, K, replace(SEALED, **{part: changed}))
    for other in (data[:-1], data + b"\0", b""):
        refused(TO, K, replace(SEALED, **{part: other}))


def test_a_u_that_its_maker_chose_is_refused() -> None:
    """Without the transform U = 2*U' with the mask squared would open to a related text; with it nothing does."""
    doubled = replace(SEALED, u=(G2.decode(SEALED.u) * 2).encode())
    assert refused(TO, K, doubled) == "U was not made from what is inside"
    for u in (b"\xc0" + bytes(95), b"\x80" + bytes(94) + b"\x02", bytes(96)):
        assert refused(TO, K, replace(SEALED, u=u)) == "U is no point of G2"


def test_a_body_under_another_data_key_is_refused() -> None:
    other = ibe.encrypt(TO, SECRET, seeded("other"))
    assert refused(TO, K, replace(SEALED, body=other.body)) == "the body was changed"


@pytest.mark.parametrize("length", [0, 1, 96, ibe.OVERHEAD_BYTES - 1])
def test_a_truncated_ciphertext_is_refused(length: int) -> None:
    with pytest.raises(CannotDecrypt, match="too short"):
        Ciphertext.decode(SEALED.encode()[:length])


def test_an_error_holds_no_secret() -> None:
    with pytest.raises(CannotDecrypt) as caught:
        ibe.decrypt(TO, K, replace(SEALED, body=bytes(40)))
    assert caught.value.as_json()["kind"] == "cannot-decrypt"
    assert SECRET.reveal().decode() not in repr(caught.value)
