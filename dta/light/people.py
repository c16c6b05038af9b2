"""Validators as people name them to one another: name, identity, address, everywhere in this order.

A header has keys alone. Whose they are is said by a genesis, of its founders, and by proved leaves of the state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dta.base.errors import JsonValue
from dta.light.types import Validator

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DIGITS = re.compile(r"[0-9A-Fa-f]{8,}")


@dataclass(frozen=True)
class People:
    """``names``: identity (32 bytes) -> its document's name. ``owners``: a validator's address (20) -> identity."""

    names: Mapping[bytes, str] = field(default_factory=dict)
    owners: Mapping[bytes, bytes] = field(default_factory=dict)

    def __or__(self, newer: People) -> People:
        """Both; where they differ, ``newer``."""
        return People({**self.names, **newer.names}, {**self.owners, **newer.owners})

    def row(self, validator: Validator) -> dict[str, JsonValue]:
        """``name``, ``identity``, ``address``, ``public_key`` (hex) and ``power``; empty what is not known."""
        identity = self.owners.get(validator.address, b"")
        return {
            "name": self.names.get(identity, ""), "identity": identity.hex(), "address": validator.address.hex(),
            "public_key": validator.public_key.hex(), "power": validator.power,
        }  # fmt: skip

    def rows(self, validators: Iterable[Validator]) -> list[dict[str, JsonValue]]:
        """A row each."""
        return [self.row(validator) for validator in validators]

    def named(self, identity: bytes) -> str:
        """Name and identity; the identity alone of somebody whose name is not known. Of a name that others have too it
        is said: everybody chooses their own."""
        name = self.names.get(identity, "")
        if not name:
            return identity.hex()
        others = sum(1 for other, known in self.names.items() if other != identity and known.lower() == name.lower())
        shared = f" (a name that {others} more {'have' if others > 1 else 'has'} here)" if others else ""
        return f"{spoken(name)} {identity.hex()}{shared}"


def spoken(name: str) -> str:
    """A name as it stands in a line: in quotes unless it is one plain word, which no id, address or dash looks like.

    Whoever is named chose it: ``alice 3f2a...`` before the own id would be read as Alice's.
    """
    return name if _PLAIN.fullmatch(name) and not _DIGITS.fullmatch(name) else json.dumps(name)


def line(row: Mapping[str, object]) -> str:
    """A row for a person: name, identity, address, power. What is not known is a dash."""
    name = spoken(str(row["name"])) if row["name"] else "-"
    return f"{name}  {row['identity'] or '-'}  {row['address'] or '-'}  power {row['power']}"
