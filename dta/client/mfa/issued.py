"""What a realm's key issued: partials read from verified state, checked again, combined, and opened.

The ledger verified every partial before it counted. Whoever receives a secret verifies again, against public shares
from the same proved state, so that what is opened rests on the proofs and not on the validators' word alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from abci_app.authority.proofs import answerer, asked
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.extraction import Answerer, Asked, Blinded, Unblinded
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2
from abci_app.state.records import EPOCHS, EXTRACTION_ITEMS, EXTRACTIONS, MEMBERS, PARTIALS
from dta.base.errors import EXIT_NOT_FOUND, DtaError, JsonValue, NotVerified
from dta.client.custody import session
from dta.client.custody.session import Progress, Step, silent
from dta.client.ledger import leaves
from dta.client.ledger.flow import Flow, elapsed_s
from dta.client.ledger.ledger import Ledger, LedgerFlows
from dta.client.ledger.reads import Head
from dta.crypto.extraction import Transport, combine_unblinded, open_blinded
from dta.mpin.secret_point import SecretPoint

T = TypeVar("T")

_MAX_INDEX = 64


class NotIssued(DtaError):
    """The request has not been answered by enough members, or ended without being."""

    kind = "not-issued"
    exit_code = EXIT_NOT_FOUND
    waits_for: ClassVar[str] = "waiting for the fiduciaries"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        data: Mapping[str, JsonValue] | None = None,
        is_over: bool = False,
        answers: int = 0,
        needed: int = 0,
    ) -> None:
        super().__init__(message, hint=hint, data=data)
        self.is_over = is_over
        self.answers = answers
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Answer:
    """One member's partial for one item."""

    member: authority_pb2.MemberRecord
    partial: extraction_pb2.PartialRecord


@dataclass(frozen=True, slots=True)
class Issued:
    """One item of a completed request, and its partials, all of one proved state. ``number``: the item's, from 0."""

    record: extraction_pb2.ExtractionRecord
    number: int
    item: extraction_pb2.ExtractionItem
    answers: tuple[Answer, ...]
    height: int


def find_at(flows: LedgerFlows, head: Head, request: bytes, number: int) -> Flow[Issued]:
    """Item ``number`` of ``request`` in the state of ``head``. Raises NotFound, and NotIssued while it is not ready."""
    leaf = leaves.of(EXTRACTIONS, request)
    record = leaf.found((yield from flows.reader.find_at(head, leaf)))
    _require_complete(record)
    item_leaf = leaves.of(EXTRACTION_ITEMS, request, number)
    item = item_leaf.found((yield from flows.reader.find_at(head, item_leaf)))
    epoch_leaf = leaves.of(EPOCHS, record.authority, record.epoch)
    epoch = epoch_leaf.found((yield from flows.reader.find_at(head, epoch_leaf)))
    answers: list[Answer] = []
    members = 0
    for index in range(1, _MAX_INDEX + 1):
        if members == epoch.members or len(answers) == record.threshold:
            break
        member = yield from flows.reader.find_at(head, leaves.of(MEMBERS, record.authority, record.epoch, index))
        if member is None:
            continue  # a seat that was lost in the ceremony
        members += 1
        place = leaves.of(PARTIALS, request, number, record.epoch, member.fiduciary)
        partial = yield from flows.reader.find_at(head, place)
        if partial is not None:
            answers.append(Answer(member, partial))
    return Issued(record, number, item, tuple(answers), head.height)


def wait_for(ledger: Ledger, read: Callable[[], T], wait_s: float, progress: Progress = silent) -> T:
    """What ``read`` gives, tried while it raises NotIssued and there is time. Raises what the last try did."""
    began_s = ledger.rpc.run(elapsed_s())
    while True:
        try:
            return read()
        except NotIssued as error:
            waited_s = ledger.rpc.run(elapsed_s()) - began_s
            if error.is_over or waited_s >= wait_s:
                raise
            progress(Step("issued", error.waits_for, error.answers, error.needed))
        ledger.next_block(session.POLL_S, waited_s * session.LOOK_PART)


def _require_complete(record: extraction_pb2.ExtractionRecord) -> None:
    if record.status == extraction_pb2.EXTRACTION_STATUS_COMPLETED:
        return
    status = status_name(record)
    is_over = record.status != extraction_pb2.EXTRACTION_STATUS_PENDING
    answering = "the fiduciaries' nodes answer by themselves: try again in a moment"
    raise NotIssued(
        f"the request {record.id.hex()} is {status}: {record.answers} of {record.threshold} members have answered",
        hint="it ended without enough answers: ask again" if is_over else answering,
        data={"request": record.id.hex(), "status": status, "answers": record.answers},
        is_over=is_over,
        answers=record.answers,
        needed=record.threshold,
    )


def status_name(record: extraction_pb2.ExtractionRecord) -> str:
    """The status in lower case."""
    return extraction_pb2.ExtractionStatus.Name(record.status).removeprefix("EXTRACTION_STATUS_").lower()


def open_client(gid: bytes, issued: Issued, base: G1, transport: Transport) -> SecretPoint[G1]:
    """A client's s*A. ``base``: A as the client computes it. Raises NotVerified, TooFewPartials."""
    _require_item(issued, base.encode(), transport.point)
    return SecretPoint(open_blinded(_asked(gid, issued), issued.record.threshold, base, transport, _blinded(issued)))


def open_server(gid: bytes, issued: Issued, base: G2, transport: Transport) -> SecretPoint[G2]:
    """A server's s*Q, likewise."""
    _require_item(issued, base.encode(), transport.point)
    return SecretPoint(open_blinded(_asked(gid, issued), issued.record.threshold, base, transport, _blinded(issued)))


def combine_permit(gid: bytes, issued: Issued, base: G1) -> G1:
    """A permit s*D, which is public. ``base``: D as its user computes it. Raises NotVerified, TooFewPartials."""
    _require_item(issued, base.encode(), b"")
    answers = [(answerer(one.member), Unblinded(one.partial.share, one.partial.proof)) for one in issued.answers]
    return combine_unblinded(_asked(gid, issued), issued.record.threshold, base, answers)


def _asked(gid: bytes, issued: Issued) -> Asked:
    return asked(gid, issued.record, authority_pb2.PURPOSE_MFA, issued.number)


def _blinded(issued: Issued) -> list[tuple[Answerer, Blinded]]:
    return [
        (answerer(one.member), Blinded(one.partial.c1, one.partial.c3, one.partial.proof)) for one in issued.answers
    ]


def _require_item(issued: Issued, base: bytes, transport: bytes) -> None:
    if issued.item.base != base or issued.item.transport != transport:
        raise NotVerified(
            "item",
            "what was asked of the fiduciaries is not what this secret is of",
            hint="the request is of another client, server, day or transport key",
            data={"request": issued.record.id.hex(), "item": issued.number},
        )
