"""What moves requests that wait: their window ends, they have their turn, or who asked was revoked.

Each is a queue of the block's upkeep (docs/spec/state.md, A block): within its budget, the first item always.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from abci_app.authority import extractions
from abci_app.custody import orders, releases
from abci_app.execution import guard, upkeep
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state import requesters
from abci_app.state.indexes import RELEASE_QUEUE, REQUESTER_REQUESTS, REVOKED_REQUESTERS, VETO_WINDOWS
from abci_app.state.records import ORDERS, REQUESTS

# About the microseconds of one item, between those under a key of 4 members and those under one of 64.
WINDOW_COST: Final = 45
RELEASE_COST: Final = 350
CANCEL_COST: Final = 180


def end_windows(context: Context) -> None:
    """Requests whose veto window no message of a later block can still use go on to the queue of their key.

    A window is over for the next block once this block's time and the next one's height have passed it. Most wait for
    the time; one whose blocks are not over then waits for the height in a queue of its own, so that none is looked at
    twice for nothing.
    """
    most = 1 + context.params.max_upkeep_cost // WINDOW_COST
    for stage, now in (
        (pb.RELEASE_STAGE_VETO_TIME, context.time_s), (pb.RELEASE_STAGE_VETO_HEIGHT, context.height + 1),
    ):  # fmt: skip
        spending = upkeep.Spending(context)
        for _, end, id_ in VETO_WINDOWS.due(context.state, context.height, now, stage, limit=most):
            if not spending.affords(WINDOW_COST):
                break
            entry = VETO_WINDOWS.key(stage, end, id_)
            _or_expire(context, id_, entry, partial(_end_window, context, id_))


def _end_window(context: Context, id_: bytes) -> None:
    request = REQUESTS.get(context.state, id_)
    VETO_WINDOWS.delete(context.state, request.stage, releases.window_end(request), id_)
    if request.release_height > context.height + 1:
        request.stage = pb.RELEASE_STAGE_VETO_HEIGHT
        VETO_WINDOWS.put(context.state, request.stage, request.release_height, id_)
    else:
        releases.enqueue(context, ORDERS.get(context.state, request.order), request)
    REQUESTS.put(context.state, request, id_)


def serve(context: Context) -> None:
    """Give the free places of each key to those that queue for it, in turns of the requesters.

    The keys too have turns, one place each; which is the first changes with the height.
    """
    keys = releases.queued_keys(context.state)
    begin = context.height % len(keys) if keys else 0
    keys, spending = keys[begin:] + keys[:begin], upkeep.Spending(context)
    while keys:
        for authority in list(keys):
            entry = releases.next_queued(context, authority)
            if entry is None or not extractions.has_room(context, authority):
                keys.remove(authority)
                continue
            if not spending.affords(RELEASE_COST):
                return
            id_ = RELEASE_QUEUE.split(entry)[3]
            _or_expire(context, id_, entry, partial(_serve, context, id_))


def _serve(context: Context, id_: bytes) -> None:
    request = REQUESTS.get(context.state, id_)
    order = ORDERS.get(context.state, request.order)
    releases.take_turn(context, order, request)
    if requesters.is_revoked(context.state, request.beneficiary):
        _cancel(context, id_)
        return
    releases.release(context, order, request)
    REQUESTS.put(context.state, request, id_)


def _or_expire(context: Context, id_: bytes, entry: bytes, work: Callable[[], object]) -> None:
    """Move a request on. Where that fails, by a defect of ours, it expires; where that fails too, only that is written.

    It is never released later: what stands in its way then may be what should have.
    """
    if guard.failure_of(context, work) is None:
        return
    if guard.failure_of(context, partial(orders.record_request_expired, context, id_)) is None:
        return
    context.state.index_delete(entry)
    request = REQUESTS.get(context.state, id_)
    request.status, request.stage = pb.REQUEST_STATUS_EXPIRED, pb.RELEASE_STAGE_UNSPECIFIED
    request.ended_height = context.height
    REQUESTS.put(context.state, request, id_)


def cancel_revoked(context: Context) -> None:
    """Cancel what revoked identities asked for. Nothing of it was due any more since the block that revoked them."""
    spending = upkeep.Spending(context, upkeep.SWEEP_PART)
    most = 1 + context.params.max_upkeep_cost // CANCEL_COST
    for (identity,) in list(REVOKED_REQUESTERS.entries(context.state, limit=most)):
        asked = list(REQUESTER_REQUESTS.entries(context.state, identity, limit=most))
        entry = REVOKED_REQUESTERS.key(identity)
        if not asked:
            context.state.index_delete(entry)  # set aside, all of it settled otherwise, and put back
        for _, id_ in asked:
            if not spending.affords(CANCEL_COST):
                return
            upkeep.run_or_set_aside(context, upkeep.Aside.REVOKED, identity, entry, partial(_cancel, context, id_))


def _cancel(context: Context, id_: bytes) -> None:
    request = REQUESTS.find(context.state, id_)
    if request is None:
        extractions.cancel(context, id_)
        return
    order = ORDERS.get(context.state, request.order)
    orders.end_request(context, order, request, pb.REQUEST_STATUS_CANCELLED)
    ORDERS.put(context.state, order, order.id)
    orders.end_if_spent(context, order)
