"""SubmitPartials: a member's hook answers a request for client or server secrets, blinded to their receivers."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.authority import answers, extractions
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_TIME, DUE


def _validate(message: extraction_pb2.SubmitPartials) -> None:
    need_bytes(message.request, limits.ID_BYTES, "request")
    if not 1 <= len(message.partials) <= limits.MAX_EXTRACTION_ITEMS:
        raise Refusal(Code.BAD_ITEMS, f"1 to {limits.MAX_EXTRACTION_ITEMS}")


def _cost(message: extraction_pb2.SubmitPartials) -> int:
    """By the group that c1 is in, as its length says: a partial of another length costs a refusal only."""
    cost = 300
    for partial in message.partials:
        cost += extractions.BLINDED_COST_G2 if len(partial.c1) > limits.BLS_KEY_BYTES else extractions.BLINDED_COST_G1
    return cost


def _execute(context: Context, message: extraction_pb2.SubmitPartials) -> bytes:
    answers.submit(context, message.request, DueKind.SUBMIT_PARTIALS, message.epoch, list(message.partials))
    return b""


SPEC = MessageSpec(
    field="submit_partials",
    message=extraction_pb2.SubmitPartials,
    message_class=MessageClass.RESULT,
    cost=_cost,
    validate=_validate,
    execute=_execute,
    due=lambda message: (DueKind.SUBMIT_PARTIALS, message.request),
    writes=(*answers.WRITES, DUE, DEADLINE_TIME),
    codes=answers.CODES,
    events=(events.EXTRACTION,),
)
