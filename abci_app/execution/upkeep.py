"""Work that a block does besides its transactions: one budget, and what becomes of an item that fails.

Deadlines and the steps at the end of a block are queues of items (docs/spec/state.md, A block). All of a block share
one budget in cost units, ``params.max_upkeep_cost``; the first item of each queue always runs, however dear. What waits
is done in a later block: every message looks at deadlines itself, so waiting harms nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from abci_app.execution import guard
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import governance_pb2
from abci_app.state.indexes import put_key
from abci_app.state.records import SET_ASIDE
from abci_app.state.view import StateView

MAX_RETRIED: Final = 1_000
"""Items set aside that one upgrade, or one vote, puts back: first what was put back least often."""


class Queue(IntEnum):
    """Queues that stop in the middle and go on there in the next block. A number never changes its meaning."""

    CEREMONIES = 1


class Aside(IntEnum):
    """What an item that was set aside is of. The kinds of deadline below 100 are those of ``DeadlineKind``."""

    REFRESH = 100
    RESTART = 101
    SIGNATURE = 102
    REVOKED = 103


SWEEP_PART: Final = 2
"""The sweep has one part of so many of the budget: a flood of expiries leaves the rest to the end of the block."""


@dataclass(slots=True)
class Spending:
    """What one queue takes of a block's budget.

    ``part``: what was counted before and the queue's next item have to fit into one part of so many of the budget.
    """

    context: Context
    part: int = 1
    _has_begun: bool = field(default=False, init=False)

    def affords(self, cost: int) -> bool:
        """Whether the queue's next item, of this cost, still runs in this block: the first always. Counts it if so."""
        scratch = self.context.scratch
        if self._has_begun and scratch.upkeep_cost + cost > self.context.params.max_upkeep_cost // self.part:
            return False
        self._has_begun = True
        scratch.upkeep_cost += cost
        return True


def run_or_set_aside(context: Context, kind: int, subject: bytes, entry: bytes, work: Callable[[], object]) -> None:
    """Do an item's work; where it raises, undo it, take its index entry away, and say so in hashed state.

    ``entry``: the key of its index entry, which a retry puts back. Nothing else is written: an item that is set aside
    stays as restricted as its deadline has made it, which every message sees for itself.
    """
    error = guard.failure_of(context, work)
    if error is None:
        return
    context.state.index_delete(entry)
    record = SET_ASIDE.find(context.state, kind, subject) or governance_pb2.SetAside(kind=kind, subject=subject)
    record.entry, record.height = entry, context.height
    SET_ASIDE.put(context.state, record, kind, subject)
    context.emit("upkeep", subject, "set-aside", of=kind, error=type(error).__name__)


def is_anything_set_aside(view: StateView) -> bool:
    """Whether :func:`retry_all` would put anything back."""
    return any(record.entry for record in SET_ASIDE.all(view))


def retry_all(context: Context) -> None:
    """Put back what was set aside: after an upgrade, or because fiduciaries voted for it."""
    waiting = [record for record in SET_ASIDE.all(context.state) if record.entry]
    for record in sorted(waiting, key=lambda record: record.retries)[:MAX_RETRIED]:
        put_key(context.state, record.entry)
        record.retries += 1
        record.entry = b""
        SET_ASIDE.put(context.state, record, record.kind, record.subject)
