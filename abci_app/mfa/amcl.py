"""Milagro's hash to a point of G1, as its crypto-C library has it (docs/spec/mfa.md, Suite AMCL).

SHA-256 of the message as a number is the first x to try; x grows by one until x^3 + 4 is a square; of the two roots
the even one is y; the point is multiplied by the cofactor. It is not a random oracle into G1 (RFC 9380 is), and is
here because published vectors need it. Its inputs are public: it takes as long as it takes.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final

from abci_app.crypto.curve import G1, G1_BYTES

FIELD: Final = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)
# The cofactor 0x396c8c005555e1568c00aaab0000aaab is the product of these two. The first alone leads into the subgroup
# (RFC 9380, section 8.8.1: h_eff), so that the second is left to the compiled library, which is for the subgroup only.
INTO_SUBGROUP: Final = 0xD201000000010001
REST_OF_COFACTOR: Final = 0x460055555555AAAB

_Jacobian = tuple[int, int, int]
_COMPRESSED: Final = 0x80
_LARGER_ROOT: Final = 0x20


def curve_point(digest: bytes) -> tuple[int, int]:
    """The affine point that a SHA-256 digest (32 bytes) leads to: on the curve, not yet in the subgroup."""
    x = int.from_bytes(digest, "big") % FIELD
    while not _is_square((x * x * x + 4) % FIELD):
        x = (x + 1) % FIELD
    y = pow((x * x * x + 4) % FIELD, (FIELD + 1) // 4, FIELD)
    return x, (y if y % 2 == 0 else FIELD - y)


def _is_square(value: int) -> bool:
    """Whether ``value`` (0 included) has a root in the field: its Jacobi symbol by quadratic reciprocity is not -1.

    Four times as fast as a power, so that a hash that was chosen for its many tries costs little more than others.
    """
    symbol, above, below = 1, value, FIELD
    while above:
        twos = (above & -above).bit_length() - 1
        above >>= twos
        if twos % 2 and below % 8 in (3, 5):
            symbol = -symbol
        if above % 4 == 3 and below % 4 == 3:
            symbol = -symbol
        above, below = below % above, above
    return symbol == 1


@lru_cache(maxsize=4_096)
def hash_to_g1(message: bytes) -> G1:
    """The point of ``message``: in the subgroup."""
    x, y = curve_point(sha256(message).digest())
    return _affine(_times((x, y, 1), INTO_SUBGROUP)) * REST_OF_COFACTOR


def _times(point: _Jacobian, scalar: int) -> _Jacobian:
    """``scalar`` times a point that may lie outside the subgroup, where the compiled libraries promise nothing."""
    total: _Jacobian = (1, 1, 0)
    for bit in bin(scalar)[2:]:
        total = _double(total)
        if bit == "1":
            total = _add(total, point)
    return total


def _double(point: _Jacobian) -> _Jacobian:
    x, y, z = point
    if z == 0 or y == 0:
        return 1, 1, 0
    yy = y * y % FIELD
    s = 4 * x * yy % FIELD
    m = 3 * x * x % FIELD
    x3 = (m * m - 2 * s) % FIELD
    return x3, (m * (s - x3) - 8 * yy * yy) % FIELD, 2 * y * z % FIELD


def _add(left: _Jacobian, right: _Jacobian) -> _Jacobian:
    """The sum; ``right`` has z = 1."""
    x1, y1, z1 = left
    x2, y2, _ = right
    if z1 == 0:
        return right
    zz = z1 * z1 % FIELD
    h = (x2 * zz - x1) % FIELD
    r = (y2 * zz * z1 - y1) % FIELD
    if h == 0:
        return _double(left) if r == 0 else (1, 1, 0)
    hh = h * h % FIELD
    hhh = h * hh % FIELD
    v = x1 * hh % FIELD
    x3 = (r * r - hhh - 2 * v) % FIELD
    return x3, (r * (v - x3) - y1 * hhh) % FIELD, z1 * h % FIELD


def _affine(point: _Jacobian) -> G1:
    """By the strict decoding of the compressed form, which checks the curve and the subgroup once more."""
    x, y, z = point
    inverse = pow(z, -1, FIELD)
    x = x * inverse * inverse % FIELD
    y = y * inverse * inverse * inverse % FIELD
    encoded = bytearray(x.to_bytes(G1_BYTES, "big"))
    encoded[0] |= _COMPRESSED | (_LARGER_ROOT if y > (FIELD - 1) // 2 else 0)
    return G1.decode(bytes(encoded))
