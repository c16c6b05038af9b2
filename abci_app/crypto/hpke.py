"""HPKE (RFC 9180), the parts without randomness: public keys, and opening with a revealed private key.

One suite: KEM ML-KEM-768 + X25519 (X-Wing, draft-connolly-cfrg-xwing-kem), KDF HKDF-SHA256, AEAD ChaCha20-Poly1305,
base mode, single shot, empty AAD: all context goes into ``info``. A sealed message is ``encapsulation (1,120 bytes) |
ciphertext``. A private key is a pair: the 64-byte seed ``d | z`` of ML-KEM (FIPS 203) and an X25519 scalar.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from abci_app.limits import MLKEM768_KEY_BYTES, MLKEM768_SEED_BYTES, X25519_KEY_BYTES
from abci_app.pb.dta.v1.identity_pb2 import HpkeKey

SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
ENCAPSULATION_BYTES: Final = 1_120
SEALED_OVERHEAD_BYTES: Final = ENCAPSULATION_BYTES + 16

_P25519: Final = 2**255 - 19
# u of the points of order 1, 2, 4 and 8 on Curve25519 and its twist (RFC 7748, section 6.1): no key agreement.
_LOW_ORDER_U: Final = frozenset(
    (
        0,
        1,
        _P25519 - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
)


class CannotOpen(ValueError):
    """The private key, the ``info`` or the sealed bytes are not those of one sealing."""


class BadHpkeKey(ValueError):
    """The key is not of the suite's form."""


def decode_key(key: HpkeKey) -> MLKEM768X25519PublicKey:
    """The library's key. Raises :class:`BadHpkeKey` unless both halves are in canonical form.

    ML-KEM: 1,184 bytes with every coefficient below q (FIPS 203, 7.2). X25519: 32 bytes, below p, not of low order.
    """
    u = int.from_bytes(key.x25519, "little")
    if len(key.mlkem768) != MLKEM768_KEY_BYTES or len(key.x25519) != X25519_KEY_BYTES:
        raise BadHpkeKey
    if u >= _P25519 or u in _LOW_ORDER_U:
        raise BadHpkeKey
    try:
        lattice = MLKEM768PublicKey.from_public_bytes(key.mlkem768)
    except ValueError:
        raise BadHpkeKey from None
    if lattice.public_bytes_raw() != key.mlkem768:
        raise BadHpkeKey
    return MLKEM768X25519PublicKey(lattice, X25519PublicKey.from_public_bytes(key.x25519))


def valid_key(key: HpkeKey) -> bool:
    """Whether both halves have their lengths and canonical forms (see :func:`decode_key`)."""
    try:
        decode_key(key)
    except BadHpkeKey:
        return False
    return True


def public_key_of(seed: bytes, x25519_private: bytes) -> HpkeKey:
    """The public key of ML-KEM seed ``d | z`` (64 bytes) and an X25519 scalar (32). Raises :class:`BadHpkeKey`."""
    if len(seed) != MLKEM768_SEED_BYTES or len(x25519_private) != X25519_KEY_BYTES:
        raise BadHpkeKey
    return HpkeKey(
        mlkem768=MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw(),
        x25519=X25519PrivateKey.from_private_bytes(x25519_private).public_key().public_bytes_raw(),
    )


def open_sealed(seed: bytes, x25519_private: bytes, info: bytes, sealed: bytes) -> bytes:
    """Open ``sealed`` (1,136 bytes or more) with a private key of 64 and 32 bytes. Raises :class:`CannotOpen`."""
    if len(seed) != MLKEM768_SEED_BYTES or len(x25519_private) != X25519_KEY_BYTES:
        raise CannotOpen
    if len(sealed) < SEALED_OVERHEAD_BYTES:
        raise CannotOpen
    private_key = MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(x25519_private)
    )
    try:
        return SUITE.decrypt(sealed, private_key, info)
    except (InvalidTag, ValueError):  # ValueError: the encapsulation's X25519 half agrees on nothing
        raise CannotOpen from None
