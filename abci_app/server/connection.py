"""One connection: answer what arrived in its order, write all the answers of a batch with one call.

On the event loop itself, without a task: what is read is answered before anything else runs, unless it has to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from abci_app.server.framing import FrameBuffer, FrameError, frame

READ_BYTES = 256 << 10
# Requests answered before the other connections get their turn: a flood of CheckTx must not hold up consensus.
BATCH_MESSAGES = 64
# Above this much unsent, answering waits for the peer, and so does reading from it.
HIGH_WATER_BYTES = 1 << 20
CLOSE_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Replies:
    """Answers to a batch of requests, encoded and without their lengths, in the order of the requests.

    ``close``: the last of them ends the connection, and what came after it on the stream is not answered.
    """

    messages: Sequence[bytes]
    close: bool = False


Answer = Callable[[Sequence[bytes]], Replies | Awaitable[Replies]]
Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Service:
    """What one peer is served with: answers, at once or awaited, and what is done when it is gone."""

    answer: Answer
    close: Callable[[], None] = lambda: None


class Connection(asyncio.Protocol):
    """Serves one peer until it goes, sends what is no message, or an answer says to close.

    A peer that does not read its answers is waited for (nobody else is). A transport error ends this connection only.
    What an answer raises is for the event loop to tell: it raises only what must not be survived. ``unread_bytes``: of
    what waits for its turn, at twice that nothing more is read. ``on_end`` is called when all is over.
    """

    def __init__(
        self,
        service: Service,
        *,
        max_frame_bytes: int,
        log: Log,
        name: str,
        unread_bytes: int = READ_BYTES,
        on_end: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        self._service = service
        self._buffer = FrameBuffer(max_frame_bytes)
        self._log = log
        self._name = name
        self._unread_bytes = unread_bytes
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._awaited: asyncio.Future[Replies] | None = None
        self._abort: asyncio.TimerHandle | None = None
        self._has_turn = False  # one is to come
        self._is_full = False  # the peer does not read
        self._is_at_end = False  # the peer sends no more
        self._is_closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer.feed(data)
        self._go_on()

    def eof_received(self) -> bool:
        """See asyncio.Protocol. What was asked before is answered."""
        self._is_at_end = True
        self._go_on()
        return True

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_full = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_full = False
        self._take_turn()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        """See asyncio.Protocol. What is being answered is waited for."""
        self._is_closing = True
        self._transport = None
        if self._abort is not None:
            self._abort.cancel()
        if self._awaited is None:
            self._end()

    @property
    def takes_more(self) -> bool:
        """Whether its socket may be read: it is open, and not too much waits."""
        return self._transport is not None and not self._is_at_end and self._transport.is_reading()

    @property
    def descriptor(self) -> int:
        """Of its socket, while it :attr:`takes_more`."""
        assert self._transport is not None
        descriptor: int = self._transport.get_extra_info("socket").fileno()
        return descriptor

    def put_behind(self, data: bytes) -> None:
        """What was read of its socket from within a long request: answered in its turn."""
        self._buffer.feed(data)
        self._take_turn()
        self._bound()

    def drop(self) -> None:
        """Close it now, whatever is still to be sent or answered."""
        if self._awaited is not None:
            self._awaited.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _take_turn(self) -> None:
        if not self._has_turn:
            self._has_turn = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._has_turn = False
        self._go_on()

    def _has_to_wait(self) -> bool:
        return self._has_turn or self._is_full or self._awaited is not None or self._is_closing

    def _go_on(self) -> None:
        """Answer what is there, as far as it is this connection's turn."""
        try:
            while not self._has_to_wait():
                if not self._answer_batch():
                    break
        except FrameError as error:
            self._log(f"{self._name}: closed: {error}")
            self._close()
        except BaseException:
            self.drop()
            raise
        self._bound()

    def _answer_batch(self) -> bool:
        """Whether there was anything to answer."""
        requests = self._buffer.take(BATCH_MESSAGES)
        if not requests:
            if self._is_at_end:
                if self._buffer.pending_bytes:
                    self._log(f"{self._name}: the peer went in the middle of a message")
                self._close()
            return False
        answered = self._service.answer(requests)
        if isinstance(answered, Replies):
            self._write(answered)
            if len(requests) == BATCH_MESSAGES:
                self._take_turn()
        else:
            self._awaited = asyncio.ensure_future(answered)
            self._awaited.add_done_callback(self._have_answered)
        return True

    def _have_answered(self, awaited: asyncio.Future[Replies]) -> None:
        self._awaited = None
        try:
            if not awaited.cancelled():
                self._write(awaited.result())
        except BaseException:
            self.drop()
            raise
        finally:
            if self._transport is None:
                self._end()
            else:
                self._take_turn()

    def _write(self, replies: Replies) -> None:
        if self._transport is not None and replies.messages:
            self._transport.write(b"".join([frame(message) for message in replies.messages]))
        if replies.close:
            self._close()

    def _bound(self) -> None:
        """Read no more while too much waits; of what does not wait, the rest of a message has to come, however long."""
        transport = self._transport
        if transport is None or self._is_at_end or self._is_closing:
            return
        waiting_bytes = self._buffer.pending_bytes if self._has_to_wait() else 0
        if waiting_bytes > 2 * self._unread_bytes:
            transport.pause_reading()
        elif waiting_bytes <= self._unread_bytes:
            transport.resume_reading()

    def _close(self) -> None:
        """Let the last answers out, but do not wait for ever for a peer that does not read them."""
        if self._transport is not None and not self._is_closing:
            self._is_closing = True
            self._transport.close()
            self._abort = self._loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)

    def _end(self) -> None:
        self._service.close()
        self._on_end(self)
