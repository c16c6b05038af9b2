"""The one way in which this system hashes: every part length-prefixed, under a tag.

Encoding: ``u32(len(tag)) | tag | u32(len(part)) | part | ...`` with big-endian lengths (docs/spec/transactions.md).
"""

from __future__ import annotations

from hashlib import sha256

HASH_BYTES = 32


def u32(value: int) -> bytes:
    """``value`` as 4 bytes, big-endian."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """``value`` as 8 bytes, big-endian: sorts as the number does."""
    return value.to_bytes(8, "big")


def prefixed(*parts: bytes) -> bytes:
    """Every part with its u32 length before it, concatenated."""
    return b"".join(u32(len(part)) + part for part in parts)


def tagged(tag: str, *parts: bytes) -> bytes:
    """The bytes that a hash or a signature under ``tag`` covers. ``tag`` starts with ``DTA-v1-``."""
    return prefixed(tag.encode("ascii"), *parts)


def tagged_hash(tag: str, *parts: bytes) -> bytes:
    """SHA-256 of :func:`tagged`: 32 bytes."""
    return sha256(tagged(tag, *parts)).digest()
