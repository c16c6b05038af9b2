"""HPKE: the suite is X-Wing's as its draft says, and everything else does not open."""

from __future__ import annotations

import hmac
import pickle
from hashlib import sha3_256, sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from abci_app.crypto import hpke
from abci_app.pb.dta.v1.identity_pb2 import HpkeKey
from dta.base.secret import SecretBytes
from dta.crypto.hpke import HpkePrivateKey, seal

P25519 = 2**255 - 19
SEED = SecretBytes(bytes(range(96)))
KEY = HpkePrivateKey.from_seed(SEED)
SHARE = SecretBytes(b"s" * 32)
INFO = b"info"
LOW_ORDER_U = [
    0,
    1,
    P25519 - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]


def changed(key: HpkeKey, **fields: bytes) -> HpkeKey:
    copy = HpkeKey()
    copy.CopyFrom(key)
    for name, value in fields.items():
        setattr(copy, name, value)
    return copy


def test_what_is_sealed_opens_and_is_as_long_as_said() -> None:
    for plaintext in (b"", b"x", b"s" * 32, bytes(1000)):
        sealed = seal(KEY.public, INFO, SecretBytes(plaintext))
        assert len(sealed) == len(plaintext) + hpke.SEALED_OVERHEAD_BYTES
        assert KEY.open(INFO, sealed).reveal() == plaintext
        assert hpke.open_sealed(bytes(range(64)), bytes(range(64, 96)), INFO, sealed) == plaintext


def extract(salt: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), material, "sha256")


def expand(key: bytes, info: bytes, length: int) -> bytes:
    output, block, count = b"", b"", 1
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes([count]), "sha256")
        output, count = output + block, count + 1
    return output[:length]


def test_the_suite_is_x_wing_hkdf_sha256_chacha20poly1305_of_rfc_9180() -> None:
    """Opens by the RFC's key schedule and X-Wing's combiner, written out here: ids 0x647a, 0x0001, 0x0003."""
    sealed = seal(KEY.public, INFO, SHARE)
    encapsulation, ciphertext = sealed[: hpke.ENCAPSULATION_BYTES], sealed[hpke.ENCAPSULATION_BYTES :]
    lattice = MLKEM768PrivateKey.from_seed_bytes(bytes(range(64))).decapsulate(encapsulation[:1088])
    ephemeral = encapsulation[1088:]
    curve = X25519PrivateKey.from_private_bytes(bytes(range(64, 96))).exchange(
        X25519PublicKey.from_public_bytes(ephemeral)
    )
    shared = sha3_256(lattice + curve + ephemeral + KEY.public.x25519 + rb"\.//^" + b"\\").digest()
    suite = b"HPKE" + bytes.fromhex("647a00010003")

    def labeled_extract(salt: bytes, label: bytes, material: bytes) -> bytes:
        return extract(salt, b"HPKE-v1" + suite + label + material)

    def labeled_expand(key: bytes, label: bytes, info: bytes, length: int) -> bytes:
        return expand(key, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)

    context = b"\0" + labeled_extract(b"", b"psk_id_hash", b"") + labeled_extract(b"", b"info_hash", INFO)
    secret = labeled_extract(shared, b"secret", b"")
    key = labeled_expand(secret, b"key", context, 32)
    nonce = labeled_expand(secret, b"base_nonce", context, 12)
    assert ChaCha20Poly1305(key).decrypt(nonce, ciphertext, b"") == SHARE.reveal()


def test_other_info_another_key_or_other_bytes_do_not_open() -> None:
    sealed = seal(KEY.public, INFO, SHARE)
    with pytest.raises(hpke.CannotOpen):
        KEY.open(b"other", sealed)
    with pytest.raises(hpke.CannotOpen):
        HpkePrivateKey.generate().open(INFO, sealed)
    for at in (0, 500, 1087, 1088, 1119, 1120, len(sealed) - 1):
        with pytest.raises(hpke.CannotOpen):
            KEY.open(INFO, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])


@pytest.mark.parametrize("length", [0, 1, 1088, 1119, 1120, 1135])
def test_too_few_bytes_do_not_open(length: int) -> None:
    with pytest.raises(hpke.CannotOpen):
        KEY.open(INFO, seal(KEY.public, INFO, SHARE)[:length])


@pytest.mark.parametrize("u", LOW_ORDER_U)
def test_an_encapsulation_of_low_order_does_not_open(u: int) -> None:
    sealed = seal(KEY.public, INFO, SHARE)
    with pytest.raises(hpke.CannotOpen):
        KEY.open(INFO, sealed[:1088] + u.to_bytes(32, "little") + sealed[1120:])


def test_a_generated_key_is_valid_and_a_seed_always_gives_the_same() -> None:
    assert hpke.valid_key(HpkePrivateKey.generate().public)
    assert HpkePrivateKey.from_seed(SEED).public == KEY.public
    assert hpke.public_key_of(bytes(range(64)), bytes(range(64, 96))) == KEY.public
    assert HpkePrivateKey.from_seed(KEY.seed).public == KEY.public


def test_the_seed_is_pinned_to_its_key() -> None:
    """A change of the library here would lose every vault: keys are derived again from the HSM."""
    digest = sha256(KEY.public.mlkem768 + KEY.public.x25519).hexdigest()
    assert digest == "d99e4496af749b54ee4a2d270c8057450624ecc5dc0866295ffc504a26134ad4"


@pytest.mark.parametrize("u", [*LOW_ORDER_U, P25519, P25519 + 1, 2**255 - 1, 2**255 + 9, 2**256 - 1])
def test_an_x25519_half_of_low_order_or_not_reduced_is_no_key(u: int) -> None:
    key = changed(KEY.public, x25519=u.to_bytes(32, "little"))
    assert not hpke.valid_key(key)
    with pytest.raises(hpke.BadHpkeKey):
        seal(key, INFO, SHARE)


def test_an_ml_kem_half_with_a_coefficient_of_q_or_more_is_no_key() -> None:
    """FIPS 203, 7.2: 12-bit coefficients, little-endian; q = 3329. One at q anywhere is one too many."""
    good = KEY.public.mlkem768
    for at in (0, 3, 1149):
        packed = (3329 | 3329 << 12).to_bytes(3, "little")
        assert not hpke.valid_key(changed(KEY.public, mlkem768=good[:at] + packed + good[at + 3 :]))
    assert hpke.valid_key(changed(KEY.public, mlkem768=(3328 | 3328 << 12).to_bytes(3, "little") + good[3:]))


@pytest.mark.parametrize("field", ["mlkem768", "x25519"])
def test_a_half_of_another_length_is_no_key(field: str) -> None:
    half = getattr(KEY.public, field)
    for value in (b"", half[:-1], half + b"\0"):
        assert not hpke.valid_key(changed(KEY.public, **{field: value}))


def test_private_halves_of_another_length_are_refused() -> None:
    for seed, scalar in ((bytes(63), bytes(32)), (bytes(64), bytes(31)), (b"", b"")):
        with pytest.raises(hpke.BadHpkeKey):
            hpke.public_key_of(seed, scalar)
        with pytest.raises(hpke.CannotOpen):
            hpke.open_sealed(seed, scalar, INFO, bytes(1200))
    with pytest.raises(ValueError, match="96"):
        HpkePrivateKey.from_seed(SecretBytes(bytes(95)))


def test_a_private_key_shows_nothing() -> None:
    assert repr(KEY) == str(KEY) == f"{KEY}" == "<redacted>"
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


def test_the_public_key_handed_out_is_a_copy() -> None:
    KEY.public.x25519 = bytes(32)
    assert hpke.valid_key(KEY.public)
