"""What a row is, how bytes are put together before they are hashed, and how a row's inputs can be changed.

This directory says every statement of the system again, from docs/spec and proto/dta/v1 alone: it imports nothing of
``abci_app`` and ``dta`` (tests/vectors/test_statements.py looks), so that what both sides of our code compute by one
function is computed by another one here.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256, sha384, shake_256
from typing import Any

import py_arkworks_bls12381 as arkworks

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


# --- values ---------------------------------------------------------------------------------------------------


class PointBytes(bytes):
    """The compressed encoding of a point: what is put in its place has to be a point too."""


@dataclass(frozen=True)
class Msg:
    """A protobuf message of proto/dta/v1: its type and the fields that are set (messages in it are plain dicts)."""

    type: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Stated:
    """``covered`` is what is hashed or signed; ``result`` what comes of it; ``how`` says by what."""

    covered: bytes
    result: bytes
    how: str = "as it is"


class Refused(ValueError):
    """The page allows no such inputs."""


@dataclass(frozen=True)
class Row:
    """One statement with inputs. ``ignored``: inputs that by the page make no difference (``path`` or ``path change``).

    ``tags``: every domain separator that goes into it; ``page``: where it is specified.
    """

    name: str
    tags: tuple[str, ...]
    page: str
    inputs: dict[str, Any]
    restate: Callable[..., Stated]
    ignored: tuple[str, ...] = ()

    def stated(self) -> Stated:
        return self.restate(**self.inputs)


@dataclass
class Rows:
    """The rows of one module."""

    page: str
    rows: list[Row] = field(default_factory=list)

    def row(
        self, name: str, /, *tags: str, page: str = "", ignored: tuple[str, ...] = (), **inputs: Any
    ) -> Callable[[Callable[..., Stated]], Callable[..., Stated]]:
        """Decorates the function that restates it, which takes the inputs by their names."""

        def add(restate: Callable[..., Stated]) -> Callable[..., Stated]:
            self.rows.append(Row(name, tags, page or self.page, inputs, restate, ignored))
            return restate

        return add


# --- encodings ------------------------------------------------------------------------------------------------

SAID: set[str] = set()
"""The domain separators that went into what was restated since this was cleared: a row names exactly those."""


def said(separator: str) -> bytes:
    SAID.add(separator)
    return separator.encode("ascii")


def some(name: str, length: int = 32) -> bytes:
    """Bytes that stand for something called ``name``."""
    return shake_256(name.encode()).digest(length)


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def prefixed(*parts: bytes) -> bytes:
    return b"".join(u32(len(part)) + part for part in parts)


def tagged(tag: str, *parts: bytes) -> bytes:
    """docs/spec/authority.md: u32(len(tag)) | tag | u32(len(p1)) | p1 | ..."""
    return prefixed(said(tag), *parts)


def plain(covered: bytes) -> Stated:
    return Stated(covered, covered)


def statement(tag: str, *parts: bytes) -> Stated:
    return plain(tagged(tag, *parts))


def digest(tag: str, *parts: bytes) -> Stated:
    """H(tag, ...)."""
    covered = tagged(tag, *parts)
    return Stated(covered, sha256(covered).digest(), "SHA-256")


def h(tag: str, *parts: bytes) -> bytes:
    return digest(tag, *parts).result


def scalar(number: int) -> bytes:
    return (number % ORDER).to_bytes(32, "big")


def wide(covered: bytes) -> int:
    """SHA-384, 48 bytes, big-endian, reduced."""
    return int.from_bytes(sha384(covered).digest(), "big") % ORDER


def challenge(tag: str, *parts: bytes) -> Stated:
    covered = tagged(tag, *parts)
    return Stated(covered, scalar(wide(covered)), "SHA-384 modulo r")


def hkdf(material: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256, without salt."""
    key = hmac.digest(bytes(32), material, "sha256")
    out, block, number = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([number]), "sha256")
        out, number = out + block, number + 1
    return out[:length]


# --- the curve, by arkworks (ours is blst) --------------------------------------------------------------------


def _group(data: bytes) -> Any:
    return arkworks.G1Point if len(data) == 48 else arkworks.G2Point


def times(point: bytes, factor: int) -> PointBytes:
    product = _group(point).from_compressed_bytes(bytes(point)) * arkworks.Scalar(factor % ORDER)
    return PointBytes(product.to_compressed_bytes())


def plus(left: bytes, right: bytes) -> PointBytes:
    total = _group(left).from_compressed_bytes(bytes(left)) + _group(right).from_compressed_bytes(bytes(right))
    return PointBytes(total.to_compressed_bytes())


def g1(factor: int = 1) -> PointBytes:
    return PointBytes((arkworks.G1Point() * arkworks.Scalar(factor)).to_compressed_bytes())


def g2(factor: int = 1) -> PointBytes:
    return PointBytes((arkworks.G2Point() * arkworks.Scalar(factor)).to_compressed_bytes())


def hash_g1(message: bytes, dst: str) -> PointBytes:
    """RFC 9380, BLS12381G1_XMD:SHA-256_SSWU_RO_ with the whole tag as DST."""
    return PointBytes(arkworks.G1Point.hash_to_curve(message, said(dst)).to_compressed_bytes())


def hash_g2(message: bytes, dst: str) -> PointBytes:
    return PointBytes(arkworks.G2Point.hash_to_curve(message, said(dst)).to_compressed_bytes())


# --- changing inputs ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One change of one input. ``reshaped``: the value has another form or length, which may be refused outright."""

    path: str
    what: str
    value: Any
    reshaped: bool = False

    def is_among(self, ignored: tuple[str, ...]) -> bool:
        parts = self.path.split(".")
        names = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        return f"{self.path} {self.what}" in ignored or any(name in ignored for name in names)


def changes(value: Any, path: str = "") -> Iterator[Change]:
    """Every field of ``value`` changed and dropped, one at a time, to any depth."""
    if isinstance(value, bool):
        yield Change(path, "turned", not value)
    elif isinstance(value, int):
        yield Change(path, "one more", value + 1)
        if value:
            yield Change(path, "zero", 0, reshaped=True)
    elif isinstance(value, str):
        yield Change(path, "longer", value + "x", reshaped=True)
        yield Change(path, "empty", "", reshaped=True)
    elif isinstance(value, bytes):
        yield from _changes_of_bytes(value, path)
    elif isinstance(value, list):
        yield from _changes_of_list(value, path)
    elif isinstance(value, dict):
        yield from _changes_of_fields(value, path, may_lack=False)
    elif isinstance(value, Msg):
        for change in _changes_of_fields(value.fields, path, may_lack=True):
            yield Change(change.path, change.what, Msg(value.type, change.value), change.reshaped)


def _changes_of_bytes(value: bytes, path: str) -> Iterator[Change]:
    if isinstance(value, PointBytes):
        yield Change(path, "another point", g1(1_001) if len(value) == 48 else g2(1_001))
        return
    if value:
        yield Change(path, "last bit", value[:-1] + bytes([value[-1] ^ 1]))
        yield Change(path, "first bit", bytes([value[0] ^ 0x80]) + value[1:])
        yield Change(path, "empty", b"", reshaped=True)
    yield Change(path, "longer", value + b"\1", reshaped=True)


def _changes_of_list(value: list[Any], path: str) -> Iterator[Change]:
    for place, item in enumerate(value):
        for change in changes(item, path):
            with_it = [*value[:place], change.value, *value[place + 1 :]]
            yield Change(change.path, change.what, with_it, change.reshaped)
        yield Change(path, "one less", value[:place] + value[place + 1 :], reshaped=True)
    if len(value) > 1:
        yield Change(path, "swapped", [value[1], value[0], *value[2:]])
    if value:
        yield Change(path, "one twice", [*value, value[-1]], reshaped=True)


def _changes_of_fields(fields: dict[str, Any], path: str, may_lack: bool) -> Iterator[Change]:
    for name, value in fields.items():
        inner = f"{path}.{name}" if path else name
        for change in changes(value, inner):
            yield Change(change.path, change.what, {**fields, name: change.value}, change.reshaped)
        if isinstance(value, dict) and may_lack:  # a message in a message: absent is not the same as empty
            yield Change(inner, "absent", {key: each for key, each in fields.items() if key != name}, reshaped=True)
            if value:
                yield Change(inner, "nothing in it", {**fields, name: {}}, reshaped=True)
