"""Makes edge_cases.json: cases of the kinds in "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko; 2020/1244).

They are built by us from the paper's descriptions, with a plain affine model of the curve, so that the file says of
each case what it is: which equations hold, which encodings are canonical, which points are small. Nothing is random.

    python tests/vectors/ed25519/generate.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha512
from pathlib import Path

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
Maker = Callable[[bytes], tuple[bytes, int]]  # message -> (R, S)
ZERO: Point = (0, 1)


def add(one: Point, two: Point) -> Point:
    (x1, y1), (x2, y2) = one, two
    k = D * x1 * x2 * y1 * y2 % P
    return (
        (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P,
    )


def times(scalar: int, point: Point) -> Point:
    result = ZERO
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decode(data: bytes) -> Point | None:
    """Lenient: y is reduced, x = 0 may have its sign bit set."""
    number = int.from_bytes(data, "little")
    y, sign = (number & (1 << 255) - 1) % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return (-x % P if x & 1 != sign else x, y)


def must_decode(data: bytes) -> Point:
    point = decode(data)
    assert point is not None
    return point


BASE = must_decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
TORSION = next(  # a point of order 8: L times any point outside the subgroup of order 4L
    candidate
    for y in range(2, 100)
    if (start := decode(y.to_bytes(32, "little"))) and times(4, candidate := times(L, start)) != ZERO
)


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(r + key + message).digest(), "little") % L


def small(point: Point) -> bool:
    return times(8, point) == ZERO


def describe(name: str, key: bytes, message: bytes, r: bytes, s: int) -> dict[str, object]:
    key_point, r_point = must_decode(key), must_decode(r)
    right = add(r_point, times(challenge(r, key, message), key_point))
    left = times(s, BASE)
    return {
        "name": name,
        "key": key.hex(),
        "message": message.hex(),
        "signature": (r + s.to_bytes(32, "little")).hex(),
        "cofactorless": left == right,
        "cofactored": times(8, left) == times(8, right),
        "s_below_order": s < L,
        "key_small": small(key_point),
        "key_canonical": encode(key_point) == key,
        "key_in_subgroup": times(L, key_point) == ZERO,
        "r_small": small(r_point),
        "r_canonical": encode(r_point) == r,
    }


def search(name: str, key: bytes, make: Maker, wanted: dict[str, bool]) -> dict[str, object]:
    """The first message 0, 1, ... for which ``make`` gives a case with what is ``wanted``."""
    for number in range(1000):
        message = number.to_bytes(32, "big")
        case = describe(name, key, message, *make(message))
        if all(case[field] == value for field, value in wanted.items()):
            return case
    raise AssertionError(name)


SECRET, NONCE = 0x1D3C5B7A99F8E7D6C5B4A3928170F6E5, 0x5A6B7C8D9EAFB0C1D2E3F40516273849


def signer(key: bytes, r: bytes, secret: int, nonce: int, shift: int = 0) -> Maker:
    def make(message: bytes) -> tuple[bytes, int]:
        return r, (nonce + challenge(r, key, message) * secret) % L + shift

    return make


def cases() -> list[dict[str, object]]:
    order_8, plain, mixed = encode(TORSION), encode(times(SECRET, BASE)), encode(add(times(SECRET, BASE), TORSION))
    r_plain, r_mixed = encode(times(NONCE, BASE)), encode(add(times(NONCE, BASE), TORSION))
    # (0, -1) written with its sign bit set, and (0, 1) with y = p + 1: encodings that nobody should write.
    odd_r, odd_key = (P - 1 | 1 << 255).to_bytes(32, "little"), (P + 1).to_bytes(32, "little")
    both, cofactored = {"cofactorless": True, "cofactored": True}, {"cofactorless": False, "cofactored": True}
    return [
        search("0 S = 0, small key, small R", order_8, signer(order_8, order_8, 0, 0), both),
        search("1 small key, R of mixed order", order_8, signer(order_8, r_mixed, 0, NONCE), both),
        search("2 key of mixed order, small R", mixed, signer(mixed, order_8, SECRET, 0), both),
        search("3 key and R of mixed order, both equations", mixed, signer(mixed, r_mixed, SECRET, NONCE), both),
        search("4 key and R of mixed order, cofactored only", mixed, signer(mixed, r_mixed, SECRET, NONCE), cofactored),
        search("5 key of mixed order, R in the subgroup, cofactored only", mixed,
               signer(mixed, r_plain, SECRET, NONCE), cofactored),
        search("6 S above the order", plain, signer(plain, r_plain, SECRET, NONCE, L), both),
        search("7 S far above the order", plain, signer(plain, r_plain, SECRET, NONCE, 14 * L), both),
        search("8 key of mixed order, small R not canonical, both equations", mixed,
               signer(mixed, odd_r, SECRET, 0), both),
        search("9 key of mixed order, small R not canonical, cofactored only", mixed,
               signer(mixed, odd_r, SECRET, 0), cofactored),
        search("10 small key not canonical, R of mixed order, cofactored only", odd_key,
               signer(odd_key, r_mixed, 0, NONCE), cofactored),
        search("11 small key not canonical, R in the subgroup, both equations", odd_key,
               signer(odd_key, r_plain, 0, NONCE), both),
        search("12 all in order", plain, signer(plain, r_plain, SECRET, NONCE), both),
        search("13 key in the subgroup, R of mixed order, cofactored only", plain,
               signer(plain, r_mixed, SECRET, NONCE), cofactored),
        search("14 key of mixed order, R in the subgroup, both equations", mixed,
               signer(mixed, r_plain, SECRET, NONCE), both),
        search("15 key in the subgroup, small R, cofactored only", plain,
               signer(plain, order_8, SECRET, 0), cofactored),
    ]  # fmt: skip


if __name__ == "__main__":
    Path(__file__).with_name("edge_cases.json").write_text(json.dumps(cases(), indent=1) + "\n")
