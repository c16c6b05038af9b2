"""Challenges of non-interactive proofs (Fiat and Shamir): a scalar from everything that a proof is about."""

from __future__ import annotations

from hashlib import sha384

from abci_app.crypto import scalars
from abci_app.hashing import tagged


def challenge(tag: str, *parts: bytes) -> int:
    """SHA-384 of ``tagged(tag, parts)``, its 48 bytes reduced modulo r (docs/spec/authority.md, Proofs).

    ``tag`` starts with ``DTA-v1-`` and belongs to one kind of proof; the parts are all of the statement, then the
    announcements.
    """
    return scalars.from_wide(sha384(tagged(tag, *parts)).digest())
