"""In front of every path: whose pages may call, what a call may weigh, how long it may take to arrive, what is cached.

Plain ASGI. A call that is refused here reached nothing of the API's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dta.service import problems
from dta.service.errors import BadCall, Forbidden

MAX_HEAD_BYTES: Final = 65_536
"""Of a call's line and headers. What has come of a head that is not whole a server cuts at as much."""

MAX_BODY_BYTES: Final = 1_572_864
BODY_S: Final = 30.0
LOOPBACK: Final = ("127.0.0.1", "[::1]", "localhost")
_ONCE: Final = (
    "authorization", "client-cert", "content-encoding", "content-length", "content-type", "dta-identity", "dta-order",
    "host", "idempotency-key", "last-event-id", "origin", "transfer-encoding",
)  # fmt: skip
"""Of two of these one would count, and who sends them, a proxy and this program need not agree on which."""

_HEADERS: Final = {
    "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip
_EXPOSED: Final = (
    "DTA-Call, DTA-Request, Deprecation, Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After"
)
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, DTA-Identity, DTA-Order, Idempotency-Key, "
    "Last-Event-ID, Prefer",
    "Access-Control-Max-Age": "600",
}  # fmt: skip
NO_CONTENT: Final = "default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the agent listens. ``hosts``: by which names it may be called; None on a unix socket, whose peers are
    this user alone. ``origins``: of pages that may call."""

    hosts: frozenset[str] | None = None
    origins: frozenset[str] = frozenset()

    @staticmethod
    def on_tcp(hosts: Iterable[str], origins: Iterable[str]) -> Listener:
        return Listener(frozenset(host.lower() for host in (*LOOPBACK, *hosts)), frozenset(origins))


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp, listener: Listener) -> None:
        self._app = app
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = head_bytes(scope)
        scope = {**scope, "headers": _with_one_prefer(scope["headers"])}
        call_id = secrets.token_hex(8)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", NO_CONTENT)
                headers["DTA-Call"] = call_id
                for name, value in scope.get("state", {}).get("rate", {}).items():
                    headers.setdefault(name, value)
                if origin in self._listener.origins:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = _EXPOSED
                headers["Vary"] = "Origin"
            await send(message)

        given = Headers(scope=scope)
        origin = given.get("origin", "")
        try:
            _check_length(length)
            self._check(given)
            body = await _body(receive)
        except (BadCall, Forbidden) as error:
            response: Response = problems.answer(error)
            response.headers["Connection"] = "close"
            await response(scope, receive, guarded)
            return
        if body is None:
            return  # who asked is gone, and half of a body is none
        if origin and scope["method"] == "OPTIONS" and "access-control-request-method" in given:
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, guarded)
            return
        # What went wrong is answered and logged by then (dta/service/problems.py): a server's own log of it would hold
        # the exception's text, which may be a secret.
        try:
            with suppress(Exception):
                await self._app(scope, _Given(body, receive), guarded)
        finally:
            _end(scope)

    def _check(self, headers: Headers) -> None:
        counted = Counter(name.lower() for name, _ in headers.items())
        for name in _ONCE:
            if counted[name] > 1:
                raise BadCall(400, f"the header {name} stands there twice")
        if counted["transfer-encoding"] and counted["content-length"]:
            raise BadCall(400, "a body has one length")
        if headers.get("content-encoding", "identity") != "identity":
            raise BadCall(415, "a compressed body is not taken")
        if self._listener.hosts is not None and _name(headers.get("host", "")) not in self._listener.hosts:
            raise BadCall(421, "this agent is not called so", hint="`hosts` in serve.toml names it")
        origin = headers.get("origin")
        if origin is not None and origin not in self._listener.origins:
            raise Forbidden("pages of this origin may not call", hint="`origins` in serve.toml lists them")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or len(length) > 12:
            raise BadCall(400, "this is no length")
        if int(length) > MAX_BODY_BYTES:
            raise _too_large()


def head_bytes(scope: Scope) -> int:
    """So many bytes a call's line and headers are, as HTTP/1.1 writes them."""
    query = scope.get("query_string", b"")
    target = len(scope.get("raw_path") or scope["path"].encode()) + len(query) + bool(query)
    line = len(f"{scope['method']}  HTTP/1.1\r\n") + target
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"]) + len("\r\n")


def _check_length(length: int) -> None:
    if length > MAX_HEAD_BYTES:
        raise BadCall(431, f"a call's line and headers have at most {MAX_HEAD_BYTES} bytes")


def _end(scope: Scope) -> None:
    """Says that the call has ended to whoever asked to be told."""
    ended: Callable[[], None] | None = scope.get("state", {}).get("ended")
    if ended is not None:
        ended()


def _with_one_prefer(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Several lines of Prefer mean what one with all of their words, in order, does (RFC 7240)."""
    given = list(headers)
    preferred = [value for name, value in given if name.lower() == b"prefer"]
    if len(preferred) < 2:
        return given
    return [*(one for one in given if one[0].lower() != b"prefer"), (b"prefer", b", ".join(preferred))]


def _too_large() -> BadCall:
    hint = "a secret has 900,000 bytes at most; `dta receipt verify` takes a longer receipt"
    return BadCall(413, f"a call has at most {MAX_BODY_BYTES} bytes", hint=hint)


def _name(host: str) -> str:
    """A Host header without its port, in lower case."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


async def _body(receive: Receive) -> bytes | None:
    """All of a call's body: bounded, and within its time. None: who asked went away before it was here."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise BadCall(408, f"a call's body arrives within {BODY_S:.0f} seconds") from None


class _Given:
    """Gives the body that was read, then what comes after it: that the caller went away."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}
