"""The points that keys for custody and signing multiply: hashes to G1 of what the ledger computed from fields.

Those for M-Pin are in ``abci_app/mfa``. A tag each, so that what is asked for one use is of no use for another.
"""

from __future__ import annotations

from typing import Final

from abci_app.crypto.bls import MIN_SIG_TAG
from abci_app.crypto.curve import G1

CUSTODY_TAG: Final = b"DTA-v1-CUSTODY_BLS12381G1_XMD:SHA-256_SSWU_RO_"
CUSTODY_SUITE: Final = "BF-BLS12381-FULLIDENT"
SIGNING_SUITE: Final = MIN_SIG_TAG.decode("ascii")
"""The standard ciphersuite (min-sig, basic scheme): any BLS library verifies what is signed."""


def custody_point(identity: bytes) -> G1:
    """H(ID) of an order's identity (32 bytes): what its secret is encrypted to."""
    return G1.hash(identity, CUSTODY_TAG)


def signing_point(message: bytes) -> G1:
    """H(m) of a message to sign, by the standard ciphersuite."""
    return G1.hash(message, MIN_SIG_TAG)
