"""/v1/inbox: what waits for an identity, and /v1/events: what is new for it, as it happens (SSE)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from dta.client.custody.session import Session
from dta.service import news, problems
from dta.service.access import Caller, Reader
from dta.service.agent import POLL_S, Agent
from dta.service.calls import Poll
from dta.service.errors import BadCall, RateLimited
from dta.service.models import inbox as models
from dta.service.news import Place, Told

router = APIRouter(tags=["inbox"])

MAX_STREAMS: Final = 64
STREAMS_OF_ONE: Final = 16
STREAM_S: Final = 900.0
BEAT_POLLS: Final = 7
_MAX_NUMBER_DIGITS: Final = 9
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
}
_After = Annotated[str | None, Query(max_length=40, description="an event's id; 0: everything there ever was")]
_LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=40)]


@router.get("/inbox", response_model=models.Inbox)
async def inbox(
    request: Request, caller: Reader, wait: Poll = 0,
    state: Annotated[str | None, Query(max_length=40, description="`state` of the answer before")] = None,
) -> models.Inbox:  # fmt: skip
    """What waits for this identity's decision or receipt, in a list proved whole. With `wait` and `state`, once it is
    another."""
    agent: Agent = request.app.state.agent
    if wait and state is None:
        raise BadCall(422, "wait for what? `state` of the answer before says what there was")
    return await agent.poll(
        caller, lambda session: news.inbox_shown(agent.waiting.read(session)),
        lambda found: found.state != state, wait,
    )  # fmt: skip


@router.get("/events", response_class=StreamingResponse, responses=_STREAM)
async def events(
    request: Request, caller: Reader, after: _After = None, last_event_id: _LastEventId = None
) -> StreamingResponse:
    """What is new, as server-sent events: `concern.*` for each record that names this identity, `waits.*` for what
    began to wait for it. Goes on after Last-Event-ID.

    A stream ends after 15 minutes; 64 at once, 16 of one credential. Without `after` it begins with what is new. Of
    what waits some may come again after a pause; nothing is left out.
    """
    agent: Agent = request.app.state.agent
    _check_streams(agent, caller)
    start = last_event_id if last_event_id is not None else after
    place = await agent.look(caller, partial(_beginning, agent=agent, start=start))
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(agent, caller, place), media_type="text/event-stream", headers=headers)


def _check_streams(agent: Agent, caller: Caller) -> None:
    if agent.streams >= MAX_STREAMS:
        raise RateLimited(f"{MAX_STREAMS} event streams are open", POLL_S)
    if agent.streams_of[caller.credential.id] >= STREAMS_OF_ONE:
        raise RateLimited(f"{STREAMS_OF_ONE} event streams of this credential are open", POLL_S)


def _beginning(session: Session, agent: Agent, start: str | None) -> Place:
    """The place after an event's id. Which items it had been told of is known where the same wait now."""
    current = news.now(session, agent.waiting)
    if start is None:
        return current
    number, _, state = start.partition(".")
    if not number.isascii() or not number.isdigit() or len(number) > _MAX_NUMBER_DIGITS:
        raise BadCall(422, "that is no id of an event")
    if int(number) > current.number:
        raise BadCall(422, f"there are {current.number} entries, not {number}")
    return Place(int(number), current.waits if state == news.state_of(current.waits) else frozenset())


def _since(session: Session, agent: Agent, place: Place) -> Told:
    return news.since(session, agent.waiting, place)


async def _stream(agent: Agent, caller: Caller, place: Place) -> AsyncIterator[str]:
    who = caller.credential.id
    try:
        _check_streams(agent, caller)
    except RateLimited as error:  # several came at once
        yield _event("trouble", "", problems.problem_of(error).model_dump(exclude_none=True))
        return
    agent.streams += 1
    agent.streams_of[who] += 1
    try:
        ends_s = agent.monotonic_s() + STREAM_S
        yield "retry: 2000\n\n"
        silent = 0
        while agent.monotonic_s() < ends_s:
            try:
                told = await agent.look(caller, partial(_since, agent=agent, place=place), follows=True)
            except Exception as error:  # a keystore's, a disk's: it passes, and the stream goes on
                yield _event("trouble", "", problems.problem_of(problems.as_ours(error)).model_dump(exclude_none=True))
                told = Told((), place, True)
            for one in told.news:
                yield _event(one.type, one.id, one.data.model_dump(by_alias=True))
            place = told.place
            if not told.is_all:
                continue
            silent = 0 if told.news else silent + 1
            if silent % BEAT_POLLS == BEAT_POLLS - 1:
                yield ": still here\n\n"
            await agent.pause(POLL_S)
    finally:
        agent.streams -= 1
        agent.streams_of[who] -= 1
        if not agent.streams_of[who]:
            del agent.streams_of[who]


def _event(kind: str, id_: str, data: dict[str, object]) -> str:
    return f"event: {kind}\n" + (f"id: {id_}\n" if id_ else "") + f"data: {json.dumps(data)}\n\n"
