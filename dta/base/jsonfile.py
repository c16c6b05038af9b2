"""Strict reading of small JSON files of ours: a known format, known fields, none missing."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from typing import Any

from dta.base.errors import UsageError


class JsonFile:
    """A JSON object. ``what`` names the file in errors. Every reader raises UsageError naming the field."""

    def __init__(self, value: dict[str, Any], what: str) -> None:
        self._value = value
        self._what = what

    @staticmethod
    def parse(content: bytes, what: str, format_: str) -> JsonFile:
        """The object in ``content``, whose ``format`` must be ``format_``."""
        try:
            value = json.loads(content, object_pairs_hook=_no_duplicates)
        except (ValueError, RecursionError):
            raise UsageError(f"{what} is not JSON") from None
        if not isinstance(value, dict) or value.get("format") != format_:
            raise UsageError(f"{what} is not of the format {format_}", hint="is it the right file?")
        del value["format"]
        return JsonFile(value, what)

    def bad(self, name: str, expected: str) -> UsageError:
        """An error about the field ``name``."""
        return UsageError(f"{self._what} has no good {name}: expected {expected}", data={"field": name})

    def only(self, *names: str) -> None:
        """No other fields than these, and none missing."""
        if set(self._value) != set(names):
            wrong = ", ".join(sorted(set(self._value) ^ set(names)))
            raise UsageError(f"{self._what} has missing or unknown fields: {wrong}")

    def text(self, name: str, max_chars: int = 200) -> str:
        """A string of at most ``max_chars``."""
        value = self._value.get(name)
        if not isinstance(value, str) or len(value) > max_chars:
            raise self.bad(name, f"a string of at most {max_chars} characters")
        return value

    def texts(self, name: str, most: int, max_chars: int = 200) -> tuple[str, ...]:
        """A list of at most ``most`` strings."""
        value = self._value.get(name)
        if not isinstance(value, list) or len(value) > most:
            raise self.bad(name, f"a list of at most {most} strings")
        if not all(isinstance(one, str) and len(one) <= max_chars for one in value):
            raise self.bad(name, f"a list of strings of at most {max_chars} characters")
        return tuple(value)

    def number(self, name: str, least: int, most: int) -> int:
        """A whole number, ``least`` to ``most``."""
        value = self._value.get(name)
        if type(value) is not int or not least <= value <= most:
            raise self.bad(name, f"a whole number, {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._value.get(name)
        if type(value) is not bool:
            raise self.bad(name, "true or false")
        return value

    def hex(self, name: str, length_bytes: int) -> bytes:
        """``length_bytes`` in lower-case hex."""
        value = self._value.get(name)
        try:
            found = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            found = b""
        if len(found) != length_bytes or found.hex() != value:
            raise self.bad(name, f"{length_bytes} bytes in hex")
        return found

    def base64(self, name: str) -> bytes:
        """Bytes in standard base64."""
        value = self._value.get(name)
        try:
            return b64decode(value if isinstance(value, str) else "*", validate=True)
        except (binascii.Error, ValueError):
            raise self.bad(name, "bytes in base64") from None

    def table(self, name: str) -> dict[str, Any]:
        """An object as it is."""
        value = self._value.get(name)
        if not isinstance(value, dict):
            raise self.bad(name, "an object")
        return value

    def tables(self, name: str, most: int) -> list[JsonFile]:
        """A list of 1 to ``most`` objects."""
        found = self.entries(name, most)
        if not found:
            raise self.bad(name, f"a list of 1 to {most} objects")
        return found

    def entries(self, name: str, most: int) -> list[JsonFile]:
        """A list of at most ``most`` objects."""
        value = self._value.get(name)
        if not isinstance(value, list) or len(value) > most or not all(isinstance(v, dict) for v in value):
            raise self.bad(name, f"a list of at most {most} objects")
        return [JsonFile(entry, f"{self._what}, {name}[{index}]") for index, entry in enumerate(value)]


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return table
