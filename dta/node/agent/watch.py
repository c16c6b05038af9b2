"""What changes in committed state, told by the application (docs/spec/abci-server.md, Waiting).

Nothing is asked again and again: a question is held there until there is a block.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from google.protobuf.message import DecodeError

from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from dta.node.agent.seen import seen
from dta.node.agent.state import AnswerLength, StateUnavailable, framed, unexpected

ANSWERED_WITHIN_S = 30.0
"""The application answers after about 15 s, whether or not there is a block."""
MAX_ANSWER_BYTES = 1 << 20  # it ends an answer at about 256 KiB
MAX_BLOCK_BYTES = 64 << 20
"""Of the answers that a block is told in. The application keeps no block of more than 16 MiB."""


async def whole_blocks(
    ask: Callable[[pb.StateWait], Awaitable[pb.StateChanged]], wait: pb.StateWait
) -> pb.StateChanged:
    """The answer to ``wait``; of a block that is told in parts, all of them in one. Raises StateUnavailable."""
    index: dict[bytes, pb.StateChange] = {}
    leaves: dict[bytes, pb.StateChange] = {}
    wait = pb.StateWait.FromString(wait.SerializeToString())
    size_bytes = 0
    while True:
        changed = await ask(wait)
        if changed.is_cut or not (changed.is_part or index or leaves):
            return changed
        size_bytes += changed.ByteSize()
        if size_bytes > MAX_BLOCK_BYTES:
            raise StateUnavailable("a block is too large")
        index.update((one.key, one) for one in changed.index)
        leaves.update((one.key, one) for one in changed.leaves)
        if not changed.is_part:
            break
        told = wait.index_after, wait.leaves_after
        wait.index_after = max(index, default=b"")
        wait.leaves_after = max(leaves, default=b"")
        if told == (wait.index_after, wait.leaves_after):
            raise StateUnavailable("a part of a block has nothing new")
    del changed.index[:], changed.leaves[:]
    changed.index.extend(index[key] for key in sorted(index))
    changed.leaves.extend(leaves[key] for key in sorted(leaves))
    return changed


class StateWatch:
    """One wait after another under these prefixes, on a connection of its own. For one task at a time.

    Each answer has ``timeout_s`` in all, until its last byte; a block of many changes comes in several. A connection
    that broke is made anew by the next wait.
    """

    def __init__(
        self,
        path: Path,
        *,
        index_prefixes: Iterable[bytes] = (),
        leaf_prefixes: Iterable[bytes] = (),
        timeout_s: float = ANSWERED_WITHIN_S,
    ) -> None:
        self._path = path
        self._index_prefixes = tuple(index_prefixes)
        self._leaf_prefixes = tuple(leaf_prefixes)
        self._timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._asked: tuple[int, asyncio.Task[pb.StateChanged]] | None = None

    async def after(self, height: int) -> pb.StateChanged:
        """What was committed after ``height``, once there is something; or after a while that there is nothing.

        One that is cancelled loses nothing: what it asked for is there for the next. Raises StateUnavailable.
        """
        if self._asked is not None and self._asked[0] != height:
            await self.close()
        if self._asked is None:
            self._asked = height, asyncio.create_task(self._ask(height))
            self._asked[1].add_done_callback(seen)
        task = self._asked[1]
        try:
            return await asyncio.shield(task)
        finally:
            if task.done():
                self._asked = None

    async def close(self) -> None:
        """Let the connection go, and what was asked on it."""
        if self._asked is not None:
            task, self._asked = self._asked[1], None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._drop()

    async def _ask(self, height: int) -> pb.StateChanged:
        try:
            return await whole_blocks(
                self._answer,
                pb.StateWait(
                    after_height=height, index_prefixes=self._index_prefixes, leaf_prefixes=self._leaf_prefixes
                ),
            )
        except BaseException as error:
            self._drop()
            if isinstance(error, TimeoutError):
                raise StateUnavailable("no answer in time") from None
            if isinstance(error, EOFError):
                raise StateUnavailable("the application closed the connection") from None
            if isinstance(error, OSError):
                raise StateUnavailable(error.strerror or "the connection broke") from None
            if isinstance(error, DecodeError):
                raise StateUnavailable("an answer is malformed") from None
            raise

    async def _answer(self, wait: pb.StateWait) -> pb.StateChanged:
        async with asyncio.timeout(self._timeout_s):
            answer = await self._exchange(pb.StateRequest(wait=wait).SerializeToString())
        if answer.WhichOneof("kind") != "changed":
            raise unexpected(answer)
        changed, height = answer.changed, wait.after_height
        # From a height that it has, nothing can be cut off; and from there it goes on.
        if changed.height == height if changed.is_cut or changed.is_part else changed.height < height:
            raise unexpected(answer)
        return changed

    async def _exchange(self, message: bytes) -> pb.StateResponse:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(str(self._path))
        reader, writer = self._streams
        writer.write(framed(message))
        await writer.drain()
        return pb.StateResponse.FromString(await _read_frame(reader))

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    length = AnswerLength(MAX_ANSWER_BYTES)
    while not length.is_known:
        length.take(await reader.readexactly(1))
    return await reader.readexactly(length.size_bytes)
