"""Signatures checked together: never one taken that a single check refuses, whoever made them and in what company."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import pytest
from py_ecc.bls.point_compression import compress_G1, compress_G2, decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import add, multiply
from test_crypto_bls import keys_to_refuse

from abci_app.crypto import bls
from abci_app.crypto.curve import G1, G2, ORDER
from dta.base.secret import SecretBytes
from dta.crypto.bls import BlsPrivateKey, batch
from dta.crypto.bls.batch import LARGEST_BATCH, Claim, verify_batch, weighted_sum

KEYS = [BlsPrivateKey.from_seed(SecretBytes(bytes([n]) * 48)) for n in range(1, 9)]
IDENTITY = b"\xc0" + bytes(95)


def claim(key: int, message: bytes = b"message", by: int | None = None) -> Claim:
    signer = KEYS[key if by is None else by]
    return KEYS[key].public_key, message, signer.sign(message)


def g2_bytes(point: object) -> bytes:
    return b"".join(half.to_bytes(48, "big") for half in compress_G2(point))  # type: ignore[arg-type]


@cache
def signatures_to_refuse() -> dict[str, bytes]:
    """Encodings that are no signature, each with its fault."""
    good = KEYS[0].sign(b"message")
    outside = [bytes([0x80]) + bytes(94) + bytes([x]) for x in range(12)]  # half on the curve, none in the subgroup
    halves = int.from_bytes(good[:48], "big"), int.from_bytes(good[48:], "big")
    torsion = multiply(decompress_G2((1 << 383, on_curve())), ORDER)
    return {
        "the identity": IDENTITY,
        "no compression flag": bytes([good[0] ^ 0x80]) + good[1:],
        "the infinity flag": bytes([good[0] ^ 0x40]) + good[1:],
        "another half's flag": good[:48] + bytes([good[48] | 0x80]) + good[49:],
        "one byte short": good[:-1],
        "one byte more": good + b"\0",
        "empty": b"",
        "all zero": bytes(96),
        "good but for a part outside the subgroup": g2_bytes(add(decompress_G2(halves), torsion)),  # type: ignore[arg-type]
        **{f"small x {place}": one for place, one in enumerate(outside)},
    }


def on_curve() -> int:
    """The least x of a point on the curve of G2 (real part; the other one is 0)."""
    for x in range(12):
        with suppress(ValueError):
            decompress_G2((1 << 383, x))  # type: ignore[arg-type]
            return x
    raise AssertionError


@cache
def keys_to_refuse_too() -> dict[str, bytes]:
    good = KEYS[0].public_key
    torsion = multiply(decompress_G1(int.from_bytes(keys_to_refuse()["outside the subgroup"], "big")), ORDER)  # type: ignore[arg-type]
    mixed = compress_G1(add(decompress_G1(int.from_bytes(good, "big")), torsion))  # type: ignore[arg-type]
    return keys_to_refuse() | {"good but for a part outside the subgroup": mixed.to_bytes(48, "big")}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8])
@pytest.mark.parametrize("same", ["nothing", "key", "message", "both"])
def test_good_ones_are_good_whatever_they_share(count: int, same: str) -> None:
    claims = [
        claim(0 if same in ("key", "both") else n, b"m" if same in ("message", "both") else b"m%d" % n)
        for n in range(count)
    ]
    assert verify_batch(claims) == [True] * count


def test_more_than_one_batch_s_worth_is_answered_in_its_sequence() -> None:
    one, bad = claim(0), claim(0, by=1)
    claims = [one] * LARGEST_BATCH + [bad] + [one] * 3
    assert verify_batch(claims) == [True] * LARGEST_BATCH + [False] + [True] * 3


@pytest.mark.parametrize("place", range(8))
def test_the_bad_one_is_named_wherever_it_is(place: int) -> None:
    claims = [claim(n, b"m%d" % n) for n in range(8)]
    claims[place] = claim(place, b"m%d" % place, by=(place + 1) % 8)
    assert verify_batch(claims) == [n != place for n in range(8)]


def test_all_bad_are_all_named() -> None:
    assert verify_batch([claim(n, by=(n + 1) % 8) for n in range(8)] * 3) == [False] * 24


@pytest.mark.parametrize("shared", ["message", "key", "nothing"])
def test_two_bad_ones_that_cancel_out_are_both_refused(shared: str) -> None:
    """What is added to one is taken from the other: their sum is that of two good ones."""
    wrong = G2.hash(b"whatever", b"tag")
    keys = (0, 0) if shared == "key" else (0, 1)
    messages = (b"m", b"m") if shared == "message" else (b"m1", b"m2")
    pair = [claim(key, message) for key, message in zip(keys, messages, strict=True)]
    points = [G2.decode(signature) for _, _, signature in pair]
    bad = [
        (pair[0][0], pair[0][1], (points[0] + wrong).encode()),
        (pair[1][0], pair[1][1], (points[1] - wrong).encode()),
    ]
    unweighted = G2.sum(G2.decode(signature) for _, _, signature in bad)
    assert bls.aggregate_verify([key for key, _, _ in bad], [message for _, message, _ in bad], unweighted.encode())
    good = [claim(n, b"g%d" % n) for n in range(2, 6)]
    assert verify_batch([*good[:2], *bad, *good[2:]]) == [True, True, False, False, True, True]
    assert verify_batch([bad[1], *good, bad[0]]) == [False, True, True, True, True, False]


def test_good_ones_of_one_message_that_changed_places_are_both_refused() -> None:
    """Their sum is the same; under one message and two keys only the weights tell them apart."""
    first, second = claim(0), claim(1)
    swapped = [(first[0], first[1], second[2]), (second[0], second[1], first[2])]
    assert verify_batch([claim(2), *swapped, claim(3)]) == [True, False, False, True]


def test_weights_are_drawn_anew_for_each_check_after_every_point_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    drawn: list[int] = []

    def randbits(bits: int) -> int:
        steps.append("weight")
        drawn.append(bits)
        return secrets.randbelow(1 << bits)

    decode = G2.decode

    def noted(data: bytes) -> G2:
        steps.append("decode")
        return decode(data)

    monkeypatch.setattr(batch.secrets, "randbits", randbits)
    monkeypatch.setattr(batch.G2, "decode", noted)
    assert verify_batch([claim(n) for n in range(4)]) == [True] * 4
    assert steps == ["decode"] * 4 + ["weight"] * 4
    assert drawn == [128] * 4
    assert verify_batch([*[claim(n) for n in range(7)], claim(7, by=0)])[7] is False
    assert len(drawn) >= 4 + 8 + 4  # the halves of what failed have weights of their own


@pytest.mark.parametrize("weight", [0, 1], ids=["zero", "one"])
def test_without_random_weights_the_pair_that_cancels_out_would_pass(
    monkeypatch: pytest.MonkeyPatch, weight: int
) -> None:
    """So the tests above look at the weights, and at nothing that would refuse the pair by itself."""
    wrong = G2.hash(b"whatever", b"tag")
    pair = [claim(0, b"1"), claim(1, b"2")]
    bad = [
        (pair[0][0], pair[0][1], (G2.decode(pair[0][2]) + wrong).encode()),
        (pair[1][0], pair[1][1], (G2.decode(pair[1][2]) - wrong).encode()),
    ]
    monkeypatch.setattr(batch.secrets, "randbits", lambda _: weight)
    assert verify_batch([*bad, claim(2)]) == [True, True, True]


BAD_KEYS, BAD_SIGNATURES = keys_to_refuse_too(), signatures_to_refuse()


@pytest.mark.parametrize(
    "name", [f"key: {name}" for name in BAD_KEYS] + [f"signature: {name}" for name in BAD_SIGNATURES]
)
def test_a_point_that_is_none_of_the_group_is_bad_by_itself_and_enters_no_batch(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    which, _, what = name.partition(": ")
    good = [claim(n) for n in range(4)]
    bad = (BAD_KEYS[what], b"message", good[0][2]) if which == "key" else (good[0][0], b"message", BAD_SIGNATURES[what])
    assert not bls.verify(*bad)
    checked: list[int] = []
    check: Callable[..., bool] = batch._all_good
    monkeypatch.setattr(batch, "_all_good", lambda items: checked.append(len(items)) or check(items))
    assert verify_batch([*good[:2], bad, *good[2:]]) == [True, True, False, True, True]
    assert checked == [4]
    assert verify_batch([bad, bad, bad, bad]) == [False] * 4
    assert checked == [4]


def test_identity_points_verify_nothing_though_the_equation_would_hold() -> None:
    key = b"\xc0" + bytes(47)
    assert verify_batch([(key, b"m", IDENTITY)] * 4) == [False] * 4


def test_a_tag_of_another_kind_verifies_nothing() -> None:
    proofs = [(key.public_key, b"m", key.prove_possession(b"m")) for key in KEYS[:4]]
    assert verify_batch(proofs) == [False] * 4
    assert verify_batch(proofs, bls.POSSESSION_TAG) == [True] * 4


def test_searching_for_culprits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed: list[int] = []
    check: Callable[..., bool] = batch._all_good
    monkeypatch.setattr(batch, "_all_good", lambda items: weighed.append(len(items)) or check(items))
    assert verify_batch([claim(n % 8, by=(n + 1) % 8) for n in range(LARGEST_BATCH)]) == [False] * LARGEST_BATCH
    assert sum(weighed) <= 3 * LARGEST_BATCH
    weighed.clear()
    claims = [claim(n % 8) for n in range(LARGEST_BATCH)]
    claims[-1] = claim(7, by=0)
    assert verify_batch(claims) == [True] * (LARGEST_BATCH - 1) + [False]
    assert sum(weighed) <= 3 * LARGEST_BATCH


@pytest.mark.parametrize("group", [G1, G2])
def test_a_weighted_sum_is_the_sum_of_products(group: type[G1] | type[G2]) -> None:
    points = [group.hash(bytes([n]), b"tag") for n in range(5)]
    for weights in (
        [0] * 5, [1, 0, 2, 7, 8], [9, 15, 16, 17, (1 << 128) - 1], [1 << 127, 1, 3, 5, (1 << 128) - 8],
        [secrets.randbits(128) for _ in points], [ORDER - 1, ORDER, ORDER + 1, 0, 1],
    ):  # fmt: skip
        assert weighted_sum(points, weights) == group.msm(points, weights)
    assert weighted_sum(points[:1], [5]) == points[0] * 5
    assert weighted_sum([points[0], -points[0]], [7, 7]).is_identity
    assert weighted_sum([points[0], points[0]], [3, 4]) == points[0] * 7
