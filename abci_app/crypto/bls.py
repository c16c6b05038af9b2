"""BLS signatures on BLS12-381: public keys in G1 (48 bytes), signatures in G2 (96), proof-of-possession scheme.

draft-irtf-cfrg-bls-signature, ciphersuite ``BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_``; points in the compressed
encoding of ZCash. Decoding refuses other encodings, points off the curve or outside the subgroup, and the identity.
The groups and the pairing are ``abci_app/crypto/curve.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from abci_app.crypto.curve import G1, G2, BadPoint, pairing_check

__all__ = ["BadPoint"]

SIGNATURE_TAG: Final = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
POSSESSION_TAG: Final = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
MIN_SIG_TAG: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"


def decode_public_key(public_key: bytes) -> G1:
    """The G1 point of a public key (48 bytes). Raises :class:`BadPoint`."""
    return G1.decode(public_key)


def decode_signature(signature: bytes) -> G2:
    """The G2 point of a signature (96 bytes). Raises :class:`BadPoint`."""
    return G2.decode(signature)


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
    return verify(G1.sum(points).encode(), message, signature)


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
    pairs = [(key, G2.hash(message, tag)) for key, message in zip(keys, messages, strict=True)]
    return pairing_check([*pairs, (-G1.generator(), right)])


def verify_min_sig(public_key: bytes, message: bytes, signature: bytes, tag: bytes = MIN_SIG_TAG) -> bool:
    """Whether ``signature`` (G1, 48 bytes) over ``message`` is good under ``public_key`` (G2, 96). Never raises.

    The other choice of groups, that of ``signing`` keys and of randomness beacons.
    """
    try:
        key, point = G2.decode(public_key), G1.decode(signature)
    except BadPoint:
        return False
    return pairing_check([(G1.hash(message, tag), key), (-point, G2.generator())])
