"""/v1/request: what is asked for, and deciding on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from abci_app.crypto import statements
from abci_app.state.records import REQUESTS
from dta.base.errors import NotFound
from dta.client.custody import asking as sdk
from dta.client.custody import finding, receiving
from dta.client.custody.asking import Content, Draft
from dta.client.custody.session import Session
from dta.client.ledger import leaves
from dta.client.ledger.submit import Committed
from dta.service import asking
from dta.service.access import Caller, Decider, Reader, SecretReader
from dta.service.agent import Agent, Outcome, Work
from dta.service.calls import (
    After,
    IdempotencyKey,
    IdPath,
    Limit,
    People,
    Poll,
    WholeId,
    number_after,
    place_after,
    place_text,
)
from dta.service.errors import DigestDiffers, Forbidden
from dta.service.models import custody as models
from dta.service.routes.secrets import state_of

router = APIRouter(tags=["requests"])


@router.get("/request", response_model=models.RequestList)
async def list_requests(
    request: Request, caller: Reader,
    order: Annotated[str | None, Query(pattern="^[0-9a-f]{4,64}$", description="of this order alone")] = None,
    after: After = None, limit: Limit = 100,
) -> models.RequestList:  # fmt: skip
    """The requests that this identity may decide on or receive by, by the ledger's own numbers: a page may have
    fewer than `limit`."""
    start = number_after(after) if order is not None else 0
    place = place_after(after) if order is None else (0, 0)

    def read(session: Session) -> models.RequestList:
        if order is not None:
            found, last = finding.of_order(session.ledger, asking.find_order(session, order), start, limit)
            following = None if last is None else str(last)
        else:
            page = finding.requests_page(session.ledger, session.party.identity, place, limit)
            found, following = list(page.ids), place_text(page.following)
        return models.RequestList(requests=[asking.shown(session, one) for one in found], next=following)

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)


@router.get("/request/{id}", response_model=models.RequestShown)
async def show(request: Request, caller: Reader, id: IdPath, wait: Poll = 0) -> models.RequestShown:
    """A request, proved, with its contentDigest recomputed where the node has its bytes."""
    return await state_of(request.app.state.agent, caller, id, wait)


@router.post("/request/{id}/approve", response_model=models.Decided)
async def approve(
    request: Request, caller: Decider, id: WholeId, asked: models.Decision,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Approve exactly the content that contentDigest names."""
    del idempotency_key
    return await decide(request, caller, id, asked, "approve", sdk.approve)


@router.post("/request/{id}/veto", response_model=models.Decided)
async def veto(
    request: Request, caller: Decider, id: WholeId, asked: models.Decision,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Veto exactly the content that contentDigest names."""
    del idempotency_key
    return await decide(request, caller, id, asked, "veto", sdk.veto)


async def decide(
    request: Request, caller: Caller, id: str, asked: models.Decision, what: str,
    decision: Callable[[Session, Content], Committed],
) -> Response:  # fmt: skip
    """``decision`` on the request that ``asked`` names the content of. Raises DigestDiffers where it is another."""

    def work(work: Work) -> Outcome:
        with work.session() as session:
            content = sdk.content(session, asking.find_request(session, id))
            record = content.view.record
            if record.content_digest.hex() != asked.content_digest:
                raise DigestDiffers(record.content_digest, "contentDigest")
            work.bind(record.id)
            committed = decision(session, content)
            now = session.ledger.get(leaves.of(REQUESTS, record.id), at_least=committed.height)
            return Outcome(
                models.Decided(
                    request=record.id.hex(), decision=what, height=committed.height, status=receiving.status_name(now)
                )
            )

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, decides=True)


@router.post("/request/{id}/authorise", response_model=models.Authorised)
async def authorise(
    request: Request, caller: Decider, id: WholeId, asked: models.Authorise,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Let somebody receive, with the keys in what they prepared only, where the order leaves it to its principal."""
    del idempotency_key

    def work(work: Work) -> Outcome:
        draft = Draft.from_json(asked.prepared.encode("utf-8"))
        message = draft.message
        with work.session() as session:
            made = statements.request_id(session.gid, message.order, message.beneficiary, message.nonce)
            if not made.hex().startswith(id):
                raise NotFound(f"what was prepared is the request {made.hex()}", hint="POST to that one's path")
            people = People.of(work.agent.workplace, session, work.caller.credential.allows)
            if people.resolve(asked.beneficiary) != message.beneficiary:
                raise Forbidden(
                    "it was prepared by somebody else than you name", data={"beneficiary": message.beneficiary.hex()}
                )
            work.bind(made)
            signed = sdk.authorise(session, draft)
            return Outcome(
                models.Authorised(
                    request=made.hex(), prepared=signed.to_json(), authorisation=signed.message.authorisation.hex()
                )
            )

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, decides=True)


@router.post("/request/{id}/report", response_model=models.Decided)
async def report(
    request: Request, caller: SecretReader, id: WholeId, asked: models.Report,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Prove to everybody that a fiduciary's answer was bad: reveals the key of that one answer."""
    del idempotency_key

    def work(work: Work) -> Outcome:
        with work.session() as session:
            found = asking.find_request(session, id)
            fiduciary = People.of(work.agent.workplace, session, work.caller.credential.allows).resolve(asked.fiduciary)
            asking.check_keys(session, found)
            work.bind(found)
            committed = receiving.report(session, found, fiduciary)
            now = session.ledger.get(leaves.of(REQUESTS, found), at_least=committed.height)
            return Outcome(
                models.Decided(
                    request=found.hex(), decision="report", height=committed.height, status=receiving.status_name(now)
                )
            )

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, decides=True)
