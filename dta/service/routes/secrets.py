"""/v1/order/secret: asking for a secret, and receiving it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.client.custody import receiving
from dta.client.custody.session import Session, Step
from dta.service import asking, models
from dta.service.access import Reader, SecretReader
from dta.service.agent import Agent, Outcome, Work
from dta.service.calls import IdempotencyKey, IdPath, Poll, Prefer, wait_of

router = APIRouter(tags=["secrets"])

RAW = "application/octet-stream"
Accept = Annotated[str, Header(max_length=200, description=f"`{RAW}`: the secret's bytes as they are")]
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": models.SecretReceived, "content": {RAW: {"schema": {"type": "string", "format": "binary"}}}},
    202: {"model": models.RequestPending, "description": "its secret is not there yet: see Location"},
}


def _wants_raw(accept: str) -> bool:
    return accept.partition(";")[0].strip().lower() == RAW


@router.post("/order/secret", responses=_ANSWERS, response_model=models.SecretReceived | models.RequestPrepared)
async def ask(
    request: Request, caller: SecretReader, asked: models.SecretAsked, prefer: Prefer = None,
    accept: Accept = "*/*", idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Ask for an order's secret and receive it; asking again goes on with what was asked, until it is done."""
    del idempotency_key
    wait_s = wait_of(prefer)
    agent: Agent = request.app.state.agent
    return await agent.write(
        request, caller, lambda work: asking.ask(work, asked, wait_s, _wants_raw(accept)), wait_s=wait_s,
        later=asking.not_yet,
    )  # fmt: skip


@router.get("/order/secret/{id}", response_model=models.RequestShown)
async def show(request: Request, caller: Reader, id: IdPath, wait: Poll = 0) -> models.RequestShown:
    """A request's state, never the secret. With `wait`, once it can be received or has ended, or after that time."""
    agent: Agent = request.app.state.agent
    return await agent.look(caller, lambda session: state_of(session, asking.find_request(session, id), wait))


def state_of(session: Session, request: bytes, wait_s: int) -> models.RequestShown:
    if wait_s:
        session.wait_for(
            lambda: session.ledger.request(request),
            lambda record: record.status not in (pb.REQUEST_STATUS_PENDING, pb.REQUEST_STATUS_GRANTED),
            lambda record: Step("request", receiving.status_name(record)),
            wait_s,
        )
    return asking.shown(session, request)


@router.post("/order/secret/{id}/receive", responses=_ANSWERS, response_model=models.SecretReceived)
async def receive(
    request: Request, caller: SecretReader, id: IdPath, asked: models.Nothing | None = None,
    prefer: Prefer = None, accept: Accept = "*/*", idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """The secret, again and again until it is done."""
    del asked, idempotency_key
    wait_s = wait_of(prefer)

    def work(work: Work) -> Outcome:
        with work.session() as session:
            found = asking.find_request(session, id)
            work.bind(found)
            return asking.received(session, found, wait_s, _wants_raw(accept))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, wait_s=wait_s, later=asking.not_yet)


@router.post("/order/secret/{id}/done", response_model=models.Done)
async def done(
    request: Request, caller: SecretReader, id: IdPath, asked: models.Nothing | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """The secret is where it belongs: its keys are erased."""
    del asked, idempotency_key
    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, lambda work: asking.done(work, id))
