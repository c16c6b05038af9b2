"""A server that answers a byte at a time, so that no single read of a client's ever waits long."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PAUSE_S = 0.05
DRIPS = 400
"""Twenty seconds of them: then the answer ends, and a client without a deadline has it."""


@contextmanager
def dripping(answer: bytes, at_once_bytes: int) -> Iterator[str]:
    """The URL of a server that sends ``at_once_bytes`` of ``answer`` at once and the rest a byte at a time."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=drip, args=(connection,), daemon=True).start()

        def drip(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(answer[:at_once_bytes])
                for place in range(at_once_bytes, min(len(answer), at_once_bytes + DRIPS)):
                    if over.wait(PAUSE_S):
                        return
                    connection.sendall(answer[place : place + 1])
                connection.sendall(answer[at_once_bytes + DRIPS :])

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def http_answer(body: bytes) -> tuple[bytes, int]:
    """An answer with ``body``, and how many bytes of it stand before the body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return head + body, len(head)
