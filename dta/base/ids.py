"""Ids as people give them: 64 hex digits, or the first few of one that is known; everywhere with the same words.

What is known is asked for only when first digits were given, source by source: the first that knows one answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

from abci_app.limits import ID_BYTES
from dta.base.errors import JsonValue, NotFound, UsageError

MIN_DIGITS = 4
DIGITS = 2 * ID_BYTES
_SHOWN_MATCHES = 4
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
            shown = ", ".join(id_.hex()[: len(plain) + 8] for id_ in matches[:_SHOWN_MATCHES])
            more = f" and {len(matches) - _SHOWN_MATCHES} more" if len(matches) > _SHOWN_MATCHES else ""
            listed: list[JsonValue] = [id_.hex() for id_ in matches]
            raise IdAmbiguous(
                f"{text!r} is the beginning of {len(matches)} ids of a {what}",
                hint=f"give more digits: {shown}{more}", data={"matches": listed},
            )  # fmt: skip
    raise IdUnknown(f"no {what} is known here whose id begins with {text!r}", hint=f"give all {DIGITS} digits")
