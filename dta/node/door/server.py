"""The public door: routing, places and answers of what a fiduciary shows to the world (docs/spec/door.md)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import web

from dta.client.ledger.rpc import AsyncRpc
from dta.http.answers import Refused, allow, refusal, take
from dta.http.guard import Listening, NoPlace, bind, client_address, guarded_by
from dta.http.places import Places
from dta.http.quota import RateLimit
from dta.node.door.blocks import BlocksDoor
from dta.node.door.config import Budgets, DoorConfig
from dta.node.door.events import TOO_MANY_READS, EventsDoor
from dta.node.door.follow import NEAR_BLOCKS, Follower, agent_at
from dta.node.door.index import Index
from dta.node.door.methods import BadCall, Lane
from dta.node.door.rpc import RpcDoor, bad_call, finish

ANYBODY: Final = {"Access-Control-Allow-Origin": "*"}
"""On whatever only reads. Never with credentials: there are none here that a browser would send by itself."""
_PREFLIGHT: Final = {
    **ANYBODY,
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "Accept, Content-Type, If-None-Match, Last-Event-ID",
    "Access-Control-Max-Age": "86400",
}
_EXPOSED: Final = {"Access-Control-Expose-Headers": "Etag, Retry-After, X-Ipfs-Path"}
_log = logging.getLogger(__name__)


class Door:
    """The server. ``start`` binds, ``stop`` unbinds; both once. ``tls``: a server's context, or none."""

    def __init__(
        self,
        config: DoorConfig,
        index: Index,
        tls: ssl.SSLContext | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._index = index
        self._tls = tls
        self._monotonic_s = monotonic_s
        self.budgets = Budgets.of(config)
        self._read_rate = RateLimit(config.reads_per_minute, config.reads_per_minute, monotonic_s)
        self._guarded = guarded_by(self._answer, config, self._arriving, cancels=True)
        self._following: asyncio.Task[None] | None = None
        self._listening: Listening | None = None

    async def start(self) -> tuple[str, int]:
        """Follow the node and listen; the (host, port) that was bound. Raises OSError where it can't be: to be tried
        again."""
        if self._following is None:
            self._begin_to_follow()
        self._listening = await bind(self._guarded, self._config, self._tls)
        return self._listening.address

    def _begin_to_follow(self) -> None:
        config = self._config
        self._agent = agent_at(config.blocks_socket)
        self._comet = aiohttp.ClientSession(
            config.rpc_url, connector=aiohttp.TCPConnector(limit=0), auto_decompress=False, trust_env=False,
            headers={"Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=config.answer_s, sock_connect=5),
        )  # fmt: skip
        self._followed = AsyncRpc(config.rpc_url)
        self.follower = Follower(self._followed, self._agent, self._index, config.chain_id, config.fiduciary_addresses)
        self._blocks = BlocksDoor(self._agent, config)
        self._rpc = RpcDoor(self._comet, config, self._monotonic_s)
        self._events = EventsDoor(self._index, self.follower, config, self._read_rate)
        self._following = asyncio.create_task(self.follower.run())

    async def stop(self) -> None:
        """Stop listening, give requests in progress a few seconds, then cut them."""
        if self._listening is not None:
            await self._listening.stop()
        if self._following is None:
            return
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self._followed.close()
        await self._comet.close()
        await self._agent.close()

    def _arriving(self, key: str) -> Places | None:
        return self.budgets.arriving if key in self.follower.known.fiduciaries else None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What was answered, all of it written: the answers of a kind take a place of it while they go out."""
        address = client_address(request, self._config.trusted_proxies)
        try:
            return await self._route(request, address)
        except NoPlace as error:
            answer = _marked(refusal(_no_place(error)), reads=request.method != "PUT")
            answer.force_close()  # its body is not read
            return answer

    async def _route(self, request: web.BaseRequest, address: str) -> web.StreamResponse:
        path = request.path
        if request.method == "OPTIONS":
            return await self._in_place(request, address, self.budgets.reads, _preflight)
        if path.startswith("/ipfs/"):
            choices = [self.budgets.ipfs]
            if address in self.follower.known.fiduciaries:
                choices.insert(0, self.budgets.reserved)
            with self._guarded.serving(request, address, choices, self._config.answer_s + self._config.upload_s):
                return await self._made(request, lambda: self._blocks.answer(request, address), "PUT")
        if path == "/rpc":
            return await self._call(request, address)
        if path == "/v1/events":
            with self._guarded.serving(request, address, [self.budgets.streams], self._config.stream_s):
                return await self._streamed(request, lambda: self._events.stream(request, address, _read_headers()))
        return await self._in_place(request, address, self.budgets.reads, self._read)

    async def _in_place(
        self,
        request: web.BaseRequest,
        address: str,
        places: Places,
        make: Callable[[web.BaseRequest], Awaitable[web.Response]],
    ) -> web.StreamResponse:
        with self._guarded.serving(request, address, [places], self._config.connection_s):

            async def made() -> web.Response:
                take(self._read_rate, address, TOO_MANY_READS)
                return await make(request)

            return await self._made(request, made)

    async def _call(self, request: web.BaseRequest, address: str) -> web.StreamResponse:
        config = self._config
        with self._guarded.serving(request, address, [self.budgets.rpc], config.body_s + config.answer_s):
            try:
                call = await self._rpc.read(request, address)
            except Refused as refused:
                return await _sent(request, _marked(refusal(refused), reads=True))
            except BadCall as error:
                return await _sent(request, bad_call(error, _read_headers()))
            headers = _read_headers() if call.method.is_read else {}

            async def answered() -> web.StreamResponse:
                if call.method.lane is not Lane.BULK:
                    return await self._rpc.answer(request, call, address, headers)
                holder = object()
                cut = request.transport.abort if request.transport is not None else _nothing
                if not self.budgets.bulk.take(holder, address, cut):
                    raise _no_place(NoPlace(self.budgets.bulk.is_full_for(address)))
                try:
                    return await self._rpc.answer(request, call, address, headers)
                finally:
                    self.budgets.bulk.leave(holder)

            return await self._streamed(request, answered, reads=call.method.is_read)

    async def _made(
        self, request: web.BaseRequest, make: Callable[[], Awaitable[web.Response]], *writes: str
    ) -> web.StreamResponse:
        """An answer made whole, and written. ``writes``: the methods that change something."""
        try:
            answer = await make()
        except Refused as refused:
            answer = refusal(refused)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            answer = refusal(_FAILED)
        return await _sent(request, _marked(answer, reads=request.method not in writes))

    async def _streamed(
        self, request: web.BaseRequest, make: Callable[[], Awaitable[web.StreamResponse]], reads: bool = True
    ) -> web.StreamResponse:
        """An answer that writes itself; refused as a whole while nothing of it went out."""
        try:
            return await make()
        except Refused as refused:
            return await _sent(request, _marked(refusal(refused), reads=reads))

    async def _read(self, request: web.BaseRequest) -> web.Response:
        """The small answers, all from what is known already."""
        path = request.path
        if path == "/v1/search":
            return await self._events.search(request)
        if path == "/health/live":
            allow(request.method, "GET", "HEAD")
            return web.json_response({"live": True}, headers=_FRESH)
        if path == "/health/ready":
            allow(request.method, "GET", "HEAD")
            checks = self._checks()
            status = HTTPStatus.OK if all(checks.values()) else HTTPStatus.SERVICE_UNAVAILABLE
            return web.json_response({"ready": all(checks.values()), "checks": checks}, status=status, headers=_FRESH)
        if path == "/v1/status":
            allow(request.method, "GET", "HEAD")
            return web.json_response(self._status(), headers=_FRESH)
        raise Refused(
            HTTPStatus.NOT_FOUND, "there is nothing here",
            "there are /ipfs/{cid}, /rpc, /v1/search, /v1/events, /v1/status, /health/live and /health/ready",
        )  # fmt: skip

    def _checks(self) -> dict[str, bool]:
        known, now_s = self.follower.known, time.monotonic()
        near = known.status is not None and self._index.height >= known.status.latest_height - NEAR_BLOCKS
        return {"ledger": known.has_ledger(now_s), "blocks": known.has_blocks(now_s), "events": near}

    def _status(self) -> dict[str, object]:
        known, now_s = self.follower.known, time.monotonic()
        agent = known.agent if known.has_blocks(now_s) else {}
        status = known.status
        return {
            "chain_id": self._config.chain_id,
            "identity": self._config.identity.hex(),
            "height": status.latest_height if status else 0,
            "block_time_s": status.latest_time.seconds if status else 0,
            "catching_up": status.catching_up if status else True,
            "acting": bool(agent.get("acting")),
            "due": agent.get("due", 0),
            "events": {"from_height": self._index.from_height, "height": self._index.height},
            "ready": all(self._checks().values()),
        }


_FRESH: Final = {"Cache-Control": "no-store"}
_FAILED = Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "the door failed", "the operator's log says why")


def _nothing() -> None:
    """What there is to do to a connection that is gone."""


async def _preflight(_request: web.BaseRequest) -> web.Response:
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT)


def _read_headers() -> dict[str, str]:
    return {**ANYBODY, **_EXPOSED, "X-Content-Type-Options": "nosniff"}


def _marked(answer: web.Response, *, reads: bool) -> web.Response:
    answer.headers["X-Content-Type-Options"] = "nosniff"
    if reads:
        answer.headers.update(_read_headers())
    return answer


async def _sent(request: web.BaseRequest, answer: web.StreamResponse) -> web.StreamResponse:
    """Written to its last byte; where the client is gone there is nobody to write to."""
    with contextlib.suppress(ConnectionError):
        await finish(request, answer)
    return answer


def _no_place(error: NoPlace) -> Refused:
    if error.is_own:
        return Refused(
            HTTPStatus.TOO_MANY_REQUESTS, "this address has as many of such requests as it may", "end some of them", 5.0
        )
    return Refused(
        HTTPStatus.SERVICE_UNAVAILABLE, "all places for such requests are taken",
        "try again soon, or another fiduciary's door", 5.0,
    )  # fmt: skip
