"""What happens to an order and its requests, whichever message or deadline makes it happen."""

from __future__ import annotations

from abci_app.codes import Code
from abci_app.custody import allowance, lifecycle, policy, releases
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state import as_of, due, requesters
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.due import DueKind
from abci_app.state.indexes import (
    DEADLINE_HEIGHT,
    DEADLINE_TIME,
    OPEN_REQUESTS,
    ORDER_ANSWERERS,
    UNSIGNED,
    VAULT_ORDERS,
    block_named,
    put_key,
)
from abci_app.state.records import (
    COUNTERS,
    DECISIONS,
    EXTRACTIONS,
    FULFILMENTS,
    IDENTITIES,
    ORDERS,
    REQUEST_NUMBERS,
    REQUESTS,
)


def is_open(order: pb.OrderRecord, context: Context) -> bool:
    """Whether the order lives at this block."""
    return as_of.order(order, context.moment) in as_of.OPEN_ORDER


def is_over_unrecorded(order: pb.OrderRecord, context: Context) -> bool:
    """Whether the order has expired and the sweep has not come to it."""
    return as_of.order(order, context.moment) != order.status


def get(context: Context, order_id: bytes) -> pb.OrderRecord:
    """The order, refused with UNKNOWN_ORDER where there is none."""
    order = ORDERS.find(context.state, order_id)
    if order is None:
        raise Refusal(Code.UNKNOWN_ORDER, order_id.hex())
    return order


def get_open(context: Context, order_id: bytes) -> pb.OrderRecord:
    """The order, if it is known and open; refused otherwise."""
    order = get(context, order_id)
    context.require(is_open(order, context), Code.ORDER_NOT_OPEN, order_id.hex(), reason="order")
    return order


def index_of(order: pb.OrderRecord, fiduciary: bytes) -> int:
    """The fiduciary's share index, 1..n; refused with NOT_NAMED where the order does not name it."""
    for position, named in enumerate(order.fiduciaries):
        if named == fiduciary:
            return position + 1
    raise Refusal(Code.NOT_NAMED, fiduciary.hex(), reason="order")


def emit(context: Context, order: pb.OrderRecord, action: str, **attributes: bytes | int | str) -> None:
    """An event about the order, and one about its principal, so that a search by either finds it."""
    status = pb.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_").lower()
    context.emit("order", order.id, action, status=status, principal=order.principal, **attributes)


def end(context: Context, order: pb.OrderRecord, to: pb.OrderStatus, action: str) -> None:
    """Close, expire or fail the order: its requests end, nothing of it is due any more."""
    lifecycle.move_order(order, to)
    order.ended_height = context.height
    order.ended_tx, order.ended_tx_item = context.tx_hash, context.item
    for _, id_ in list(OPEN_REQUESTS.entries(context.state, order.id)):
        request = REQUESTS.get(context.state, id_)
        # One that was granted is overdue, or its order could not be closed.
        cancelled = to == pb.ORDER_STATUS_CLOSED and request.status == pb.REQUEST_STATUS_PENDING
        end_request(
            context, order, request, pb.REQUEST_STATUS_CANCELLED if cancelled else pb.REQUEST_STATUS_EXPIRED
        )
    for fiduciary in order.fiduciaries:
        due.remove(context.state, fiduciary, DueKind.FULFIL_ORDER, order.id)
    VAULT_ORDERS.delete(context.state, order.vault or order.authority, order.id)
    forget_deadlines(context, order)
    counter = COUNTERS.get(context.state, order.principal)
    counter.open_orders -= 1
    COUNTERS.put(context.state, counter, order.principal)
    ORDERS.put(context.state, order, order.id)
    emit(context, order, action)


def deadlines(order: pb.OrderRecord) -> list[bytes]:
    """The index entries by which the sweep finds when an open order expires."""
    found = []
    if order.expires_at_time_s:
        found.append(DEADLINE_TIME.key(order.expires_at_time_s, DeadlineKind.ORDER, order.id))
    if order.expires_at_height:
        found.append(DEADLINE_HEIGHT.key(order.expires_at_height + 1, DeadlineKind.ORDER, order.id))
    return found


def request_deadlines(request: pb.RequestRecord) -> list[bytes]:
    """The same for a request that is not settled; none while it is granted and waits for its release."""
    if not request.deadline_time_s:
        return []
    return [DEADLINE_TIME.key(request.deadline_time_s, DeadlineKind.REQUEST, request.id)]


def remember_deadlines(context: Context, order: pb.OrderRecord) -> None:
    """Index when the order expires, for the sweep."""
    for entry in deadlines(order):
        put_key(context.state, entry)


def forget_deadlines(context: Context, order: pb.OrderRecord) -> None:
    """The order ended: nothing of it is left to sweep."""
    for entry in deadlines(order):
        context.state.index_delete(entry)


def record_expired(context: Context, order_id: bytes) -> None:
    """The sweep came to an order's expiry."""
    end(context, ORDERS.get(context.state, order_id), pb.ORDER_STATUS_EXPIRED, "expired")


def record_request_expired(context: Context, request_id: bytes) -> None:
    """The sweep came to a request's deadline."""
    request = REQUESTS.get(context.state, request_id)
    order = ORDERS.get(context.state, request.order)
    end_request(context, order, request, pb.REQUEST_STATUS_EXPIRED)
    ORDERS.put(context.state, order, order.id)
    end_if_spent(context, order)


def fulfilment_answered(context: Context, order: pb.OrderRecord, rejection: pb.Rejection) -> None:
    """Record one fiduciary's FulfilOrder (``rejection`` unspecified) or RejectOrder, and what follows from it."""
    index_of(order, context.signer)
    if FULFILMENTS.find(context.state, order.id, context.signer) is not None:
        raise Refusal(Code.ALREADY_DONE, context.signer.hex(), reason="fulfilment")
    record = pb.FulfilmentRecord(
        rejection=rejection, height=context.height, tx_hash=context.tx_hash, tx_item=context.item
    )
    FULFILMENTS.put(context.state, record, order.id, context.signer)
    due.remove(context.state, context.signer, DueKind.FULFIL_ORDER, order.id)
    if rejection == pb.REJECTION_UNSPECIFIED:
        order.fulfilled += 1
    else:
        order.rejected += 1
    action = "fulfilled" if rejection == pb.REJECTION_UNSPECIFIED else "rejected"
    if order.status == pb.ORDER_STATUS_PLACED and order.fulfilled >= order.threshold:
        lifecycle.move_order(order, pb.ORDER_STATUS_ACTIVE)
        order.active_height = context.height
    emit(context, order, action, fiduciary=context.signer)
    context.emit("fiduciary", context.signer, f"order-{action}", order=order.id)
    if order.status == pb.ORDER_STATUS_PLACED and len(order.fiduciaries) - order.rejected < order.threshold:
        end(context, order, pb.ORDER_STATUS_FAILED, "failed")
    else:
        ORDERS.put(context.state, order, order.id)


def end_request(context: Context, order: pb.OrderRecord, request: pb.RequestRecord, to: pb.RequestStatus) -> None:
    """The request ends (or, if it is COMPLETED already, takes no more answers). The caller puts ``order``."""
    forget_open(context, order, request)
    if request.status in (pb.REQUEST_STATUS_PENDING, pb.REQUEST_STATUS_GRANTED):
        if request.status == pb.REQUEST_STATUS_GRANTED:
            order.granted_requests -= 1
        lifecycle.move_request(request, to)
        _count_outcome(order, to)
        request.ended_height = context.height
        request.ended_tx, request.ended_tx_item = context.tx_hash, context.item
        releases.emit_request(context, request, pb.RequestStatus.Name(to).removeprefix("REQUEST_STATUS_").lower())
    REQUESTS.put(context.state, request, request.id)


def _count_outcome(order: pb.OrderRecord, to: pb.RequestStatus) -> None:
    if to == pb.REQUEST_STATUS_COMPLETED:
        order.completed_requests += 1
    elif to == pb.REQUEST_STATUS_VETOED:
        order.vetoed_requests += 1
    elif to == pb.REQUEST_STATUS_EXPIRED:
        order.expired_requests += 1
    else:
        order.cancelled_requests += 1


def count_answer(context: Context, order: pb.OrderRecord, threshold: int) -> None:
    """The signer's answer to a request of the order was taken, under this threshold. The caller puts the order.

    Answers to different requests combine, so they are counted for all of them together, and nothing resets it.
    """
    if not order.answers:
        order.first_answer_height = context.height
    order.answer_threshold = min(order.answer_threshold, threshold) if order.answers else threshold
    order.answers += 1
    if not ORDER_ANSWERERS.exists(context.state, order.id, context.signer):
        ORDER_ANSWERERS.put(context.state, order.id, context.signer)
        order.answerers += 1


def forget_open(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """Nothing more is waited for: it ended, all have answered, or it is too late. The caller puts both records."""
    request.settled_height = context.height
    OPEN_REQUESTS.delete(context.state, order.id, request.id)
    for entry in request_deadlines(request):
        context.state.index_delete(entry)
    order.open_requests -= 1
    for fiduciary in order.fiduciaries:
        due.remove(context.state, fiduciary, DueKind.FULFIL_SECRET, request.id)
    if releases.is_signing(order):
        _forget_unsigned(context, request.id)
    releases.forget(context, order, request)


def _forget_unsigned(context: Context, request: bytes) -> None:
    """Its deadline came before there was room for the sum of its shares."""
    record = EXTRACTIONS.find(context.state, request)
    if record is not None and UNSIGNED.exists(context.state, record.ended_height, request):
        UNSIGNED.delete(context.state, record.ended_height, request)


def complete_request(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """Threshold-many have answered a GRANTED request. The caller puts both records."""
    lifecycle.move_request(request, pb.REQUEST_STATUS_COMPLETED)
    _count_outcome(order, pb.REQUEST_STATUS_COMPLETED)
    request.ended_height = context.height
    request.ended_tx, request.ended_tx_item = context.tx_hash, context.item
    order.granted_requests -= 1


def end_if_spent(context: Context, order: pb.OrderRecord) -> None:
    """A signing order lives as long as its request. Puts the order where it ends it."""
    if releases.is_signing(order) and order.status == pb.ORDER_STATUS_ACTIVE and not order.open_requests:
        end(context, order, pb.ORDER_STATUS_CLOSED, "closed")


def is_released(request: pb.RequestRecord, context: Context) -> bool:
    """Whether the veto window is over: block time and height have both passed what the grant wrote."""
    return context.time_s >= request.release_time_s and context.height >= request.release_height


def has_granted_request(context: Context, order: pb.OrderRecord) -> bool:
    """Whether a request of the order is GRANTED and its deadline has not passed, swept or not."""
    for _, id_ in list(OPEN_REQUESTS.entries(context.state, order.id)):
        request = REQUESTS.get(context.state, id_)
        if as_of.request(request, context.moment) == pb.REQUEST_STATUS_GRANTED:
            return True
    return False


def grant_if_satisfied(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """Grant a PENDING request whose policy its approvals satisfy, and make the releases due. Puts nothing."""
    parties = policy.parties(order.policy)
    approved = []
    for party in parties:
        decision = DECISIONS.find(context.state, request.id, party)
        if decision is not None and not decision.veto:
            approved.append(party)
    if not policy.in_force(order.policy, context.time_s) or not policy.satisfied(order.policy, approved):
        return
    lifecycle.move_request(request, pb.REQUEST_STATUS_GRANTED)
    request.granted_height = context.height
    request.granted_tx = context.tx_hash
    request.release_time_s = context.time_s
    request.release_height = context.height + 1
    if order.policy.veto_window_s:
        request.release_time_s += order.policy.veto_window_s
        request.release_height = context.height + context.params.min_veto_blocks
    order.granted_requests += 1
    releases.emit_request(context, request, "granted")
    if order.authority:
        releases.granted(context, order, request)
        return
    DEADLINE_TIME.delete(context.state, request.deadline_time_s, DeadlineKind.REQUEST, request.id)
    request.deadline_time_s = request.release_time_s + context.params.request_ttl_s
    DEADLINE_TIME.put(context.state, request.deadline_time_s, DeadlineKind.REQUEST, request.id)
    for fiduciary in order.fiduciaries:
        due.add(
            context.state, fiduciary, DueKind.FULFIL_SECRET, request.id, request.release_time_s, request.release_height
        )


def open_request(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """A new request of the order: its id, order, beneficiary, content and keys are set. Puts it, not the order.

    Who asks, and is a party, has thereby approved; where that is enough it is granted at once.
    """
    request.status = pb.REQUEST_STATUS_PENDING
    request.requested_height, request.requested_time_s = context.height, context.time_s
    request.requested_tx = context.tx_hash
    request.deadline_time_s = context.time_s + context.params.request_ttl_s
    context.require(policy.in_force(order.policy, context.time_s), Code.POLICY_NOT_IN_FORCE, reason="release")
    order.open_requests += 1
    order.requests += 1
    request.number = order.requests
    request.requester_key = IDENTITIES.get(context.state, context.signer).tx_key
    REQUEST_NUMBERS.put(context.state, request.id, order.id, request.number)
    allowance.count_request(context, order, request.requester_key)
    releases.asked(context, order, request)
    OPEN_REQUESTS.put(context.state, order.id, request.id, value=block_named(request.keys_cid))
    DEADLINE_TIME.put(context.state, request.deadline_time_s, DeadlineKind.REQUEST, request.id)
    releases.emit_request(context, request, "requested")
    if context.signer in policy.parties(order.policy):
        own = pb.DecisionRecord(veto=False, height=context.height, tx_hash=context.tx_hash)
        DECISIONS.put(context.state, own, request.id, context.signer)
    grant_if_satisfied(context, order, request)
    REQUESTS.put(context.state, request, request.id)


def finish_extracted(
    context: Context, order: pb.OrderRecord, request: pb.RequestRecord, record: extraction_pb2.ExtractionRecord
) -> None:
    """Threshold-many members answered a request under an authority key: it is complete, and settled. Puts both."""
    request.answers = record.answers
    complete_request(context, order, request)
    forget_open(context, order, request)
    REQUESTS.put(context.state, request, request.id)
    ORDERS.put(context.state, order, order.id)


def get_open_request(context: Context, request_id: bytes) -> tuple[pb.OrderRecord, pb.RequestRecord]:
    """The request and its order, both still living; refused otherwise."""
    request = REQUESTS.find(context.state, request_id)
    if request is None:
        raise Refusal(Code.UNKNOWN_REQUEST, request_id.hex(), reason="request")
    order = ORDERS.get(context.state, request.order)
    context.require(is_open(order, context), Code.ORDER_NOT_OPEN, order.id.hex(), reason="request")
    living = (pb.REQUEST_STATUS_PENDING, pb.REQUEST_STATUS_GRANTED, pb.REQUEST_STATUS_COMPLETED)
    context.require(request.status in living, Code.REQUEST_NOT_OPEN, request_id.hex(), reason="over")
    past = as_of.is_past_deadline(request, context.moment)
    context.require(not past, Code.DEADLINE_PASSED, request_id.hex(), reason="request")
    revoked = requesters.is_revoked(context.state, request.beneficiary)
    context.require(not revoked, Code.REQUESTER_REVOKED, request.beneficiary.hex(), reason="request")
    return order, request
