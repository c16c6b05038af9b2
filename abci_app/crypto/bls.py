"""BLS signatures on BLS12-381: public keys in G1 (48 bytes), signatures in G2 (96), proof-of-possession scheme.

draft-irtf-cfrg-bls-signature, ciphersuite ``BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_``; points in the compressed
encoding of ZCash. Decoding refuses other encodings, points off the curve or outside the subgroup, and the identity.
The groups and the pairing are blst's (pyblst, pinned).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyblst import BlstP1Element, BlstP2Element, final_verify, miller_loop

from abci_app.limits import BLS_KEY_BYTES, BLS_SIGNATURE_BYTES

SIGNATURE_TAG: Final = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
POSSESSION_TAG: Final = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"

GENERATOR: Final = BlstP1Element.uncompress(
    bytes.fromhex(
        "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb",
    )
)
_P1_IDENTITY: Final = b"\xc0" + bytes(BLS_KEY_BYTES - 1)
_P2_IDENTITY: Final = b"\xc0" + bytes(BLS_SIGNATURE_BYTES - 1)


class BadPoint(ValueError):
    """The bytes are not the canonical encoding of a point of the subgroup, or are the identity's."""


def decode_public_key(public_key: bytes) -> BlstP1Element:
    """The G1 point of a public key (48 bytes). Raises :class:`BadPoint`."""
    if len(public_key) != BLS_KEY_BYTES or public_key == _P1_IDENTITY:
        raise BadPoint
    try:
        point = BlstP1Element.uncompress(public_key)
    except ValueError:
        raise BadPoint from None
    if point.compress() != public_key:
        raise BadPoint
    return point


def decode_signature(signature: bytes) -> BlstP2Element:
    """The G2 point of a signature (96 bytes). Raises :class:`BadPoint`."""
    if len(signature) != BLS_SIGNATURE_BYTES or signature == _P2_IDENTITY:
        raise BadPoint
    try:
        point = BlstP2Element.uncompress(signature)
    except ValueError:
        raise BadPoint from None
    if point.compress() != signature:
        raise BadPoint
    return point


def valid_public_key(public_key: bytes) -> bool:
    """Whether the 48 bytes are a public key: canonical, in the subgroup, not the identity (KeyValidate)."""
    try:
        decode_public_key(public_key)
    except BadPoint:
        return False
    return True


def verify(public_key: bytes, message: bytes, signature: bytes, tag: bytes = SIGNATURE_TAG) -> bool:
    """Whether ``signature`` (96 bytes) over ``message`` is good under ``public_key`` (48). Never raises."""
    return aggregate_verify((public_key,), (message,), signature, tag)


def verify_possession(public_key: bytes, message: bytes, proof: bytes) -> bool:
    """Whether ``proof`` (96 bytes) proves possession of ``public_key``.

    ``message`` is :func:`abci_app.crypto.statements.bls_possession_statement`: wider than the draft's (the key
    alone), so that a proof serves one identity on one chain.
    """
    return verify(public_key, message, proof, POSSESSION_TAG)


def aggregate_verify_same_message(public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
    """FastAggregateVerify: whether ``signature`` sums one signature over ``message`` under each of ``public_keys``.

    Sound only for keys whose possession was proved (:func:`verify_possession`), as every registered key's was. No
    keys, or keys that sum to the identity, verify nothing. Never raises.
    """
    try:
        points = [decode_public_key(key) for key in public_keys]
    except BadPoint:
        return False
    if not points:
        return False
    total = points[0]
    for point in points[1:]:
        total = total + point
    return verify(total.compress(), message, signature)


def aggregate_verify(
    public_keys: Sequence[bytes], messages: Sequence[bytes], signature: bytes, tag: bytes = SIGNATURE_TAG
) -> bool:
    """CoreAggregateVerify: whether ``signature`` sums one signature over ``messages[i]`` under ``public_keys[i]``.

    As many keys as messages, at least one. Never raises.
    """
    if not public_keys or len(public_keys) != len(messages):
        return False
    try:
        right = decode_signature(signature)
        keys = [decode_public_key(key) for key in public_keys]
    except BadPoint:
        return False
    left = None
    for key, message in zip(keys, messages, strict=True):
        term = miller_loop(key, BlstP2Element.hash_to_group(message, tag))
        left = term if left is None else left * term
    return bool(final_verify(left, miller_loop(GENERATOR, right)))
