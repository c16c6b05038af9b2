"""Validators as people name them to one another: name, identity, address, everywhere in this order.

A header has keys alone. Whose they are is said by a genesis, of its founders, and by proved leaves of the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dta.base.errors import JsonValue
from dta.light.types import Validator


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
        """Name and identity; the identity alone of somebody whose name is not known."""
        name = self.names.get(identity, "")
        return f"{name} {identity.hex()}" if name else identity.hex()


def line(row: Mapping[str, object]) -> str:
    """A row for a person: name, identity, address, power. What is not known is a dash."""
    return f"{row['name'] or '-'}  {row['identity'] or '-'}  {row['address'] or '-'}  power {row['power']}"
