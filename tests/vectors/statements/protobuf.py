"""Canonical protobuf by an encoder of its own: the .proto files are the page, generated code is not looked at.

Canonical (docs/spec/transactions.md): fields by number, scalars at their default left out, shortest varints, repeated
numbers packed, messages that are there written even when empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.vectors.statements.rows import Msg, some

PROTO = Path(__file__).parents[3] / "proto" / "dta" / "v1"
NUMBERS = ("uint32", "uint64", "bool")


@dataclass(frozen=True)
class Field:
    number: int
    name: str
    type: str
    repeated: bool
    oneof: str


@dataclass(frozen=True)
class Schema:
    messages: dict[str, tuple[Field, ...]]
    enums: dict[str, tuple[int, ...]]

    def field(self, message: str, name: str) -> Field:
        return next(field for field in self.messages[message] if field.name == name)

    def alternatives(self, message: str) -> tuple[Field, ...]:
        """The fields of a message that are in a oneof."""
        return tuple(field for field in self.messages[message] if field.oneof)


@cache
def schema() -> Schema:
    messages: dict[str, tuple[Field, ...]] = {}
    enums: dict[str, tuple[int, ...]] = {}
    for file in sorted(PROTO.glob("*.proto")):
        text = re.sub(r"//[^\n]*", "", file.read_text())
        for name, body in re.findall(r"^enum (\w+) \{(.*?)\n?\}", text, re.M | re.S):
            enums[name] = tuple(int(number) for number in re.findall(r"\w+ = (\d+);", body))
        for name, body in re.findall(r"^message (\w+) \{([^\n]*\}$|.*?^\})", text, re.M | re.S):
            messages[name] = tuple(_fields(body))
    return Schema(messages, enums)


def _fields(body: str) -> list[Field]:
    inside = {
        line: oneof
        for oneof, within in re.findall(r"oneof (\w+) \{(.*?)\}", body, re.S)
        for line in re.findall(r"(\w+) = \d+;", within)
    }
    found = re.findall(r"(repeated |optional )?([\w.]+) (\w+) = (\d+);", body)
    fields = [
        Field(int(number), name, of, rule == "repeated ", inside.get(name, "")) for rule, of, name, number in found
    ]
    return sorted(fields, key=lambda field: field.number)


def encode(message: Msg) -> bytes:
    return _encode(message.type, message.fields)


def _encode(name: str, fields: dict[str, Any]) -> bytes:
    known = {field.name for field in schema().messages[name]}
    assert known >= fields.keys(), f"{name} has no {fields.keys() - known}"
    return b"".join(_field(field, fields[field.name]) for field in schema().messages[name] if field.name in fields)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def _field(field: Field, value: Any) -> bytes:
    if field.repeated:
        if field.type in NUMBERS or field.type in schema().enums:
            return delimited(field.number, b"".join(varint(int(item)) for item in value)) if value else b""
        return b"".join(delimited(field.number, _content(field, item)) for item in value)
    if field.type in NUMBERS or field.type in schema().enums:
        return varint(field.number << 3) + varint(int(value)) if value else b""
    if field.type in schema().messages:
        return delimited(field.number, _content(field, value))
    return delimited(field.number, _content(field, value)) if value else b""


def _content(field: Field, value: Any) -> bytes:
    if field.type in schema().messages:
        return _encode(field.type, value)
    return value.encode() if field.type == "string" else bytes(value)


def sample(name: str, seed: str = "", **chosen: Any) -> Msg:
    """A message with every field set (of a oneof the first), those of ``chosen`` as given."""
    return Msg(name, _sample(name, seed or name, chosen))


def _sample(name: str, seed: str, chosen: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    oneofs = {field.oneof for field in schema().messages[name] if field.name in chosen}
    for field in schema().messages[name]:
        if field.name in chosen:
            fields[field.name] = chosen[field.name]
        elif not field.oneof or field.oneof not in oneofs:
            oneofs.add(field.oneof)
            path = f"{seed}.{field.name}"
            fields[field.name] = (
                [_value(field, f"{path}.{n}") for n in (1, 2)] if field.repeated else _value(field, path)
            )
    return fields


def _value(field: Field, path: str) -> Any:
    drawn = int.from_bytes(sha256(path.encode()).digest()[:8], "big")
    if field.type in schema().messages:
        return _sample(field.type, path, {})
    if field.type in schema().enums:
        return max(1, drawn % len(schema().enums[field.type]))
    return {
        "bool": True,
        "uint32": 1 + drawn % 2**20,
        "uint64": 1 + drawn % 2**48,
        "bytes": some(path, 32),
        "string": f"{field.name}-{drawn % 100}",
    }[field.type]
