"""Where the runner learns what is due: a plan of the newest state, and the next one when there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Protocol

from dta.node.hooks.plan import Job, plan
from dta.node.hooks.tools import Tools

LOOK_AGAIN_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Planned:
    """What is due by the state at ``height``, whose block has the time ``time_s`` (Unix seconds)."""

    height: int
    time_s: int
    jobs: frozenset[Job]


class Owed(Protocol):
    """What one fiduciary owes, followed from block to block. For one task at a time."""

    async def now(self) -> Planned:
        """By the newest committed state. Raises StateUnavailable."""

    async def newer(self, height: int) -> Planned:
        """As soon as there is a state above ``height``, by the newest of them. Raises StateUnavailable."""

    async def close(self) -> None:
        """Let go of what it waits for."""


class ScannedOwed:
    """Scans state for what is due, at each height once. Nobody tells it of a new one: it looks again and again."""

    def __init__(self, tools: Callable[[], Tools], threads: Executor) -> None:
        self._tools = tools
        self._threads = threads
        self._last = Planned(0, 0, frozenset())

    async def now(self) -> Planned:
        """See :class:`Owed`. Raises NotAtHead too, as the pin does."""
        self._last = await asyncio.get_running_loop().run_in_executor(self._threads, self._scan)
        return self._last

    async def newer(self, height: int) -> Planned:
        """See :class:`Owed`."""
        while (planned := await self.now()).height <= height:
            await asyncio.sleep(LOOK_AGAIN_S)
        return planned

    async def close(self) -> None:
        """See :class:`Owed`."""

    def _scan(self) -> Planned:
        tools = self._tools()
        with tools.pin() as now:
            if now.height == self._last.height:
                return self._last
            jobs = plan(now.view, tools.identity, now.time_s, now.height + 1)
            return Planned(now.height, now.time_s, frozenset(jobs))
