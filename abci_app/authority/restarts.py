"""Pending requests after a take-over: they start again in the epoch in force, within the budget of the block's end.

As many as may be open at once wait for it; meanwhile no partial of any epoch is taken for them.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from abci_app.authority import epochs, extractions
from abci_app.execution import upkeep
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import authority_pb2
from abci_app.state.indexes import OPEN_EXTRACTIONS, RESTARTS
from abci_app.state.records import EPOCHS, EXTRACTIONS

# About the microseconds of one: to note it at the take-over; to start it again, and for each member of both epochs.
NOTE_COST: Final = 5
BASE_COST: Final = 100
MEMBER_COST: Final = 8


def note(context: Context, authority: bytes) -> None:
    """Another epoch of ``authority`` took over, and its record says so: what is pending waits to start again."""
    for _, request in list(OPEN_EXTRACTIONS.entries(context.state, authority)):
        RESTARTS.put(context.state, request)


def note_cost(context: Context, authority: bytes) -> int:
    """About the microseconds that :func:`note` takes."""
    return NOTE_COST * sum(1 for _ in OPEN_EXTRACTIONS.entries(context.state, authority))


def start_again(context: Context) -> None:
    """Start again what waits for it, within the budget."""
    spending = upkeep.Spending(context)
    most = 1 + context.params.max_upkeep_cost // BASE_COST
    for (request,) in list(RESTARTS.entries(context.state, limit=most)):
        if not spending.affords(_cost(context, request)):
            return
        work = partial(extractions.restart, context, request)
        upkeep.run_or_set_aside(context, upkeep.Aside.RESTART, request, RESTARTS.key(request), work)


def _cost(context: Context, request: bytes) -> int:
    record = EXTRACTIONS.get(context.state, request)
    found = epochs.current(context.state, record.authority)
    after = found[1] if found else authority_pb2.EpochRecord()
    before = EPOCHS.get(context.state, record.authority, record.epoch)
    return BASE_COST + MEMBER_COST * (before.members + after.members)
