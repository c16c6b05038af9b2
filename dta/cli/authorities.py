"""Naming an authority key on the command line."""

from __future__ import annotations

from dta.base import ids
from dta.base.errors import NotFound, UsageError
from dta.client.ledger.authority import every
from dta.client.ledger.ledger import Ledger


def resolve(ledger: Ledger, text: str) -> bytes:
    """The id of the key with this name, or of which these are the first digits: of those the ledger has, by proof.

    Raises NotFound, UsageError (several have the name).
    """
    known = every(ledger)
    named = [record.id for record in known if record.name == text]
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(f"several authority keys are called {text!r}", hint="give the id; see `dta authority list`")
    if ids.could_be(text):
        return ids.resolve(text, "authority key", lambda: [record.id for record in known])
    names = ", ".join(sorted(record.name for record in known)) or "none"
    raise NotFound(f"there is no authority key {text!r}", hint=f"the ledger has: {names}")
