"""One connection: read what arrived, answer it in order, write all the answers with one call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from abci_app.server.framing import FrameBuffer, FrameError, frame

READ_BYTES = 256 << 10
# Requests answered before the other connections get their turn: a flood of CheckTx must not hold up consensus.
BATCH_MESSAGES = 64
# Above this much unsent, writing waits for the peer, and so does reading from it.
HIGH_WATER_BYTES = 1 << 20
CLOSE_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Replies:
    """Answers to a batch of requests, encoded and without their lengths, in the order of the requests.

    ``close``: the last of them ends the connection, and what came after it on the stream is not answered.
    """

    messages: Sequence[bytes]
    close: bool = False


Answer = Callable[[Sequence[bytes]], Awaitable[Replies]]
Log = Callable[[str], None]


async def serve_connection(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Answer,
    *,
    max_frame_bytes: int,
    log: Log,
    name: str,
) -> None:
    """Serve one peer until it goes, sends what is no message, or ``answer`` says to close.

    A peer that does not read its answers is waited for (nobody else is). A transport error ends this connection
    only. Whatever ``answer`` raises passes through: it raises only what must not be survived.
    """
    writer.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
    buffer = FrameBuffer(max_frame_bytes)
    try:
        while data := await _read(reader):
            buffer.feed(data)
            while requests := buffer.take(BATCH_MESSAGES):
                replies = await answer(requests)
                if not await _write(writer, replies) or replies.close:
                    return
        if buffer.pending_bytes:
            log(f"{name}: the peer went in the middle of a message")
    except FrameError as error:
        log(f"{name}: closed: {error}")
    finally:
        await _close(writer)


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(READ_BYTES)
    except OSError:
        return b""


async def _write(writer: asyncio.StreamWriter, replies: Replies) -> bool:
    """True when the peer is still there. The drain also lets the other connections run."""
    try:
        writer.write(b"".join(frame(message) for message in replies.messages))
        await writer.drain()
        await asyncio.sleep(0)
    except OSError:
        return False
    return True


async def _close(writer: asyncio.StreamWriter) -> None:
    """Let the last answers out, but do not wait for ever for a peer that does not read them."""
    writer.close()
    try:
        with contextlib.suppress(OSError):
            await asyncio.wait_for(writer.wait_closed(), CLOSE_TIMEOUT_S)
    except (TimeoutError, asyncio.CancelledError) as error:
        writer.transport.abort()
        if isinstance(error, asyncio.CancelledError):
            raise
