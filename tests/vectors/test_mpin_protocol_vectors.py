"""Known answers of M-Pin's logins, computed again with py-ecc and with hashing written here: a second implementation.

Only hashing to the curve (RFC 9380, Milagro) and reading points are the project's: both have vectors elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from py_ecc.bls.point_compression import compress_G1, decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import FQ12, add, curve_order, eq, field_modulus, multiply, neg, normalize, pairing

from dta.mpin.suite import AMCL, RFC9380
from tests.vectors.mpin import generate

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "mpin" / "full-protocol.json").read_text())
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['suite']}-{case['day']}")


def tagged(tag: str, *parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in (tag.encode(), *parts))


def wide(data: bytes) -> int:
    return int.from_bytes(hashlib.sha384(data).digest(), "big") % curve_order


def is_amcl(case: dict[str, Any]) -> bool:
    return bool(case["suite"].endswith("AMCL"))


def g1(case: dict[str, Any], name: str) -> Any:
    suite = AMCL if is_amcl(case) else RFC9380
    return decompress_G1(int.from_bytes(suite.read_g1(bytes.fromhex(case[name])).encode(), "big"))


def g2(case: dict[str, Any], name: str) -> Any:
    suite = AMCL if is_amcl(case) else RFC9380
    data = suite.read_g2(bytes.fromhex(case[name])).encode()
    return decompress_G2((int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big")))


def number(case: dict[str, Any], name: str) -> int:
    return int(case[name], 16)


def base(case: dict[str, Any]) -> Any:
    return g1(case, "A") if case["day"] is None else add(g1(case, "A"), g1(case, "D"))


def context(case: dict[str, Any]) -> list[bytes]:
    day = b"" if case["day"] is None else case["day"].to_bytes(4, "big")
    names = ("gid", "authority", "realm", "server_identity", "identity")
    return [*(bytes.fromhex(case[name]) for name in names), day]


def gt_bytes(value: Any) -> bytes:
    """Of py-ecc's pairing: to the power of -3, in the tower, little-endian (docs/spec/authority.md)."""
    coefficients = [int(c) for c in (FQ12.one() / value**3).coeffs]
    out = b""
    for index in range(6):
        i, j = divmod(index, 3)
        b = coefficients[2 * j + i + 6]
        a = (coefficients[2 * j + i] + b) % field_modulus
        out += a.to_bytes(48, "little") + b.to_bytes(48, "little")
    return out


def test_the_file_is_what_the_code_computes() -> None:
    assert generate.cases() == CASES


@each_case
def test_the_points_are_the_scalars_multiples(case: dict[str, Any]) -> None:
    s, x, y, r, w = (number(case, name) for name in "sxyrw")
    a = g1(case, "A")
    secret = multiply(a, s)
    assert eq(g1(case, "token"), add(secret, neg(multiply(a, case["pin"]))))
    if case["day"] is not None:
        assert eq(g1(case, "permit"), multiply(g1(case, "D"), s))
        secret = add(secret, g1(case, "permit"))
    assert eq(g1(case, "U"), multiply(base(case), x))
    assert eq(g1(case, "V"), neg(multiply(secret, (x + y) % curve_order)))
    assert eq(g1(case, "one_pass_V"), neg(multiply(secret, (x + number(case, "one_pass_y")) % curve_order)))
    assert eq(g1(case, "R"), multiply(a, r))
    assert eq(g1(case, "W"), multiply(base(case), w))
    assert eq(g2(case, "server_secret"), multiply(g2(case, "Q"), s))


@each_case
def test_the_one_pass_challenge_is_the_hash_that_the_specification_says(case: dict[str, Any]) -> None:
    u, time_s, suite = bytes.fromhex(case["U"]), case["time"], case["suite"].encode()
    if is_amcl(case):
        message = tagged("DTA-v1-mpin-one-pass", suite, *context(case))
        digest = hashlib.sha256(time_s.to_bytes(4, "big") + u + message).digest()
        assert number(case, "one_pass_y") == int.from_bytes(digest, "big") % curve_order
    else:
        parts = (suite, *context(case), time_s.to_bytes(8, "big"), u)
        assert number(case, "one_pass_y") == wide(tagged("DTA-v1-mpin-one-pass", *parts))


@each_case
def test_the_keys_are_those_that_the_specification_says(case: dict[str, Any]) -> None:
    seen = [bytes.fromhex(case[name]) for name in ("U", "V", "y", "R", "W")]
    h = wide(tagged("DTA-v1-mpin-agreement", case["suite"].encode(), *context(case), *seen))
    assert h == number(case, "h")
    value = pairing(g2(case, "server_secret"), add(g1(case, "R"), multiply(g1(case, "A"), h)))
    shared = compress_G1(multiply(g1(case, "U"), number(case, "w"))).to_bytes(48, "big")
    material = tagged("DTA-v1-mpin-keys", gt_bytes(value), shared)
    info = tagged("DTA-v1-mpin-keys", h.to_bytes(32, "big"))
    keys = HKDF(SHA256(), 128, salt=None, info=info).derive(material)
    assert keys[:32].hex() == case["session_key"]
    assert keys[32:64].hex() == case["ticket"]
    assert hmac.digest(keys[64:96], b"DTA-v1-mpin-confirm-client", "sha256").hex() == case["client_confirmation"]
    assert hmac.digest(keys[96:], b"DTA-v1-mpin-confirm-server", "sha256").hex() == case["server_confirmation"]


@each_case
def test_the_server_accepts_by_the_oracle_s_pairing(case: dict[str, Any]) -> None:
    left = pairing(g2(case, "Q"), g1(case, "V"))
    right = pairing(g2(case, "server_secret"), add(g1(case, "U"), multiply(base(case), number(case, "y"))))
    assert left * right == FQ12.one()


@each_case
def test_amcl_points_are_written_uncompressed(case: dict[str, Any]) -> None:
    x, y = normalize(g1(case, "U"))
    written = b"\x04" + int(x).to_bytes(48, "big") + int(y).to_bytes(48, "big")
    assert (written == bytes.fromhex(case["U"])) is is_amcl(case)
