"""``/ipfs/{cid}``: what the agent's gateway says, at the pace of whoever asked and never at the agent's expense.

A body is read whole before the agent is asked, and its answer whole before any of it goes out: so a slow client takes a
place of the door's, and none of the agent's.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from dta.blocks.store import MAX_BLOCK_BYTES
from dta.http.answers import Refused, allow, read_body
from dta.node.door.config import DoorConfig
from dta.node.door.follow import read_answer

MAX_CID_CHARS: Final = 64
_ASKED_WITH: Final = ("Accept", "If-None-Match", "DTA-Identity", "DTA-Expires", "DTA-Signature")
_ANSWERED_WITH: Final = (
    "Cache-Control", "Content-Disposition", "Content-Type", "Etag", "Retry-After", "Vary", "X-Ipfs-Path",
)  # fmt: skip
_TOO_LARGE = Refused(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a block has at most {MAX_BLOCK_BYTES} bytes",
    "larger records go into several",
)  # fmt: skip


class BlocksDoor:
    """Blocks of the agent's gateway, by the session that reaches it."""

    def __init__(self, agent: aiohttp.ClientSession, config: DoorConfig) -> None:
        self._agent = agent
        self._config = config

    async def answer(self, request: web.BaseRequest, address: str) -> web.Response:
        """The gateway's answer to a request of ``address``'s. Raises Refused."""
        allow(request.method, "GET", "HEAD", "PUT")
        cid = request.path.removeprefix("/ipfs/")
        if len(cid) > MAX_CID_CHARS or not cid.isalnum() or not cid.isascii():
            raise Refused(HTTPStatus.BAD_REQUEST, "this is not the CID of a block", "docs/spec/blocks.md, A block")
        body = await self._body(request) if request.method == "PUT" else None
        headers = CIMultiDict((name, value) for name in _ASKED_WITH for value in request.headers.getall(name, []))
        headers["X-Forwarded-For"] = address
        wanted = request.rel_url.query.get("format")
        params = {} if wanted is None else {"format": wanted}
        # HEAD is asked as GET: the answer then says how long the block is.
        method = "PUT" if body is not None else "GET"
        try:
            async with self._agent.request(
                method, f"/ipfs/{cid}", params=params, headers=headers, data=body
            ) as response:
                content = await read_answer(response, MAX_BLOCK_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "this fiduciary's blocks can't be reached now",
                "try again soon, or another fiduciary's door", 5.0,
            ) from None  # fmt: skip
        answered = {name: response.headers[name] for name in _ANSWERED_WITH if name in response.headers}
        return web.Response(body=content, status=response.status, headers=answered)

    async def _body(self, request: web.BaseRequest) -> bytes:
        try:
            async with asyncio.timeout(self._config.upload_s):
                return await read_body(request, MAX_BLOCK_BYTES, _TOO_LARGE)
        except TimeoutError:
            raise Refused(
                HTTPStatus.REQUEST_TIMEOUT, "the block took too long to arrive", "try again on a better line"
            ) from None
