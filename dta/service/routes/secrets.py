"""/v1/order/secret: asking for a secret, and receiving it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from dta.service import asking
from dta.service.access import Caller, Reader, SecretReader
from dta.service.agent import Agent, Outcome, Work
from dta.service.calls import IdempotencyKey, IdPath, Poll, Prefer, WholeId, wait_of
from dta.service.models import base
from dta.service.models import custody as models

router = APIRouter(tags=["secrets"])

RAW = "application/octet-stream"
Accept = Annotated[str, Header(max_length=200, description=f"`{RAW}`: the secret's bytes as they are")]
_RAW: dict[str, Any] = {"content": {RAW: {"schema": {"type": "string", "format": "binary"}}}}
_PENDING = {"model": models.RequestPending, "description": "its secret is not there yet: see Location"}
_RECEIVED: dict[int | str, dict[str, Any]] = {200: {"model": models.SecretReceived, **_RAW}, 202: _PENDING}
_PREPARED = {"model": models.RequestPrepared, "description": "with `prepare`: keys are made, nothing is asked for yet"}
_ASKED: dict[int | str, dict[str, Any]] = {**_RECEIVED, 201: _PREPARED}


def _wants_raw(accept: str) -> bool:
    return accept.partition(";")[0].strip().lower() == RAW


@router.post("/order/secret", responses=_ASKED, response_model=models.SecretReceived)
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
    return await state_of(request.app.state.agent, caller, id, wait)


async def state_of(agent: Agent, caller: Caller, id: str, wait_s: int) -> models.RequestShown:
    """A request, once it is decided or after that time."""
    return await agent.poll(
        caller, lambda session: asking.shown(session, asking.find_request(session, id)),
        lambda found: found.status not in ("pending", "granted"), wait_s,
    )  # fmt: skip


@router.post("/order/secret/{id}/receive", responses=_RECEIVED, response_model=models.SecretReceived)
async def receive(
    request: Request, caller: SecretReader, id: WholeId, asked: base.Nothing | None = None,
    prefer: Prefer = None, accept: Accept = "*/*", idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """The secret, again and again until it is done."""
    del asked, idempotency_key
    wait_s = wait_of(prefer)

    def work(work: Work) -> Outcome:
        with work.session() as session:
            found = asking.find_request(session, id)
            asking.check_keys(session, found)
            work.bind(found)
            return asking.received(work, session, found, wait_s, _wants_raw(accept))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, wait_s=wait_s, later=asking.not_yet)


@router.post("/order/secret/{id}/done", response_model=models.Done)
async def done(
    request: Request, caller: SecretReader, id: WholeId, asked: base.Nothing | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """The secret is where it belongs: its keys are erased."""
    del asked, idempotency_key
    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, lambda work: asking.done(work, id), decides=True)
