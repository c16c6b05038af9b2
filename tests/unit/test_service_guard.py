"""What stands in front of the agent's API: names, origins, sizes, times, and what is never cached."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from dta.service import guard, problems
from dta.service.guard import MAX_BODY_BYTES, Guard, Listener

TCP = Listener.on_tcp(["agent.example"], ["https://app.example"])


class Echo:
    """Answers with the length of what it was given, and counts calls."""

    calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        message = await receive()
        assert not message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(message["body"])).encode()})


def call(listener: Listener = TCP, **given: Any) -> tuple[httpx.Response, Echo]:
    echo = Echo()

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(Guard(echo, listener))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8290") as client:
            return await client.request("POST", "/", **given)

    return asyncio.run(main()), echo


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8290", "[::1]:8290", "agent.example", "AGENT.example:443"])
def test_the_agent_is_called_by_its_names(host: str) -> None:
    assert call(headers={"Host": host})[0].status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.2", "", "[::2]:1", "0"])
def test_a_name_that_was_made_to_lead_here_is_refused(host: str) -> None:
    answer, echo = call(headers={"Host": host})
    assert (answer.status_code, echo.calls) == (421, 0)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_on_a_unix_socket_a_name_says_nothing_and_an_origin_still_does() -> None:
    assert call(Listener(), headers={"Host": "anything"})[0].status_code == 200
    assert call(Listener(), headers={"Origin": "https://evil.example"})[0].status_code == 403


def test_pages_of_listed_origins_may_call_and_no_others() -> None:
    assert call(headers={"Origin": "https://app.example"})[0].status_code == 200
    for origin in ("https://evil.example", "null", "http://app.example", "http://localhost:8290"):
        answer, echo = call(headers={"Origin": origin})
        assert (answer.status_code, echo.calls) == (403, 0)


def test_nothing_is_cached_framed_or_sniffed_whatever_came_of_a_call() -> None:
    for answer in (call()[0], call(headers={"Host": "evil.example"})[0]):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["DTA-Call"]


def test_a_body_has_its_limit_whether_it_says_its_length_or_not() -> None:
    assert call(content=bytes(MAX_BODY_BYTES))[0].text == str(MAX_BODY_BYTES)
    answer = call(content=bytes(MAX_BODY_BYTES + 1))[0]
    assert (answer.status_code, "dta receipt verify" in answer.json()["hint"]) == (413, True)

    async def pieces() -> Any:
        for _ in range(MAX_BODY_BYTES // 65_536 + 1):
            yield bytes(65_536)

    answer, echo = call(content=pieces())
    assert (answer.status_code, echo.calls) == (413, 0)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Content-Length", "3"), ("Content-Length", "3")], 400),
        ([("Content-Length", "3"), ("Transfer-Encoding", "chunked")], 400),
        ([("Content-Length", "+3")], 400),
        ([("Content-Length", "³")], 400),
        ([("Authorization", "Bearer a"), ("Authorization", "Bearer b")], 400),
        *(([(name, "a"), (name, "b")], 400) for name in (
            "Client-Cert", "DTA-Identity", "DTA-Order", "Idempotency-Key", "Last-Event-ID",
        )),
        ([("Content-Encoding", "gzip")], 415),
    ],
)
def test_headers_that_two_servers_could_read_differently_are_refused(headers: Any, status: int) -> None:
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    assert plain([(b"host", b"localhost"), *encoded], [{"type": "http.request", "body": b"abc"}]) == (status, 0)


def plain(headers: Any, messages: list[Message], hangs: bool = False) -> tuple[int, int]:
    """The status of a call as a server would pass it on, and how often the application was called."""
    echo, sent = Echo(), []

    async def receive() -> Message:
        if not messages and hangs:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b""}
    asyncio.run(Guard(echo, TCP)(scope, receive, send))
    return sent[0]["status"], echo.calls


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_S", 0.05)
    begun: list[Message] = [{"type": "http.request", "body": b"a", "more_body": True}]
    assert plain([(b"host", b"localhost")], begun, hangs=True) == (408, 0)


def test_a_body_of_which_half_came_is_no_body() -> None:
    echo = Echo()
    messages: list[Message] = [
        {"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"},
    ]  # fmt: skip
    answered: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    asyncio.run(Guard(echo, TCP)(scope, receive, send))
    assert (echo.calls, answered) == (0, [])


def test_a_page_of_a_listed_origin_learns_by_a_preflight_what_it_may_send_and_another_nothing() -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    def preflight(origin: str) -> tuple[httpx.Response, Echo]:
        echo = Echo()

        async def main() -> httpx.Response:
            transport = httpx.ASGITransport(Guard(echo, TCP))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.options("/v1/order", headers={"Origin": origin, **asks})

        return asyncio.run(main()), echo

    answer, echo = preflight("https://app.example")
    assert (answer.status_code, echo.calls) == (204, 0)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    refused, _ = preflight("https://evil.example")
    assert refused.status_code == 403
    assert "Access-Control-Allow-Origin" not in refused.headers
    assert call(headers={"Origin": "https://app.example"})[0].headers["Vary"] == "Origin"


def test_a_fault_is_told_to_nobody_but_the_log_and_there_without_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    problems.install(app)

    @app.post("/")
    async def fails() -> None:
        raise ValueError("the secret is 123456")

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(Guard(app, TCP))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/")

    answer = asyncio.run(main())
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:dta:problem:internal")
    assert "ValueError" in caplog.text
    assert "test_service_guard.py" in caplog.text
    assert "123456" not in caplog.text.replace('raise ValueError("the secret is 123456")', "")
    assert "123456" not in answer.text
