"""A member's side of extraction: its answer to a request, made from committed state and its share.

Each item of each request is blinded anew (:func:`dta.crypto.extraction.blind`): nothing is kept, nothing used twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from google.protobuf.message import Message

from abci_app.authority import epochs, extractions, proofs
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.extraction import Asked
from abci_app.pb.dta.v1 import authority_pb2, tx_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.state import as_of
from abci_app.state.due import DueKind
from abci_app.state.records import EXTRACTION_ITEMS, EXTRACTIONS
from abci_app.state.view import StateView
from dta.crypto import extraction
from dta.crypto.proofs import RandomBytes
from dta.crypto.scalar import SecretScalar
from dta.node.hooks.errors import CannotAnswer, NotDue, Obstacle
from dta.node.hooks.plan import Job
from dta.node.hooks.tools import Pinned, Tools, require_due

Require = Callable[[Job, Tools, Pinned], object]


def perform(job: Job, tools: Tools, require: Require = require_due) -> Message:
    """The answer that ``job`` (SUBMIT_PARTIALS, SUBMIT_UNBLINDED, or FULFIL_SECRET under an authority key) owes.

    ``require`` raises NotDue unless the state of now still wants it, each time that state is read.
    The share is opened first, which takes a while. Then state is read again, proved, and the partials are made from
    that: one that was made is out, whatever the ledger says to the transaction. Raises NotDue, CannotAnswer, and what
    opening the share raises.
    """
    with tools.pin() as now:
        record, _ = require_pending(job, tools, now, require)
        epoch = record.epoch
        share = tools.share_of(now.view, record.authority, epoch)
    with tools.pin_proven() as now:
        record, member = require_pending(job, tools, now, require)
        if record.epoch != epoch:
            raise NotDue(str(job))  # another epoch took over meanwhile: planned again, with its share
        return answer(now.view, tools.gid, record, member, share)


PERFORM: Final = {DueKind.SUBMIT_PARTIALS: perform, DueKind.SUBMIT_UNBLINDED: perform}
"""This module's jobs, for the runner's table."""


def require_pending(
    job: Job, tools: Tools, now: Pinned, require: Require = require_due
) -> tuple[pb.ExtractionRecord, authority_pb2.MemberRecord]:
    """The request and our seat, where it is still owed by the state of now. Raises NotDue."""
    require(job, tools, now)
    record = EXTRACTIONS.find(now.view, job.subject)
    if record is None or as_of.extraction(record, now.next_block) != pb.EXTRACTION_STATUS_PENDING:
        raise NotDue(str(job))
    # The index said so too, but no proof is of an index.
    if now.time_s < record.from_time_s or now.height + 1 < record.from_height:
        raise NotDue(str(job))
    if not extractions.is_of_epoch_in_force(now.view, record):
        raise NotDue(str(job))  # another took over: due again, from its members, once it is started in that one
    member = epochs.member_of(now.view, record.authority, record.epoch, tools.identity)
    if member is None:
        raise NotDue(str(job))
    return record, member


def answer(
    view: StateView,
    gid: bytes,
    record: pb.ExtractionRecord,
    member: authority_pb2.MemberRecord,
    share: SecretScalar,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> Message:
    """``member``'s answer to all items of a request, as the state of ``view`` has it.

    Raises CannotAnswer where the share is not the one of the public share in state: nothing is made with it.
    """
    if (G1.generator() * share.reveal()).encode() != member.public_share:
        raise CannotAnswer(Obstacle.OTHER_SHARE)
    request = record.id
    purpose = extractions.PURPOSE[record.use]
    items = [EXTRACTION_ITEMS.get(view, request, number) for number in range(record.items)]
    if record.use in extractions.BLINDED:
        blinded = [
            _blind(proofs.asked(gid, record, purpose, number), member.index, share, item, random_bytes)
            for number, item in enumerate(items)
        ]
        if record.use == pb.USE_CUSTODY:
            return tx_pb2.FulfilSecret(request=request, epoch=record.epoch, partial=blinded[0])
        return pb.SubmitPartials(request=request, epoch=record.epoch, partials=blinded)
    clear = [
        _multiply(proofs.asked(gid, record, purpose, number), member.index, share, item, random_bytes)
        for number, item in enumerate(items)
    ]
    return pb.SubmitUnblinded(request=request, epoch=record.epoch, partials=clear)


def _blind(
    asked: Asked, index: int, share: SecretScalar, item: pb.ExtractionItem, random_bytes: RandomBytes
) -> pb.BlindedPartial:
    if asked.use == pb.USE_SERVER:
        base, transport = G2.decode(item.base), G2.decode(item.transport)
        made = extraction.blind(asked, index, share, base, transport, random_bytes)
    else:
        made = extraction.blind(
            asked, index, share, G1.decode(item.base), G1.decode(item.transport), random_bytes
        )
    return pb.BlindedPartial(c1=made.c1, c3=made.c3, proof=made.proof)


def _multiply(
    asked: Asked, index: int, share: SecretScalar, item: pb.ExtractionItem, random_bytes: RandomBytes
) -> pb.UnblindedPartial:
    made = extraction.multiply(asked, index, share, G1.decode(item.base), random_bytes)
    return pb.UnblindedPartial(share=made.value, proof=made.proof)
