"""Bech32 (BIP 173) as age uses it: the checksum and alphabet, without the limit of 90 characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {char: value for value, char in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_CHARS: Final = 6
MAX_CHARS: Final = 4_096


class NotBech32(ValueError):
    """``reason``: what is wrong with the text: ``case``, ``length``, ``separator``, ``alphabet``, ``checksum``,
    ``padding``."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is no Bech32: {reason}")
        self.reason = reason


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                checksum ^= generator
    return checksum


def _expanded(prefix: str) -> list[int]:
    return [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]


def encode(prefix: str, data: bytes) -> str:
    """``data`` under a lower-case prefix, in lower case."""
    values = _regrouped(data, 8, 5, pad=True)
    sum_ = _polymod([*_expanded(prefix), *values, *[0] * _CHECKSUM_CHARS]) ^ 1
    checksum = [sum_ >> 5 * (_CHECKSUM_CHARS - 1 - place) & 31 for place in range(_CHECKSUM_CHARS)]
    return prefix + "1" + "".join(_ALPHABET[value] for value in (*values, *checksum))


def decode(text: str) -> tuple[str, bytes]:
    """The prefix, in lower case, and the data. Raises :class:`NotBech32`."""
    if len(text) > MAX_CHARS:
        raise NotBech32("length")
    if text not in (text.lower(), text.upper()):
        raise NotBech32("case")
    prefix, separator, rest = text.lower().rpartition("1")
    if not separator or not prefix or any(not 33 <= ord(char) <= 126 for char in prefix):
        raise NotBech32("separator")
    if len(rest) < _CHECKSUM_CHARS:
        raise NotBech32("length")
    if any(char not in _VALUES for char in rest):
        raise NotBech32("alphabet")
    values = [_VALUES[char] for char in rest]
    if _polymod([*_expanded(prefix), *values]) != 1:
        raise NotBech32("checksum")
    return prefix, bytes(_regrouped(values[:-_CHECKSUM_CHARS], 5, 8, pad=False))


def _regrouped(values: Iterable[int], width: int, new_width: int, *, pad: bool) -> list[int]:
    """The same bits in groups of another width. Raises NotBech32 where what is left over is no padding."""
    held = bits = 0
    made = []
    for value in values:
        held = held << width | value
        bits += width
        while bits >= new_width:
            bits -= new_width
            made.append(held >> bits)
            held &= (1 << bits) - 1
    if pad and bits:
        made.append(held << new_width - bits)
    elif not pad and (bits >= width or held):
        raise NotBech32("padding")
    return made
