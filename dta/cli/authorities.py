"""Naming an authority key on the command line."""

from __future__ import annotations

from dta.base import ids
from dta.base.errors import NotFound
from dta.client.ledger.authority import every
from dta.client.ledger.ledger import Ledger


def resolve(ledger: Ledger, text: str) -> bytes:
    """The id of the key with this name, or of which these are the first digits: of those the ledger has, by proof.

    Raises NotFound, UsageError (several have the name, or it reads as another's id).
    """
    known = every(ledger)
    found = ids.named(text, "authority key", {record.id: record.name for record in known})
    if found is not None:
        return found
    names = ", ".join(sorted(record.name for record in known)) or "none"
    raise NotFound(f"there is no authority key {text!r}", hint=f"the ledger has: {names}")
