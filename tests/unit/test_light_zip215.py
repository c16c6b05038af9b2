"""Signatures by ZIP-215: what CometBFT accepts and libsodium does not, and what nobody may accept."""

from __future__ import annotations

from hashlib import sha512

import pytest
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from dta.light import zip215

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
KEY = SigningKey(b"k" * 32)
PUBLIC = bytes(KEY.verify_key)

# The eight points of small order and the non-canonical encodings of some of them: all 14 of the ZIP-215 test set.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


def sodium_accepts(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def secret_scalar(key: SigningKey) -> int:
    digest = bytearray(sha512(bytes(key)).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    return int.from_bytes(digest, "little")


@pytest.mark.parametrize("public_key", SMALL_ORDER)
@pytest.mark.parametrize("commitment", SMALL_ORDER)
def test_every_pair_of_small_order_points_is_accepted_as_zip215_demands(public_key: str, commitment: str) -> None:
    signature = bytes.fromhex(commitment) + bytes(32)
    assert zip215.verify(bytes.fromhex(public_key), b"Zcash", signature)


def test_libsodium_alone_would_refuse_those() -> None:
    refused = [k for k in SMALL_ORDER if not sodium_accepts(bytes.fromhex(k), b"Zcash", bytes.fromhex(k) + bytes(32))]
    assert refused == SMALL_ORDER


def test_a_signature_that_holds_only_up_to_the_cofactor_is_accepted() -> None:
    # R is our commitment plus a point of order 8: the plain equation fails, the cofactored one holds.
    message, nonce = b"message", 12345
    torsion = zip215._decode(bytes.fromhex(SMALL_ORDER[3]))
    assert torsion is not None
    point = zip215._add(zip215._multiply(nonce, zip215._BASE), torsion)
    z_inverse = pow(point[2], -1, P)
    x, y = point[0] * z_inverse % P, point[1] * z_inverse % P
    commitment = (y | (x & 1) << 255).to_bytes(32, "little")
    challenge = int.from_bytes(sha512(commitment + PUBLIC + message).digest(), "little") % ORDER
    scalar = (nonce + challenge * secret_scalar(KEY)) % ORDER
    signature = commitment + scalar.to_bytes(32, "little")
    assert not sodium_accepts(PUBLIC, message, signature)
    assert zip215.verify(PUBLIC, message, signature)
    assert not zip215.verify(PUBLIC, message + b"!", signature)


def test_the_slow_check_agrees_with_libsodium_on_ordinary_signatures() -> None:
    for index in range(5):
        message = b"message %d" % index
        signature = KEY.sign(message).signature
        assert zip215.verify_cofactored(PUBLIC, message, signature)
        for place in (0, 31, 32, 62):
            bad = bytearray(signature)
            bad[place] ^= 1
            assert not zip215.verify_cofactored(PUBLIC, message, bytes(bad))
        assert not zip215.verify_cofactored(PUBLIC, message + b"!", signature)


def test_a_scalar_that_is_not_reduced_is_refused() -> None:
    signature = KEY.sign(b"message").signature
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not zip215.verify(PUBLIC, b"message", signature[:32] + scalar.to_bytes(32, "little"))
    small = bytes.fromhex(SMALL_ORDER[0])
    assert not zip215.verify(small, b"Zcash", small + ORDER.to_bytes(32, "little"))


def test_encodings_of_no_point_are_refused() -> None:
    on_no_point = (2).to_bytes(32, "little")
    assert zip215._decode(on_no_point) is None
    signature = KEY.sign(b"message").signature
    assert not zip215.verify(on_no_point, b"message", signature)
    assert not zip215.verify(PUBLIC, b"message", on_no_point + signature[32:])


def test_wrong_lengths_are_refused_and_do_not_raise() -> None:
    signature = KEY.sign(b"message").signature
    assert not zip215.verify(PUBLIC[:-1], b"message", signature)
    assert not zip215.verify(PUBLIC + b"\0", b"message", signature)
    assert not zip215.verify(PUBLIC, b"message", signature[:-1])
    assert not zip215.verify(PUBLIC, b"message", b"")
