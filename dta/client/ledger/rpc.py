"""JSON-RPC over HTTP to one CometBFT node, blocking and under asyncio, and the running of flows over it.

Answers are bounded in size and in the time that a call takes in all, and every failure is a typed error: Unreachable
(no connection, it broke, or it was too slow), BadAnswer (not what CometBFT answers), RpcError (the node's own error).
Where several nodes are known, the next is asked after the first two: what they say is proved, so any will do.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from dta.base.errors import BadAnswer, DtaError, RpcError, Unreachable, UsageError
from dta.client.ledger.flow import Effect, Flow, Now, Request, Sleep
from dta.http.deadline import DeadlineTransport

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_DEADLINE_S = 60.0
"""Of a call in all: the largest answer, 8 MiB, within it is 140 kB/s. ``DEFAULT_TIMEOUT_S`` is for each wait in it."""
# httpx reads where a redirection leads though none is followed: of a host that is none that is a UnicodeError.
_BROKEN = (httpx.HTTPError, UnicodeError)
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
            hint="give CometBFT's RPC address, such as http://127.0.0.1:26657",
        )
    return str(parsed)


class _Endpoint:
    """What both clients share: encoding requests, reading answers, naming failures."""

    def __init__(self, url: str) -> None:
        self.url = _checked_url(url)
        self._ids = itertools.count(1)

    def _encode(self, request: Request[Any]) -> tuple[int, bytes]:
        id_ = next(self._ids)
        message = {"jsonrpc": "2.0", "id": id_, "method": request.method, "params": dict(request.params)}
        return id_, json.dumps(message).encode("ascii")

    def _decode(self, request: Request[T], id_: int, http_status: int, body: bytes) -> T:
        # CometBFT answers its own errors with HTTP 500 and a JSON-RPC body: the body decides.
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self._bad(request, f"HTTP status {http_status} and no JSON") from error
        if not isinstance(answer, dict) or answer.get("id") != id_:
            raise self._bad(request, "an answer to another request")
        error_part = answer.get("error")
        if error_part is not None:
            raise self._rpc_error(request, error_part)
        if "result" not in answer:
            raise self._bad(request, "neither a result nor an error")
        return request.parse(answer["result"])

    def _rpc_error(self, request: Request[Any], value: Any) -> DtaError:
        if not isinstance(value, dict):
            return self._bad(request, "an error without a code")
        code, message, data = value.get("code"), value.get("message"), value.get("data")
        return RpcError(
            request.method,
            code if isinstance(code, int) else 0,
            message[:1000] if isinstance(message, str) else "",
            data[:1000] if isinstance(data, str) else "",
        )

    def _check_headers(self, request: Request[Any], response: httpx.Response) -> None:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._bad(request, "a compressed answer that was not asked for")

    def _too_large(self, request: Request[Any]) -> BadAnswer:
        return self._bad(request, f"more than {request.max_answer_bytes} bytes")

    def _bad(self, request: Request[Any], what: str) -> BadAnswer:
        return BadAnswer(
            f"{self.url} answered {request.method} with {what}",
            hint="is this the RPC port of a CometBFT node?",
            data={"url": self.url, "method": request.method},
        )

    def _unreachable(self, request: Request[Any], error: Exception) -> Unreachable:
        late = isinstance(error, TimeoutError | httpx.TimeoutException)
        reason = "no answer in time" if late else str(error) or "it broke off"
        return Unreachable(
            f"the node at {self.url} can't be reached: {reason}",
            hint="is the node running? is the address right?",
            data={"url": self.url, "method": request.method},
        )


class Rpc(_Endpoint):
    """A blocking client. Use it as a context manager, or call :meth:`close`. For one thread at a time.

    ``others``: nodes of the same ledger, in order; the first that answers is asked from then on.
    """

    def __init__(
        self,
        url: str,
        *,
        others: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        deadline_s: float = DEFAULT_DEADLINE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(url)
        self._others = [_checked_url(other) for other in others]
        transport = transport or DeadlineTransport(deadline_s)
        # trust_env off: a proxy named in the environment must not see what is meant for one's own node.
        self._http = httpx.Client(timeout=timeout_s, trust_env=False, headers=_HEADERS, transport=transport)

    def call(self, request: Request[T]) -> T:
        """One request's parsed answer. Raises Unreachable and BadAnswer, where all nodes fail the last's; RpcError."""
        for _ in self._others:
            try:
                return self._call(request)
            except (Unreachable, BadAnswer):
                self._others.append(self.url)
                self.url = self._others.pop(0)
        return self._call(request)

    def _call(self, request: Request[T]) -> T:
        id_, body = self._encode(request)
        received = bytearray()
        try:
            with self._http.stream("POST", self.url, content=body) as response:
                self._check_headers(request, response)
                for chunk in response.iter_bytes():
                    received += chunk
                    if len(received) > request.max_answer_bytes:
                        raise self._too_large(request)
        except _BROKEN as error:
            raise self._unreachable(request, error) from error
        return self._decode(request, id_, response.status_code, bytes(received))

    def run(self, flow: Flow[T]) -> T:
        """Runs a flow to its end: its result, or what it raised."""
        try:
            effect = next(flow)
            while True:
                try:
                    outcome = self._perform(effect)
                except DtaError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Request):
            return self.call(effect)
        if isinstance(effect, Sleep):
            return time.sleep(effect.seconds)
        return _now(effect)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Rpc:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRpc(_Endpoint):
    """The same under asyncio. Use it as an asynchronous context manager, or await :meth:`close`."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        deadline_s: float = DEFAULT_DEADLINE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(url)
        self._deadline_s = deadline_s
        self._http = httpx.AsyncClient(timeout=timeout_s, trust_env=False, headers=_HEADERS, transport=transport)

    async def call(self, request: Request[T]) -> T:
        """One request's parsed answer. Raises Unreachable, BadAnswer, RpcError."""
        import asyncio  # loaded already where this runs; whoever blocks, as the command line does, never needs it

        id_, body = self._encode(request)
        received = bytearray()
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                self._http.stream("POST", self.url, content=body) as response,
            ):
                self._check_headers(request, response)
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > request.max_answer_bytes:
                        raise self._too_large(request)
        except (TimeoutError, *_BROKEN) as error:
            raise self._unreachable(request, error) from error
        return self._decode(request, id_, response.status_code, bytes(received))

    async def run(self, flow: Flow[T]) -> T:
        """Runs a flow to its end: its result, or what it raised."""
        try:
            effect = next(flow)
            while True:
                try:
                    outcome = await self._perform(effect)
                except DtaError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    async def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Request):
            return await self.call(effect)
        if isinstance(effect, Sleep):
            import asyncio

            return await asyncio.sleep(effect.seconds)
        return _now(effect)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncRpc:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _now(effect: Now) -> float:
    return time.time() if effect.wall else time.monotonic()
