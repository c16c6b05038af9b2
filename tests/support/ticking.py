"""A runner that looks when a test says so, and what is due read from state each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from dta.node.agent.runner import Runner
from dta.node.hooks.owed import Planned
from dta.node.hooks.plan import plan
from dta.node.hooks.tools import Tools

LOOK_AGAIN_S: Final = 0.05


class TickedRunner(Runner):
    """The runner that ships, driven by :meth:`tick` in place of ``run``."""

    _head_asked_s = float("-inf")

    async def tick(self) -> None:
        """Look at state once, if this node is at the head, and start what is ready.

        Raises Retry (not at the head), DtaError.
        """
        now_s = self._monotonic_s()
        if now_s - self._head_asked_s >= self._config.head_poll_s:
            self._head_asked_s = now_s
            await self._ask_head()
        await self._act(await self._owed.now())


class ScannedOwed:
    """An :class:`dta.node.hooks.owed.Owed` that scans state, at each height once. Nobody tells it of a new one."""

    def __init__(self, tools: Callable[[], Tools]) -> None:
        self._tools = tools
        self._last = Planned(0, 0, frozenset())

    async def now(self) -> Planned:
        """Raises NotAtHead too, as the pin does."""
        self._last = await asyncio.to_thread(self._scan)
        return self._last

    async def newer(self, height: int) -> Planned:
        while (planned := await self.now()).height <= height:
            await asyncio.sleep(LOOK_AGAIN_S)
        return planned

    async def close(self) -> None:
        pass

    def _scan(self) -> Planned:
        tools = self._tools()
        with tools.pin() as now:
            if now.height == self._last.height:
                return self._last
            jobs = plan(now.view, tools.identity, now.time_s, now.height + 1)
            return Planned(now.height, now.time_s, frozenset(jobs))
