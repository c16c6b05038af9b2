"""``GET /v1/search`` and ``GET /v1/events``: the index's events, a page of them or as they come (docs/spec/door.md)."""

from __future__ import annotations

import asyncio
import json
import re
from http import HTTPStatus
from typing import Final

from aiohttp import web

from dta.http.answers import Refused, allow, take
from dta.http.quota import RateLimit
from dta.node.door.config import DoorConfig
from dta.node.door.follow import Follower
from dta.node.door.index import PAGE_EVENTS, Cursor, Found, Index, Wanted
from dta.node.door.rpc import cut

TOO_MANY_READS: Final = "too many reads in a short time"
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
_LOOK_AGAIN_S: Final = 1.0
_RETRY_MS: Final = 3_000
_END: Final = 1 << 30
"""After whatever a block has."""


class EventsDoor:
    """Answers from the index, which the follower keeps up to date. ``rate``: of reads; what is replayed counts too."""

    def __init__(self, index: Index, follower: Follower, config: DoorConfig, rate: RateLimit) -> None:
        self._index = index
        self._follower = follower
        self._config = config
        self._rate = rate

    async def search(self, request: web.BaseRequest) -> web.Response:
        """A page of events. Raises Refused."""
        allow(request.method, "GET", "HEAD")
        given = _given(request, frozenset({"role", "id", "kind", "after", "limit"}))
        limit = given.get("limit", str(PAGE_EVENTS))
        if not _NUMBER.fullmatch(limit) or int(limit) > PAGE_EVENTS:
            raise _wrong("limit", f"a whole number, 1 to {PAGE_EVENTS}")
        page = await asyncio.to_thread(
            self._index.search, _wanted(given), _place(given["after"], "after") if "after" in given else Cursor(0, 0),
            int(limit),
        )  # fmt: skip
        # The first event of all is 1.0, which is after 0.0.
        said = {
            "events": [_json(found) for found in page.events],
            "next": str(page.events[-1].at) if page.is_cut else None,
            "from_height": page.from_height, "height": page.height,
        }  # fmt: skip
        return web.json_response(said, headers={"Cache-Control": "no-store"})

    async def stream(self, request: web.BaseRequest, address: str, headers: dict[str, str]) -> web.StreamResponse:
        """Write events as they come, until the client goes or the connection's time is over. Raises Refused."""
        take(self._rate, address, TOO_MANY_READS)
        allow(request.method, "GET")
        given = _given(request, frozenset({"role", "id", "kind", "after"}))
        wanted = _wanted(given)
        # A browser that connects again says by Last-Event-ID what it had: that is newer than what its address says.
        last = request.headers.get("Last-Event-ID", given.get("after"))
        at = Cursor(self._index.height, _END) if last is None else _place(last, "after")
        # Of a block that is gone nobody knows whether this was its last event.
        first = self._index.from_height
        is_lost = last is not None and first > 1 and at.height < first
        answer = web.StreamResponse(
            headers={**headers, "Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        answer.force_close()
        try:
            await answer.prepare(request)
            await self._write(answer, f"retry: {_RETRY_MS}\n\n")
            if is_lost:
                at = Cursor(first - 1, _END)
                await self._write(answer, f"event: reset\ndata: {json.dumps({'from_height': first})}\n\n")
            await self._write_for_ever(answer, address, wanted, at)
        except (TimeoutError, ConnectionError):
            cut(request)  # it does not read, or is gone
        return answer

    async def _write_for_ever(
        self, answer: web.StreamResponse, address: str, wanted: Wanted, at: Cursor
    ) -> None:
        while True:
            grown = asyncio.create_task(self._follower.grown())
            try:
                at = await self._send_after(answer, address, wanted, at)
                await asyncio.wait([grown], timeout=self._config.heartbeat_s)
                if not grown.done():
                    await self._write(answer, ": still here\n\n")
            finally:
                grown.cancel()

    async def _send_after(self, answer: web.StreamResponse, address: str, wanted: Wanted, at: Cursor) -> Cursor:
        """Write what there is after ``at``; where it ends. Each page after the first is a read of the address's."""
        while True:
            page = await asyncio.to_thread(self._index.search, wanted, at, PAGE_EVENTS)
            for found in page.events:
                await self._write(answer, f"id: {found.at}\ndata: {json.dumps(_json(found))}\n\n")
                at = found.at
            if not page.is_cut:
                return max(at, Cursor(page.height, _END))
            self._rate.charge(address, 1)
            while debt_s := self._rate.wait_s(address):
                await asyncio.sleep(min(debt_s, _LOOK_AGAIN_S))

    async def _write(self, answer: web.StreamResponse, text: str) -> None:
        """Raises TimeoutError for a client that does not read."""
        async with asyncio.timeout(self._config.slow_reader_s):
            await answer.write(text.encode("utf-8"))


def _given(request: web.BaseRequest, known: frozenset[str]) -> dict[str, str]:
    query = request.rel_url.query
    unknown = sorted(set(query) - known)
    if unknown or len(query) != len(set(query)):
        raise Refused(
            HTTPStatus.BAD_REQUEST, "a parameter is not known, or stands twice", f"there are {', '.join(sorted(known))}"
        )
    return dict(query)


def _wanted(given: dict[str, str]) -> Wanted:
    kind, role, id_ = given.get("kind", ""), given.get("role", ""), given.get("id", "")
    for name, value in (("kind", kind), ("role", role)):
        if value and not _NAME.fullmatch(value):
            raise _wrong(name, "lower-case letters, digits, - and _, at most 32")
    if id_ and not _ID.fullmatch(id_):
        raise _wrong("id", "64 hex digits in lower case")
    if role and not id_:
        raise _wrong("id", "there where role is")
    return Wanted(kind, role, id_)


def _place(text: str, name: str) -> Cursor:
    try:
        return Cursor.read(text)
    except ValueError:
        raise _wrong(name, "height.index, as an event's own place") from None


def _wrong(name: str, meant: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, f"{name} is not what it may be", f"{name} is {meant}")


def _json(found: Found) -> dict[str, object]:
    attributes = [{"name": name, "value": value} for name, value in found.attributes]
    return {"at": str(found.at), "height": found.at.height, "kind": found.kind, "attributes": attributes}
