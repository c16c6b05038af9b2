"""SubmitUnblinded: a member's hook answers a request for permits or for a signature, in clear.

Of a signature the ledger makes the sum once threshold-many are there, at the end of a block, and checks it before it is
stored.
"""

from __future__ import annotations

from abci_app import events, limits
from abci_app.authority import answers, extractions
from abci_app.authority.proofs import check_unblinded_form
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.signing import signing_orders
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_TIME, DUE, ORDER_ANSWERERS, UNSIGNED
from abci_app.state.records import ORDERS


def _validate(message: extraction_pb2.SubmitUnblinded) -> None:
    need_bytes(message.request, limits.ID_BYTES, "request")
    if not 1 <= len(message.partials) <= limits.MAX_EXTRACTION_ITEMS:
        raise Refusal(Code.BAD_ITEMS, f"1 to {limits.MAX_EXTRACTION_ITEMS}", reason="unblinded")
    for partial in message.partials:
        check_unblinded_form(partial)


def _execute(context: Context, message: extraction_pb2.SubmitUnblinded) -> bytes:
    record = answers.submit(
        context, message.request, DueKind.SUBMIT_UNBLINDED, message.epoch, list(message.partials)
    )
    if record.use == extraction_pb2.USE_SIGN:
        signing_orders.answered(context, record)
    return b""


SPEC = MessageSpec(
    field="submit_unblinded",
    message=extraction_pb2.SubmitUnblinded,
    message_class=MessageClass.RESULT,
    cost=lambda message: extractions.ANSWER_BASE_COST + extractions.UNBLINDED_COST * len(message.partials),
    validate=_validate,
    execute=_execute,
    due=lambda message: (DueKind.SUBMIT_UNBLINDED, message.request),
    writes=(
        *answers.WRITES, DUE, DEADLINE_TIME, ORDERS, ORDER_ANSWERERS, UNSIGNED,
    ),
    codes=answers.CODES,
    events=(events.ORDER, events.REQUEST_OF_ORDER, events.REQUEST, events.SIGNATURE_SHARE, events.EXTRACTION),
)  # fmt: skip
