"""JSON-RPC over HTTP to nodes, by their doors or CometBFT's own port; blocking and under asyncio; the running of flows.

Answers are bounded in size and in the time that a call takes in all, and every failure is a typed error: Unreachable
(no connection, it broke, or it was too slow), BadAnswer (not what CometBFT answers), RpcError (the node's own error).
Where several nodes are known, the next is asked after the first two: what they say is proved, so any will do.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import ssl
import time
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, TypeVar, cast

import httpx

from dta.base.errors import BadAnswer, DtaError, RateLimited, RpcError, TimedOut, Unreachable, UsageError
from dta.base.home import ClientConfig
from dta.client.ledger.flow import Effect, Flow, Get, Now, Once, OtherNode, Request, Sleep
from dta.http.deadline import DeadlineTransport

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_DEADLINE_S = 60.0
"""Of a call in all: the largest answer, 8 MiB, within it is 140 kB/s. ``DEFAULT_TIMEOUT_S`` is for each wait in it."""
MAX_WAIT_S = 60
"""How long a call waits, in all, for doors that say that they are asked too much."""
MAX_CONNECTIONS = 4
"""Of one client under asyncio at a time."""
_DOOR_PATH = "/rpc"
# httpx reads where a redirection leads though none is followed: of a host that is none that is a UnicodeError.
_BROKEN = (httpx.HTTPError, UnicodeError)
# What a door sets would be kept as long as the client lives, and say to it who asks again.
_NO_COOKIES = DefaultCookiePolicy(allowed_domains=())
# An answer is read as it comes: a compressed one could be a thousand times its length.
_HEADERS = {"Accept-Encoding": "identity", "Content-Type": "application/json"}


def _checked_url(url: str) -> str:
    if "@" in url:
        # Errors name the address: nothing secret may be in it.
        raise UsageError("the node's address has a user name or password in it", hint="give it without")
    try:
        parsed = httpx.URL(url)
        host = parsed.host
    except (httpx.InvalidURL, ValueError) as error:
        raise UsageError(f"the node's address is no URL: {url!r}") from error
    if parsed.scheme not in ("http", "https") or not host:
        raise UsageError(
            f"the node's address is not an http or https URL: {url!r}",
            hint="give a fiduciary's door, such as https://alpha.example:8443",
        )
    return str(parsed)


def door_rpc(url: str) -> str:
    """Where a door answers CometBFT's calls, of its base URL. What ends so is taken for a door's everywhere here."""
    return _checked_url(url).rstrip("/") + _DOOR_PATH


def nodes_of(config: ClientConfig) -> list[str]:
    """Whom a home asks, in this order: CometBFT's RPC of nodes of its own, and fiduciaries' doors."""
    return [*config.rpc_urls, *map(door_rpc, config.nodes)]


@dataclass(frozen=True, slots=True)
class _Ask:
    """Ask one node, the one of this URL."""

    url: str
    request: Request[Any] | Get[Any]
    timeout_s: float | None = None
    """Of each wait in it; None: as the client has it."""


class _Nodes:
    """What both clients share: whom to ask next, encoding requests, reading answers, naming failures.

    The first of the nodes is asked until it fails, then the next from then on. Where a door says that it is asked too
    much the next is asked too; where all do, until the first of them answers again, a minute at most in all.
    """

    def __init__(self, url: str, others: Sequence[str]) -> None:
        self._urls = [_checked_url(one) for one in (url, *others)]
        self._ids = itertools.count(1)

    @property
    def url(self) -> str:
        """The node that is asked now."""
        return self._urls[0]

    def _turn(self) -> None:
        self._urls.append(self._urls.pop(0))

    def _other_node(self) -> int:
        self._turn()
        return len(self._urls)

    def _answered(self, request: Request[T] | Get[T]) -> Generator[_Ask | Sleep, Any, T]:
        """The answer of the first node that gives one. Raises what the last said, RateLimited where one said so."""
        waited_s = 0.0
        while True:
            failure: DtaError | None = None
            limited: RateLimited | None = None
            for _ in range(len(self._urls)):
                asked = self.url
                if isinstance(request, Request) or asked.endswith(_DOOR_PATH):
                    try:
                        return cast(T, (yield _Ask(asked, request)))
                    except RateLimited as error:
                        if limited is None or error.retry_after_s < limited.retry_after_s:
                            limited = error
                    except (Unreachable, BadAnswer) as error:
                        failure = error
                if self.url == asked:  # under asyncio another call may have turned away from it already
                    self._turn()
            if limited is None:
                raise failure or Unreachable(
                    f"no fiduciary's door is known, and {request.method} is answered there alone",
                    hint="name one in client.toml, nodes",
                )
            if waited_s + limited.retry_after_s > MAX_WAIT_S:
                raise limited
            waited_s += limited.retry_after_s
            yield Sleep(limited.retry_after_s)

    def _sent(self, ask: _Ask, http: httpx.Client | httpx.AsyncClient) -> tuple[int, httpx.Request]:
        """The call's id, of a GET none, and what is sent: built by the client, whose timeouts it bears."""
        request = ask.request
        if isinstance(request, Get):
            url = ask.url.removesuffix(_DOOR_PATH) + request.path
            return 0, http.build_request("GET", url, params=dict(request.query), headers=_HEADERS)
        id_ = next(self._ids)
        message = {"jsonrpc": "2.0", "id": id_, "method": request.method, "params": dict(request.params)}
        content = json.dumps(message).encode("ascii")
        timeout: Any = httpx.USE_CLIENT_DEFAULT if ask.timeout_s is None else ask.timeout_s
        return id_, http.build_request("POST", ask.url, content=content, headers=_HEADERS, timeout=timeout)

    def _decode(self, ask: _Ask, id_: int, response: httpx.Response, body: bytes) -> Any:
        request, http_status = ask.request, response.status_code
        if http_status == HTTPStatus.TOO_MANY_REQUESTS:
            raise _limited(ask, response.headers.get("Retry-After", ""))
        # CometBFT answers its own errors with HTTP 500 and a JSON-RPC body: the body decides.
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _bad(ask, f"HTTP status {http_status} and no JSON") from error
        if http_status == HTTPStatus.SERVICE_UNAVAILABLE:
            said = answer.get("error") if isinstance(answer, dict) else None
            raise _unreachable(ask, said[:200] if isinstance(said, str) else "it can't answer just now")
        if isinstance(request, Get):
            if http_status != HTTPStatus.OK:
                raise _bad(ask, f"HTTP status {http_status}")
            return request.parse(answer)
        if not isinstance(answer, dict) or answer.get("id") != id_:
            raise _bad(ask, "an answer to another request")
        error_part = answer.get("error")
        if error_part is not None:
            raise _rpc_error(ask, error_part)
        if "result" not in answer:
            raise _bad(ask, "neither a result nor an error")
        return request.parse(answer["result"])


def _rpc_error(ask: _Ask, value: Any) -> DtaError:
    if not isinstance(value, dict):
        return _bad(ask, "an error without a code")
    code, message, data = value.get("code"), value.get("message"), value.get("data")
    return RpcError(
        ask.request.method,
        code if isinstance(code, int) else 0,
        message[:1000] if isinstance(message, str) else "",
        data[:1000] if isinstance(data, str) else "",
    )


def _limited(ask: _Ask, retry_after: str) -> RateLimited:
    after_s = int(retry_after) if retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 10 else 5
    return RateLimited(
        f"the door at {ask.url} is asked too much from this address", max(1, after_s),
        hint=f"wait {max(1, after_s)} s, or name other fiduciaries' doors in client.toml, nodes",
    )  # fmt: skip


def _check_headers(ask: _Ask, response: httpx.Response) -> None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _bad(ask, "a compressed answer that was not asked for")


def _too_large(ask: _Ask) -> BadAnswer:
    return _bad(ask, f"more than {ask.request.max_answer_bytes} bytes")


def _bad(ask: _Ask, what: str) -> BadAnswer:
    return BadAnswer(
        f"{ask.url} answered {ask.request.method} with {what}",
        hint="is this a fiduciary's door, or the RPC port of a CometBFT node?",
        data={"url": ask.url, "method": ask.request.method},
    )


def _broken(ask: _Ask, error: Exception) -> Unreachable:
    late = isinstance(error, TimeoutError | httpx.TimeoutException)
    return _unreachable(ask, "no answer in time" if late else str(error) or "it broke off")


def _unreachable(ask: _Ask, reason: str) -> Unreachable:
    return Unreachable(
        f"the node at {ask.url} can't be reached: {reason}",
        hint="is the node running? is the address right?",
        data={"url": ask.url, "method": ask.request.method},
    )


class Rpc(_Nodes):
    """A blocking client. Use it as a context manager, or call :meth:`close`. For one thread at a time.

    ``others``: nodes of the same ledger, in order; the first that answers is asked from then on. ``verify``: who
    vouches for their certificates, where it is not the system.
    """

    def __init__(
        self,
        url: str,
        *,
        others: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        deadline_s: float = DEFAULT_DEADLINE_S,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(url, others)
        transport = transport or DeadlineTransport(deadline_s, verify)
        # trust_env off: a proxy named in the environment must not see what is meant for one's own node.
        self._http = httpx.Client(
            timeout=timeout_s, trust_env=False, transport=transport, cookies=CookieJar(_NO_COOKIES)
        )
        self._until_s = math.inf

    def call(self, request: Request[T] | Get[T]) -> T:
        """One request's parsed answer. Raises Unreachable, BadAnswer, RateLimited, where all nodes fail; RpcError.

        And TimedOut, where what it is for has had its time (:meth:`within`).
        """
        if time.monotonic() >= self._until_s:
            raise TimedOut("the nodes took too long in all", hint="ask for less at once, or name a faster node")
        return _run(self._answered(request), self._perform)

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Nodes are asked for so long, however many calls it takes; a call that has begun has its own deadline.

        Within another it may end sooner, and never later.
        """
        before_s = self._until_s
        self._until_s = min(before_s, time.monotonic() + seconds)
        try:
            yield
        finally:
            self._until_s = before_s

    def run(self, flow: Flow[T]) -> T:
        """Runs a flow to its end: its result, or what it raised."""
        return _run(flow, self._perform)

    def _perform(self, effect: Effect | _Ask) -> Any:
        if isinstance(effect, _Ask):
            return self._ask(effect)
        if isinstance(effect, Once):
            return self._ask(_Ask(self.url, effect.request, effect.timeout_s))
        if isinstance(effect, Request | Get):
            return self.call(effect)
        if isinstance(effect, Sleep):
            return time.sleep(effect.seconds)
        return self._other_node() if isinstance(effect, OtherNode) else _now(effect)

    def _ask(self, ask: _Ask) -> Any:
        id_, sent = self._sent(ask, self._http)
        received = bytearray()
        try:
            response = self._http.send(sent, stream=True, follow_redirects=False)
            with contextlib.closing(response):
                _check_headers(ask, response)
                for chunk in response.iter_bytes():
                    received += chunk
                    if len(received) > ask.request.max_answer_bytes:
                        raise _too_large(ask)
        except _BROKEN as error:
            raise _broken(ask, error) from error
        return self._decode(ask, id_, response, bytes(received))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Rpc:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRpc(_Nodes):
    """The same under asyncio. Use it as an asynchronous context manager, or await :meth:`close`."""

    def __init__(
        self,
        url: str,
        *,
        others: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        deadline_s: float = DEFAULT_DEADLINE_S,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(url, others)
        self._deadline_s = deadline_s
        # The others wait, the deadline being around all of it: a door has so many places for an address, and no more.
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_s, pool=None), limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
            trust_env=False, verify=verify, transport=transport, cookies=CookieJar(_NO_COOKIES),
        )  # fmt: skip

    async def call(self, request: Request[T] | Get[T]) -> T:
        """One request's parsed answer. Raises Unreachable, BadAnswer, RateLimited, where all nodes fail; RpcError."""
        return await _run_async(self._answered(request), self._perform)

    async def run(self, flow: Flow[T]) -> T:
        """Runs a flow to its end: its result, or what it raised."""
        return await _run_async(flow, self._perform)

    async def _perform(self, effect: Effect | _Ask) -> Any:
        if isinstance(effect, _Ask):
            return await self._ask(effect)
        if isinstance(effect, Once):
            return await self._ask(_Ask(self.url, effect.request, effect.timeout_s))
        if isinstance(effect, Request | Get):
            return await self.call(effect)
        if isinstance(effect, Sleep):
            import asyncio  # loaded already where this runs; whoever blocks, as the command line does, never needs it

            return await asyncio.sleep(effect.seconds)
        return self._other_node() if isinstance(effect, OtherNode) else _now(effect)

    async def _ask(self, ask: _Ask) -> Any:
        import asyncio

        id_, sent = self._sent(ask, self._http)
        received = bytearray()
        try:
            async with asyncio.timeout(self._deadline_s):
                response = await self._http.send(sent, stream=True, follow_redirects=False)
                async with contextlib.aclosing(response):
                    _check_headers(ask, response)
                    async for chunk in response.aiter_bytes():
                        received += chunk
                        if len(received) > ask.request.max_answer_bytes:
                            raise _too_large(ask)
        except (TimeoutError, *_BROKEN) as error:
            raise _broken(ask, error) from error
        return self._decode(ask, id_, response, bytes(received))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncRpc:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _run(flow: Generator[Any, Any, T], perform: Callable[[Any], Any]) -> T:
    try:
        effect = next(flow)
        while True:
            try:
                outcome = perform(effect)
            except DtaError as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(outcome)
    except StopIteration as stop:
        return cast(T, stop.value)
    finally:
        flow.close()


async def _run_async(flow: Generator[Any, Any, T], perform: Callable[[Any], Coroutine[Any, Any, Any]]) -> T:
    try:
        effect = next(flow)
        while True:
            try:
                outcome = await perform(effect)
            except DtaError as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(outcome)
    except StopIteration as stop:
        return cast(T, stop.value)
    finally:
        flow.close()


def _now(effect: Now) -> float:
    return time.time() if effect.wall else time.monotonic()
