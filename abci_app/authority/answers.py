"""A member's answer to a request: its partials verified, written, counted; at the threshold the request is complete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from abci_app.authority import epochs, extractions
from abci_app.authority.proofs import Partial, asked, partial_holds
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.state import as_of, due, requesters
from abci_app.state.due import DueKind
from abci_app.state.records import EXTRACTION_ITEMS, EXTRACTIONS, PARTIALS

WRITES: Final = (*extractions.END_WRITES, PARTIALS)
"""What :func:`submit` writes besides ``due/`` and ``deadline-time/``."""

CODES: Final = (
    Code.FIELD_INVALID, Code.UNKNOWN_EXTRACTION, Code.EXTRACTION_ENDED, Code.WRONG_EPOCH, Code.NOT_A_MEMBER,
    Code.BAD_PARTIAL, Code.WRONG_FORM, Code.BAD_ITEMS, Code.ALREADY_DONE, Code.DEADLINE_PASSED,
    Code.NOT_RELEASED_YET, Code.REQUESTER_REVOKED,
)  # fmt: skip


def submit(
    context: Context, request: bytes, due_kind: DueKind, epoch: int, partials: Sequence[Partial]
) -> pb.ExtractionRecord:
    """``context.signer``'s answer to all items of ``request``, in their order. Returns the record as it is then.

    ``due_kind`` is what the message answers: each use has one. A wrong partial refuses the whole answer with
    BAD_PARTIAL, and nothing of it counts. Refused with any of :data:`CODES`.
    """
    record = extractions.get(context, request)
    context.require(extractions.DUE_KIND[record.use] is due_kind, Code.WRONG_FORM, reason="use")
    context.require(record.status == pb.EXTRACTION_STATUS_PENDING, Code.EXTRACTION_ENDED, request.hex())
    is_over = as_of.extraction(record, context.moment) != pb.EXTRACTION_STATUS_PENDING
    context.require(not is_over, Code.DEADLINE_PASSED, request.hex(), reason="extraction")
    revoked = requesters.is_revoked(context.state, record.requester)
    context.require(not revoked, Code.REQUESTER_REVOKED, record.requester.hex(), reason="extraction")
    released = context.time_s >= record.from_time_s and context.height >= record.from_height
    context.require(released, Code.NOT_RELEASED_YET, request.hex(), reason="extraction")
    context.require(epoch == record.epoch, Code.WRONG_EPOCH, f"{epoch}, it is asked of {record.epoch}", reason="asked")
    in_force = extractions.is_of_epoch_in_force(context.state, record)
    context.require(in_force, Code.WRONG_EPOCH, f"{epoch} is not in force any more", reason="in-force")
    member = epochs.member_of(context.state, record.authority, record.epoch, context.signer)
    if member is None:
        raise Refusal(Code.NOT_A_MEMBER, context.signer.hex())
    answered = PARTIALS.find(context.state, request, 0, record.epoch, context.signer) is not None
    context.require(not answered, Code.ALREADY_DONE, context.signer.hex(), reason="extraction")
    context.require(
        len(partials) == record.items, Code.BAD_ITEMS, f"{len(partials)} for {record.items}", reason="not-as-asked"
    )
    for number, partial in enumerate(partials):
        item = EXTRACTION_ITEMS.get(context.state, request, number)
        what = asked(context.gid, record, extractions.PURPOSE[record.use], number)
        if not partial_holds(what, member, item, partial):
            raise Refusal(Code.BAD_PARTIAL, f"item {number}", reason="proof")
        leaf = pb.PartialRecord(
            proof=partial.proof, index=member.index, height=context.height, tx_hash=context.tx_hash,
            tx_item=context.item,
        )  # fmt: skip
        if isinstance(partial, pb.BlindedPartial):
            leaf.c1, leaf.c3 = partial.c1, partial.c3
        else:
            leaf.share = partial.share
        PARTIALS.put(context.state, leaf, request, number, record.epoch, context.signer)
    due.remove(context.state, context.signer, due_kind, request)
    record.answers += 1
    extractions.emit(context, record, "answered", fiduciary=context.signer)
    if record.answers >= record.threshold:
        extractions.end(context, record, pb.EXTRACTION_STATUS_COMPLETED)
    else:
        EXTRACTIONS.put(context.state, record, request)
    return record
