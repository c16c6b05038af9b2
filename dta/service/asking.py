"""Asking for a secret and receiving it for a caller: keys made once, one request gone on with, erased when done."""

from __future__ import annotations

from base64 import b64encode
from itertools import islice
from typing import Final

from abci_app.crypto import statements
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.records import REQUESTS
from dta.base import ids
from dta.base.errors import NotFound, UsageError
from dta.client.custody import asking, finding, keyfile, receiving, records
from dta.client.custody.asking import Draft
from dta.client.custody.errors import AnswersToCome, RequestEnded
from dta.client.custody.keyfile import OpenRequest
from dta.client.custody.receiving import Received
from dta.client.custody.session import Session
from dta.client.custody.shown import request_json
from dta.client.ledger import leaves
from dta.custodians import registry
from dta.service.agent import Outcome, Work
from dta.service.calls import People
from dta.service.errors import BadCall, Forbidden, NotReceived
from dta.service.models import custody as models
from dta.service.placing import RETRY_AFTER, commitment_of

MAX_UNSENT: Final = 16
"""So many requests of one identity for one order are prepared and not sent."""

_LIVING = (pb.REQUEST_STATUS_PENDING, pb.REQUEST_STATUS_GRANTED, pb.REQUEST_STATUS_COMPLETED)


def find_order(session: Session, text: str) -> bytes:
    """An order's id: all digits, or the first of one that this identity placed or the ledger says concerns it."""
    me = session.party.identity

    def placed() -> list[bytes]:
        return [one.order for one in records.load_all(session.directory, text) if one.principal == me]

    return ids.resolve(text, "order", placed, lambda: finding.orders(session.ledger, me))


def find_request(session: Session, text: str) -> bytes:
    """The same of a request: one that this identity asked, or may decide on."""
    me = session.party.identity
    return ids.resolve(
        text, "request", lambda: keyfile.asked_by(session.directory, me, text),
        lambda: finding.requests(session.ledger, me),
    )  # fmt: skip


def ask(work: Work, asked: models.SecretAsked, wait_s: float, raw: bool) -> Outcome:
    """Asks, where nothing of this caller's asks already, and receives within ``wait_s``. Raises TimedOut otherwise."""
    with work.session() as session:
        _check_beneficiary(work, session, asked)
        opened = _opened(work, session, asked)
        work.bind(opened.request)
        if asked.prepare:
            draft = Draft(work.agent.workplace.chain_id, session.gid, opened.message)
            shown = models.RequestPrepared(
                request=opened.request.hex(), order_reference=opened.message.order.hex(), prepared=draft.to_json()
            )
            return Outcome(shown, 201)
        _send(session, opened, asked.allow_missing)
        return received(work, session, opened.request, wait_s, raw)


def _check_beneficiary(work: Work, session: Session, asked: models.SecretAsked) -> None:
    named = asked.beneficiary_id_document_cid
    if not named:
        return
    people = People.of(work.agent.workplace, session, work.caller.credential.allows)
    if people.resolve(named) != session.party.identity:
        raise Forbidden("another identity than this call's is to receive", data={"beneficiary": named})


def _opened(work: Work, session: Session, asked: models.SecretAsked) -> OpenRequest:
    if (asked.prepare and asked.prepared) or (asked.authorisation and not asked.prepared):
        raise BadCall(422, "send prepare, or prepared with its authorisation")
    if asked.prepared:
        return _prepared(session, _authorised(asked))
    if work.subject:
        return keyfile.load(session.directory, session.party.need_root(), session.gid, work.subject)
    if not asked.order_reference:
        raise BadCall(422, "orderReference is missing")
    order = find_order(session, asked.order_reference)
    with work.alone(b"ask", order):  # until its keys are a file, by which whoever asks next finds it
        if asked.prepare:
            return _newest_unsent(session, order) or asking.prepare(session, order)
        return _living(session, order) or asking.prepare(session, order)


def _newest_unsent(session: Session, order: bytes) -> OpenRequest | None:
    """The newest of that order which can still be sent, where as many as there may be were not; None where fewer were.

    Nothing that is kept is given up for another: its principal may be about to authorise it.
    """
    kept = keyfile.newest(session.directory, session.party.identity, order)
    unsent = list(islice((one for one in kept if session.ledger.find(leaves.of(REQUESTS, one)) is None), MAX_UNSENT))
    if len(unsent) < MAX_UNSENT:
        return None
    asking.check_may_ask(session, session.ledger.order(order))
    root = session.party.need_root()
    opened = (keyfile.load(session.directory, root, session.gid, request) for request in unsent)
    return next((one for one in opened if _can_be_sent(session, one)), None)


def _prepared(session: Session, draft: Draft) -> OpenRequest:
    message = draft.message
    check_keys(session, statements.request_id(session.gid, message.order, message.beneficiary, message.nonce))
    return asking.load_prepared(session, draft)


def _authorised(asked: models.SecretAsked) -> Draft:
    draft = Draft.from_json(asked.prepared.encode("utf-8"))
    if asked.authorisation:
        draft.message.authorisation = bytes.fromhex(asked.authorisation)
    if asked.order_reference and asked.order_reference != draft.message.order.hex():
        raise UsageError("what was prepared is for another order")
    return draft


def _living(session: Session, order: bytes) -> OpenRequest | None:
    """This home's request of that order which has not ended, or is not on the ledger yet: asking twice is asking once.

    One with every key: of one that was received and is done, those are left that a report needs. Raises UsageError
    where none is on the ledger, and the order's principal has to say who asks.
    """
    me, root = session.party.identity, session.party.need_root()
    unsent = []
    for request in keyfile.to_receive(session.directory, me, order):
        if session.ledger.find(leaves.of(REQUESTS, request)) is None:
            unsent.append(request)
        # As it is now, and not as it was recorded: a deadline may have passed since.
        elif session.ledger.request_view(request).record.status in _LIVING:
            return keyfile.load(session.directory, root, session.gid, request)
    if asking.needs_authorisation(session, session.ledger.order(order)):  # what is unsent then waits for that
        raise UsageError(
            "the order leaves it to its principal who receives: the principal has to authorise this request",
            hint="send it with prepare, have the principal POST /v1/request/{id}/authorise, then send prepared",
        )
    opened = (keyfile.load(session.directory, root, session.gid, request) for request in unsent)
    return next((one for one in opened if _can_be_sent(session, one)), None)


def _can_be_sent(session: Session, opened: OpenRequest) -> bool:
    cid = opened.message.keys_cid
    return not cid or session.blocks.kept(cid) is not None


def _send(session: Session, opened: OpenRequest, allow_missing: int | None) -> None:
    if session.ledger.find(leaves.of(REQUESTS, opened.request)) is None:
        asking.submit(session, opened, allow_missing=allow_missing)


def received(work: Work, session: Session, request: bytes, wait_s: float, raw: bool) -> Outcome:
    """The secret of a request of this home. Its keys stay. Raises what :func:`receiving.receive` does."""
    found = _receive(session, request, wait_s)
    work.agent.received.keep(request, found.bad_fiduciaries)
    secret = found.secret.reveal()
    order = session.ledger.order(found.order)
    shown = models.SecretReceived(
        secret=b64encode(secret).decode("ascii"), commitment=commitment_of(order), order_reference=found.order.hex(),
        request=request.hex(), bad_fiduciaries=[one.hex() for one in found.bad_fiduciaries], extension=_plain(secret),
    )  # fmt: skip
    headers = {"DTA-Request": request.hex()}
    return Outcome(shown, headers=headers, is_secret=True, raw=secret if raw else None)


def check_keys(session: Session, request: bytes) -> None:
    """Raises NotFound where this identity has no keys of that request here; another one of the home may."""
    if not keyfile.is_of(session.directory, session.party.identity, request):
        raise NotFound(
            f"this home has no keys of a request {request.hex()}",
            hint="receiving needs the home that asked; keys are erased once it is done",
        )


def _receive(session: Session, request: bytes, wait_s: float) -> Received:
    check_keys(session, request)
    record = session.ledger.request(request)
    custodian = registry.custodian(session.ledger.order(record.order).custodian)
    return receiving.receive(session, custodian, request, wait_s=wait_s)


def _plain(secret: bytes) -> dict[str, str]:
    try:
        return {"plainText": secret.decode("utf-8")}
    except UnicodeDecodeError:
        return {}


def done(work: Work, text: str) -> Outcome:
    """The secret is where it belongs: erases its keys, but for those that a report still needs.

    Of a request that is ended without one, all keys. Raises NotReceived where answers are still to come: nothing is
    erased then.
    """
    with work.session() as session:
        request, me = find_request(session, text), session.party.identity
        kept = keyfile.kept(session.directory, request)
        was_begun, was_erased = bool(work.subject), kept is None or kept.beneficiary != me or not kept.is_whole
        if was_begun and was_erased:  # by an earlier call with the same key, which did not come to answer
            work.bind(request)
            return Outcome(models.Done(request=request.hex(), keys_kept=_kept(session, request)))
        check_keys(session, request)
        work.bind(request)
        bad = work.agent.received.find(request)
        if bad is None:
            try:
                bad = _receive(session, request, 0.0).bad_fiduciaries
            except RequestEnded:
                bad = ()
            except AnswersToCome as error:
                raise NotReceived(request, error.data) from None
        root = session.party.need_root()
        opened = keyfile.load(session.directory, root, session.gid, request)
        keyfile.keep_only(session.directory, root, session.gid, opened, list(bad))
        return Outcome(models.Done(request=request.hex(), keys_kept=[one.hex() for one in bad]))


def _kept(session: Session, request: bytes) -> list[str]:
    """Whose answers this home has keys of still, for their reports."""
    if not keyfile.is_of(session.directory, session.party.identity, request):
        return []
    opened = keyfile.load(session.directory, session.party.need_root(), session.gid, request)
    return [one.hex() for one in opened.keys]


def shown(session: Session, request: bytes) -> models.RequestShown:
    """A request as it is now, proved."""
    content = asking.content(session, request)
    is_mine = keyfile.is_of(session.directory, session.party.identity, request)
    return models.RequestShown.model_validate({
        **request_json(content), "answered": content.view.answered, "threshold": content.view.threshold,
        "may_approve": content.may_approve, "may_veto": content.may_veto, "keys_here": is_mine,
        "proved_at_height": content.view.height,
    })  # fmt: skip


def not_yet(request: bytes) -> Outcome:
    """What is known of a request whose answers are still to come: 202."""
    headers = {"Location": f"/v1/order/secret/{request.hex()}", **RETRY_AFTER}
    return Outcome(models.RequestPending(request=request.hex(), status="pending"), 202, headers, is_final=False)
