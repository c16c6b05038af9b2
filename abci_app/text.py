"""Text in consensus: ASCII only, checked by explicit tables (Unicode tables differ between Python versions)."""

from __future__ import annotations

from typing import Final

_PRINTABLE: Final = frozenset(map(chr, range(0x20, 0x7F)))
_NAME: Final = _PRINTABLE
_LABEL: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")
_URL: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/[]")


def _made_of(text: str, table: frozenset[str], max_chars: int) -> bool:
    return 0 < len(text) <= max_chars and all(char in table for char in text)


def is_name(text: str, max_chars: int) -> bool:
    """A name for people: printable ASCII, 1 to ``max_chars``, no blank at either end."""
    return _made_of(text, _NAME, max_chars) and text[0] != " " and text[-1] != " "


def is_label(text: str, max_chars: int) -> bool:
    """A name for machines: lower-case letters, digits, ``-._``."""
    return _made_of(text, _LABEL, max_chars)


def is_url(text: str, max_chars: int) -> bool:
    """An http or https base URL without query or fragment."""
    return _made_of(text, _URL, max_chars) and (text.startswith("http://") or text.startswith("https://"))


def is_chain_id(text: str, max_chars: int) -> bool:
    """CometBFT's chain id, as this system allows it: a label with capitals."""
    return is_label(text.lower() if text.isascii() else "", max_chars)
