"""What is to be signed, for the person who is asked to agree: text as text, all else as hex, so that nothing hides.

Every line stands behind a bar, and what of it goes on in the next behind a colon, so that a message can't pass for what
the command itself says where a terminal breaks its lines; a message that ends with a line end has an empty line last.
What does not show (a changed direction of writing, a blank of no width, a carriage return) or strikes out what does is
written as an escape.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from hashlib import sha256

from dta.client.custody.signing import text_of

_HEX_BYTES_A_LINE = 32
_TEXT_COLUMNS = 64
"""Of a line, behind the label and the bar: within the 80 of a terminal."""
_OVERLAY = 1  # the combining class of what is drawn across the character before it
# Printable by Unicode, and nothing is to be seen of them: joiners, fillers, variation selectors, a blank of Braille.
_UNSEEN = frozenset(map(chr, (
    0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0,
    *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0),
)))  # fmt: skip
_SPOKEN = {"\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def lines_of(message: bytes) -> list[str]:
    """First what it is, its length and SHA-256; then all of it."""
    digest = sha256(message).hexdigest()
    if not message:
        return [f"nothing, 0 bytes, SHA-256 {digest}"]
    text = text_of(message)
    if text is None:
        hexed = [message[at : at + _HEX_BYTES_A_LINE].hex() for at in range(0, len(message), _HEX_BYTES_A_LINE)]
        return [f"bytes, in hex, {len(message)} bytes, SHA-256 {digest}", *(f"| {line}" for line in hexed)]
    escapes = any(_hides(char) and char != "\n" for char in text)
    kind = "text, with escapes for what does not show" if escapes else "text"
    shown = [_pieces([_escaped(char) if escapes else char for char in line]) for line in text.split("\n")]
    return [f"{kind}, {len(message)} bytes, SHA-256 {digest}", *(piece for line in shown for piece in line)]


def _pieces(line: list[str]) -> Iterator[str]:
    """One line's characters behind a bar, those that find no room behind colons."""
    bar, piece, columns = "|", "", 0
    for char in line:
        width = sum(map(_width, char))
        if columns + width > _TEXT_COLUMNS:
            yield f"{bar} {piece}"
            bar, piece, columns = ":", "", 0
        piece, columns = piece + char, columns + width
    yield f"{bar} {piece}"


def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _hides(char: str) -> bool:
    return not char.isprintable() or char in _UNSEEN or unicodedata.combining(char) == _OVERLAY


def _escaped(char: str) -> str:
    if char in _SPOKEN:
        return _SPOKEN[char]
    if not _hides(char):
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
