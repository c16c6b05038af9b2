"""``dta contacts``: names for identities, from the people themselves and never from the ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from dta.base import ids
from dta.base.errors import UsageError
from dta.cli.custody import table
from dta.cli.session import session_of
from dta.client.names import NameBook, add_contact, load_contacts, remove_contact

Name = Annotated[str, typer.Argument(help="What this home calls it: lower-case letters, digits and -._")]


def add(
    context: typer.Context,
    name: Name,
    identity: Annotated[str, typer.Argument(help="Its id, all 64 digits, from the person by a way that you trust.")],
) -> None:
    """Give an identity a name in this home.

    What comes from it stands among the items of `dta inbox`, and no more below those of strangers.
    """
    session = session_of(context)
    if len(identity.strip()) != ids.DIGITS:
        raise UsageError(f"give all {ids.DIGITS} digits of the id", hint="get them from the person, not from a list")
    id_ = ids.resolve(identity, "identity")
    add_contact(session.home, name, id_)
    session.show({"name": name, "identity": id_.hex()}, [f"contact   {name}", f"identity  {id_.hex()}"])


def list_contacts(context: typer.Context) -> None:
    """List whom this home knows: contacts, founders, its own identities.

    A founder whose name is another's too, or reads as an id, has none here.
    """
    session = session_of(context)
    book, contacts, own = NameBook.of_home(session.home), load_contacts(session.home), session.home.profile_names()
    rows: list[dict[str, object]] = []
    for name, id_ in sorted(book.ids.items()):
        kind = "own" if name in own else "contact" if name in contacts else "founder"
        rows.append({"name": name, "is": kind, "identity": id_.hex()})
    named = set(book.ids.values())
    rows += [{"name": "", "is": "founder", "identity": id_.hex()} for id_ in book.fiduciaries if id_ not in named]
    session.show({"contacts": rows}, table(rows) or ["no contacts"])


def remove(context: typer.Context, name: Name) -> None:
    """Forget a name. Its identity is a stranger's from then on."""
    session = session_of(context)
    id_ = remove_contact(session.home, name)
    session.show({"name": name, "identity": id_.hex()}, [f"removed   {name}", f"identity  {id_.hex()}"])
