"""What was asked once and is kept, within a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MOST_KEPT: Final = 20_000
"""Of each kind. A state that more is read of is forgotten and read again."""

Found = dict[bytes, bytes | None]


def asked(kept: Found, key: bytes, ask: Callable[[bytes], bytes | None]) -> bytes | None:
    """What is kept at ``key``, or what ``ask`` says of it, which is kept from now on."""
    try:
        return kept[key]
    except KeyError:
        value = ask(key)
        keep(kept, {key: value})
        return value


def keep(kept: Found, found: Found) -> None:
    """Put ``found`` to what is kept, which does not grow without bound."""
    if len(kept) + len(found) > MOST_KEPT:
        kept.clear()
    kept.update(found)
