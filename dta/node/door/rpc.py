"""``POST /rpc``: one checked call is sent to the node's CometBFT, and its answer streamed back under a cap."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import web

from dta.http.answers import Refused, allow, read_body, take
from dta.http.quota import RateLimit
from dta.node.door.config import DoorConfig
from dta.node.door.follow import read_answer
from dta.node.door.methods import BYTES_PER_UNIT, MAX_CALL_BYTES, MOST_UNITS, BadCall, Call, Lane, read_call

JSON_TYPE: Final = "application/json"
_TOO_MANY: Final = "too many calls in a short time"
_PARSING: Final = 1
_NO_JSON = Refused(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a call is sent as application/json", "set the header Content-Type"
)
_TOO_LARGE = Refused(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a call has at most {MAX_CALL_BYTES} bytes", "no method needs more"
)


class RpcDoor:
    """The calls of everybody. ``read`` a request's, then ``answer`` it."""

    def __init__(
        self, comet: aiohttp.ClientSession, config: DoorConfig, monotonic_s: Callable[[], float]
    ) -> None:
        self._comet = comet
        self._config = config
        self._rate = RateLimit(config.rpc_units_per_minute, config.rpc_units_per_minute, monotonic_s)
        self._queries = asyncio.Semaphore(config.max_queries)

    async def read(self, request: web.BaseRequest, address: str) -> Call:
        """The one call in the request, of whose cost a unit is paid before it is parsed. Raises Refused, BadCall."""
        allow(request.method, "POST")
        if request.content_type != JSON_TYPE:
            raise _NO_JSON
        try:
            async with asyncio.timeout(self._config.body_s):
                content = await read_body(request, MAX_CALL_BYTES, _TOO_LARGE)
        except TimeoutError:
            raise Refused(
                HTTPStatus.REQUEST_TIMEOUT, "the call took too long to arrive", "try again on a better line"
            ) from None
        # Its other units are not known yet: who is told to wait comes back with as many as the dearest call costs.
        take(self._rate, address, _TOO_MANY, _PARSING, again=MOST_UNITS - _PARSING)
        return read_call(content)

    async def answer(
        self, request: web.BaseRequest, call: Call, address: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        """CometBFT's answer, written with these headers. Raises Refused while nothing was written."""
        take(self._rate, address, _TOO_MANY, call.method.cost - _PARSING, again=_PARSING)
        if call.method.lane is not Lane.QUERY:
            response = await self._asked(call)
            async with response:
                return await self._streamed(request, response, call, address, headers)
        whole = web.Response(
            body=await self._queried(call), content_type=JSON_TYPE, headers=headers
        )
        with contextlib.suppress(ConnectionError):
            await finish(request, whole)
        return whole

    async def _queried(self, call: Call) -> bytes:
        """A small answer, read before it is written: a slow reader keeps the application from nobody."""
        try:
            async with asyncio.timeout(self._config.query_s):
                await self._queries.acquire()
        except TimeoutError:
            raise _busy("the application is busy") from None
        try:
            async with await self._asked(call) as response:
                return await read_answer(response, call.method.max_answer_bytes)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            raise _busy("this fiduciary's node does not answer as it should") from None
        finally:
            self._queries.release()

    async def _streamed(
        self,
        request: web.BaseRequest,
        response: aiohttp.ClientResponse,
        call: Call,
        address: str,
        headers: dict[str, str],
    ) -> web.StreamResponse:
        """The answer, paid for chunk by chunk before it goes out: who hangs up before the end has paid for what it got.

        Where it breaks off, or is too long, the connection is cut: an answer that is not whole must not look as if it
        were.
        """
        answer = web.StreamResponse(headers={**headers, "Content-Type": JSON_TYPE})
        sent_bytes = 0
        try:
            await answer.prepare(request)
            async for chunk in response.content.iter_any():
                sent_bytes += len(chunk)
                if call.method.cost_by_bytes:
                    self._rate.charge(address, len(chunk) / BYTES_PER_UNIT)
                if sent_bytes > call.method.max_answer_bytes:
                    cut(request)
                    break
                await answer.write(chunk)
            else:
                await answer.write_eof()
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            cut(request)
        return answer

    async def _asked(self, call: Call) -> aiohttp.ClientResponse:
        try:
            return await self._comet.post("/", data=call.content, headers={"Content-Type": JSON_TYPE})
        except (aiohttp.ClientError, TimeoutError):
            raise _busy("this fiduciary's node does not answer") from None


def cut(request: web.BaseRequest) -> None:
    """End the request's connection at once."""
    if request.transport is not None:
        request.transport.abort()


async def finish(request: web.BaseRequest, answer: web.StreamResponse) -> None:
    """Write an answer to its last byte now, while its connection still has the place of its kind."""
    await answer.prepare(request)
    await answer.write_eof()


def bad_call(error: BadCall, headers: dict[str, str]) -> web.Response:
    """A JSON-RPC error that says what is wrong with the call; CometBFT never saw it."""
    said = {"code": error.code, "message": error.message}
    body = json.dumps({"jsonrpc": "2.0", "id": error.id, "error": said})
    return web.Response(text=body, status=HTTPStatus.BAD_REQUEST, content_type=JSON_TYPE, headers=headers)


def _busy(error: str) -> Refused:
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, error, "try again soon, or another fiduciary's door", 2.0)
