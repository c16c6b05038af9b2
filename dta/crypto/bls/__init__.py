"""BLS private keys: signing and proving possession (draft-irtf-cfrg-bls-signature, proof-of-possession scheme).

Verification, tags and encodings are ``abci_app/crypto/bls.py``. The multiplication is blst's, constant-time in the
scalar; Python's own handling of the scalar as an integer is not (docs/spec/threats.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final, Protocol

from abci_app.crypto import bls
from abci_app.crypto.curve import G1, G2, ORDER
from dta.base.secret import SecretBytes

GROUP_ORDER: Final = ORDER
"""r: the order of G1, G2 and GT, a 255-bit prime."""

SEED_BYTES: Final = 48


class BlsSigner(Protocol):
    """Whatever signs with a BLS key: :class:`BlsPrivateKey`, or a keystore's."""

    def sign(self, message: bytes) -> bytes:
        """The signature (96 bytes) over ``message``."""
        ...


class BlsPrivateKey:
    """A scalar in 1..r-1. ``repr`` shows nothing; it is not pickled."""

    __slots__ = ("_scalar",)

    def __init__(self, scalar: int) -> None:
        if not 0 < scalar < GROUP_ORDER:
            raise ValueError("a BLS private key is a scalar in 1..r-1")
        self._scalar = scalar

    @classmethod
    def from_seed(cls, seed: SecretBytes) -> BlsPrivateKey:
        """From 48 uniform bytes: big-endian, mod r (the bias is below 2^-128, as in the draft's KeyGen)."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a BLS seed has {SEED_BYTES} bytes")
        return cls(int.from_bytes(seed.reveal(), "big") % GROUP_ORDER)

    @classmethod
    def generate(cls) -> BlsPrivateKey:
        """A fresh key from the system's randomness."""
        return cls.from_seed(SecretBytes(secrets.token_bytes(SEED_BYTES)))

    @property
    def public_key(self) -> bytes:
        """The public key: G1, compressed, 48 bytes."""
        return (G1.generator() * self._scalar).encode()

    def sign(self, message: bytes) -> bytes:
        """The signature over ``message``: G2, compressed, 96 bytes."""
        return self._sign(message, bls.SIGNATURE_TAG)

    def prove_possession(self, statement: bytes) -> bytes:
        """The proof over :func:`abci_app.crypto.statements.bls_possession_statement`: 96 bytes."""
        return self._sign(statement, bls.POSSESSION_TAG)

    def _sign(self, message: bytes, tag: bytes) -> bytes:
        return (G2.hash(message, tag) * self._scalar).encode()

    def __repr__(self) -> str:
        return "<redacted>"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def aggregate(signatures: Sequence[bytes]) -> bytes:
    """The sum of signatures (96 bytes each, at least one): 96 bytes.

    Raises :class:`abci_app.crypto.bls.BadPoint` for one that is no signature, or where there is none.
    """
    points = [bls.decode_signature(signature) for signature in signatures]
    if not points:
        raise bls.BadPoint
    return G2.sum(points).encode()
