"""What a call's parts mean: whom a text names, how long to wait, where a list goes on."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from fastapi import Header, Path, Query, Request

from abci_app import cid as cids
from dta.base import ids
from dta.base.errors import NotFound, UsageError
from dta.base.home import read_file
from dta.client.custody.session import Session
from dta.client.genesis import genesis_file
from dta.client.identity import by_document
from dta.client.identity.profile import load_document_block
from dta.client.names import NameBook
from dta.node.founding import publish
from dta.service.errors import BadCall
from dta.service.idempotency import MAX_KEY_CHARS
from dta.service.models.base import MAX_LIMIT, MAX_POLL_S, MAX_WAIT_S
from dta.service.workplace import Workplace

T = TypeVar("T")

_WAIT: Final = re.compile(r"wait=([0-9]{1,6})")

Prefer: TypeAlias = Annotated[
    str | None, Header(max_length=200, description=f"`wait=N` (seconds, {MAX_WAIT_S} at most) or `respond-async`")
]
IdempotencyKey: TypeAlias = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", max_length=MAX_KEY_CHARS, description="the same call again is never a second thing"
    ),
]
IdPath: TypeAlias = Annotated[str, Path(pattern="^[0-9a-f]{4,64}$", description="an id, or its first digits")]
WholeId: TypeAlias = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="an id")]
"""Of what a call changes: first digits lead where somebody else likes, who makes ids until one begins so."""

NamePath: TypeAlias = Annotated[str, Path(max_length=100, description="a name, an id, or its first digits")]
After: TypeAlias = Annotated[str | None, Query(max_length=100, description="`next` of the page before")]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Poll: TypeAlias = Annotated[int, Query(alias="wait", ge=0, le=MAX_POLL_S, description="seconds to wait for a change")]

Page: TypeAlias = Annotated[int | None, Query(ge=0, le=1_000_000, deprecated=True)]
PerPage: TypeAlias = Annotated[int | None, Query(alias="perPage", ge=1, le=MAX_LIMIT, deprecated=True)]
SortBy: TypeAlias = Annotated[
    Literal["dateCreatedAsc", "dateCreatedDsc", "dateCreatedDesc"] | None, Query(alias="sortBy", deprecated=True)
]


@dataclass(frozen=True, slots=True)
class OldPage:
    """A page as the original's callers ask for it: so many after so many. ``is_sorted``: they named an order."""

    start: int
    count: int
    is_sorted: bool
    is_descending: bool

    @staticmethod
    def of(request: Request, page: int | None, per_page: int | None, sort_by: str | None, limit: int) -> OldPage | None:
        """None where none of the original's parameters is given. Raises BadCall where others contradict them."""
        if page is None and per_page is None and sort_by is None:
            return None
        if "after" in request.query_params:
            raise BadCall(422, "a list goes by page, or by after")
        if per_page is not None and "limit" in request.query_params:
            raise BadCall(422, "a page has perPage entries, or limit")
        count = limit if per_page is None else per_page
        is_descending = sort_by in ("dateCreatedDsc", "dateCreatedDesc")
        return OldPage((page or 0) * count, count, sort_by is not None, is_descending)


def wait_of(prefer: str | None) -> float:
    """The seconds that the caller would wait (RFC 7240): 25 where it says nothing."""
    words = [word.strip() for word in (prefer or "").lower().split(",")]
    if "respond-async" in words:
        return 0.0
    for word in words:
        found = _WAIT.fullmatch(word)
        if found is not None:
            return float(min(int(found[1]), MAX_WAIT_S))
    return float(MAX_WAIT_S)


@dataclass(frozen=True, slots=True)
class People:
    """Whom texts mean, for one call."""

    workplace: Workplace
    session: Session
    names: NameBook

    @staticmethod
    def of(
        workplace: Workplace, session: Session, allows: Callable[[str], bool] | None = None
    ) -> People:
        """``allows``: which of this home's own identities the caller's credential may act for: no other is named."""
        names = workplace.names()
        if allows is not None:
            hidden = [name for name in workplace.home.profile_names() if not allows(name)]
            names = replace(names, ids={name: id_ for name, id_ in names.ids.items() if name not in hidden})
        return People(workplace, session, names)

    def resolve(self, text: str) -> bytes:
        """The id of a name, an id, its first digits, or the CID of a document it has or had. Raises as those do.

        Whom else this home knows is not said where nobody is called so: a credential may be for one identity of it.
        """
        if text in self.names.ids or ids.could_be(text):
            return self.names.resolve(text)
        if not is_cid(text):
            raise NotFound(f"nobody is called {text!r} here", hint="GET /v1/contacts lists names; or give the whole id")
        return by_document.identity_of(self.session.ledger, text, self.block)

    def block(self, cid: str) -> bytes:
        """A document's block: from the home, or a fiduciary's gateway."""
        for name in self.workplace.home.profile_names():
            own = load_document_block(self.workplace.home, name)
            if cids.cid_of(own) == cid:
                return own
        return self.session.blocks.fetch(cid, self.gateways())

    def gateways(self) -> list[str]:
        """Those of the fiduciaries that are active now, proved."""
        home = self.workplace.home
        genesis = genesis_file.read(read_file(home.genesis_file, "the genesis"))
        return publish.gateways_of(publish.fiduciaries(self.session.ledger, genesis))


def is_cid(text: str) -> bool:
    """Whether ``text`` is a CID as blocks here have them."""
    try:
        cids.digest_of(text)
    except ValueError:
        return False
    return True


def number_after(after: str | None) -> int:
    """Where a numbered list goes on. Raises BadCall."""
    if after is None:
        return 0
    if not after.isascii() or not after.isdigit() or len(after) > 9:
        raise BadCall(422, "`after` is `next` of the page before")
    return int(after)


def place_after(after: str | None) -> tuple[int, int]:
    """The same of a list that may go on within an entry: ``12`` after entry 12, ``12.3`` after number 3 in the next."""
    if after is None or "." not in after:
        return number_after(after), 0
    entry, _, within = after.partition(".")
    return number_after(entry), number_after(within)


def place_text(place: tuple[int, int] | None) -> str | None:
    """``next`` of such a list."""
    if place is None:
        return None
    return f"{place[0]}.{place[1]}" if place[1] else str(place[0])


def page_after(
    all_of_them: Sequence[T], names: Sequence[str], after: str | None, limit: int
) -> tuple[list[T], str | None]:
    """The page of a list after the entry called ``after``, and where the next one goes on. Raises BadCall."""
    start = 0
    if after is not None:
        if after not in names:
            raise BadCall(422, "`after` is `next` of the page before")
        start = names.index(after) + 1
    page = list(all_of_them[start : start + limit])
    end = start + len(page)
    return page, names[end - 1] if end < len(all_of_them) and page else None


def one_of(given: Sequence[str], what: str) -> str:
    """The one text that was given of several fields for the same thing; empty for none. Raises UsageError."""
    found = [text for text in given if text]
    if len(set(found)) > 1:
        raise UsageError(f"two different texts name {what}")
    return found[0] if found else ""


def bytes_of(base64: str | None, extension: Mapping[str, str], what: str) -> bytes | None:
    """Bytes that a body gives: in base64, or as text, ``extension.plainText``. None for neither. Raises BadCall."""
    if base64 is not None and "plainText" in extension:
        raise BadCall(422, f"{what} stands there twice: in base64 and as extension.plainText")
    if base64 is not None:
        try:
            return b64decode(base64, validate=True)
        except ValueError:
            raise BadCall(422, f"{what} is not base64") from None
    return extension["plainText"].encode("utf-8") if "plainText" in extension else None
