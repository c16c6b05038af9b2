"""VetoRequest: a vetoer stops a release before the veto window ends."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.custody import orders, policy, releases
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state.indexes import DEADLINE_TIME, DUE, OPEN_REQUESTS, UNSIGNED, VAULT_ORDERS
from abci_app.state.records import DECISIONS, ORDERS, REQUESTS
from abci_app.state.view import StateView


def _validate(message: tx_pb2.VetoRequest) -> None:
    need_bytes(message.request, limits.ID_BYTES, "request")
    need_bytes(message.content_digest, 32, "content_digest")


def _execute(context: Context, message: tx_pb2.VetoRequest) -> bytes:
    order, request = orders.get_open_request(context, message.request)
    context.require(order.policy.veto_window_s, Code.NO_VETO_WINDOW, reason="veto")
    vetoer = context.signer in policy.vetoers(order.policy, order.principal)
    context.require(vetoer, Code.NOT_A_PARTY, context.signer.hex(), reason="vetoer")
    context.require(request.content_digest == message.content_digest, Code.CONTENT_MISMATCH, reason="veto")
    pending = request.status == custody_pb2.REQUEST_STATUS_PENDING
    waiting = request.status == custody_pb2.REQUEST_STATUS_GRANTED and not orders.is_released(request, context)
    context.require(pending or waiting, Code.VETO_TOO_LATE)
    # A party that had approved may change its mind: the veto replaces its approval.
    decision = custody_pb2.DecisionRecord(veto=True, height=context.height, tx_hash=context.tx_hash)
    before = DECISIONS.find(context.state, request.id, context.signer)
    if before is not None:
        decision.approved_height, decision.approved_tx = before.height, before.tx_hash
    DECISIONS.put(context.state, decision, request.id, context.signer)
    context.emit("request", request.id, "veto-cast", order=order.id, party=context.signer)
    orders.end_request(context, order, request, custody_pb2.REQUEST_STATUS_VETOED)
    ORDERS.put(context.state, order, order.id)
    orders.end_if_spent(context, order)
    return b""


def _decides(view: StateView, signer: bytes, message: tx_pb2.VetoRequest) -> bytes | None:
    request = REQUESTS.read(view, message.request)
    stoppable = (custody_pb2.REQUEST_STATUS_PENDING, custody_pb2.REQUEST_STATUS_GRANTED)
    if request is None or request.status not in stoppable:
        return None
    order = ORDERS.read(view, request.order)
    named = order is not None and signer in policy.vetoers(order.policy, order.principal)
    return request.id if named else None


SPEC = MessageSpec(
    field="veto_request",
    message=tx_pb2.VetoRequest,
    message_class=MessageClass.USER,
    cost=lambda _: 400,
    validate=_validate,
    execute=_execute,
    decides=_decides,
    writes=(
        ORDERS, REQUESTS, DECISIONS, DUE, DEADLINE_TIME, OPEN_REQUESTS, VAULT_ORDERS,
        UNSIGNED, *releases.FORGET_WRITES,
    ),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_REQUEST, Code.ORDER_NOT_OPEN, Code.REQUEST_NOT_OPEN, Code.DEADLINE_PASSED,
        Code.NO_VETO_WINDOW, Code.NOT_A_PARTY, Code.CONTENT_MISMATCH, Code.VETO_TOO_LATE,
        Code.REQUESTER_REVOKED,
    ),
    events=(events.ORDER, events.REQUEST_OF_ORDER, events.REQUEST, events.EXTRACTION, events.VETO_CAST),
)  # fmt: skip
