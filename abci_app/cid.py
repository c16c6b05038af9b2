"""Content identifiers of the one form that this system uses: CIDv1, raw codec, SHA-256, base32 in lower case.

``'b' + base32(01 55 12 20 | SHA-256(block))`` without padding (RFC 4648, multiformats CIDv1): 59 characters. Every
other form of the same hash (CIDv0, other bases, upper case, other trailing bits) is refused, so that a block has one
name.
"""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256
from typing import Final

from abci_app.limits import CID_CHARS

_PREFIX: Final = bytes.fromhex("01551220")
_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
# The digits of int(text, 32), which reads the same number 20 times as fast as base64.b32decode.
_TO_DIGITS: Final = str.maketrans(_BASE32, "0123456789abcdefghijklmnopqrstuv")
_SPARE_BITS: Final = 2  # 58 characters of base32 are 36 bytes and these
_DIGEST_BYTES: Final = 32


class BadCid(ValueError):
    """The text is no CID of our form."""

    def __init__(self, text: str) -> None:
        super().__init__(text[: 2 * CID_CHARS])
        self.text = text[: 2 * CID_CHARS]

    def __str__(self) -> str:
        return f"no CIDv1 of a raw SHA-256 block in base32: {self.text!a}"


def cid_of_digest(digest: bytes) -> str:
    """The CID of the block whose SHA-256 is ``digest`` (32 bytes)."""
    if len(digest) != _DIGEST_BYTES:
        raise ValueError("a SHA-256 digest has 32 bytes")
    return "b" + b32encode(_PREFIX + digest).decode("ascii").rstrip("=").lower()


def cid_of(block: bytes) -> str:
    """The CID of ``block``: 59 characters."""
    return cid_of_digest(sha256(block).digest())


def digest_of(cid: str) -> bytes:
    """The SHA-256 digest that ``cid`` names: 32 bytes. Raises :class:`BadCid` for any other form."""
    text = cid[1:]
    if len(cid) != CID_CHARS or cid[0] != "b" or text.strip(_BASE32):
        raise BadCid(cid)
    number = int(text.translate(_TO_DIGITS), 32)
    raw = (number >> _SPARE_BITS).to_bytes(len(_PREFIX) + _DIGEST_BYTES, "big")
    if raw[: len(_PREFIX)] != _PREFIX or number & ((1 << _SPARE_BITS) - 1):
        raise BadCid(cid)
    return raw[len(_PREFIX) :]


def is_cid(text: str) -> bool:
    """Whether ``text`` is a CID of our form."""
    try:
        digest_of(text)
    except BadCid:
        return False
    return True
