"""What a record is at a height and a time, whatever was recorded of it: a deadline counts from when it passes.

The sweep writes down later, within its budget, what is so already. Execution, nodes, clients, receipts and searches all
ask here, so that none of them takes for alive what the next block would refuse (docs/spec/state.md, As of).

The state of height H is asked as block H + 1 finds it: that block's header proves the state and has the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf.message import Message

from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, governance_pb2, identity_pb2

M = TypeVar("M", bound=Message)

OPEN_ORDER: Final = (custody_pb2.ORDER_STATUS_PLACED, custody_pb2.ORDER_STATUS_ACTIVE)
OPEN_REQUEST: Final = (custody_pb2.REQUEST_STATUS_PENDING, custody_pb2.REQUEST_STATUS_GRANTED)


class Moment(NamedTuple):
    """A block's height, and its time in whole seconds."""

    height: int
    time_s: int


def is_past_deadline(
    record: custody_pb2.RequestRecord | extraction_pb2.ExtractionRecord | governance_pb2.ProposalRecord, at: Moment
) -> bool:
    """Whether its seconds are over: no answer is taken from then on, of a COMPLETED request too.

    A request that is granted and waits for its release has none: zero.
    """
    return bool(record.deadline_time_s) and at.time_s >= record.deadline_time_s


def order(record: custody_pb2.OrderRecord, at: Moment) -> custody_pb2.OrderStatus:
    """EXPIRED from its time on, or once its height is past."""
    by_time = bool(record.expires_at_time_s) and at.time_s >= record.expires_at_time_s
    by_height = bool(record.expires_at_height) and at.height > record.expires_at_height
    is_over = record.status in OPEN_ORDER and (by_time or by_height)
    return custody_pb2.ORDER_STATUS_EXPIRED if is_over else record.status


def request(
    record: custody_pb2.RequestRecord, at: Moment, of: custody_pb2.OrderRecord | None = None
) -> custody_pb2.RequestStatus:
    """EXPIRED from its deadline on, or where its order (``of``, where it is known) has expired."""
    is_over = is_past_deadline(record, at) or (of is not None and order(of, at) == custody_pb2.ORDER_STATUS_EXPIRED)
    return custody_pb2.REQUEST_STATUS_EXPIRED if record.status in OPEN_REQUEST and is_over else record.status


def vault(record: custody_pb2.VaultRecord, at: Moment) -> custody_pb2.VaultStatus:
    """CLOSED once the delay of its closing is over: its time *and* its height."""
    is_over = at.time_s >= record.closes_at_time_s and at.height >= record.closes_at_height
    closing = record.status == custody_pb2.VAULT_STATUS_CLOSING
    return custody_pb2.VAULT_STATUS_CLOSED if closing and is_over else record.status


def proposal(record: governance_pb2.ProposalRecord, at: Moment) -> governance_pb2.ProposalStatus:
    """EXPIRED once its seconds *and* its blocks are over.

    By seconds alone, a chain that stood still would lose its open proposals, and a short ``proposal_ttl_s`` could be
    one that no vote is in time to change.
    """
    is_over = is_past_deadline(record, at) and at.height > record.deadline_height
    is_open = record.status == governance_pb2.PROPOSAL_STATUS_OPEN
    return governance_pb2.PROPOSAL_STATUS_EXPIRED if is_open and is_over else record.status


def extraction(record: extraction_pb2.ExtractionRecord, at: Moment) -> extraction_pb2.ExtractionStatus:
    """EXPIRED from its deadline on: enrolments, permits, servers' secrets, what orders release."""
    is_pending = record.status == extraction_pb2.EXTRACTION_STATUS_PENDING
    is_over = is_pending and is_past_deadline(record, at)
    return extraction_pb2.EXTRACTION_STATUS_EXPIRED if is_over else record.status


def is_in_date(record: identity_pb2.IdentityRecord | identity_pb2.IdentityDocument, time_s: int) -> bool:
    """Whether block time ``time_s`` is within the document's validity."""
    return record.not_before_s <= time_s and (not record.not_after_s or time_s <= record.not_after_s)


def identity(record: identity_pb2.IdentityRecord, at: Moment) -> identity_pb2.IdentityStatus:
    """OUT_OF_DATE, which is in no leaf, for an active one whose document is not valid then."""
    active = record.status == identity_pb2.IDENTITY_STATUS_ACTIVE
    out = active and not is_in_date(record, at.time_s)
    return identity_pb2.IDENTITY_STATUS_OUT_OF_DATE if out else record.status


_STATUS: Final[Mapping[str, Callable[[Any, Moment], int]]] = {
    custody_pb2.OrderRecord.DESCRIPTOR.full_name: order,
    custody_pb2.RequestRecord.DESCRIPTOR.full_name: request,
    custody_pb2.VaultRecord.DESCRIPTOR.full_name: vault,
    governance_pb2.ProposalRecord.DESCRIPTOR.full_name: proposal,
    extraction_pb2.ExtractionRecord.DESCRIPTOR.full_name: extraction,
    identity_pb2.IdentityRecord.DESCRIPTOR.full_name: identity,
}


def seen(record: M, at: Moment) -> M:
    """The record with the status that it has then: itself, or a copy. Records without a deadline are as they are."""
    status_of = _STATUS.get(record.DESCRIPTOR.full_name)
    status = status_of(record, at) if status_of is not None else None
    if status is None or status == getattr(record, "status", None):
        return record
    copy = type(record)()
    copy.CopyFrom(record)
    setattr(copy, "status", status)  # noqa: B010
    return copy


def seen_request(
    record: custody_pb2.RequestRecord, of: custody_pb2.OrderRecord, at: Moment
) -> custody_pb2.RequestRecord:
    """A request with the status that it has then, which its order's end is an end of too."""
    status = request(record, at, of)
    if status == record.status:
        return record
    copy = custody_pb2.RequestRecord()
    copy.CopyFrom(record)
    copy.status = status
    return copy
