"""All leaves are checked against the tree, for ever, a small piece at a time, off the consensus path."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Protocol

from abci_app.server.dispatch import Die

# 64 leaves a second, about a hundredth of one core: a million in four hours and a half (docs/spec/state-tree.md).
PIECE_LEAVES = 16
PAUSE_S = 0.25
# LevelDB keeps few tables open, and says nothing of one that is gone when it wants it again.
FILES_EVERY_PIECES = 120
# A small state is not worth more.
PAUSE_AFTER_PASS_S = 60.0


class Checkable(Protocol):
    """The check of a state's leaves, and of the files that they are in."""

    def piece(self, leaves: int) -> bool:
        """Check about ``leaves`` more. Whether a whole pass ended with them."""

    def check_files(self) -> None:
        """Whether what lies on disk is there and as long as it was written."""


class Checker:
    """Runs one piece after another in ``executor``. An exception ends the process (``die``)."""

    def __init__(self, check: Checkable, executor: Executor, die: Die) -> None:
        self._check = check
        self._executor = executor
        self._die = die
        self._task: asyncio.Task[None] | None = None
        self._pieces = 0

    def start(self) -> None:
        """Begin. Call it on the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Wait for the piece in hand and start no other."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                ended = await asyncio.shield(loop.run_in_executor(self._executor, self._piece))
            except Exception as error:
                error.add_note("while checking the state in the background")
                self._die(error)
            pause_s = PAUSE_AFTER_PASS_S if ended else PAUSE_S

    def _piece(self) -> bool:
        if self._pieces % FILES_EVERY_PIECES == 0:
            self._check.check_files()
        self._pieces += 1
        return self._check.piece(PIECE_LEAVES)
