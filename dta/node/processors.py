"""How many processors a Go program of the node's takes for its own (docs/adr/0035-cometbfts-socket-client.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

GO_PROCESSORS: Final = "GOMAXPROCS"
LEAST: Final = 2
"""With one, CometBFT's client of the application burns a third of what an order costs on a timer of its own."""
CPU_LIMIT: Final = Path("/sys/fs/cgroup/cpu.max")
"""A container's: microseconds of each period, or ``max``; then the period in microseconds."""


def for_go(environment: Mapping[str, str], limit_file: Path = CPU_LIMIT) -> dict[str, str] | None:
    """The environment that a Go program is given where it would take one processor: then two. Else None: ours as it is.

    What the operator set stays.
    """
    if GO_PROCESSORS in environment or processors(limit_file) >= LEAST:
        return None
    return {**environment, GO_PROCESSORS: str(LEAST)}


def processors(limit_file: Path = CPU_LIMIT) -> int:
    """As many as this process may run on, by affinity and by its container's limit; at least 1."""
    mine = len(os.sched_getaffinity(0))
    try:
        quota, period = limit_file.read_text(encoding="ascii").split()
        limit = mine if quota == "max" else -(-int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no container, or another form of it
        limit = mine
    return max(1, min(mine, limit))
