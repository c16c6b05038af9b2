"""The sweep: before a block's transactions, what has expired is recorded, in (deadline, id) order, so many a block.

Deadlines by time and by height take turns at going first, so that a flood of one kind does not starve the other.

It only records what was already true: every message checks its deadlines itself (docs/spec/state.md, A block).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from abci_app.authority import extractions
from abci_app.custody import orders, vaults
from abci_app.execution.context import Context
from abci_app.governance import proposals
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME

RECORD: Final[dict[DeadlineKind, Callable[[Context, bytes], None]]] = {
    DeadlineKind.ORDER: orders.record_expired,
    DeadlineKind.REQUEST: orders.record_request_expired,
    DeadlineKind.VAULT: vaults.record_due,
    DeadlineKind.PROPOSAL: proposals.record_expired,
    DeadlineKind.EXTRACTION: extractions.expire,
}
"""What records each kind, given the subject: it takes the deadline's own index entry away, or it would come again."""


def sweep(context: Context) -> None:
    """Record at most ``max_sweep`` expiries: at even heights those by time first, at odd ones those by height."""
    left = context.params.max_sweep
    kinds = [(DEADLINE_TIME, context.time_s), (DEADLINE_HEIGHT, context.height)]
    for index, now in kinds if context.height % 2 == 0 else reversed(kinds):
        for deadline, kind, subject in list(index.entries(context.state, limit=left)):
            if deadline > now:
                break
            if not index.exists(context.state, deadline, kind, subject):
                continue  # an order that ended took its requests' deadlines along
            RECORD[DeadlineKind(kind)](context, subject)
            left -= 1
