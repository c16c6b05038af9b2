"""The sweep: before a block's transactions, what has expired is recorded, in (deadline, id) order, within the budget.

Deadlines by time and by height take turns at going first, so that a flood of one kind does not starve the other.

It only records what was already true: every message checks its deadlines itself (ledger.md, Time).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from abci_app.authority import extractions
from abci_app.custody import orders, vaults
from abci_app.execution import upkeep
from abci_app.execution.context import Context
from abci_app.governance import proposals
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME


@dataclass(frozen=True, slots=True)
class Recorder:
    """What records a deadline, given its subject: it takes the index entry away, or it would come again.

    ``cost``: about the microseconds that the dearest one takes.
    """

    record: Callable[[Context, bytes], None]
    cost: int


RECORD: Final[Mapping[DeadlineKind, Recorder]] = {
    DeadlineKind.ORDER: Recorder(orders.record_expired, 1_500),
    DeadlineKind.REQUEST: Recorder(orders.record_request_expired, 400),
    DeadlineKind.VAULT: Recorder(vaults.record_due, 250),
    DeadlineKind.PROPOSAL: Recorder(proposals.record_expired, 250),
    DeadlineKind.EXTRACTION: Recorder(extractions.expire, 400),
}
_CHEAPEST: Final = min(recorder.cost for recorder in RECORD.values())


def sweep(context: Context) -> None:
    """Record what has expired: at even heights what has by time first, at odd ones what has by height."""
    kinds = [(DEADLINE_TIME, context.time_s), (DEADLINE_HEIGHT, context.height)]
    for index, now in kinds if context.height % 2 == 0 else reversed(kinds):
        first = True
        most = 1 + context.params.max_upkeep_cost // _CHEAPEST
        for deadline, kind, subject in list(index.entries(context.state, limit=most)):
            if deadline > now:
                break
            if not index.exists(context.state, deadline, kind, subject):
                continue  # an order that ended took its requests' deadlines along
            recorder = RECORD[DeadlineKind(kind)]
            if not upkeep.affords(context, recorder.cost, first=first):
                break
            first = False
            entry = index.key(deadline, kind, subject)
            upkeep.run_or_set_aside(context, kind, subject, entry, partial(recorder.record, context, subject))
