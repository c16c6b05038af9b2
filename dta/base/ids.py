"""Ids as people give them: 64 hex digits, or the first few of one that is known; everywhere with the same words.

What is known is asked for only when first digits were given, source by source: the first that knows one answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from abci_app.limits import ID_BYTES
from dta.base.errors import JsonValue, NotFound, UsageError

MIN_DIGITS = 4
DIGITS = 2 * ID_BYTES
_SHOWN_MATCHES = 4
_MORE_DIGITS = 8
_HEX = re.compile(r"[0-9a-f]+")

Source: TypeAlias = Callable[[], Iterable[bytes]]
"""Ids that are known somewhere."""


class NotAnId(UsageError):
    """What was given is no id and no beginning of one."""

    kind = "not-an-id"


class IdTooShort(UsageError):
    """Too few digits to be looked up."""

    kind = "id-too-short"


class IdAmbiguous(UsageError):
    """Several known ids begin so. ``data``: ``matches``, all of them."""

    kind = "id-ambiguous"


class IdUnknown(NotFound):
    """No known id begins so."""

    kind = "id-unknown"


def could_be(text: str) -> bool:
    """Whether ``text`` can be an id, or the beginning of one, at all."""
    plain = text.strip().lower()
    return len(plain) <= DIGITS and _HEX.fullmatch(plain) is not None


def named(text: str, what: str, known: Mapping[bytes, str]) -> bytes | None:
    """The id of the one of ``known`` (id -> name) that is called ``text`` or whose id is, or begins with, ``text``.

    None: nobody is called so, and it is no beginning of an id. Whoever has a name may have chosen one that reads as
    somebody else's id: 64 digits are never a name, and where name and digits mean two, neither is taken. Raises what
    :func:`resolve` raises.
    """
    plain = text.strip().lower()
    called = [id_ for id_, name in known.items() if name == text]
    if called and (not could_be(text) or len(plain) < DIGITS):
        begun = [id_ for id_ in known if len(plain) >= MIN_DIGITS and id_.hex().startswith(plain)]
        if len(meant := sorted({*called, *begun})) > 1:
            raise _ambiguous(f"{text!r} means {len(meant)} {what}s, by name or first digits", meant, DIGITS)
        return called[0]
    return resolve(text, what, lambda: known) if could_be(text) else None


def resolve(text: str, what: str, *sources: Source) -> bytes:
    """The id (32 bytes) of a ``what``, such as ``order``. All 64 digits are taken as they are, known or not.

    Raises NotAnId, IdTooShort, IdAmbiguous, IdUnknown.
    """
    plain = text.strip().lower()
    if not could_be(text):
        raise NotAnId(f"{text!r} is not the id of a {what}", hint=f"ids have {DIGITS} hex digits; the first few do")
    if len(plain) == DIGITS:
        return bytes.fromhex(plain)
    if len(plain) < MIN_DIGITS:
        raise IdTooShort(f"{text!r} is too short for the id of a {what}", hint=f"give {MIN_DIGITS} digits or more")
    for source in sources:
        matches = sorted({id_ for id_ in source() if id_.hex().startswith(plain)})
        if len(matches) == 1:
            return matches[0]
        if matches:
            said = f"{text!r} is the beginning of {len(matches)} ids of a {what}"
            raise _ambiguous(said, matches, len(plain) + _MORE_DIGITS)
    raise IdUnknown(f"no {what} is known here whose id begins with {text!r}", hint=f"give all {DIGITS} digits")


def _ambiguous(said: str, matches: list[bytes], digits: int) -> IdAmbiguous:
    shown = ", ".join(id_.hex()[:digits] for id_ in matches[:_SHOWN_MATCHES])
    more = f" and {len(matches) - _SHOWN_MATCHES} more" if len(matches) > _SHOWN_MATCHES else ""
    listed: list[JsonValue] = [id_.hex() for id_ in matches]
    return IdAmbiguous(said, hint=f"give more digits: {shown}{more}", data={"matches": listed})
