"""Tokens of applications: ``dta_`` and 256 bits, shown once, kept as SHA-256 (docs/spec/rest.md, Access).

``serve/tokens/<SHA-256>.json``, mode 0600: the bits are random, so their bare digest gives nothing away. A file that is
gone is a token that is revoked, from the next call on.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from dta.base.errors import NotFound, UsageError
from dta.base.home import make_directory, read_file, write_file
from dta.base.jsonfile import JsonFile
from dta.base.place import PlaceFailure, failure

Scope: TypeAlias = Literal[
    "read", "order:write", "order:decide", "secret:read", "identity:write", "realm:write", "admin"
]
SCOPES: Final[tuple[str, ...]] = get_args(Scope)
EVERY_IDENTITY: Final = "*"
PREFIX: Final = "dta_"
_FORMAT: Final = "dta-serve-token-1"
_TOKEN_BYTES: Final = 32
_LENGTH: Final = len(PREFIX) + 43
_ID_DIGITS: Final = 16
_MAX_BYTES: Final = 16_384
_MAX_IDENTITIES: Final = 64


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token. ``digest``: SHA-256 of all of its characters. ``expires_at_s`` 0: never."""

    digest: bytes
    name: str
    scopes: frozenset[str]
    identities: tuple[str, ...]
    created_at_s: int
    expires_at_s: int

    @property
    def id(self) -> str:
        """How it is called in lists and in the audit file: not a secret."""
        return self.digest.hex()[:_ID_DIGITS]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A token's file that can't be read: it lets nobody in. ``why``: what is wrong with it."""

    id: str
    why: str


class TokenStore:
    """The tokens of one home."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(
        self, *, name: str, scopes: frozenset[str], identities: tuple[str, ...], now_s: int, expires_at_s: int
    ) -> tuple[Token, str]:
        """A new token, and its characters, which nobody can say again. Raises UsageError."""
        unknown = sorted(scopes - set(SCOPES))
        if unknown or not scopes:
            raise UsageError(
                f"no such scope: {', '.join(unknown)}" if unknown else "a token without a scope allows nothing",
                hint=f"scopes: {', '.join(SCOPES)}",
            )
        if not identities:
            raise UsageError("a token without an identity allows nothing", hint="--identity NAME, or '*' for all")
        shown = PREFIX + urlsafe_b64encode(secrets.token_bytes(_TOKEN_BYTES)).rstrip(b"=").decode("ascii")
        token = Token(sha256(shown.encode()).digest(), name, scopes, identities, now_s, expires_at_s)
        content = {
            "format": _FORMAT, "name": name, "scopes": sorted(scopes), "identities": list(identities),
            "created_at_s": now_s, "expires_at_s": expires_at_s,
        }  # fmt: skip
        encoded = json.dumps(content, indent=1).encode()
        # One that can't be read again would be in the way of every list, and of who revokes another.
        if len(encoded) > _MAX_BYTES or _parsed(encoded, "a token", token.digest) != token:
            raise UsageError("a token says less of whom it is for", hint=f"{_MAX_BYTES} bytes in all")
        make_directory(self._directory)
        write_file(self._path(token.digest), encoded)
        return token, shown

    def find(self, shown: str, now_s: int) -> Token | None:
        """The token of these characters; None for one that is none of ours, is revoked, or is over."""
        if not shown.startswith(PREFIX) or len(shown) != _LENGTH or not shown.isascii():
            return None
        path = self._path(sha256(shown.encode()).digest())
        if not path.exists():
            return None
        try:
            token = _read(path)
        except PlaceFailure:
            raise
        except UsageError:  # damaged, or revoked just now
            return None
        return None if token.expires_at_s and token.expires_at_s <= now_s else token

    def all(self) -> list[Token | Unreadable]:
        """Those that are not revoked, oldest first; then files that can't be read: none hides another token."""
        found, unreadable = [], []
        for path in self._directory.glob("*.json"):
            try:
                found.append(_read(path))
            except UsageError as error:
                unreadable.append(Unreadable(_id_of(path), error.message))
        found.sort(key=lambda token: (token.created_at_s, token.digest))
        return [*found, *sorted(unreadable, key=lambda one: one.id)]

    def revoke(self, id_: str) -> Token | Unreadable:
        """Revokes the token with this id, for ever: by its file's name, whatever is in that or in another. Raises
        NotFound, UsageError (it can't be taken away)."""
        gone: Token | Unreadable | None = None
        for path in self._directory.glob("*.json"):
            if _id_of(path) != id_:
                continue
            try:
                gone = _read(path)
            except UsageError as error:
                gone = Unreadable(id_, error.message)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise failure(error, f"can't remove {path}") from error
        if gone is None:
            raise NotFound(f"there is no token {id_}", hint="`dta serve token list` shows those there are")
        return gone

    def _path(self, digest: bytes) -> Path:
        return self._directory / f"{digest.hex()}.json"


def _id_of(path: Path) -> str:
    return path.stem[:_ID_DIGITS]


def _read(path: Path) -> Token:
    try:
        digest = bytes.fromhex(path.stem)
    except ValueError:
        raise UsageError(f"{path} has no token's name") from None
    return _parsed(read_file(path, "a token's record", _MAX_BYTES), str(path), digest)


def _parsed(content: bytes, what: str, digest: bytes) -> Token:
    """Raises UsageError, which calls it ``what``."""
    file = JsonFile.parse(content, what, _FORMAT)
    file.only("name", "scopes", "identities", "created_at_s", "expires_at_s")
    return Token(
        digest, file.text("name"), frozenset(file.texts("scopes", len(SCOPES))),
        file.texts("identities", _MAX_IDENTITIES),
        file.number("created_at_s", 0, 1 << 53), file.number("expires_at_s", 0, 1 << 53),
    )  # fmt: skip
