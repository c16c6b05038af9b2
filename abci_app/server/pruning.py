"""Old versions of the tree are removed between blocks, a bounded piece at a time, off the consensus path."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from threading import Lock
from typing import Protocol

from abci_app.server.dispatch import Die
from abci_app.server.pieces import InPieces

# One piece takes milliseconds; a Commit that comes meanwhile waits for it, not for the rest.
PIECE_ENTRIES = 2048
# Leave the answer to Commit, and the consensus round behind it, the processor first.
DELAY_S = 0.05


class Prunable(Protocol):
    """The state database."""

    def prune(self, limit: int) -> int:
        """Remove about ``limit`` stale entries. How many it removed: 0 when nothing is stale."""


class Pruner(InPieces):
    """Removes piece after piece until nothing is stale. Started after each Commit."""

    doing = "pruning"

    def __init__(self, database: Prunable, lock: Lock, executor: Executor, die: Die) -> None:
        super().__init__(executor, die)
        self._database = database
        self._lock = lock

    async def _run(self) -> None:
        removed = 1
        while removed:
            await asyncio.sleep(DELAY_S)
            removed = await self._do(self._piece)

    def _piece(self) -> int:
        with self._lock:
            return self._database.prune(PIECE_ENTRIES)
