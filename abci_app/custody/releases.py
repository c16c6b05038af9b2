"""Requests under an authority key, from asking until the key's members owe them (docs/spec/authority.md, Quotas).

What waits costs nobody but its requester, whose waiting requests are counted. What is released takes one of the key's
``max_open_extractions`` places. A granted request is never refused one: it waits for its veto window, then for its
turn; requesters have turns, so that who asked for a thousand things keeps nobody from his one.
"""

from __future__ import annotations

from typing import Final

from abci_app.authority import extractions
from abci_app.authority.bases import CUSTODY_SUITE, SIGNING_SUITE, custody_point, signing_point
from abci_app.authority.extractions import Item
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state import requesters
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.indexes import DEADLINE_TIME, RELEASE_QUEUE, VETO_WINDOWS
from abci_app.state.records import COUNTERS, EXTRACTION_LOADS, SIGNINGS
from abci_app.state.view import StateView

GRANT_WRITES: Final = (COUNTERS, VETO_WINDOWS, RELEASE_QUEUE, *extractions.START_WRITES)
FORGET_WRITES: Final = (COUNTERS, VETO_WINDOWS, RELEASE_QUEUE, *extractions.END_WRITES)
"""What :func:`asked` and :func:`granted` write, and what :func:`forget` does."""

_KEY_BYTES: Final = len(RELEASE_QUEUE.key(bytes(32), bytes(32), 0, bytes(32)))


def is_signing(order: pb.OrderRecord) -> bool:
    """Whether what the order releases is a signature: such an order has one request, made together with it."""
    return bool(order.authority) and not order.identity


def signed_bytes(gid: bytes, signing: extraction_pb2.SigningRecord) -> bytes:
    """The very bytes that the signature of a signing order is over."""
    if signing.raw:
        return signing.message
    return statements.signing_message(gid, signing.authority, signing.kind, signing.message, signing.digest)


def emit_request(context: Context, request: pb.RequestRecord, action: str, **attributes: bytes | int | str) -> None:
    """An event about the request that an order's search finds too."""
    status = pb.RequestStatus.Name(request.status).removeprefix("REQUEST_STATUS_").lower()
    context.emit(
        "request", request.id, action, status=status, order=request.order, beneficiary=request.beneficiary, **attributes
    )
    context.emit("order", request.order, f"request-{action}", request=request.id)


def asked(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """A new request: under an authority key it waits, and counts against who asked. Refused with TOO_MANY."""
    requesters.add(context.state, request.beneficiary, request.id)
    if not order.authority:
        return
    waiting = COUNTERS.find(context.state, request.beneficiary)
    most = context.params.max_waiting_requests_per_identity
    too_many = waiting is not None and waiting.waiting_requests >= most
    context.require(
        not too_many, Code.TOO_MANY, f"an identity has at most {most} requests that wait", reason="waiting-requests"
    )
    _count_waiting(context, request, 1)


def granted(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """Its policy is satisfied: it waits for its window's end, or takes a free place, or queues. Puts neither record.

    Its deadline counts from its release: until then it has none.
    """
    DEADLINE_TIME.delete(context.state, request.deadline_time_s, DeadlineKind.REQUEST, request.id)
    request.deadline_time_s = 0
    if order.policy.veto_window_s:
        request.stage = pb.RELEASE_STAGE_VETO_TIME
        VETO_WINDOWS.put(context.state, request.stage, request.release_time_s, request.id)
    elif extractions.has_room(context, order.authority) and not RELEASE_QUEUE.has_any(context.state, order.authority):
        release(context, order, request)
    else:
        enqueue(context, order, request)


def enqueue(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """Nothing but a free place is waited for. Puts neither record."""
    request.stage = pb.RELEASE_STAGE_QUEUED
    RELEASE_QUEUE.put(context.state, *_place(order, request))


def release(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """It takes a free place: from the next block on the members of the key's epoch owe it. Puts neither record."""
    request.stage = pb.RELEASE_STAGE_RELEASED
    request.released_height = context.height
    request.deadline_time_s = context.time_s + context.params.request_ttl_s
    DEADLINE_TIME.put(context.state, request.deadline_time_s, DeadlineKind.REQUEST, request.id)
    _count_waiting(context, request, -1)
    if is_signing(order):
        use, suite = extraction_pb2.USE_SIGN, SIGNING_SUITE
        message = signed_bytes(context.gid, SIGNINGS.get(context.state, request.id))
        item = Item(signing_point(message).encode(), order.id)
    else:
        use, suite = extraction_pb2.USE_CUSTODY, CUSTODY_SUITE
        item = Item(custody_point(order.identity).encode(), request.beneficiary, transport=request.transport_key)
    extractions.start(
        context, request=request.id, authority=order.authority, use=use, suite=suite, subject=order.id,
        items=[item], deadline_time_s=request.deadline_time_s, requester=request.beneficiary,
    )  # fmt: skip
    emit_request(context, request, "released")


def forget(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """It is settled, whatever it waited for: nothing of it is left in an index or a count. Puts neither record."""
    requesters.remove(context.state, request.beneficiary, request.id)
    if not order.authority:
        return
    if request.stage == pb.RELEASE_STAGE_RELEASED:
        extractions.cancel(context, request.id)
        return
    _count_waiting(context, request, -1)
    if request.stage == pb.RELEASE_STAGE_QUEUED:
        RELEASE_QUEUE.delete(context.state, *_place(order, request))
    elif request.stage != pb.RELEASE_STAGE_UNSPECIFIED:
        VETO_WINDOWS.delete(context.state, request.stage, window_end(request), request.id)


def window_end(request: pb.RequestRecord) -> int:
    """What a request in its veto window waits for at its stage: a time, or a height."""
    return request.release_time_s if request.stage == pb.RELEASE_STAGE_VETO_TIME else request.release_height


def queued_keys(view: StateView) -> list[bytes]:
    """The authority keys for which requests queue, by id: a look at one entry of each."""
    keys: list[bytes] = []
    place = b""
    while found := next(view.index_scan(RELEASE_QUEUE.prefix, place, limit=1), None):
        keys.append(RELEASE_QUEUE.split(found[0])[0])
        place = _past(RELEASE_QUEUE.under(keys[-1]))
    return keys


def next_queued(context: Context, authority: bytes) -> bytes | None:
    """The queue's entry whose turn it is: the oldest grant of the requester after the one that was served last."""
    last = extractions.load_of(context, authority).last_served
    under = RELEASE_QUEUE.under(authority)
    for place in ([_past(under + last)] if last else []) + [b""]:
        found = next(context.state.index_scan(under, place, limit=1), None)
        if found is not None:
            return found[0]
    return None


def take_turn(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """Its requester is served: the next turn is another's. It is in the queue no more. Puts neither record."""
    RELEASE_QUEUE.delete(context.state, *_place(order, request))
    load = extractions.load_of(context, order.authority)
    load.last_served = request.beneficiary
    EXTRACTION_LOADS.put(context.state, load, order.authority)


def _past(prefix: bytes) -> bytes:
    """Greater than every key of the queue that begins with these whole parts, and less than all that follow them."""
    return prefix + b"\xff" * _KEY_BYTES


def _place(order: pb.OrderRecord, request: pb.RequestRecord) -> tuple[bytes, bytes, int, bytes]:
    return order.authority, request.beneficiary, request.granted_height, request.id


def _count_waiting(context: Context, request: pb.RequestRecord, more: int) -> None:
    counter = COUNTERS.find(context.state, request.beneficiary) or pb.CounterRecord(identity=request.beneficiary)
    counter.waiting_requests += more
    COUNTERS.put(context.state, counter, request.beneficiary)
