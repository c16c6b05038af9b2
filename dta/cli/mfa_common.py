"""What the commands of M-Pin share: realms by name or id, and days."""

from __future__ import annotations

import time
from typing import Annotated, TypeAlias

import typer

from abci_app.mfa import points
from dta.base.errors import UsageError

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
