"""Ed25519 verification by the rules of ZIP-215, which are CometBFT's.

ZIP-215 accepts what it accepts independently of the library: S below the group's order; A and R any encoding of a
point on the curve, of any order, canonical or not; and the cofactored equation 8*S*B = 8*R + 8*k*A with
k = SHA-512(R | A | message) over the encodings as sent. libsodium accepts strictly less (it refuses small-order
points and non-canonical encodings and does not multiply by the cofactor), so what it accepts is accepted at once, and
only what it refuses goes through the slow check here. A verifier that refused a commit which CometBFT accepted would
be cut off from the chain for ever; source: https://zips.z.cash/zip-0215, RFC 8032 section 5.1.

Public data only: nothing here is constant-time.
"""

from __future__ import annotations

from hashlib import sha512

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

KEY_BYTES = 32
SIGNATURE_BYTES = 64

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_SQRT_MINUS_1 = pow(2, (_P - 1) // 4, _P)
_SIGN_BIT = 1 << 255

_Point = tuple[int, int, int, int]
_IDENTITY: _Point = (0, 1, 1, 0)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes) over ``message`` is good under ``public_key`` (32 bytes) by ZIP-215."""
    if len(public_key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return verify_cofactored(public_key, message, signature)
    return True


def verify_cofactored(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """The whole rule in plain integers (some milliseconds). Lengths must be 32 and 64 bytes."""
    scalar = int.from_bytes(signature[32:], "little")
    key, commitment = _decode(public_key), _decode(signature[:32])
    if scalar >= _ORDER or key is None or commitment is None:
        return False
    challenge = int.from_bytes(sha512(signature[:32] + public_key + message).digest(), "little") % _ORDER
    difference = _add(_multiply(scalar, _BASE), _negate(_add(commitment, _multiply(challenge, key))))
    return _is_identity(_multiply(8, difference))


def _decode(encoding: bytes) -> _Point | None:
    """The point, or None. Accepts y >= p (reduced) and a sign bit on x = 0, as ZIP-215 says."""
    value = int.from_bytes(encoding, "little")
    y = (value & (_SIGN_BIT - 1)) % _P
    x = _recover_x(y)
    if x is None:
        return None
    if (x & 1) != (value >> 255):
        x = -x % _P
    return (x, y, 1, x * y % _P)


def _recover_x(y: int) -> int | None:
    """A root of x^2 = (y^2 - 1) / (d*y^2 + 1), or None when y is on no point."""
    numerator, denominator = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = numerator * pow(denominator, 3, _P) * pow(numerator * pow(denominator, 7, _P), (_P - 5) // 8, _P) % _P
    square = denominator * x * x % _P
    if square == numerator:
        return x
    if square == -numerator % _P:
        return x * _SQRT_MINUS_1 % _P
    return None


def _add(left: _Point, right: _Point) -> _Point:
    """The complete addition of extended coordinates: right for every pair of points, small orders included."""
    x1, y1, z1, t1 = left
    x2, y2, z2, t2 = right
    a, b = (y1 - x1) * (y2 - x2) % _P, (y1 + x1) * (y2 + x2) % _P
    c, d = 2 * t1 * t2 * _D % _P, 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _negate(point: _Point) -> _Point:
    x, y, z, t = point
    return (-x % _P, y, z, -t % _P)


def _multiply(scalar: int, point: _Point) -> _Point:
    result = _IDENTITY
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _is_identity(point: _Point) -> bool:
    x, y, z, _ = point
    return x % _P == 0 and (y - z) % _P == 0


def _base_point() -> _Point:
    """RFC 8032: y = 4/5, x even."""
    point = _decode((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    if point is None:
        raise AssertionError("4/5 is the y of the base point")
    return point


_BASE = _base_point()
