"""Every label of a key in a keystore, built in one place.

What belongs to the ledger (a vault, an attempt of a ceremony) is found by a hash of its name there, so that the same
key is found again from ledger and token alone, and two ledgers sharing a token never share a key.
"""

from __future__ import annotations

from abci_app.hashing import tagged_hash

_HASH_DIGITS = 40

LONGEST_CHARS = len("receive-") + _HASH_DIGITS
"""No label of ours is longer: what a token must bear, and the doctor tries."""


TRIAL = "doctor-"


def node_key() -> str:
    """The Ed25519 key with which the agent signs results."""
    return "node-key"


def root() -> str:
    """The PRF key from which the node's own HPKE and BLS keys are derived."""
    return "root"


def operator_key(number: int) -> str:
    """The operator's ``number``-th Ed25519 key (each rotation uses the next). Raises ValueError below 0."""
    if number < 0:
        raise ValueError("an operator key's number is not negative")
    return f"operator-{number}"


def vault(gid: bytes, vault_id: bytes) -> str:
    """The PRF key of one vault: destroyed when the vault closes."""
    return _hashed("vault", "DTA-v1-label-vault", gid, vault_id)


def receive(gid: bytes, attempt: bytes) -> str:
    """The PRF key that receives shares in one attempt of a ceremony (docs/spec/authority.md)."""
    return _hashed("receive", "DTA-v1-label-receive", gid, attempt)


def deal(gid: bytes, attempt: bytes) -> str:
    """The PRF key that makes this node's dealing in one attempt: destroyed once the dealing is committed."""
    return _hashed("deal", "DTA-v1-label-deal", gid, attempt)


def trial(unique: str) -> str:
    """A key that the doctor makes, uses and destroys: as long a label as there is. ``unique``: of ``[0-9a-f]``."""
    return TRIAL + unique.ljust(LONGEST_CHARS - len(TRIAL), "0")[: LONGEST_CHARS - len(TRIAL)]


def _hashed(kind: str, tag: str, gid: bytes, subject: bytes) -> str:
    return f"{kind}-{tagged_hash(tag, gid, subject).hex()[:_HASH_DIGITS]}"
