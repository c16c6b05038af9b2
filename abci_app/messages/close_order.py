"""CloseOrder: the principal ends an order. Pending requests are cancelled; a granted one must be answered first.

Of an order that has expired it records just that, where the sweep has not yet.
"""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.custody import orders, releases
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, DUE, OPEN_REQUESTS, UNSIGNED, VAULT_ORDERS
from abci_app.state.records import ORDERS, REQUESTS
from abci_app.state.view import StateView


def _execute(context: Context, message: tx_pb2.CloseOrder) -> bytes:
    order = orders.get(context, message.order)
    context.require(order.principal == context.signer, Code.NOT_PRINCIPAL, reason="close-order")
    if orders.is_over_unrecorded(order, context):
        # The sweep is behind: its principal need not wait for it to close the vault or to place other orders.
        orders.end(context, order, custody_pb2.ORDER_STATUS_EXPIRED, "expired")
        return b""
    context.require(orders.is_open(order, context), Code.ORDER_NOT_OPEN, order.id.hex(), reason="close-order")
    granted = orders.has_granted_request(context, order)
    context.require(not granted, Code.ORDER_HAS_GRANTED_REQUEST, order.id.hex())
    orders.end(context, order, custody_pb2.ORDER_STATUS_CLOSED, "closed")
    return b""


def _decides(view: StateView, signer: bytes, message: tx_pb2.CloseOrder) -> bytes | None:
    order = ORDERS.read(view, message.order)
    open_ = (custody_pb2.ORDER_STATUS_PLACED, custody_pb2.ORDER_STATUS_ACTIVE)
    return order.id if order is not None and order.principal == signer and order.status in open_ else None


SPEC = MessageSpec(
    field="close_order",
    message=tx_pb2.CloseOrder,
    message_class=MessageClass.USER,
    cost=lambda _: 600,
    validate=lambda message: need_bytes(message.order, limits.ID_BYTES, "order"),
    execute=_execute,
    decides=_decides,
    writes=(
        ORDERS, REQUESTS, DUE, DEADLINE_TIME, DEADLINE_HEIGHT,
        OPEN_REQUESTS, UNSIGNED, VAULT_ORDERS, *releases.FORGET_WRITES,
    ),
    codes=(Code.FIELD_INVALID, Code.UNKNOWN_ORDER, Code.ORDER_NOT_OPEN, Code.NOT_PRINCIPAL,
           Code.ORDER_HAS_GRANTED_REQUEST),
    events=(events.ORDER, events.REQUEST_OF_ORDER, events.REQUEST, events.EXTRACTION),
)  # fmt: skip
