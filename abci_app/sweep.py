"""The sweep: before a block's transactions, what has expired is recorded, in (deadline, id) order, so many a block.

Deadlines by time and by height take turns at going first, so that a flood of one kind does not starve the other.

It only records what was already true: every message checks its deadlines itself (ledger.md, Time).
"""

from __future__ import annotations

from abci_app.custody import orders, vaults
from abci_app.custody.orders import DeadlineKind
from abci_app.messages.context import Context
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state import keys
from abci_app.state.records import ORDERS, REQUESTS, VAULTS


def sweep(context: Context) -> None:
    """Record at most ``max_sweep`` expiries: at even heights those by time first, at odd ones those by height."""
    left = context.params.max_sweep
    kinds = [(keys.DEADLINE_TIME, context.time_s), (keys.DEADLINE_HEIGHT, context.height)]
    for prefix, now in kinds if context.height % 2 == 0 else reversed(kinds):
        for key, _ in list(context.state.index_scan(prefix, limit=left)):
            at = len(prefix)
            if int.from_bytes(key[at : at + 8], "big") > now:
                break
            if context.state.index_get(key) is None:
                continue  # an order that ended took its requests' deadlines along
            _record(context, key, DeadlineKind(key[at + 8]), key[at + 9 :])
            left -= 1


def _record(context: Context, key: bytes, kind: DeadlineKind, subject: bytes) -> None:
    if kind is DeadlineKind.ORDER:
        orders.end(context, ORDERS.get(context.state, subject), pb.ORDER_STATUS_EXPIRED, "expired")
    elif kind is DeadlineKind.REQUEST:
        request = REQUESTS.get(context.state, subject)
        order = ORDERS.get(context.state, request.order)
        orders.end_request(context, order, request, pb.REQUEST_STATUS_EXPIRED)
        ORDERS.put(context.state, order, order.id)
    else:
        vault = VAULTS.get(context.state, subject)
        if vaults.is_closed(vault, context):
            vaults.record_closed(context, vault)
        else:  # its time has come, its height has not
            vault.waits_for_height = True
            VAULTS.put(context.state, vault, vault.id)
            context.state.index_delete(key)
            context.state.index_put(keys.deadline_height(vault.closes_at_height, DeadlineKind.VAULT, vault.id))
