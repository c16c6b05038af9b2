"""RejectOrder: a fiduciary's hook can't hold its share, and says why. Too many of them fail the order."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.custody import orders
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, DUE, VAULT_ORDERS
from abci_app.state.records import COUNTERS, FULFILMENTS, ORDERS


def _validate(message: tx_pb2.RejectOrder) -> None:
    need_bytes(message.order, limits.ID_BYTES, "order")
    if message.rejection not in custody_pb2.Rejection.values()[1:]:
        raise Refusal(Code.BAD_REJECTION, str(message.rejection))


def _execute(context: Context, message: tx_pb2.RejectOrder) -> bytes:
    order = orders.get_open(context, message.order)
    orders.fulfilment_answered(context, order, message.rejection)
    return b""


SPEC = MessageSpec(
    field="reject_order",
    message=tx_pb2.RejectOrder,
    message_class=MessageClass.RESULT,
    cost=lambda _: 300,
    validate=_validate,
    execute=_execute,
    due=lambda message: (DueKind.FULFIL_ORDER, message.order),
    writes=(
        ORDERS, FULFILMENTS, DUE, COUNTERS, VAULT_ORDERS, DEADLINE_TIME,
        DEADLINE_HEIGHT,
    ),
    codes=(
        Code.FIELD_INVALID, Code.BAD_REJECTION, Code.UNKNOWN_ORDER, Code.ORDER_NOT_OPEN, Code.NOT_NAMED,
        Code.ALREADY_DONE,
    ),
    events=(events.ORDER_BY, events.ORDER),
)  # fmt: skip
