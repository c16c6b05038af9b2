"""Nothing of a process's memory reaches a disk or a debugger: for every process of ours that may hold a secret.

The limit on core dumps is inherited by what a process starts, CometBFT and Kubo among it; being not dumpable is not
(exec(2) sets it anew), so each Python process says it for itself.
"""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def harden() -> None:
    """No core dump of this process or its children, and no debugger by other processes of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # A core_pattern that pipes to a program is not held back by the limit; being not dumpable is.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
