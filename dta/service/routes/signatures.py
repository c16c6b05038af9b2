"""/v1/sign: signatures of a key that no fiduciary holds alone."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter, Request, Response

from abci_app.codes import Code
from abci_app.custody.releases import is_signing
from abci_app.limits import NONCE_BYTES
from abci_app.pb.dta.v1 import concern_pb2
from abci_app.state.records import ORDERS, REQUEST_NUMBERS, REQUESTS
from dta.base.errors import RefusedByLedger
from dta.client.custody import asking as sdk
from dta.client.custody import policies, signing
from dta.client.custody.policies import Terms
from dta.client.custody.session import Session
from dta.client.custody.shown import signing_json
from dta.client.custody.signing import SigningView
from dta.client.ledger import leaves
from dta.client.ledger.authority import resolve as resolve_authority
from dta.service import asking
from dta.service.access import Decider, OrderWriter, Reader
from dta.service.agent import Agent, Outcome, Work
from dta.service.calls import (
    After,
    IdempotencyKey,
    IdPath,
    Limit,
    People,
    Poll,
    Prefer,
    WholeId,
    bytes_of,
    number_after,
    wait_of,
)
from dta.service.errors import BadCall
from dta.service.models import custody
from dta.service.models import keys as models
from dta.service.placing import RETRY_AFTER
from dta.service.routes.requests import decide

router = APIRouter(tags=["signatures"])

_BOTH: dict[int | str, dict[str, Any]] = {
    202: {"model": models.SignatureShown, "description": "it is not signed yet: see Location"},
}
_LIVING = ("pending", "granted")


def shown(session: Session, found: SigningView) -> models.SignatureShown:
    """A signing order as it is in ``found``."""
    content = sdk.content(session, found.record.request, found.request)
    request = found.request
    return models.SignatureShown.model_validate({
        **signing_json(found, content), "principal": request.order.principal.hex(), "answered": request.answered,
        "threshold": request.threshold, "may_approve": content.may_approve, "may_veto": content.may_veto,
        "is_valid": bool(found.record.signature) and found.is_valid, "proved_at_height": request.height,
    })  # fmt: skip


@router.post("/sign", responses=_BOTH, response_model=models.SignatureShown)
async def place(
    request: Request, caller: OrderWriter, asked: models.NewSignature, prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Ask for a signature. The key's signing policy says who has to approve. Answered with 200 once it is there, else
    with 202 when the caller has waited."""
    del idempotency_key
    content = bytes_of(asked.message, asked.extension, "what to sign")
    if content is None:
        raise BadCall(422, "what is to be signed? give message, or extension.plainText")
    if asked.policy is None and (asked.vetoers or asked.veto_window):
        raise BadCall(422, "vetoers and vetoWindow are of a policy: without one the key's own holds")
    agent: Agent = request.app.state.agent
    placed = await agent.write(request, caller, lambda work: _place(work, asked, content))
    wait_s = wait_of(prefer)
    id_ = placed.headers.get("DTA-Request")
    if placed.status_code != 202 or not wait_s or id_ is None:
        return placed
    found = await _polled(agent, caller, id_, wait_s)
    return _outcome(found).response()


def _place(work: Work, asked: models.NewSignature, content: bytes) -> Outcome:
    with work.session() as session:
        nonce = work.subject or secrets.token_bytes(NONCE_BYTES)
        request = signing.request_of(session, nonce)
        if work.subject:  # what a policy's names mean is of now
            work.bind(nonce, request)
            if session.ledger.find(leaves.of(REQUESTS, request)) is not None:
                return _outcome(shown(session, signing.view(session.ledger, request)))
        people = People.of(work.agent.workplace, session, work.caller.credential.allows)
        policy = None
        if asked.policy is not None:
            text, tree = (asked.policy, None) if isinstance(asked.policy, str) else ("", asked.policy)
            terms = Terms(text, tree, 0, 0, asked.veto_window, asked.vetoers)
            policy, _ = policies.build(terms, b"", people.resolve)
        work.bind(nonce, request)
        key = resolve_authority(session.ledger, asked.authority)
        try:
            found = signing.place(session, key, asked.kind, content, raw=asked.raw, policy=policy, nonce=nonce)
        except RefusedByLedger as refused:
            if refused.code != Code.DUPLICATE:
                raise
            found = signing.view(session.ledger, request)
        return _outcome(shown(session, found))


def _outcome(found: models.SignatureShown) -> Outcome:
    headers = {"Location": f"/v1/sign/{found.request}", "DTA-Request": found.request}
    if found.signature:
        return Outcome(found, headers=headers)
    return Outcome(found, 202, {**headers, **RETRY_AFTER}, is_final=False)


@router.get("/sign", response_model=models.SignatureList)
async def list_signatures(
    request: Request, caller: Reader, after: After = None, limit: Limit = 100
) -> models.SignatureList:
    """The signing orders that name this identity, by the ledger's own numbers: a page may have fewer than `limit`."""
    start = number_after(after)

    def read(session: Session) -> models.SignatureList:
        page = session.ledger.concerns_page(session.party.identity, start, limit)
        found = []
        for entry in page.entries:
            if entry.kind != concern_pb2.CONCERN_KIND_ORDER:
                continue
            if is_signing(session.ledger.get(leaves.of(ORDERS, entry.subject))):
                request_id = session.ledger.prove(REQUEST_NUMBERS.key(entry.subject, 1)).value
                if request_id is not None:
                    found.append(shown(session, signing.view(session.ledger, request_id)))
        return models.SignatureList(signatures=found, next=None if page.is_whole else str(page.last))

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)


@router.get("/sign/{id}", response_model=models.SignatureShown)
async def show(request: Request, caller: Reader, id: IdPath, wait: Poll = 0) -> models.SignatureShown:
    """A signing order, proved: what is signed, who agreed, the signature. With `wait`, once it is there or
    has ended."""
    return await _polled(request.app.state.agent, caller, id, wait)


async def _polled(agent: Agent, caller: Reader, id: str, wait_s: float) -> models.SignatureShown:
    return await agent.poll(
        caller, lambda session: shown(session, signing.view(session.ledger, asking.find_request(session, id))),
        lambda found: bool(found.signature) or found.status not in _LIVING, wait_s,
    )  # fmt: skip


@router.post("/sign/{id}/approve", response_model=custody.Decided)
async def approve(
    request: Request, caller: Decider, id: WholeId, asked: custody.Decision, idempotency_key: IdempotencyKey = None
) -> Response:
    """Approve exactly the signing order that contentDigest names."""
    del idempotency_key
    return await decide(request, caller, id, asked, "approve", sdk.approve)


@router.post("/sign/{id}/veto", response_model=custody.Decided)
async def veto(
    request: Request, caller: Decider, id: WholeId, asked: custody.Decision, idempotency_key: IdempotencyKey = None
) -> Response:
    """Veto exactly the signing order that contentDigest names, while its window lasts."""
    del idempotency_key
    return await decide(request, caller, id, asked, "veto", sdk.veto)


@router.post("/sign/{id}/verify", response_model=models.Verified)
async def verify(
    request: Request, caller: Reader, id: IdPath, asked: models.Verify | None = None
) -> models.Verified:
    """Verify the signature under the key that the ledger proves, and that it is over what is given. Nothing is sent."""
    wanted = asked or models.Verify()
    content = bytes_of(wanted.message, wanted.extension, "what was signed")

    def read(session: Session) -> models.Verified:
        found = signing.view(session.ledger, asking.find_request(session, id))
        return models.Verified(
            request=found.record.request.hex(), is_valid=bool(found.record.signature) and found.is_valid,
            is_of=None if content is None else found.is_of(content), signature=found.record.signature.hex(),
        )  # fmt: skip

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)
