"""Where the runner learns what is due: a plan of the newest state, and the next one when there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dta.node.hooks.plan import Job


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
