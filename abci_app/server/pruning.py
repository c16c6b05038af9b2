"""Old versions of the tree are removed between blocks, a bounded piece at a time, off the consensus path."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from threading import Lock
from typing import Protocol

from abci_app.server.dispatch import Die

# One piece takes milliseconds; a Commit that comes meanwhile waits for it, not for the rest.
PIECE_ENTRIES = 2048
# Leave the answer to Commit, and the consensus round behind it, the processor first.
DELAY_S = 0.05


class Prunable(Protocol):
    """The state database."""

    def prune(self, limit: int) -> int:
        """Remove about ``limit`` stale entries. How many it removed: 0 when nothing is stale."""


class Pruner:
    """Runs one piece after another in ``executor`` until nothing is stale. An exception ends the process (``die``)."""

    def __init__(self, database: Prunable, lock: Lock, executor: Executor, die: Die) -> None:
        self._database = database
        self._lock = lock
        self._executor = executor
        self._die = die
        self._task: asyncio.Task[None] | None = None

    def schedule(self) -> None:
        """Start pruning unless it runs. Call it on the event loop, after a Commit."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Wait for the piece in hand and start no other."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        removed = 1
        while removed:
            await asyncio.sleep(DELAY_S)
            try:
                removed = await asyncio.shield(loop.run_in_executor(self._executor, self._piece))
            except Exception as error:
                error.add_note("while pruning")
                self._die(error)

    def _piece(self) -> int:
        with self._lock:
            return self._database.prune(PIECE_ENTRIES)
