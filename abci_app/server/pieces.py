"""Work off the consensus path, a small piece at a time, in an executor."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from abci_app.server.dispatch import Die

T = TypeVar("T")


class InPieces(ABC):
    """One task that runs piece after piece in ``executor``. An exception ends the process (``die``)."""

    doing: str
    """What it does, for whoever reads of its failure."""

    def __init__(self, executor: Executor, die: Die) -> None:
        self._executor = executor
        self._die = die
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless it is under way. Call it on the event loop."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Wait for the piece in hand and start no other."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @abstractmethod
    async def _run(self) -> None:
        """Piece after piece, each by :meth:`_do`, with pauses."""

    async def _do(self, piece: Callable[[], T]) -> T:
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, piece))
        except Exception as error:
            error.add_note(f"while {self.doing}")
            self._die(error)
