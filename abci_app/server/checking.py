"""All leaves are checked against the tree, for ever, a small piece at a time, off the consensus path."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Protocol

from abci_app.server.dispatch import Die
from abci_app.server.pieces import InPieces

# 64 leaves a second, about a hundredth of one core: a million in four hours and a half (docs/spec/state-tree.md).
PIECE_LEAVES = 16
PAUSE_S = 0.25
# LevelDB holds the files of some tables alone, and says nothing of one that is gone when it wants it again.
FILES_EVERY_PIECES = 120
# A small state is not worth more.
PAUSE_AFTER_PASS_S = 60.0


class Checkable(Protocol):
    """The check of a state's leaves, and of the files that they are in."""

    def piece(self, leaves: int) -> bool:
        """Check about ``leaves`` more. Whether a whole pass ended with them."""

    def check_files(self) -> None:
        """Whether what lies on disk is there and as long as it was written."""


class Checker(InPieces):
    """Checks piece after piece, for ever."""

    doing = "checking the state in the background"

    def __init__(self, check: Checkable, executor: Executor, die: Die) -> None:
        super().__init__(executor, die)
        self._check = check
        self._pieces = 0

    async def _run(self) -> None:
        pause_s = PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = PAUSE_AFTER_PASS_S if await self._do(self._piece) else PAUSE_S

    def _piece(self) -> bool:
        if self._pieces % FILES_EVERY_PIECES == 0:
            self._check.check_files()
        self._pieces += 1
        return self._check.piece(PIECE_LEAVES)
