"""Reads what CometBFT says while the event loop is busy with a block, so that its senders are not blocked.

A unix socket holds about 200 kB. CometBFT's socket client spins for as long as it can't write (docs/bench.md), and the
mempool has more to say than that while a block of a thousand transactions is executed. What is read here is only put
behind what the connection's reader has already: nothing is answered, and nothing of it is looked at, before its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from abci_app.server.connection import READ_BYTES

# Of one connection, read and not yet taken: at twice that asyncio reads no more, and neither does this.
UNREAD_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    reader: asyncio.StreamReader
    transport: asyncio.ReadTransport
    descriptor: int


class Intake:
    """The open ABCI connections. :meth:`drain` is called on the event loop's thread, from within a long request."""

    def __init__(self) -> None:
        self._sources: list[_Source] = []

    @contextlib.contextmanager
    def of(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Iterator[None]:
        """Drain this connection too, within the ``with``. The limit of ``reader`` says how much: see UNREAD_BYTES."""
        transport = writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        source = _Source(reader, transport, writer.get_extra_info("socket").fileno())
        self._sources.append(source)
        try:
            yield
        finally:
            self._sources.remove(source)

    def drain(self) -> None:
        """Move what the kernel holds to the readers. Never blocks; a peer's end or error is left for the event loop."""
        for source in self._sources:
            # Not while it closes either: its descriptor may be another's by then.
            while source.transport.is_reading():
                try:
                    data = os.read(source.descriptor, READ_BYTES)
                except OSError:
                    break
                if not data:
                    break
                source.reader.feed_data(data)
