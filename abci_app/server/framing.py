"""Messages on a stream: each has its length before it, as an unsigned varint (protobuf's; at most 10 bytes).

The ABCI socket of CometBFT v0.38 and later uses this framing, and so does the read socket. Nothing here knows what
a message means.
"""

from __future__ import annotations

MAX_VARINT_BYTES = 10
# A decided block comes as one message; CometBFT allows blocks of 100 MiB, our genesis far less.
DEFAULT_MAX_FRAME_BYTES = 64 << 20

_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))


class FrameError(Exception):
    """The stream can't be read any further: the connection is of no use."""


class FrameTooLarge(FrameError):
    """A peer announced ``length_bytes``, more than the cap of ``max_frame_bytes``."""

    def __init__(self, length_bytes: int, max_frame_bytes: int) -> None:
        super().__init__(f"a message of {length_bytes} bytes was announced, the cap is {max_frame_bytes}")
        self.length_bytes = length_bytes
        self.max_frame_bytes = max_frame_bytes


class BadVarint(FrameError):
    """Ten bytes and no end, or more than 64 bits: not a length."""

    def __init__(self) -> None:
        super().__init__("a message's length is not an unsigned varint")


def encode_varint(value: int) -> bytes:
    """``value`` (not negative) as an unsigned varint, shortest form."""
    if value < 0x80:
        return _ONE_BYTE[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def frame(message: bytes) -> bytes:
    """``message`` with its length before it."""
    return encode_varint(len(message)) + message


class FrameBuffer:
    """What arrived on one connection and is not yet consumed.

    One bytearray. Consumed bytes are dropped from its front in one step a batch (CPython moves a pointer, it does
    not copy the rest), and while a long message is incomplete nothing of it is looked at again. Memory grows with
    what arrived, never with what was announced.
    """

    def __init__(self, max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._wanted_bytes = 1

    def feed(self, data: bytes) -> None:
        """Append what was read from the stream."""
        self._buffer += data

    @property
    def pending_bytes(self) -> int:
        """How much arrived and was not yet given out."""
        return len(self._buffer)

    def take(self, limit: int) -> list[bytes]:
        """Up to ``limit`` complete messages, in order; an empty list when more has to arrive first.

        Raises :class:`FrameTooLarge` or :class:`BadVarint`, but only when no complete message stands before the
        bad one: what was asked properly is given out first.
        """
        messages: list[bytes] = []
        buffer, at = self._buffer, 0
        if len(buffer) < self._wanted_bytes:
            return messages
        self._wanted_bytes = 1
        try:
            with memoryview(buffer) as view:
                while at < len(buffer) and len(messages) < limit:
                    start, length_bytes = self._read_length(at)
                    end = start + length_bytes
                    if not start or end > len(buffer):
                        self._wanted_bytes = end - at if start else 1
                        break
                    messages.append(bytes(view[start:end]))
                    at = end
        except FrameError:
            if not messages:
                raise
        del buffer[:at]
        return messages

    def _read_length(self, at: int) -> tuple[int, int]:
        """(where the message of the varint at ``at`` starts, its length); zeros when the varint is cut short."""
        value, end = 0, min(len(self._buffer), at + MAX_VARINT_BYTES)
        for index in range(at, end):
            byte = self._buffer[index]
            value |= (byte & 0x7F) << (7 * (index - at))
            if byte < 0x80:
                if value >= 1 << 64:
                    raise BadVarint
                if value > self.max_frame_bytes:
                    raise FrameTooLarge(value, self.max_frame_bytes)
                return index + 1, value
        if end - at == MAX_VARINT_BYTES:
            raise BadVarint
        return 0, 0
