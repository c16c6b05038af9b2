"""Reads what CometBFT says while the event loop is busy with a block, so that its senders are not blocked.

A unix socket holds about 200 kB. CometBFT's socket client spins for as long as it can't write (docs/bench.md), and the
mempool has more to say than that while a block of a thousand transactions is executed. What is read here is only put
behind what the connection has already: nothing is answered, and nothing of it is looked at, before its turn.
"""

from __future__ import annotations

import os

from abci_app.server.connection import READ_BYTES, Connection

# Of one connection, read and not yet taken: at twice that no more is read, by this or by the event loop.
UNREAD_BYTES = 4 << 20


class Intake:
    """The open ABCI connections. :meth:`drain` is called on the event loop's thread, from within a long request."""

    def __init__(self) -> None:
        self._open: list[Connection] = []

    def add(self, connection: Connection) -> None:
        """Drain this connection too, until it is removed."""
        self._open.append(connection)

    def remove(self, connection: Connection) -> None:
        """It is over."""
        self._open.remove(connection)

    def drain(self) -> None:
        """Move what the kernel holds to the connections. Never blocks; a peer's end or error is left for the loop."""
        for connection in self._open:
            # Not while it closes either: its descriptor may be another's by then.
            while connection.takes_more:
                try:
                    data = os.read(connection.descriptor, READ_BYTES)
                except OSError:
                    break
                if not data:
                    break
                connection.put_behind(data)
