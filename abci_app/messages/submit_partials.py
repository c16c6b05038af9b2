"""SubmitPartials: a member's hook answers a request for client or server secrets, blinded to their receivers."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.authority import answers, extractions
from abci_app.authority.proofs import check_blinded_form
from abci_app.codes import Code
from abci_app.crypto.curve import G1, G1_BYTES, G2
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_TIME, DUE


def _validate(message: extraction_pb2.SubmitPartials) -> None:
    need_bytes(message.request, limits.ID_BYTES, "request")
    if not 1 <= len(message.partials) <= limits.MAX_EXTRACTION_ITEMS:
        raise Refusal(Code.BAD_ITEMS, f"1 to {limits.MAX_EXTRACTION_ITEMS}", reason="partials")
    for partial in message.partials:
        check_blinded_form(_group(partial), partial)


def _group(partial: extraction_pb2.BlindedPartial) -> type[G1] | type[G2]:
    """The group that c1 is in, as its length says."""
    return G2 if len(partial.c1) > G1_BYTES else G1


def _cost(message: extraction_pb2.SubmitPartials) -> int:
    cost = 300
    for partial in message.partials:
        cost += extractions.BLINDED_COST_G1 if _group(partial) is G1 else extractions.BLINDED_COST_G2
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
