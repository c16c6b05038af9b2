"""What the commands of M-Pin share: realms by name or id, and days."""

from __future__ import annotations

import time
from typing import Annotated, TypeAlias

import typer

from abci_app.mfa import points
from abci_app.state.records import REALMS
from dta.base import ids
from dta.base.errors import NotFound, UsageError
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger
from dta.client.mfa.realms import known

RealmName: TypeAlias = Annotated[str, typer.Argument(help="The realm: its name, its id, or the id's first digits.")]
RealmOption: TypeAlias = Annotated[str, typer.Option("--realm", help="The realm: its name, its id, or first digits.")]
Day: TypeAlias = Annotated[str, typer.Option(help="today, tomorrow (UTC), or the number of a day since 1970-01-01.")]


def day_number(text: str) -> int:
    """A day by name or number. Raises UsageError."""
    today = points.day_of(int(time.time()))
    named = {"today": today, "tomorrow": today + 1, "yesterday": today - 1}
    if text in named:
        return named[text]
    if not text.isascii() or not text.isdigit() or int(text) >= 2**32:
        raise UsageError(f"{text!r} is no day", hint="today, tomorrow, or days since 1970-01-01")
    return int(text)


def find_realm(ledger: Ledger, text: str) -> bytes:
    """A realm's id. Raises NotFound, UsageError (several have that name, or it reads as another's id)."""
    if len(text) == ids.DIGITS and ids.could_be(text):
        return ids.resolve(text, "realm")
    names = {realm: ledger.get(leaves.of(REALMS, realm)).terms.name for realm in known(ledger)}
    found = ids.named(text, "realm", names)
    if found is not None:
        return found
    raise NotFound(f"there is no realm {text!r}", hint="`dta mfa realm list` shows them")
