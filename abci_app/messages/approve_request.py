"""ApproveRequest: a party of the policy lets a request pass."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.custody import orders, policy, releases
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state.records import DECISIONS, ORDERS, REQUESTS
from abci_app.state.view import StateView


def _validate(message: tx_pb2.ApproveRequest) -> None:
    need_bytes(message.request, limits.ID_BYTES, "request")
    need_bytes(message.content_digest, 32, "content_digest")


def _execute(context: Context, message: tx_pb2.ApproveRequest) -> bytes:
    order, request = orders.get_open_request(context, message.request)
    context.require(
        context.signer in policy.parties(order.policy), Code.NOT_A_PARTY, context.signer.hex(), reason="approver"
    )
    context.require(request.content_digest == message.content_digest, Code.CONTENT_MISMATCH, reason="approval")
    decided = DECISIONS.find(context.state, request.id, context.signer) is not None
    context.require(not decided, Code.ALREADY_DONE, reason="decided")
    context.require(
        request.status == custody_pb2.REQUEST_STATUS_PENDING, Code.REQUEST_NOT_OPEN, "granted already", reason="granted"
    )
    context.require(policy.in_force(order.policy, context.time_s), Code.POLICY_NOT_IN_FORCE, reason="approval")
    decision = custody_pb2.DecisionRecord(veto=False, height=context.height, tx_hash=context.tx_hash)
    DECISIONS.put(context.state, decision, request.id, context.signer)
    releases.emit_request(context, request, "approved", party=context.signer)
    orders.grant_if_satisfied(context, order, request)
    REQUESTS.put(context.state, request, request.id)
    ORDERS.put(context.state, order, order.id)
    return b""


def _decides(view: StateView, signer: bytes, message: tx_pb2.ApproveRequest) -> bytes | None:
    request = REQUESTS.read(view, message.request)
    if request is None or request.status != custody_pb2.REQUEST_STATUS_PENDING:
        return None
    order = ORDERS.read(view, request.order)
    named = order is not None and signer in policy.parties(order.policy)
    return request.id if named and not DECISIONS.exists(view, request.id, signer) else None


SPEC = MessageSpec(
    field="approve_request",
    message=tx_pb2.ApproveRequest,
    message_class=MessageClass.USER,
    cost=lambda _: 400,
    validate=_validate,
    execute=_execute,
    decides=_decides,
    writes=(ORDERS, REQUESTS, DECISIONS, *releases.GRANT_WRITES),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_REQUEST, Code.ORDER_NOT_OPEN, Code.REQUEST_NOT_OPEN, Code.DEADLINE_PASSED,
        Code.NOT_A_PARTY, Code.CONTENT_MISMATCH, Code.ALREADY_DONE, Code.POLICY_NOT_IN_FORCE,
        Code.REQUESTER_REVOKED,
    ),
    events=(events.REQUEST_OF_ORDER, events.REQUEST, events.EXTRACTION),
)  # fmt: skip
