"""What is to be signed, for the person who is asked to agree: text as text, all else as hex, so that nothing hides.

Every line stands behind a bar, so that a message can't pass for what the command itself says; a message that ends with
a line end has an empty line last. What does not show (a changed direction of writing, a blank of no width, a carriage
return) is written as an escape.
"""

from __future__ import annotations

from hashlib import sha256

_HEX_BYTES_A_LINE = 32
_SPOKEN = {"\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def text_of(message: bytes) -> str | None:
    """The message as text; None where it is not: no UTF-8, or with control characters that are no white space."""
    try:
        text = message.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if any((ord(char) < 0x20 and char not in "\n\r\t") or 0x7F <= ord(char) < 0xA0 for char in text):
        return None
    return text


def lines_of(message: bytes) -> list[str]:
    """First what it is, its length and SHA-256; then all of it."""
    digest = sha256(message).hexdigest()
    if not message:
        return [f"nothing, 0 bytes, SHA-256 {digest}"]
    text = text_of(message)
    if text is None:
        hexed = [message[at : at + _HEX_BYTES_A_LINE].hex() for at in range(0, len(message), _HEX_BYTES_A_LINE)]
        return [f"bytes, in hex, {len(message)} bytes, SHA-256 {digest}", *(f"| {line}" for line in hexed)]
    escapes = any(not char.isprintable() and char != "\n" for char in text)
    kind = "text, with escapes for what does not show" if escapes else "text"
    shown = "".join(map(_escaped, text)) if escapes else text
    return [f"{kind}, {len(message)} bytes, SHA-256 {digest}", *(f"| {line}" for line in shown.split("\n"))]


def _escaped(char: str) -> str:
    if char in _SPOKEN:
        return _SPOKEN[char]
    if char == "\n" or char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
