"""The sweep: before a block's transactions, what has expired is recorded, in (deadline, id) order, within the budget.

Deadlines by time and by height take turns at going first, so that a flood of one kind does not starve the other.

It only records what was already true: every message checks its deadlines itself (docs/spec/state.md, A block).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import Message

from abci_app.authority import extractions
from abci_app.custody import orders, turns, vaults
from abci_app.execution import upkeep
from abci_app.execution.context import Context
from abci_app.governance import proposals
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, governance_pb2
from abci_app.state.collection import Records
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME
from abci_app.state.records import EXTRACTIONS, ORDERS, PROPOSALS, REQUESTS, VAULTS

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Recorder(Generic[M]):
    """What records a deadline, given its subject: it takes the index entry away, or it would come again.

    ``waits``: whether a record's end is still to be recorded, and ``entries``: its index entries while it is. One that
    was set aside may have ended otherwise, or have another deadline, when it is put back. ``cost``: about the
    microseconds that recording it takes.
    """

    records: Records[M, bytes]
    waits: Callable[[M], bool]
    entries: Callable[[M], list[bytes]]
    cost: Callable[[M], int]
    record: Callable[[Context, bytes], None]


_ORDER: Final = Recorder(
    records=ORDERS,
    waits=lambda order: order.status in (custody_pb2.ORDER_STATUS_PLACED, custody_pb2.ORDER_STATUS_ACTIVE),
    entries=orders.deadlines,
    cost=lambda order: 200 + (1 + order.open_requests) * (60 + 4 * len(order.fiduciaries)),
    record=orders.record_expired,
)
_REQUEST: Final = Recorder(
    records=REQUESTS,
    waits=lambda request: not request.settled_height,
    entries=orders.request_deadlines,
    cost=lambda _: 400,
    record=orders.record_request_expired,
)
_VAULT: Final = Recorder(
    records=VAULTS,
    waits=lambda vault: vault.status == custody_pb2.VAULT_STATUS_CLOSING,
    entries=vaults.deadlines,
    cost=lambda _: 250,
    record=vaults.record_due,
)
_PROPOSAL: Final = Recorder(
    records=PROPOSALS,
    waits=lambda proposal: proposal.status == governance_pb2.PROPOSAL_STATUS_OPEN,
    entries=lambda proposal: [proposals.deadline(proposal)],
    cost=lambda _: 250,
    record=proposals.record_expired,
)
_EXTRACTION: Final = Recorder(
    records=EXTRACTIONS,
    waits=lambda extraction: extraction.status == extraction_pb2.EXTRACTION_STATUS_PENDING,
    entries=extractions.deadlines,
    cost=lambda _: 400,
    record=extractions.expire,
)
RECORD: Final[Mapping[DeadlineKind, Recorder[Any]]] = {
    DeadlineKind.ORDER: _ORDER,
    DeadlineKind.REQUEST: _REQUEST,
    DeadlineKind.VAULT: _VAULT,
    DeadlineKind.PROPOSAL: _PROPOSAL,
    DeadlineKind.EXTRACTION: _EXTRACTION,
}
CHEAPEST: Final = 250
"""No more deadlines are looked at than of these fit into the budget."""


def sweep(context: Context) -> None:
    """Record what has expired: at even heights what has by time first, at odd ones what has by height."""
    kinds = [(DEADLINE_TIME, context.time_s), (DEADLINE_HEIGHT, context.height)]
    for index, now in kinds if context.height % 2 == 0 else reversed(kinds):
        spending = upkeep.Spending(context, upkeep.SWEEP_PART)
        most = 1 + context.params.max_upkeep_cost // CHEAPEST
        for deadline, kind, subject in index.due(context.state, context.height, now, limit=most):
            if not index.exists(context.state, deadline, kind, subject):
                continue  # an order that ended took its requests' deadlines along
            recorder = RECORD[DeadlineKind(kind)]
            record = recorder.records.get(context.state, subject)
            entry = index.key(deadline, kind, subject)
            if not recorder.waits(record) or entry not in recorder.entries(record):
                context.state.index_delete(entry)  # set aside, ended or put off meanwhile, and put back
                continue
            if not spending.affords(recorder.cost(record)):
                break
            upkeep.run_or_set_aside(context, kind, subject, entry, partial(recorder.record, context, subject))
    turns.cancel_revoked(context)
