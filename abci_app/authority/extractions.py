"""Requests for s*H(x): opened by other messages, answered by the members of the key's epoch, ended here.

The points that are multiplied are computed by the ledger from fields (never taken from a requester); the answers'
proofs are verified before they count. A member answers all items of a request in one message, so items are complete
together: at ``threshold`` answers of one epoch. When another epoch takes over, what is pending starts again in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from abci_app import limits
from abci_app.authority import epochs, points
from abci_app.authority.proofs import group_of
from abci_app.codes import Code
from abci_app.crypto.curve import BadPoint
from abci_app.crypto.extraction import possession_holds
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.transitions import Transitions, complete
from abci_app.pb.dta.v1 import authority_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.state import due, requesters
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.due import DueKind
from abci_app.state.indexes import (
    DEADLINE_TIME,
    DUE,
    OPEN_EXTRACTIONS,
    REQUESTER_REQUESTS,
    RESTARTS,
    REVOKED_REQUESTERS,
)
from abci_app.state.records import (
    AUTHORITIES,
    BLS_KEY_OWNERS,
    EXTRACTION_ITEMS,
    EXTRACTION_LOADS,
    EXTRACTIONS,
    USED_POINTS,
)
from abci_app.state.view import StateView

PURPOSE: Final[Mapping[int, authority_pb2.Purpose]] = complete(pb.Use, {
    pb.USE_CLIENT: authority_pb2.PURPOSE_MFA,
    pb.USE_SERVER: authority_pb2.PURPOSE_MFA,
    pb.USE_PERMIT: authority_pb2.PURPOSE_MFA,
    pb.USE_CUSTODY: authority_pb2.PURPOSE_CUSTODY,
    pb.USE_SIGN: authority_pb2.PURPOSE_SIGNING,
}, but=("USE_UNSPECIFIED",))  # fmt: skip
DUE_KIND: Final[Mapping[int, DueKind]] = complete(pb.Use, {
    pb.USE_CLIENT: DueKind.SUBMIT_PARTIALS,
    pb.USE_SERVER: DueKind.SUBMIT_PARTIALS,
    pb.USE_PERMIT: DueKind.SUBMIT_UNBLINDED,
    pb.USE_CUSTODY: DueKind.FULFIL_SECRET,
    pb.USE_SIGN: DueKind.SUBMIT_UNBLINDED,
}, but=("USE_UNSPECIFIED",))  # fmt: skip
TRANSITIONS: Final = Transitions(pb.ExtractionStatus, {
    pb.EXTRACTION_STATUS_PENDING: (
        pb.EXTRACTION_STATUS_COMPLETED, pb.EXTRACTION_STATUS_EXPIRED, pb.EXTRACTION_STATUS_CANCELLED,
    ),
    pb.EXTRACTION_STATUS_COMPLETED: (),
    pb.EXTRACTION_STATUS_EXPIRED: (),
    pb.EXTRACTION_STATUS_CANCELLED: (),
})  # fmt: skip
# About the microseconds of one partial when it is answered: points decoded, proof verified, leaves written.
BLINDED_COST_G1: Final = 1_800
BLINDED_COST_G2: Final = 3_000
UNBLINDED_COST: Final = 700
ANSWER_BASE_COST: Final = 300
ANSWER_COST: Final[Mapping[int, int]] = complete(pb.Use, {
    pb.USE_CLIENT: BLINDED_COST_G1, pb.USE_SERVER: BLINDED_COST_G2, pb.USE_PERMIT: UNBLINDED_COST,
    pb.USE_CUSTODY: BLINDED_COST_G1, pb.USE_SIGN: UNBLINDED_COST,
}, but=("USE_UNSPECIFIED",))  # fmt: skip
BLINDED: Final = (pb.USE_CLIENT, pb.USE_SERVER, pb.USE_CUSTODY)
_OF_ORDERS: Final = (pb.USE_CUSTODY, pb.USE_SIGN)  # their requests have a deadline and an index of their own


@dataclass(frozen=True, slots=True)
class Item:
    """What is asked for. ``base``: the encoded hash to the curve (G2 for a server, else G1), computed by the ledger.

    ``subject`` (32 bytes) says whom it is about; the proof of possession binds it. ``transport`` and ``possession``:
    T and its proof, for blinded uses; empty for a permit or a signature.
    """

    base: bytes
    subject: bytes
    transport: bytes = b""
    possession: bytes = b""


def require_authority(
    context: Context, authority: bytes, purpose: authority_pb2.Purpose
) -> tuple[authority_pb2.AuthorityRecord, authority_pb2.EpochRecord]:
    """The key and its epoch, where it is in force and for this purpose; refused otherwise."""
    if not AUTHORITIES.exists(context.state, authority):
        raise Refusal(Code.UNKNOWN_AUTHORITY, authority.hex(), reason="asked")
    found = epochs.current(context.state, authority)
    if found is None:
        raise Refusal(Code.AUTHORITY_NOT_ACTIVE, authority.hex(), reason="asked")
    context.require(found[0].purpose == purpose, Code.WRONG_PURPOSE, authority.hex(), reason="asked")
    return found


def open_request(
    context: Context,
    *,
    request: bytes,
    authority: bytes,
    use: pb.Use,
    suite: str,
    subject: bytes,
    items: Sequence[Item],
    deadline_time_s: int,
) -> pb.ExtractionRecord:
    """Open a request that needs no grant: its answers are due from every member of the epoch from the next block on.

    ``request``: its id (32 bytes), never used before. ``subject``: the realm. ``suite``: the ASCII name of the suite
    that the bases are hashed by. ``context.signer`` is the requester.
    Refused with UNKNOWN_AUTHORITY, AUTHORITY_NOT_ACTIVE, WRONG_PURPOSE, BAD_ITEMS, AUTHORITY_BUSY, DUPLICATE,
    BAD_TRANSPORT_KEY, BAD_POSSESSION, POINT_USED. Writes: see :data:`WRITES`.
    """
    most = context.params.max_extraction_items
    context.require(1 <= len(items) <= most, Code.BAD_ITEMS, f"1 to {most} items", reason="asked")
    for item in items:
        claim_transport(context, request, authority, use, subject, item)
    return start(
        context, request=request, authority=authority, use=use, suite=suite, subject=subject, items=items,
        deadline_time_s=deadline_time_s, requester=context.signer,
    )  # fmt: skip


END_WRITES: Final = (
    EXTRACTIONS, EXTRACTION_LOADS, OPEN_EXTRACTIONS, RESTARTS, REQUESTER_REQUESTS, REVOKED_REQUESTERS,
)  # fmt: skip
"""What :func:`cancel` writes besides ``due/`` and ``deadline-time/``."""

START_WRITES: Final = (
    EXTRACTIONS, EXTRACTION_ITEMS, EXTRACTION_LOADS, OPEN_EXTRACTIONS, REQUESTER_REQUESTS, DUE, DEADLINE_TIME,
)  # fmt: skip
START_CODES: Final = (
    Code.UNKNOWN_AUTHORITY, Code.AUTHORITY_NOT_ACTIVE, Code.WRONG_PURPOSE, Code.AUTHORITY_BUSY, Code.BAD_ITEMS,
)  # fmt: skip
"""What :func:`start` may write and be refused with, for the message that calls it."""

WRITES: Final = (*START_WRITES, USED_POINTS)
CLAIM_CODES: Final = (Code.BAD_TRANSPORT_KEY, Code.BAD_POSSESSION, Code.POINT_USED)
CODES: Final = (*START_CODES, *CLAIM_CODES, Code.DUPLICATE)
"""The same for :func:`open_request`."""


def claim_transport(
    context: Context, request: bytes, authority: bytes, use: pb.Use, subject: bytes, item: Item
) -> None:
    """Check an item's transport key for this request, and use it up. Nothing to do where a use has none."""
    if use not in BLINDED:
        if item.transport or item.possession:
            raise Refusal(Code.BAD_TRANSPORT_KEY, "this use has none", reason="unwanted")
        return
    group = group_of(use)
    try:
        group.decode(item.transport)
    except BadPoint:
        raise Refusal(Code.BAD_TRANSPORT_KEY, reason="point") from None
    holds = possession_holds(
        group, context.gid, use, request, subject, item.subject, item.transport, item.possession
    )
    context.require(holds, Code.BAD_POSSESSION, request.hex(), reason="proof")
    if _is_registered(context, authority, item.transport):
        raise Refusal(Code.POINT_USED, "it is a registered key", reason="key")
    points.use(context, item.transport, request)


def _is_registered(context: Context, authority: bytes, point: bytes) -> bool:
    """Whether the point is an identity's BLS key, the authority's own key, or a public share of its epoch."""
    if BLS_KEY_OWNERS.exists(context.state, point):
        return True
    found = epochs.current(context.state, authority)
    if found is None:
        return False
    record, epoch = found
    shares = [member.public_share for member in epochs.members(context.state, authority, epoch.epoch)]
    return point in (record.public_key_g1, record.public_key_g2, *shares)


def start(
    context: Context,
    *,
    request: bytes,
    authority: bytes,
    use: pb.Use,
    suite: str,
    subject: bytes,
    items: Sequence[Item],
    deadline_time_s: int,
    requester: bytes,
) -> pb.ExtractionRecord:
    """:func:`open_request` where the transport keys were claimed before. ``requester``: who asked, 32 bytes."""
    _, epoch = require_authority(context, authority, PURPOSE[use])
    # An answer is one transaction for all items: it must find room in a block.
    cost = ANSWER_BASE_COST + len(items) * ANSWER_COST[use]
    context.require(
        cost <= context.params.max_block_cost, Code.BAD_ITEMS, "an answer would cost more than a block",
        reason="answer-cost",
    )
    context.require(
        EXTRACTIONS.find(context.state, request) is None, Code.DUPLICATE, request.hex(), reason="extraction"
    )
    context.require(has_room(context, authority), Code.AUTHORITY_BUSY, authority.hex())
    _load(context, authority, 1)
    record = pb.ExtractionRecord(
        id=request, authority=authority, use=use, suite=suite, items=len(items), status=pb.EXTRACTION_STATUS_PENDING,
        epoch=epoch.epoch, threshold=epoch.threshold, requester=requester, subject=subject,
        opened_height=context.height, opened_time_s=context.time_s, opened_tx=context.tx_hash,
        from_time_s=context.time_s, from_height=context.height + 1, deadline_time_s=deadline_time_s,
    )  # fmt: skip
    for number, item in enumerate(items):
        leaf = pb.ExtractionItem(base=item.base, transport=item.transport, subject=item.subject)
        EXTRACTION_ITEMS.put(context.state, leaf, request, number)
    OPEN_EXTRACTIONS.put(context.state, authority, request)
    if use not in _OF_ORDERS:
        DEADLINE_TIME.put(context.state, deadline_time_s, DeadlineKind.EXTRACTION, request)
        requesters.add(context.state, requester, request)
    _make_due(context, record)
    EXTRACTIONS.put(context.state, record, request)
    emit(context, record, "opened")
    return record


def load_of(context: Context, authority: bytes) -> pb.ExtractionLoad:
    """How many requests the members owe answers to, and whose turn was last. The caller may change it and put it."""
    return EXTRACTION_LOADS.find(context.state, authority) or pb.ExtractionLoad(authority=authority)


def has_room(context: Context, authority: bytes) -> bool:
    """Whether fewer than ``max_open_extractions`` requests of the key are released and unanswered."""
    return load_of(context, authority).open < context.params.max_open_extractions


def _load(context: Context, authority: bytes, more: int) -> None:
    load = load_of(context, authority)
    load.open += more
    EXTRACTION_LOADS.put(context.state, load, authority)


def get(context: Context, request: bytes) -> pb.ExtractionRecord:
    """The request, refused with UNKNOWN_EXTRACTION where there is none."""
    record = EXTRACTIONS.find(context.state, request)
    if record is None:
        raise Refusal(Code.UNKNOWN_EXTRACTION, request.hex())
    return record


def end(context: Context, record: pb.ExtractionRecord, to: pb.ExtractionStatus) -> None:
    """The request is complete, expired or cancelled: nothing of it is due any more. Puts it."""
    TRANSITIONS.check(record.status, to)
    record.status = to
    record.ended_height = context.height
    record.ended_tx, record.ended_tx_item = context.tx_hash, context.item
    _forget_due(context, record)
    OPEN_EXTRACTIONS.delete(context.state, record.authority, record.id)
    if RESTARTS.exists(context.state, record.id):
        RESTARTS.delete(context.state, record.id)
    if record.use not in _OF_ORDERS:
        DEADLINE_TIME.delete(context.state, record.deadline_time_s, DeadlineKind.EXTRACTION, record.id)
        requesters.remove(context.state, record.requester, record.id)
    _load(context, record.authority, -1)
    EXTRACTIONS.put(context.state, record, record.id)
    emit(context, record, pb.ExtractionStatus.Name(to).removeprefix("EXTRACTION_STATUS_").lower())


def deadlines(record: pb.ExtractionRecord) -> list[bytes]:
    """The index entry by which the sweep finds when a pending request of a realm ends; those of orders have none."""
    return [DEADLINE_TIME.key(record.deadline_time_s, DeadlineKind.EXTRACTION, record.id)]


def expire(context: Context, request: bytes) -> None:
    """Its deadline has passed: called by the sweep."""
    end(context, EXTRACTIONS.get(context.state, request), pb.EXTRACTION_STATUS_EXPIRED)


def cancel(context: Context, request: bytes) -> None:
    """What it was for has ended. Nothing to do where the request was never opened, or has ended."""
    record = EXTRACTIONS.find(context.state, request)
    if record is not None and record.status == pb.EXTRACTION_STATUS_PENDING:
        end(context, record, pb.EXTRACTION_STATUS_CANCELLED)


def restart(context: Context, request: bytes) -> None:
    """Another epoch took over: the pending request starts again in it, owed by the new members.

    Partials count for the epoch that they were made in only; until it starts again none are taken
    (:func:`is_of_epoch_in_force`). An order's request that was answered in ``MAX_ANSWERED_EPOCHS`` epochs does not
    start again: a receipt of the order shows all its answers.
    """
    RESTARTS.delete(context.state, request)
    record = EXTRACTIONS.get(context.state, request)
    found = epochs.current(context.state, record.authority)
    if found is None or record.status != pb.EXTRACTION_STATUS_PENDING:
        return
    _, epoch = found
    answered = 1 if record.answers else 0
    if record.use in _OF_ORDERS and record.answered_epochs + answered == limits.MAX_ANSWERED_EPOCHS:
        end(context, record, pb.EXTRACTION_STATUS_EXPIRED)
        return
    _forget_due(context, record)
    record.answered_epochs += answered
    record.earlier_answers += record.answers
    record.epoch, record.threshold, record.answers = epoch.epoch, epoch.threshold, 0
    record.restarts += 1
    _make_due(context, record)
    EXTRACTIONS.put(context.state, record, record.id)
    emit(context, record, "restarted")


def is_of_epoch_in_force(view: StateView, record: pb.ExtractionRecord) -> bool:
    """Whether the request is asked of the members of the epoch in force: not so while it waits to start again."""
    authority = AUTHORITIES.read(view, record.authority)
    return authority is not None and authority.epoch == record.epoch


def emit(context: Context, record: pb.ExtractionRecord, action: str, **attributes: bytes | int | str) -> None:
    """An event about the request that a search by its authority or its subject finds."""
    context.emit(
        "extraction", record.id, action, use=pb.Use.Name(record.use).removeprefix("USE_").lower(),
        authority=record.authority, subject=record.subject, epoch=record.epoch, **attributes,
    )  # fmt: skip


def _make_due(context: Context, record: pb.ExtractionRecord) -> None:
    for member in epochs.members(context.state, record.authority, record.epoch):
        due.add(
            context.state, member.fiduciary, DUE_KIND[record.use], record.id, record.from_time_s, record.from_height
        )


def _forget_due(context: Context, record: pb.ExtractionRecord) -> None:
    for member in epochs.members(context.state, record.authority, record.epoch):
        due.remove(context.state, member.fiduciary, DUE_KIND[record.use], record.id)
