"""Undoing what failed: one transaction, one result of a bundle, one deadline, one step (docs/spec/state.md, A block).

A refusal or an ordinary exception is the same on every node: all that the failed work did is undone, and the block
goes on. What is in :data:`FATAL` may differ from node to node, or says that state is broken: it leaves, and ends the
process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from abci_app.errors import StateBroken, UpgradeNeeded
from abci_app.execution.context import Context

FATAL: Final = (MemoryError, RecursionError, OSError, StateBroken, UpgradeNeeded)
"""A store's failures are OSErrors."""


def failure_of(context: Context, work: Callable[[], object]) -> Exception | None:
    """Do the work; where it raises, undo all of it: writes, events, what the block counts. What it raised, or None."""
    mark = context.mark()
    try:
        work()
    except FATAL:
        raise
    except Exception as error:
        context.undo(mark)
        return error
    return None
