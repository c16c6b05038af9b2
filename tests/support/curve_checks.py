"""What every implementation of the curve has to do: ``check_*`` functions over a back end, listed in ``CHECKS``.

A back end has the interface of ``abci_app/crypto/curve.py``. Seeded: the same scalars and messages each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from abci_app.crypto.curve import ORDER, BadPoint
from tests.support.curve_backends import Backend

VECTORS = Path(__file__).parents[1] / "vectors" / "outside"
FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
SEED = 20261127
TAG = b"DTA-v1-conformance-with-BLS12381_XMD:SHA-256_SSWU_RO_"
COMPRESSED, INFINITY, LARGER = 0x80, 0x40, 0x20


def scalars(count: int) -> list[int]:
    random = Random(SEED)
    return [random.randrange(1, ORDER) for _ in range(count)]


def encoded_point(x: str, y: str) -> bytes:
    """The compressed encoding of coordinates as RFC 9380's files give them (``c0,c1`` in G2)."""
    # The encoding has c1 | c0, and its sign is the greater root's.
    xs = [int(part, 16) for part in x.split(",")]
    ys = [int(part, 16) for part in y.split(",")]
    larger = next(part for part in reversed(ys) if part) > (FIELD - 1) // 2
    encoded = bytearray(b"".join(part.to_bytes(48, "big") for part in reversed(xs)))
    encoded[0] |= COMPRESSED | (LARGER if larger else 0)
    return bytes(encoded)


def refused(group: Any, data: bytes) -> bool:
    try:
        group.decode(data)
    except BadPoint:
        return True
    return False


def check_the_generators_are_the_standard_ones(backend: Backend) -> None:
    assert backend.g1.generator().encode().hex() == (
        "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
    )
    assert backend.g2.generator().encode().hex() == (
        "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    )


def check_the_groups_have_prime_order_r(backend: Backend) -> None:
    for group in backend.groups():
        point = group.hash(b"order", TAG)
        assert (point * (ORDER - 1) + point).is_identity
        assert point * (ORDER + 5) == point * 5
        assert (point * 0).is_identity
        assert point * -1 == -point
        assert not point.is_identity


def check_sums_and_products_follow_the_laws(backend: Backend) -> None:
    a, b, _ = scalars(3)
    for group in backend.groups():
        g = group.generator()
        p, q = g * a, g * b
        identity = p - p
        assert p + q == q + p == g * (a + b)
        assert p * b == q * a == g * (a * b % ORDER)
        assert p + p == p * 2
        assert p - q == p + -q == g * (a - b)
        assert identity.is_identity
        assert p + identity == identity + p == p
        assert (identity + identity).is_identity
        assert (identity * a).is_identity
        assert (-identity).is_identity
        assert p != q
        assert p != identity


def check_a_sum_and_a_product_sum_are_those_of_their_terms(backend: Backend) -> None:
    factors = scalars(5)
    for group in backend.groups():
        g = group.generator()
        points = [g * n for n in (1, 2, 3, 3)] + [g - g]
        assert group.sum(points) == g * 9
        assert group.sum([]).is_identity
        assert group.msm(points, factors) == group.sum(p * n for p, n in zip(points, factors, strict=True))
        assert group.msm([g, g], [ORDER + 2, -2]).is_identity
        assert group.msm([], []).is_identity
        with pytest.raises(ValueError):
            group.msm([g], [1, 2])


def check_many_terms_add_up(backend: Backend) -> None:
    """Enough terms for another method, with zeros, repetitions, the identity, short and full scalars among them."""
    random = Random(SEED)
    for group in backend.groups():
        g = group.generator()
        multiples = [g]
        for _ in range(9):
            multiples.append(multiples[-1] + g)
        logs = [random.randrange(1, 11) for _ in range(100)]
        points = [multiples[log - 1] for log in logs]
        factors = [random.randrange(ORDER) if n % 3 else random.randrange(4) for n in range(100)]
        expected = g * sum(log * factor for log, factor in zip(logs, factors, strict=True))
        assert group.msm(points, factors) == expected
        assert group.msm([g - g, *points], [5, *factors]) == expected
        assert group.msm(points, [0] * 100).is_identity


def check_small_factors(backend: Backend) -> None:
    for group in backend.groups():
        point = group.hash(b"small", TAG)
        for factor in (0, 1, 2, 3, 64, 255, 70_001):
            assert point.times_small(factor) == point * factor
        assert (point - point).times_small(7).is_identity


def check_an_encoding_decodes_to_its_point(backend: Backend) -> None:
    for group in backend.groups():
        for scalar in (1, 2, ORDER - 1, *scalars(3)):
            point = group.generator() * scalar
            encoded = point.encode()
            assert len(encoded) == group.BYTES
            assert group.decode(encoded) == point
            assert group.decode(encoded).encode() == encoded
            assert (-point).encode() == bytes((encoded[0] ^ LARGER,)) + encoded[1:]


def check_the_identity_is_encoded_and_not_decoded(backend: Backend) -> None:
    for group in backend.groups():
        g = group.generator()
        assert (g - g).encode() == bytes((COMPRESSED | INFINITY,)) + bytes(group.BYTES - 1)
        assert refused(group, (g - g).encode())


def check_other_encodings_are_refused(backend: Backend) -> None:
    for group in backend.groups():
        good = (group.generator() * scalars(1)[0]).encode()
        infinity = bytes((COMPRESSED | INFINITY,)) + bytes(group.BYTES - 1)
        for data in (b"", good[:-1], good + b"\0", good * 2, bytes(group.BYTES), b"\xff" * group.BYTES):
            assert refused(group, data)
        x = good[0] & 0x1F
        for flags in (0, LARGER, INFINITY, INFINITY | LARGER, COMPRESSED | INFINITY, 0xE0):
            assert refused(group, bytes((x | flags,)) + good[1:])
            assert refused(group, bytes((flags,)) + infinity[1:])
        assert refused(group, infinity[:-1] + b"\1")


def check_a_coordinate_that_is_not_reduced_is_refused(backend: Backend) -> None:
    """x + p is the same field element for the few points whose x is small enough: none may be taken twice."""
    for group in backend.groups():
        for number in (*range(8), 2**381 - 1 - FIELD):
            first = bytearray((FIELD + number).to_bytes(48, "big"))
            first[0] |= COMPRESSED
            assert refused(group, bytes(first) + bytes(group.BYTES - 48))
        if group.BYTES == 96:
            good = (group.generator() * scalars(1)[0]).encode()
            assert refused(group, good[:48] + FIELD.to_bytes(48, "big"))


def check_points_off_the_curve_or_outside_the_subgroup_are_refused(backend: Backend) -> None:
    """Of x = 0, 1, ..., 11 about half are on the curve, and none of these is in the subgroup."""
    for group in backend.groups():
        for number in range(12):
            for flags in (COMPRESSED, COMPRESSED | LARGER):
                assert refused(group, bytes((flags,)) + bytes(group.BYTES - 2) + bytes((number,)))


def check_hashing_is_that_of_rfc_9380(backend: Backend) -> None:
    for group, name in ((backend.g1, "rfc9380-bls12381g1.json"), (backend.g2, "rfc9380-bls12381g2.json")):
        suite = json.loads((VECTORS / name).read_text())
        assert suite["vectors"]
        for case in suite["vectors"]:
            expected = encoded_point(case["P"]["x"], case["P"]["y"])
            assert group.hash(case["msg"].encode(), suite["dst"].encode()).encode() == expected


def check_hashing_depends_on_message_and_tag(backend: Backend) -> None:
    for group in backend.groups():
        point = group.hash(b"message", TAG)
        assert group.decode(point.encode()) == point
        assert point != group.hash(b"messagf", TAG)
        assert point != group.hash(b"message", TAG + b"x")
        with pytest.raises(ValueError):
            group.hash(b"message", b"")


def check_long_tags_are_hashed_first(backend: Backend) -> None:
    """RFC 9380, 5.3.3. The expected point was computed by arkworks, whose own code applies the rule."""
    assert backend.g1.hash(b"", b"x" * 300).encode().hex() == (
        "aceb09e520f76c6bc662870e878378e42c79c7f2b3e857e1ff5f98fc07c162baf2d43245ea0a31108117dd876ff08899"
    )
    assert backend.g1.hash(b"", b"x" * 255) != backend.g1.hash(b"", b"x" * 256)


def check_the_pairing_is_bilinear_and_not_degenerate(backend: Backend) -> None:
    a, b, _ = scalars(3)
    g1, g2 = backend.g1.generator(), backend.g2.generator()
    identity1, identity2 = g1 - g1, g2 - g2
    assert backend.pairing_check([(g1 * a, g2 * b), (-(g1 * (a * b)), g2)])
    assert not backend.pairing_check([(g1 * a, g2 * b), (-(g1 * (a * b + 1)), g2)])
    assert not backend.pairing_check([(g1, g2)])
    assert backend.pairing_check([])
    assert backend.pairing_check([(identity1, g2), (g1, identity2)])
    assert not backend.pairing_check([(identity1, g2), (g1, g2)])
    assert backend.pairing_check([(g1 * a, g2), (g1 * b, g2), (-(g1 * (a + b)), g2)])


CHECKS: tuple[Callable[[Backend], None], ...] = tuple(
    value for name, value in sorted(globals().items()) if name.startswith("check_")
)
