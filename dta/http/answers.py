"""Refusals over HTTP, the same of every server that speaks to strangers: JSON, ``{"error": ..., "hint": ...}``."""

from __future__ import annotations

import json
from http import HTTPStatus

from aiohttp import web

from dta.http.quota import OverRate, RateLimit


class Refused(Exception):
    """Answer with this status, error and hint. ``retry_after_s``: when it is worth trying again."""

    def __init__(self, status: HTTPStatus, error: str, hint: str, retry_after_s: float | None = None) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error
        self.hint = hint
        self.retry_after_s = retry_after_s


def refusal(refused: Refused) -> web.Response:
    """The answer that says so; never to be cached."""
    headers = {"Cache-Control": "no-store"}
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(refused.retry_after_s)))
    body = json.dumps({"error": refused.error, "hint": refused.hint})
    return web.Response(status=refused.status, text=body, content_type="application/json", headers=headers)


def allow(method: str, *methods: str) -> None:
    """Raise Refused with 405 where ``method`` is none of ``methods``."""
    if method not in methods:
        raise Refused(
            HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not answered here", "use one of " + ", ".join(methods)
        )


def take(rate: RateLimit, key: bytes | str, error: str, cost: float = 1.0, again: float = 0.0) -> None:
    """Take ``cost`` of ``key``'s rate. Raises Refused with 429, ``error`` and when to try again.

    ``again``: what the next try has to have besides.
    """
    try:
        rate.take(key, cost)
    except OverRate:
        retry_after_s = rate.wait_s(key, cost + again)
        raise Refused(HTTPStatus.TOO_MANY_REQUESTS, error, "wait a little", retry_after_s) from None


async def read_body(request: web.BaseRequest, limit_bytes: int, too_large: Refused) -> bytes:
    """The body, of which never more than ``limit_bytes`` and one chunk of the socket's are in memory.

    Raises ``too_large`` where there is more; the time that it takes is the caller's to bound.
    """
    if (request.content_length or 0) > limit_bytes:
        raise too_large
    body = bytearray()
    async for chunk in request.content.iter_any():
        if len(body) + len(chunk) > limit_bytes:
            raise too_large
        body += chunk
    return bytes(body)
