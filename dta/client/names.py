"""Names for identities: this home's own, the founders of genesis, and ``contacts.toml``, an address book by hand.

On the ledger a name proves nothing: what counts is the id. So names are looked up locally only, and every command
shows the id beside the name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from abci_app.crypto import statements
from abci_app.limits import ID_BYTES
from dta.base import ids
from dta.base.config import read_toml
from dta.base.errors import NotFound, UsageError
from dta.base.home import Home, checked_profile_name, read_file, toml_string, write_file
from dta.client.genesis import genesis_file
from dta.client.identity.profile import load_profile

CONTACTS_FILE = "contacts.toml"
_SHORT = 12  # digits of an id beside a name
_HEX = re.compile(r"[0-9a-f]+")


@dataclass
class NameBook:
    """Names and ids, both ways. ``fiduciaries``: the founders, in genesis' order."""

    ids: dict[str, bytes] = field(default_factory=dict)
    fiduciaries: tuple[bytes, ...] = ()

    @staticmethod
    def of_home(home: Home) -> NameBook:
        """Founders first, then contacts, then this home's own identities: the later one keeps a name."""
        book = NameBook()
        if home.genesis_file.exists():
            book = NameBook.of_genesis(read_file(home.genesis_file, "the genesis file"))
        book.ids |= load_contacts(home)
        for name in home.profile_names():
            book.ids[name] = load_profile(home, name).identity
        return book

    @staticmethod
    def of_genesis(content: bytes) -> NameBook:
        """The founders whom a genesis file names. Raises UsageError for what is none.

        They chose their names themselves: one that two have, or that reads as an id's digits, names nobody here.
        """
        names, founders = _founders(content)
        return NameBook(dict(names), founders)

    def resolve(self, text: str) -> bytes:
        """The id of a name, of 64 hex digits, or of the first 4 or more of a known id. Raises NotFound, UsageError."""
        known_ids = dict.fromkeys((*self.fiduciaries, *self.ids.values()), "")
        # One name each is enough: that which was given, where it is one.
        found = ids.named(text, "identity", known_ids | ({self.ids[text]: text} if text in self.ids else {}))
        if found is not None:
            return found
        known = ", ".join(sorted(self.ids)) or "none"
        raise NotFound(
            f"nobody is called {text!r} here",
            hint=f"known names: {known}; `dta contacts add` adds one, or give the id's 64 hex digits",
        )

    def known(self) -> frozenset[bytes]:
        """Everybody in it: whom what concerns this home comes from that is not listed apart (dta/client/inbox)."""
        return frozenset((*self.ids.values(), *self.fiduciaries))

    def name_of(self, id_: bytes) -> str:
        """What this home calls ``id_``, with the id's first digits; the digits alone for a stranger."""
        names = [name for name, known in self.ids.items() if known == id_]
        short = id_.hex()[:_SHORT]
        return f"{names[-1]} ({short})" if names else short


def load_contacts(home: Home) -> dict[str, bytes]:
    """``contacts.toml``: name -> id. Empty where there is none. Raises UsageError."""
    path = home.path / CONTACTS_FILE
    if not path.exists():
        return {}
    found = {}
    for name, value in read_toml(path).items():
        if not isinstance(value, str) or not _HEX.fullmatch(value) or len(value) != 2 * ID_BYTES:
            raise UsageError(f"{path}: {name} is not an id of {2 * ID_BYTES} hex digits")
        found[name] = bytes.fromhex(value)
    return found


def check_free(home: Home, name: str) -> None:
    """Raises UsageError where an identity of this home can't be called so: somebody else is, or it reads as an id.

    An own identity keeps a name before all others: what is meant for whoever had it would be for that one.
    """
    known = NameBook.of_home(home).ids.get(_name(name))
    if known is not None:
        raise UsageError(f"{name} is {known.hex()} already", hint="choose another name, or remove that contact first")


def _name(name: str) -> str:
    if ids.could_be(name) and len(name) >= _SHORT:
        raise UsageError(f"{name!r} reads as the id of somebody else", hint="choose one that is no row of hex digits")
    return checked_profile_name(name)


def add_contact(home: Home, name: str, id_: bytes) -> None:
    """Adds a name to ``contacts.toml``. Raises UsageError for a name that stands for somebody else already.

    One of this home's own or a founder's among them: what a person reads would be ambiguous; so would a name that
    reads as the digits of an id, which is refused as well.
    """
    contacts = load_contacts(home)
    known = contacts.get(_name(name)) or NameBook.of_home(home).ids.get(name)
    if known is not None and known != id_:
        raise UsageError(f"{name} is {known.hex()} already", hint="choose another name, or remove that one first")
    write_file(home.path / CONTACTS_FILE, _contacts_toml({**contacts, name: id_}.items()))


def remove_contact(home: Home, name: str) -> bytes:
    """Takes a name out of ``contacts.toml``; whose it was. Raises NotFound where it is not in it, UsageError."""
    contacts = load_contacts(home)
    if name not in contacts:
        raise NotFound(f"no contact is called {name!r}", hint="`dta contacts list` has those there are")
    gone = contacts.pop(name)
    write_file(home.path / CONTACTS_FILE, _contacts_toml(contacts.items()))
    return gone


def _contacts_toml(contacts: Iterable[tuple[str, bytes]]) -> bytes:
    lines = ["# Whom this home calls what. Ids come from the people themselves, by a way that you trust."]
    lines += [f'{toml_string(name)} = "{id_.hex()}"' for name, id_ in sorted(contacts)]
    return ("\n".join(lines) + "\n").encode("utf-8")


@lru_cache(maxsize=4)
def _founders(content: bytes) -> tuple[tuple[tuple[str, bytes], ...], tuple[bytes, ...]]:
    """Names and ids, of a genesis file's bytes: what takes a pairing for each founder is not done for each command."""
    documents = [read.document for read in genesis_file.read(content).documents()]
    founders = tuple(statements.identity_id(document) for document in documents)
    called = Counter(document.name for document in documents)
    named = (
        (document.name, id_) for document, id_ in zip(documents, founders, strict=True)
        if called[document.name] == 1 and not (ids.could_be(document.name) and len(document.name) >= _SHORT)
    )  # fmt: skip
    return tuple(named), founders
