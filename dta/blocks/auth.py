"""Who may upload: the statement that a PUT's signature covers, and its headers (docs/spec/blocks.md, Uploading)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from abci_app.hashing import tagged, u64
from abci_app.limits import ED25519_SIGNATURE_BYTES, ID_BYTES, MAX_TIME_S

PUT_TAG = "DTA-v1-put"
IDENTITY_HEADER = "DTA-Identity"
EXPIRES_HEADER = "DTA-Expires"
SIGNATURE_HEADER = "DTA-Signature"
MAX_CLAIM_S = 900
"""A claim that expires later than this from now is refused, so that none is good for long."""


class BadClaim(Exception):
    """The headers of an upload are incomplete or malformed. ``header`` is the one, ``reason`` what it lacks."""

    def __init__(self, header: str, reason: str) -> None:
        super().__init__(header, reason)
        self.header = header
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.header} {self.reason}"


class PutSigner(Protocol):
    """Signs uploads for one identity, with its current transaction key or, for a fiduciary's agent, its node key."""

    @property
    def identity(self) -> bytes:
        """The identity's id, 32 bytes."""

    def sign(self, statement: bytes) -> bytes:
        """The Ed25519 signature over ``statement``, 64 bytes."""


@dataclass(frozen=True, slots=True)
class PutClaim:
    """What an upload's headers say, before anything is verified. Lengths are right; ``expires_s`` is Unix time."""

    identity: bytes
    expires_s: int
    signature: bytes


def put_statement(gid: bytes, cid: str, identity: bytes, expires_s: int) -> bytes:
    """What the signature of a PUT of ``cid`` covers.

    It names no gateway: one signature uploads one block to every fiduciary of an order, and to any other that somebody
    sends it to, once: a gateway counts it once, and does nothing more for it once it has stored the block.
    """
    return tagged(PUT_TAG, gid, cid.encode("ascii"), identity, u64(expires_s))


def put_headers(gid: bytes, cid: str, signer: PutSigner, expires_s: int) -> dict[str, str]:
    """The headers of a signed PUT of ``cid``, good until ``expires_s`` (Unix seconds)."""
    signature = signer.sign(put_statement(gid, cid, signer.identity, expires_s))
    return {
        IDENTITY_HEADER: signer.identity.hex(),
        EXPIRES_HEADER: str(expires_s),
        SIGNATURE_HEADER: signature.hex(),
    }


def read_claim(headers: Mapping[str, str]) -> PutClaim | None:
    """The claim in ``headers`` (names matched as the mapping does), or None where there is none. Raises BadClaim."""
    identity = headers.get(IDENTITY_HEADER)
    if identity is None:
        for header in (EXPIRES_HEADER, SIGNATURE_HEADER):
            if header in headers:
                raise BadClaim(IDENTITY_HEADER, f"is missing beside {header}")
        return None
    expires = headers.get(EXPIRES_HEADER, "")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 16 and int(expires) <= MAX_TIME_S):
        raise BadClaim(EXPIRES_HEADER, "must be a time in Unix seconds")
    return PutClaim(
        identity=_hex(IDENTITY_HEADER, identity, ID_BYTES),
        expires_s=int(expires),
        signature=_hex(SIGNATURE_HEADER, headers.get(SIGNATURE_HEADER, ""), ED25519_SIGNATURE_BYTES),
    )


def _hex(header: str, text: str, length_bytes: int) -> bytes:
    try:
        value = bytes.fromhex(text) if len(text) == 2 * length_bytes else b""
    except ValueError:
        value = b""
    if len(value) != length_bytes:
        raise BadClaim(header, f"must be {length_bytes} bytes in hex")
    return value
