"""HPKE keys and sealing; the suite and the checks are ``abci_app/crypto/hpke.py``."""

from __future__ import annotations

import secrets
from typing import Final

from abci_app.crypto import hpke
from abci_app.limits import MLKEM768_SEED_BYTES, X25519_KEY_BYTES
from abci_app.pb.dta.v1.identity_pb2 import HpkeKey
from dta.base.secret import SecretBytes

SEED_BYTES: Final = MLKEM768_SEED_BYTES + X25519_KEY_BYTES


class HpkePrivateKey:
    """A hybrid private key, kept as its 96-byte seed: ML-KEM's ``d | z`` (64), X25519's scalar (32)."""

    __slots__ = ("_public", "_seed")

    def __init__(self, seed: SecretBytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"an HPKE seed has {SEED_BYTES} bytes")
        self._seed = seed
        self._public = hpke.public_key_of(*self._halves())

    @classmethod
    def from_seed(cls, seed: SecretBytes) -> HpkePrivateKey:
        """The key of 96 uniform bytes: the same seed is the same key."""
        return cls(seed)

    @classmethod
    def generate(cls) -> HpkePrivateKey:
        """A fresh key from the system's randomness."""
        return cls(SecretBytes(secrets.token_bytes(SEED_BYTES)))

    @property
    def public(self) -> HpkeKey:
        """The public key, a copy."""
        copy = HpkeKey()
        copy.CopyFrom(self._public)
        return copy

    @property
    def seed(self) -> SecretBytes:
        """The seed: what a keystore keeps, and what ReportShare reveals of a one-time key."""
        return self._seed

    def open(self, info: bytes, sealed: bytes) -> SecretBytes:
        """What was sealed. Raises :class:`abci_app.crypto.hpke.CannotOpen`."""
        return SecretBytes(hpke.open_sealed(*self._halves(), info, sealed))

    def _halves(self) -> tuple[bytes, bytes]:
        seed = self._seed.reveal()
        return seed[:MLKEM768_SEED_BYTES], seed[MLKEM768_SEED_BYTES:]

    def __repr__(self) -> str:
        return "<redacted>"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def seal(key: HpkeKey, info: bytes, plaintext: SecretBytes) -> bytes:
    """Seal ``plaintext`` to ``key``: 1,136 bytes longer. Raises :class:`abci_app.crypto.hpke.BadHpkeKey`."""
    return hpke.SUITE.encrypt(plaintext.reveal(), hpke.decode_key(key), info)
