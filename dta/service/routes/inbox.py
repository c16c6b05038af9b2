"""/v1/inbox: what concerns an identity, and /v1/events: the same as it happens (SSE)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from abci_app.pb.dta.v1 import concern_pb2
from dta.base.errors import DtaError
from dta.client.custody.session import Session
from dta.client.ledger.concerns import Concern
from dta.service import models, problems
from dta.service.access import Caller, Reader
from dta.service.agent import Agent
from dta.service.calls import After, Limit, number_after
from dta.service.errors import RateLimited
from dta.service.routes.orders import role_names

router = APIRouter(tags=["inbox"])

MAX_STREAMS: Final = 64
STREAM_S: Final = 900.0
POLL_S: Final = 2.0
BEAT_POLLS: Final = 7


def shown(entry: Concern) -> models.Concern:
    """An entry, as its number, kind and subject: never more of a record than its id."""
    kind = concern_pb2.ConcernKind.Name(entry.kind).removeprefix("CONCERN_KIND_").lower().replace("_", "-")
    return models.Concern(
        number=entry.number, kind=kind, subject=entry.subject.hex(), roles=role_names(entry), height=entry.height
    )


def page(session: Session, after: int, limit: int) -> models.Inbox:
    """Some of what concerns the session's identity, without a gap."""
    found = session.ledger.concerns_page(session.party.identity, after, limit)
    return models.Inbox(
        concerns=[shown(entry) for entry in found.entries], next=None if found.is_whole else str(found.last),
        total=found.total, proved_at_height=found.height,
    )  # fmt: skip


@router.get("/inbox", response_model=models.Inbox)
async def inbox(
    request: Request, caller: Reader, after: After = None, limit: Limit = 100
) -> models.Inbox:
    """What the ledger says concerns this identity: proved whole up to `total`, in its own numbers."""
    start = number_after(after)
    agent: Agent = request.app.state.agent
    return await agent.look(caller, lambda session: page(session, start, limit))


@router.get("/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def events(
    request: Request, caller: Reader, after: After = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)] = None,
) -> StreamingResponse:  # fmt: skip
    """The same as server-sent events, `concern` each with its number as id; goes on after Last-Event-ID.

    A stream ends after 15 minutes; 64 at once. Without `after` it begins with what is new.
    """
    agent: Agent = request.app.state.agent
    start = last_event_id if last_event_id is not None else after
    if agent.streams >= MAX_STREAMS:
        raise RateLimited(f"{MAX_STREAMS} event streams are open", POLL_S)
    number = number_after(start)
    if start is None:
        number = (await agent.look(caller, lambda session: page(session, 0, 1))).total
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(agent, caller, number), media_type="text/event-stream", headers=headers)


def _after(session: Session, after: int) -> models.Inbox:
    return page(session, after, models.MAX_LIMIT)


async def _stream(agent: Agent, caller: Caller, after: int) -> AsyncIterator[str]:
    agent.streams += 1
    try:
        ends_s = agent.monotonic_s() + STREAM_S
        yield "retry: 2000\n\n"
        silent = 0
        while agent.monotonic_s() < ends_s:
            try:
                found = await agent.look(caller, partial(_after, after=after))
            except DtaError as error:
                yield _event("trouble", None, problems.problem_of(error).model_dump(exclude_none=True))
                found = None
            for concern in found.concerns if found is not None else ():
                yield _event("concern", concern.number, concern.model_dump(by_alias=True))
                after, silent = concern.number, 0
            if found is not None and found.next is not None:
                continue
            silent += 1
            if silent % BEAT_POLLS == 0:
                yield ": still here\n\n"
            await asyncio.sleep(POLL_S)
    finally:
        agent.streams -= 1


def _event(kind: str, number: int | None, data: dict[str, object]) -> str:
    id_ = f"id: {number}\n" if number is not None else ""
    return f"event: {kind}\n{id_}data: {json.dumps(data)}\n\n"
