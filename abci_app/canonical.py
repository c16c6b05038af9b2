"""Strict protobuf: a message is taken only in its one canonical encoding.

Protobuf is malleable: field order, overlong varints and repeated scalars all parse equal, and unknown fields survive
re-encoding. So after parsing, unknown fields are cleared at every depth and the message is encoded again; anything
but the very bytes that came is refused (docs/spec/transactions.md). No message of ours has maps or recursion.
"""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

M = TypeVar("M", bound=Message)


class NotCanonical(ValueError):
    """The bytes are not the canonical encoding of a message of this type. ``message`` names the type.

    Base of the two below: catch them first where the difference matters.
    """

    def __init__(self, message: str, length_bytes: int) -> None:
        super().__init__(message, length_bytes)
        self.message = message
        self.length_bytes = length_bytes

    def __str__(self) -> str:
        return f"{self.length_bytes} bytes are not the canonical encoding of a {self.message}"


class Malformed(NotCanonical):
    """The bytes do not even parse as a message of this type."""

    def __str__(self) -> str:
        return f"{self.length_bytes} bytes are no {self.message}"


class TooLong(Malformed):
    """More bytes than allowed: refused before parsing."""

    def __str__(self) -> str:
        return f"{self.length_bytes} bytes are too many for a {self.message}"


def encode(message: Message) -> bytes:
    """The canonical encoding: fields by number, defaults left out, shortest varints."""
    return message.SerializeToString(deterministic=True)


def decode(cls: type[M], data: bytes, max_bytes: int) -> M:
    """``data`` as a ``cls``, if it is the canonical encoding of one and at most ``max_bytes`` long.

    Raises :class:`NotCanonical`, or its :class:`Malformed` where nothing parses, or that one's :class:`TooLong`.
    """
    if len(data) > max_bytes:
        raise TooLong(cls.__name__, len(data))
    message = cls()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise Malformed(cls.__name__, len(data)) from None
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != data:
        raise NotCanonical(cls.__name__, len(data))
    return message
