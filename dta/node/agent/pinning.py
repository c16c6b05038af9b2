"""The agent's pins, told by the ledger what changes (docs/spec/blocks.md, Pins follow state)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from threading import Event
from typing import Final, Protocol

from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from dta.blocks.reconcile import PinKeeper
from dta.node.agent.due import Reads, Waits
from dta.node.agent.pins import Named, WantedPins
from dta.node.agent.state import StateUnavailable

BETWEEN_S: Final = 10.0
"""At least, between two readings of all of it."""


class Uploads(Protocol):
    """Who counts uploads until the ledger names them."""

    def named(self, cids: Iterable[str]) -> None:
        """The ledger names these, or did."""

    async def look_at_all(self) -> None:
        """It may name anything."""


class PinFollower:
    """Tells ``keeper`` what to pin and what not to, from block to block, and ``uploads`` what the ledger names.

    State is read whole at the start and where the application does not have the changes any more; after a break it goes
    on at the height that it had, for the state of a height is always the same.
    """

    def __init__(
        self, state: Reads, watch: Waits, wanted: WantedPins, keeper: PinKeeper, uploads: Uploads,
        *, between_s: float = BETWEEN_S,
    ) -> None:  # fmt: skip
        self._state = state
        self._watch = watch
        self._wanted = wanted
        self._keeper = keeper
        self._uploads = uploads
        self._height: int | None = None
        self._between_s = between_s
        self._read_again_s = 0.0
        self._ends = Event()

    async def step(self) -> None:
        """The next answer, or all. What fails is done by the next step. Raises StateUnavailable."""
        if self._height is None:
            # Blocks that change more than is kept would have all of state read with each of them.
            await asyncio.sleep(self._read_again_s - time.monotonic())
            self._read_again_s = time.monotonic() + self._between_s
            height, found = await asyncio.to_thread(self._read)
            self._wanted.replace(found)
            self._keeper.look_at_all()
            await self._uploads.look_at_all()
            self._height = height
        changed = await self._watch.after(self._height)
        if changed.is_cut:
            self._height = None
            return
        if changed.index or changed.leaves:
            opened = await asyncio.to_thread(self._read_new, changed) if changed.index else {}
            touched = self._wanted.take(changed, opened)
            self._uploads.named(touched)
            self._keeper.look_later(touched)
        self._height = changed.height

    def knows(self, height: int) -> bool:
        """Whether all that state names at ``height`` is known, and pinned as far as it can be had."""
        return self._height is not None and self._height >= height and self._keeper.is_whole

    async def close(self) -> None:
        """Let the connection go, and end a reading at its next pause."""
        self._ends.set()
        await self._watch.close()

    def _read(self) -> tuple[int, Named]:
        with self._state.pin() as now:
            return now.height, self._wanted.read(now.view, self._pause)

    def _pause(self, seconds: float) -> None:
        if self._ends.wait(seconds):
            raise StateUnavailable("the agent ends")

    def _read_new(self, changed: pb.StateChanged) -> dict[bytes, bytes]:
        with self._state.pin() as now:
            return self._wanted.read_new(now.view, changed)
