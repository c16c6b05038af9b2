"""The authentication server over HTTP: strict JSON in, JSON out, everything bounded (docs/spec/mfa.md, HTTP).

Put TLS before it or give it a certificate: names, salts and tickets of logins are in the clear otherwise.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from abci_app.crypto.curve import G1
from abci_app.mfa.points import MIN_SALT_BYTES, client_hash
from dta.http.guard import Listening, client_address, listen
from dta.http.quota import OverRate, RateLimit
from dta.login.server import AuthenticationServer, Hello
from dta.mpin.logins import ID_BYTES
from dta.mpin.refusals import LoginRefused, Refusal

MAX_BODY_BYTES: Final = 4096
MAX_NAME_BYTES: Final = 255
MAX_SALT_BYTES: Final = 64
MAX_POINT_BYTES: Final = 97
MAX_TIME_S: Final = (1 << 32) - 1
MAX_DAY: Final = MAX_TIME_S // 86_400
_log = logging.getLogger(__name__)

_Answer = dict[str, object]


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """Where it listens and what it bears. ``port`` 0: any free one. ``tls``: a server's context, or None."""

    host: str = "127.0.0.1"
    port: int = 8280
    connection_s: float = 20.0
    body_s: float = 10.0
    max_connections: int = 256
    max_connections_per_address: int = 32
    requests_per_minute: int = 120
    trusted_proxies: frozenset[str] = frozenset()
    tls: ssl.SSLContext | None = None


class Body:
    """A request's JSON object, read strictly: every field once, known and of its form. Raises LoginRefused."""

    def __init__(self, content: bytes, required: frozenset[str], optional: frozenset[str] = frozenset()) -> None:
        try:
            value = json.loads(content.decode("utf-8"), object_pairs_hook=_no_duplicates)
        except (ValueError, RecursionError):
            raise LoginRefused(Refusal.MALFORMED, "it is not JSON") from None
        if not isinstance(value, dict):
            raise LoginRefused(Refusal.MALFORMED, "it is not an object")
        missing, unknown = sorted(required - set(value)), sorted(set(value) - required - optional)
        if missing:
            raise LoginRefused(Refusal.MALFORMED, f"{missing[0]} is missing")
        if unknown:
            raise LoginRefused(Refusal.MALFORMED, "it has a field that this request does not have")
        self._value: dict[str, Any] = value

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def hex(self, name: str, least: int, most: int) -> bytes:
        """``least`` to ``most`` bytes in lower-case hex."""
        value = self._value[name]
        try:
            found = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            found = b""
        if not least <= len(found) <= most or found.hex() != value:
            raise LoginRefused(Refusal.MALFORMED, f"{name} is {least} to {most} bytes in lower-case hex")
        return found

    def number(self, name: str, most: int) -> int:
        """A whole number from 0."""
        value = self._value[name]
        if type(value) is not int or not 0 <= value <= most:
            raise LoginRefused(Refusal.MALFORMED, f"{name} is a whole number, 0 to {most}")
        return value

    def name(self, name: str) -> bytes:
        """A client's name: 1 to 255 bytes of UTF-8."""
        value = self._value[name]
        try:
            found = value.encode("utf-8") if isinstance(value, str) else b""
        except UnicodeEncodeError:
            found = b""
        if not 1 <= len(found) <= MAX_NAME_BYTES:
            raise LoginRefused(Refusal.MALFORMED, f"{name} is 1 to {MAX_NAME_BYTES} bytes of UTF-8")
        return found


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return table


_HELLO: Final = frozenset({"realm", "server", "name", "salt"})


class HttpServer:
    """The HTTP side of one :class:`AuthenticationServer`. ``start`` binds, ``stop`` unbinds; both once."""

    def __init__(
        self,
        server: AuthenticationServer,
        config: HttpConfig | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._config = config = config or HttpConfig()
        self._rate = RateLimit(config.requests_per_minute, config.requests_per_minute, monotonic_s)
        self._posts: Mapping[str, Callable[[bytes, str], _Answer]] = {
            "/rps/pass1": self._pass1,
            "/rps/pass2": self._pass2,
            "/rps/confirm": self._confirm,
            "/rps/onepass": self._one_pass,
            "/rps/authenticate": self._redeem,
        }
        self._listening: Listening | None = None

    async def start(self) -> tuple[str, int]:
        """Listen; the (host, port) that was bound. Raises OSError where it can't be."""
        self._listening = await listen(self._answer, self._config, self._config.tls)
        return self._listening.address

    async def stop(self) -> None:
        """Stop listening, give requests in progress a few seconds, then cut them."""
        if self._listening is not None:
            await self._listening.stop()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = web.json_response(await self._route(request))
        except LoginRefused as refused:
            if refused.__cause__ is not None:
                _log.error("%s: %s", refused.code, refused.__cause__)
            response = _refusal(refused)
        except Exception as error:
            # An exception's text may hold what a client sent: its kind and place are enough.
            _log.error("%s %s failed: %s", request.method, request.path, type(error).__name__)
            response = _refusal(LoginRefused(Refusal.INTERNAL))
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.force_close()
        return response

    async def _route(self, request: web.BaseRequest) -> _Answer:
        address = client_address(request, self._config.trusted_proxies)
        try:
            self._rate.take(address)
        except OverRate as error:
            raise LoginRefused(Refusal.TOO_MANY_REQUESTS, retry_after_s=int(error.retry_after_s) + 1) from None
        path = request.path
        post = self._posts.get(path)
        if post is not None:
            _allow(request, "POST")
            return await asyncio.to_thread(post, await self._read_body(request), address)
        if path == "/rps/status":
            _allow(request, "GET")
            return self._status()
        if path.startswith("/rps/timePermit/"):
            _allow(request, "GET")
            return await asyncio.to_thread(self._permit, path.removeprefix("/rps/timePermit/"), dict(request.query))
        raise LoginRefused(Refusal.NOT_FOUND)

    async def _read_body(self, request: web.BaseRequest) -> bytes:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise LoginRefused(Refusal.TOO_LARGE)
        try:
            async with asyncio.timeout(self._config.body_s):
                body = bytearray()
                async for chunk in request.content.iter_any():
                    if len(body) + len(chunk) > MAX_BODY_BYTES:
                        raise LoginRefused(Refusal.TOO_LARGE)
                    body += chunk
        except TimeoutError:
            raise LoginRefused(Refusal.TOO_SLOW) from None
        return bytes(body)

    def _pass1(self, content: bytes, address: str) -> _Answer:
        body = Body(content, _HELLO | {"u"}, frozenset({"day", "r"}))
        r = _point(body, "r") if "r" in body else None
        challenge = self._server.pass1(self._hello(body), _point(body, "u"), r, address)
        answer: _Answer = {
            "session": challenge.session.hex(),
            "y": self._server.facts.suite.write_scalar(challenge.y).hex(),
        }
        if challenge.w is not None:
            answer["w"] = self._written(challenge.w)
        return answer

    def _pass2(self, content: bytes, _address: str) -> _Answer:
        # V alone: with a U or an identity of pass 2's own anybody would log in as anybody.
        body = Body(content, frozenset({"session", "v"}))
        outcome = self._server.pass2(_id(body, "session"), _point(body, "v"))
        return {outcome.kind: outcome.value.hex()}

    def _confirm(self, content: bytes, _address: str) -> _Answer:
        body = Body(content, frozenset({"session", "confirmation"}))
        self._server.confirm(_id(body, "session"), _id(body, "confirmation"))
        return {"confirmed": True}

    def _one_pass(self, content: bytes, _address: str) -> _Answer:
        body = Body(content, _HELLO | {"time", "u", "v"}, frozenset({"day"}))
        time_s = body.number("time", MAX_TIME_S)
        ticket = self._server.one_pass(self._hello(body), time_s, _point(body, "u"), _point(body, "v"))
        return {"ticket": ticket.hex()}

    def _redeem(self, content: bytes, _address: str) -> _Answer:
        who = self._server.redeem(_id(Body(content, frozenset({"ticket"})), "ticket"))
        return {
            "realm": self._server.facts.realm.hex(),
            "server": self._server.server.hex(),
            "client": who.client.hex(),
            "mode": who.mode.value,
            "day": who.day,
            "time": who.time_s,
            "session_key": None if who.session_key is None else who.session_key.reveal().hex(),
        }

    def _permit(self, client: str, query: dict[str, str]) -> _Answer:
        asked = Body(json.dumps({"client": client}).encode(), frozenset({"client"}))
        text = query.pop("day", str(self._server.today))
        if query or not text.isascii() or not text.isdigit() or len(text) > len(str(MAX_DAY)) or int(text) > MAX_DAY:
            raise LoginRefused(Refusal.MALFORMED, f"day is a whole number, 0 to {MAX_DAY}, and all that may be asked")
        permit = self._server.permit(_id(asked, "client"), int(text))
        return {"client": client, "day": int(text), "permit": permit.hex()}

    def _status(self) -> _Answer:
        facts = self._server.facts
        return {
            "realm": facts.realm.hex(),
            "server": self._server.server.hex(),
            "suite": facts.suite.name,
            "permits_required": facts.permits_required,
            "one_pass_max_age_s": facts.one_pass_max_age_s,
            "time": self._server.now_s,
            "day": self._server.today,
            **self._server.in_progress(),
        }

    def _hello(self, body: Body) -> Hello:
        """The realm and server asked for, the client as the ledger knows it, the day of its permit."""
        facts, realm = self._server.facts, _id(body, "realm")
        salt = body.hex("salt", MIN_SALT_BYTES, MAX_SALT_BYTES)
        client = client_hash(facts.gid, realm, salt, body.name("name"))
        return Hello(realm, _id(body, "server"), client, body.number("day", MAX_DAY) if "day" in body else None)

    def _written(self, point: G1) -> str:
        return self._server.facts.suite.write_g1(point).hex()


def _id(body: Body, name: str) -> bytes:
    return body.hex(name, ID_BYTES, ID_BYTES)


def _point(body: Body, name: str) -> bytes:
    return body.hex(name, 1, MAX_POINT_BYTES)


def _allow(request: web.BaseRequest, method: str) -> None:
    if request.method != method:
        raise LoginRefused(Refusal.METHOD)


def _refusal(refused: LoginRefused) -> web.Response:
    error: dict[str, object] = {"code": refused.code.value, "message": refused.message, "hint": refused.hint}
    headers = {}
    if refused.retry_after_s is not None:
        error["retry_after_s"] = refused.retry_after_s
        headers["Retry-After"] = str(refused.retry_after_s)
    return web.json_response({"error": error}, status=refused.status, headers=headers)


async def serve(server: HttpServer, started: Callable[[str, int], None], stopped: Awaitable[object]) -> None:
    """Listens until ``stopped`` is done. ``started`` is told where."""
    host, port = await server.start()
    try:
        started(host, port)
        await stopped
    finally:
        await server.stop()
