"""``age1dta1...``: an order as something that files are encrypted to, offline; and what stands in a file's header.

A recipient has all that encrypting takes, and nothing secret. The identity (``AGE-PLUGIN-DTA-1...``) has the same
content: what opens a file is on the ledger, for whom it releases to. docs/spec/age.md.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from abci_app.authority.bases import custody_point
from abci_app.crypto.curve import G1, G2, BadPoint
from abci_app.hashing import tagged
from abci_app.limits import ID_BYTES
from dta.age import bech32
from dta.age.bech32 import NotBech32
from dta.base.secret import SecretBytes
from dta.crypto import ibe
from dta.crypto.ibe import CannotDecrypt, Ciphertext
from dta.crypto.proofs import RandomBytes

VERSION: Final = 1
RECIPIENT_PREFIX: Final = "age1dta"
IDENTITY_PREFIX: Final = "age-plugin-dta-"
STANZA_TYPE: Final = "dta"
FILE_KEY_BYTES: Final = 16
_BYTES: Final = 1 + 4 * ID_BYTES + G2.BYTES
STANZA_BODY_BYTES: Final = ibe.OVERHEAD_BYTES + FILE_KEY_BYTES


class NotARecipient(ValueError):
    """``reason``: what is wrong with the text: one of NotBech32's, or ``prefix``, ``length``, ``version``, ``key``."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is no recipient or identity of age-plugin-dta: {reason}")
        self.reason = reason


class BadStanza(ValueError):
    """A stanza of ours is not of our form. ``reason``: ``arguments``, ``version``, ``body``."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the file's header has a malformed stanza of age-plugin-dta: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Stanza:
    """A stanza of a file's header, as text and bytes."""

    kind: str
    arguments: Sequence[str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Named:
    """Which order a stanza is for, on which ledger: the genesis id and the order's id, 32 bytes each."""

    gid: bytes
    order: bytes

    @property
    def bound(self) -> bytes:
        """What the wrapped file key is bound to."""
        return tagged("DTA-v1-age-stanza", bytes([VERSION]), self.gid, self.order)


@dataclass(frozen=True, slots=True)
class Recipient:
    """An order under a custody key. ``identity``: what it is encrypted to, 32 bytes; ``public_key``: s*g2."""

    gid: bytes
    authority: bytes
    order: bytes
    identity: bytes
    public_key: G2

    def encode(self) -> str:
        """``age1dta1...``."""
        return bech32.encode(RECIPIENT_PREFIX, self._content())

    def encode_identity(self) -> str:
        """``AGE-PLUGIN-DTA-1...``."""
        return bech32.encode(IDENTITY_PREFIX, self._content()).upper()

    def _content(self) -> bytes:
        ids = self.gid + self.authority + self.order + self.identity
        return bytes([VERSION]) + ids + self.public_key.encode()

    @property
    def names(self) -> Named:
        return Named(self.gid, self.order)

    def wrap(self, file_key: SecretBytes, random_bytes: RandomBytes = secrets.token_bytes) -> Stanza:
        """The file key encrypted to the order: whoever gets the order's key opens it."""
        to = ibe.Recipient(self.identity, custody_point(self.identity), self.authority, self.public_key)
        body = ibe.encrypt(to, file_key, random_bytes, bound=self.names.bound).encode()
        return Stanza(STANZA_TYPE, (str(VERSION), _base64(self.gid), _base64(self.order)), body)


def decode_recipient(text: str) -> Recipient:
    """``age1dta1...``. Raises :class:`NotARecipient`."""
    return _decode(RECIPIENT_PREFIX, text)


def decode_identity(text: str) -> Recipient | None:
    """``AGE-PLUGIN-DTA-1...``; None for the one without content, which is for every order that this home may open.

    Raises :class:`NotARecipient`.
    """
    if text.lower() == bech32.encode(IDENTITY_PREFIX, b""):
        return None
    return _decode(IDENTITY_PREFIX, text)


def _decode(prefix: str, text: str) -> Recipient:
    try:
        found, content = bech32.decode(text)
    except NotBech32 as error:
        raise NotARecipient(error.reason) from None
    if found != prefix:
        raise NotARecipient("prefix")
    if content[:1] != bytes([VERSION]):
        raise NotARecipient("version")
    if len(content) != _BYTES:
        raise NotARecipient("length")
    ids = [content[1 + place * ID_BYTES : 1 + (place + 1) * ID_BYTES] for place in range(4)]
    try:
        public_key = G2.decode(content[1 + 4 * ID_BYTES :])
    except BadPoint:
        raise NotARecipient("key") from None
    return Recipient(ids[0], ids[1], ids[2], ids[3], public_key)


def read_stanza(stanza: Stanza) -> tuple[Named, Ciphertext]:
    """A stanza whose kind is ours: which order, and the wrapped file key. Raises :class:`BadStanza`."""
    if len(stanza.arguments) != 3:
        raise BadStanza("arguments")
    if stanza.arguments[0] != str(VERSION):
        raise BadStanza("version")
    gid, order = (_id(argument) for argument in stanza.arguments[1:])
    if len(stanza.body) != STANZA_BODY_BYTES:
        raise BadStanza("body")
    return Named(gid, order), Ciphertext.decode(stanza.body)


def unwrap(to: ibe.Recipient, key: G1, named: Named, wrapped: Ciphertext) -> SecretBytes:
    """The file key. Raises :class:`dta.crypto.ibe.CannotDecrypt`: it was changed, or is of another order."""
    file_key = ibe.decrypt(to, key, wrapped, bound=named.bound)
    if len(file_key) != FILE_KEY_BYTES:
        raise CannotDecrypt("a file key has another length")
    return file_key


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii").rstrip("=")


def _id(text: str) -> bytes:
    try:
        data = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except NotBase64:
        raise BadStanza("arguments") from None
    if len(data) != ID_BYTES or _base64(data) != text:
        raise BadStanza("arguments")
    return data
