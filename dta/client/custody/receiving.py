"""Receiving: wait for answers, check each share against its commitment, recover the secret, name who sent a bad one."""

from __future__ import annotations

from dataclasses import dataclass

from abci_app.limits import MLKEM768_SEED_BYTES
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.pb.dta.v1.identity_pb2 import IdentityRecord
from dta.base.errors import NotFound, TimedOut, UsageError
from dta.base.secret import SecretBytes
from dta.client.custody import keyfile
from dta.client.custody.errors import AnswersToCome, RequestEnded
from dta.client.custody.keyfile import OpenRequest
from dta.client.custody.session import Session, Step
from dta.client.ledger.ledger import RequestView
from dta.client.ledger.submit import Committed
from dta.custodians.plugin import Custodian, Extracted, NotEnoughShares, RecoverInput

DEFAULT_WAIT_S = 300.0
_LIVING = (pb.REQUEST_STATUS_PENDING, pb.REQUEST_STATUS_GRANTED)


@dataclass(frozen=True, slots=True)
class Received:
    """The secret, and the fiduciaries whose answers were bad: their keys are kept until :func:`report`."""

    request: bytes
    order: bytes
    secret: SecretBytes
    bad_fiduciaries: tuple[bytes, ...]
    answers: int


def find_request(session: Session, id_: bytes) -> bytes:
    """``id_`` where it is a request of this home, or this home's one request of that order. Raises NotFound."""
    me = session.party.identity
    if keyfile.is_of(session.directory, me, id_):
        return id_
    mine = keyfile.asked_by(session.directory, me)
    of_order = [request for request, order in mine.items() if order == id_]
    if len(of_order) == 1:
        return of_order[0]
    if of_order:
        names = ", ".join(request.hex() for request in of_order)
        raise UsageError(f"this home has several requests of that order: {names}", hint="name the one to receive")
    raise NotFound(
        f"this home has no keys of a request {id_.hex()}",
        hint="receiving needs the home that asked; keys are erased once a secret was received",
    )


def receive(session: Session, custodian: Custodian, request: bytes, *, wait_s: float = DEFAULT_WAIT_S) -> Received:
    """Waits for enough good answers and recovers the secret. Its keys stay until :func:`done` is called.

    Raises RequestEnded, TimedOut, NotFound (no keys here), BlockNotFound, NotVerified, CannotOpenEnvelope,
    NotEnoughShares (everybody answered, too many badly; ``data`` names them).
    """
    opened = keyfile.load(session.directory, session.party.need_root(), session.gid, request)
    needed, wanting = 0, None
    while True:
        try:
            view = _wait_for_answers(session, request, needed, wait_s)
        except (TimedOut, RequestEnded):
            if wanting is not None:
                raise wanting from None  # names those who answered badly
            raise
        block = session.blocks.fetch(view.order.envelope_cid, _all_gateways(session, view))
        try:
            recovered = custodian.recover(_recover_input(session, view, block, opened))
        except NotEnoughShares as error:
            wanting = error
            count = sum(1 for answer in view.answers.values() if answer is not None)
            if count == len(view.answers):
                raise
            # Some of those who answered first did it badly: late answers still count, until the deadline.
            needed = count + 1
            continue
        bad = tuple(recovered.bad_fiduciaries)
        return Received(request, view.order.id, recovered.secret, bad, view.answered)


def answered(session: Session, request: bytes, *, wait_s: float = DEFAULT_WAIT_S) -> RecoverInput:
    """What the members of an authority key answered to a request of this home, once it is complete; the envelope is
    left out. Raises RequestEnded, TimedOut, NotFound (no keys here), NotVerified."""
    opened = keyfile.load(session.directory, session.party.need_root(), session.gid, request)
    view = _wait_for_answers(session, request, 0, wait_s)
    return _recover_extracted(session, view, b"", opened, session.ledger.identity(view.order.principal))


def _wait_for_answers(session: Session, request: bytes, needed: int, wait_s: float) -> RequestView:
    """The proved request once it has its order's threshold of answers, or ``needed``."""

    def enough(view: RequestView) -> bool:
        if view.order.authority:  # the ledger verified what it counts
            return view.record.status == pb.REQUEST_STATUS_COMPLETED
        return view.record.answers >= max(view.order.threshold, needed)

    def ended(view: RequestView) -> bool:
        return view.record.status not in (*_LIVING, pb.REQUEST_STATUS_COMPLETED)

    view, decided = session.wait_for(
        lambda: session.ledger.request_view(request),
        lambda view: enough(view) or ended(view),
        show_answers,
        wait_s,
    )
    if not decided:
        raise AnswersToCome(
            f"the request {request.hex()} has {view.answered} of {max(view.threshold, needed)} answers",
            hint="the keys are kept: receive again later; `dta order show` says what it waits for",
            data={"request": request.hex(), "status": status_name(view.record)},
        )
    if not enough(view):
        raise RequestEnded(
            f"the request {request.hex()} is {status_name(view.record)}: its secret is not released",
            hint="make a new request if the order is still open",
            data={"request": request.hex(), "status": status_name(view.record)},
        )
    return view


def show_answers(view: RequestView) -> Step:
    """How far the request has come, for a progress display."""
    return Step("answers", f"{status_name(view.record)}: answers", view.answered, view.threshold)


def status_name(record: pb.RequestRecord) -> str:
    """The status in lower case, as people and JSON see it."""
    return pb.RequestStatus.Name(record.status).removeprefix("REQUEST_STATUS_").lower()


def _all_gateways(session: Session, view: RequestView) -> list[str]:
    keepers = view.extraction.members if view.extraction else view.order.fiduciaries
    return [url for urls in session.gateways(keepers).values() for url in urls]


def _recover_input(session: Session, view: RequestView, block: bytes, opened: OpenRequest) -> RecoverInput:
    answers = {fiduciary: answer.sealed for fiduciary, answer in view.answers.items() if answer is not None}
    principal = session.ledger.identity(view.order.principal)
    if view.order.authority:
        return _recover_extracted(session, view, block, opened, principal)
    return RecoverInput(
        gid=session.gid,
        order=view.order,
        vault=session.ledger.vault(view.order.vault),
        request=view.record,
        principal=principal,
        envelope_block=block,
        answers=answers,
        keys=opened.keys,
    )


def _recover_extracted(
    session: Session, view: RequestView, block: bytes, opened: OpenRequest, principal: IdentityRecord
) -> RecoverInput:
    found = view.extraction
    if found is None or opened.transport is None:
        raise UsageError("the request is not one under an authority key", hint="use the home that asked")
    extracted = Extracted(
        found.authority, found.record, found.item, found.members, found.partials, opened.transport
    )
    return RecoverInput(
        gid=session.gid, order=view.order, vault=pb.VaultRecord(), request=view.record, principal=principal,
        envelope_block=block, answers={}, keys={}, extracted=extracted,
    )  # fmt: skip


def done(session: Session, received: Received) -> None:
    """The secret is where it belongs: erases the request's keys, but for those that a report still needs."""
    root = session.party.need_root()
    opened = keyfile.load(session.directory, root, session.gid, received.request)
    keyfile.keep_only(session.directory, root, session.gid, opened, list(received.bad_fiduciaries))


def report(session: Session, request: bytes, fiduciary: bytes) -> Committed:
    """Reveals the key of one fiduciary's answer; the ledger opens it and names the fiduciary, or refuses.

    Then erases that key. Only this one answer can be opened with it.
    """
    root = session.party.need_root()
    opened = keyfile.load(session.directory, root, session.gid, request)
    key = opened.keys.get(fiduciary)
    if key is None:
        raise NotFound(f"this home has no key of that request for {fiduciary.hex()}", hint="it was reported or erased")
    seed = key.seed.reveal()
    message = tx_pb2.ReportShare(
        request=request,
        fiduciary=fiduciary,
        mlkem768_seed=seed[:MLKEM768_SEED_BYTES],
        x25519_private=seed[MLKEM768_SEED_BYTES:],
    )
    committed = session.send(message)
    keyfile.keep_only(session.directory, root, session.gid, opened, [one for one in opened.keys if one != fiduciary])
    return committed
