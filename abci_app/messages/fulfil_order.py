"""FulfilOrder: a fiduciary's hook holds its share, checked against the commitment. Counts late ones too."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.custody import orders
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.records import FULFILMENTS, ORDERS


def _execute(context: Context, message: tx_pb2.FulfilOrder) -> bytes:
    order = orders.get_open(context, message.order)
    orders.fulfilment_answered(context, order, custody_pb2.REJECTION_UNSPECIFIED)
    return b""


SPEC = MessageSpec(
    field="fulfil_order",
    message=tx_pb2.FulfilOrder,
    message_class=MessageClass.RESULT,
    cost=lambda _: 200,
    validate=lambda message: need_bytes(message.order, limits.ID_BYTES, "order"),
    execute=_execute,
    due=lambda message: (DueKind.FULFIL_ORDER, message.order),
    writes=(ORDERS, FULFILMENTS, DUE),
    codes=(Code.FIELD_INVALID, Code.UNKNOWN_ORDER, Code.ORDER_NOT_OPEN, Code.NOT_NAMED, Code.ALREADY_DONE),
    events=(events.ORDER_BY, events.ORDER),
)
