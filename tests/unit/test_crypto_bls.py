"""BLS against its specification: py-ecc as the oracle, and everything that must be refused (vectors: tests/vectors)."""

from __future__ import annotations

import pickle
from functools import cache
from hashlib import sha256

import pytest
from py_ecc.bls import G2ProofOfPossession as Oracle
from py_ecc.bls.g2_primitives import subgroup_check
from py_ecc.bls.hash_to_curve import hash_to_G2
from py_ecc.bls.point_compression import compress_G1, compress_G2, decompress_G1
from py_ecc.fields import optimized_bls12_381_FQ as FQ
from py_ecc.optimized_bls12_381 import G1, b, multiply
from pyblst import BlstP2Element

from abci_app.crypto import bls
from dta.base.secret import SecretBytes
from dta.crypto.bls import GROUP_ORDER, BlsPrivateKey, aggregate

P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
KEYS = [BlsPrivateKey.from_seed(SecretBytes(bytes([n]) * 48)) for n in range(1, 5)]
COMPRESSED, INFINITY, LARGER = 1 << 383, 1 << 382, 1 << 381


def test_signatures_and_proofs_are_those_of_the_oracle() -> None:
    scalar = 0x263DBD792F5B1BE47ED85F8938C0F29586AF0D3AC7B977F21C278FE1462040E3
    key = BlsPrivateKey(scalar)
    assert key.public_key == Oracle.SkToPk(scalar)
    assert key.sign(b"message") == Oracle.Sign(scalar, b"message")
    assert key.prove_possession(key.public_key) == Oracle.PopProve(scalar)
    hashed = hash_to_G2(b"message", bls.SIGNATURE_TAG, sha256)
    parts = compress_G2(hashed)
    assert BlstP2Element.hash_to_group(b"message", bls.SIGNATURE_TAG).compress() == b"".join(
        part.to_bytes(48, "big") for part in parts
    )


def test_a_signature_verifies_for_its_key_and_message_alone() -> None:
    signature = KEYS[0].sign(b"message")
    assert bls.verify(KEYS[0].public_key, b"message", signature)
    assert not bls.verify(KEYS[1].public_key, b"message", signature)
    assert not bls.verify(KEYS[0].public_key, b"other", signature)


def test_a_signature_is_no_proof_of_possession_and_a_proof_no_signature() -> None:
    key = KEYS[0]
    assert bls.verify_possession(key.public_key, b"statement", key.prove_possession(b"statement"))
    assert not bls.verify_possession(key.public_key, b"statement", key.sign(b"statement"))
    assert not bls.verify(key.public_key, b"statement", key.prove_possession(b"statement"))


def test_signatures_of_one_message_aggregate() -> None:
    public_keys = [key.public_key for key in KEYS]
    total = aggregate([key.sign(b"message") for key in KEYS])
    assert bls.aggregate_verify_same_message(public_keys, b"message", total)
    assert bls.aggregate_verify_same_message(public_keys[::-1], b"message", total)
    assert bls.aggregate_verify(public_keys, [b"message"] * len(KEYS), total)
    assert not bls.aggregate_verify_same_message(public_keys[:-1], b"message", total)
    assert not bls.aggregate_verify_same_message([*public_keys, public_keys[0]], b"message", total)
    assert not bls.aggregate_verify_same_message(public_keys, b"other", total)


def test_nobody_and_keys_that_cancel_out_verify_nothing() -> None:
    identity = b"\xc0" + bytes(95)
    opposite = BlsPrivateKey(GROUP_ORDER - scalar_of(KEYS[0]))
    pair = [KEYS[0].public_key, opposite.public_key]
    assert not bls.aggregate_verify_same_message([], b"m", identity)
    assert not bls.aggregate_verify_same_message(pair, b"m", identity)
    assert not bls.aggregate_verify_same_message(pair, b"m", KEYS[0].sign(b"m"))
    assert not bls.aggregate_verify(pair, [b"m", b"m"], identity)


def scalar_of(key: BlsPrivateKey) -> int:
    return key._scalar


@cache
def keys_to_refuse() -> dict[str, bytes]:
    """Encodings of 48 bytes that are no public key, each with its fault."""
    good = int.from_bytes(KEYS[0].public_key, "big")
    flags, x = good >> 381 << 381, good & (LARGER - 1)
    small_x = next(n for n in range(1, 99) if pow(n**3 + 4, (P - 1) // 2, P) == 1)
    off_curve = next(n for n in range(1, 99) if pow(n**3 + 4, (P - 1) // 2, P) != 1)
    return {
        "the identity": (COMPRESSED | INFINITY).to_bytes(48, "big"),
        "the identity with a sign": (COMPRESSED | INFINITY | LARGER).to_bytes(48, "big"),
        "the identity with an x": (COMPRESSED | INFINITY | x).to_bytes(48, "big"),
        "the infinity flag on a point": (good | INFINITY).to_bytes(48, "big"),
        "no compression flag": (good ^ COMPRESSED).to_bytes(48, "big"),
        "all zero": bytes(48),
        "all one": b"\xff" * 48,
        "x not reduced": (flags | small_x + P).to_bytes(48, "big"),
        "x = p": (flags | P).to_bytes(48, "big"),
        "x on no point": (flags | off_curve).to_bytes(48, "big"),
        "outside the subgroup": (flags | small_x).to_bytes(48, "big"),
        "of order 3": (flags & ~LARGER).to_bytes(48, "big"),
        "one byte short": KEYS[0].public_key[:-1],
        "one byte more": KEYS[0].public_key + b"\0",
        "uncompressed": uncompressed(KEYS[0].public_key),
        "empty": b"",
    }


def uncompressed(public_key: bytes) -> bytes:
    x, y, z = decompress_G1(int.from_bytes(public_key, "big"))
    return (x / z).n.to_bytes(48, "big") + (y / z).n.to_bytes(48, "big")


@pytest.mark.parametrize("fault", keys_to_refuse())
def test_a_malformed_public_key_is_refused_everywhere(fault: str) -> None:
    key = keys_to_refuse()[fault]
    signature = KEYS[0].sign(b"m")
    assert not bls.valid_public_key(key)
    assert not bls.verify(key, b"m", signature)
    assert not bls.verify_possession(key, b"m", signature)
    assert not bls.aggregate_verify_same_message([KEYS[0].public_key, key], b"m", signature)


def test_points_that_the_oracle_finds_on_the_curve_but_outside_the_subgroup_are_refused() -> None:
    tried = 0
    for x in range(1, 40):
        y = pow(x**3 + 4, (P + 1) // 4, P)
        if y * y % P != (x**3 + 4) % P:
            continue
        tried += 1
        point = (FQ(x), FQ(y), FQ(1))
        encoded = compress_G1(point).to_bytes(48, "big")
        assert bls.valid_public_key(encoded) == subgroup_check(point)
    assert tried > 10
    assert b == FQ(4)


def test_every_honest_key_is_valid_and_encoded_as_the_oracle_does() -> None:
    for scalar in (1, 2, 3, GROUP_ORDER - 1, 0x1234567890ABCDEF):
        key = BlsPrivateKey(scalar)
        assert bls.valid_public_key(key.public_key)
        assert key.public_key == compress_G1(multiply(G1, scalar)).to_bytes(48, "big")


@pytest.mark.parametrize("length", [0, 48, 95, 97, 192])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    assert not bls.verify(KEYS[0].public_key, b"m", (KEYS[0].sign(b"m") * 2)[:length])


def test_every_flag_of_a_signature_counts() -> None:
    signature = KEYS[0].sign(b"m")
    for flag in (0x80, 0x40, 0x20):
        assert not bls.verify(KEYS[0].public_key, b"m", bytes([signature[0] ^ flag]) + signature[1:])


def test_a_signature_whose_coordinate_is_not_reduced_is_refused() -> None:
    """x = c1 | c0: c0 has no flags above it, so any c0 + p fits; c1 + p fits below the flags for a c1 that is small."""
    signature = KEYS[0].sign(b"m")
    c0 = int.from_bytes(signature[48:], "big")
    assert not bls.verify(KEYS[0].public_key, b"m", signature[:48] + (c0 + P).to_bytes(48, "big"))

    messages = (bytes([n]) for n in range(256))
    message = next(m for m in messages if int.from_bytes(KEYS[0].sign(m)[:48], "big") % LARGER + P < LARGER)
    signature = KEYS[0].sign(message)
    assert bls.verify(KEYS[0].public_key, message, signature)
    c1 = int.from_bytes(signature[:48], "big")
    assert not bls.verify(KEYS[0].public_key, message, (c1 + P).to_bytes(48, "big") + signature[48:])


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (0, 1), (2, 1), (1, 2)])
def test_as_many_keys_as_messages_are_needed(counts: tuple[int, int]) -> None:
    keys = [key.public_key for key in KEYS[: counts[0]]]
    assert not bls.aggregate_verify(keys, [b"m"] * counts[1], KEYS[0].sign(b"m"))


def test_aggregating_nothing_or_no_signature_is_refused() -> None:
    for signatures in ([], [b""], [KEYS[0].sign(b"m"), bytes(96)], [b"\xc0" + bytes(95)]):
        with pytest.raises(bls.BadPoint):
            aggregate(signatures)


def test_a_private_key_comes_from_its_seed_and_shows_nothing() -> None:
    seed = SecretBytes(b"\xff" * 48)
    key = BlsPrivateKey.from_seed(seed)
    assert key.public_key == BlsPrivateKey(int.from_bytes(b"\xff" * 48, "big") % GROUP_ORDER).public_key
    assert BlsPrivateKey.generate().public_key != BlsPrivateKey.generate().public_key
    assert repr(key) == str(key) == f"{key}" == "<redacted>"
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize("scalar", [0, -1, GROUP_ORDER, GROUP_ORDER + 1])
def test_a_scalar_out_of_range_is_no_key(scalar: int) -> None:
    with pytest.raises(ValueError, match="scalar"):
        BlsPrivateKey(scalar)


@pytest.mark.parametrize("length", [0, 32, 47, 49])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="48"):
        BlsPrivateKey.from_seed(SecretBytes(bytes(length)))
