"""Whether a home's node runs, when it stops for want of disk, how far its check is: what it and who looks at it share.

Apart from the supervisor, because looking has to be quick: ``dta status`` loads nothing that runs a node.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dta.base.config import NodeConfig

STOP_BELOW_FREE_BYTES = 64 * 1024 * 1024
"""A block is at most 8 MiB; it is written by CometBFT, its log of consensus and the application, with margin."""
START_ABOVE_FREE_BYTES = 128 * 1024 * 1024


def pid_file(config: NodeConfig) -> Path:
    """Where the supervisor writes its process id."""
    return config.run_dir / "node.pid"


def is_running(config: NodeConfig) -> bool:
    """Whether the supervisor of this home lives."""
    try:
        pid = int(pid_file(config).read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return False
    # The pid may have been given to another program since.
    try:
        words: Sequence[bytes] = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return True
    return any(b"dta" in word for word in words)


def check_text(checked: dict[str, Any]) -> str:
    """How far the application's check of its leaves is (``state_check`` of the agent's status), for a person."""
    whole = checked.get("whole_at_height", 0)
    before = f"the last whole pass ended at height {whole}" if whole else "no pass is whole yet"
    return f"{checked.get('leaves', 0)} leaves of this pass checked, {before}"
