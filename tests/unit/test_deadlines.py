"""A server that drips holds nobody up: every call that we make is over at a deadline of its own, and the next is asked.

No wait of such a server's is long, so no timeout for a wait ends it: each call here would take twenty seconds and then
have an answer.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dta.base.errors import TimedOut, Unreachable
from dta.blocks.errors import StoreUnreachable
from dta.blocks.kubo import KuboStore
from dta.client.ledger.flow import Request
from dta.client.ledger.rpc import AsyncRpc, Rpc
from dta.client.mfa.login import MfaClient
from dta.http.deadline import DeadlineTransport
from tests.support.dripping import dripping, http_answer

DEADLINE_S = 0.3
ANY: Request[Any] = Request("any", {}, lambda value: value)
ANSWER, HEAD_BYTES = http_answer(json.dumps({"id": 1, "result": "late" + " " * 300}).encode())


@pytest.fixture(params=["in its headers", "in its body"])
def dripper(request: pytest.FixtureRequest) -> Iterator[str]:
    with dripping(ANSWER, 20 if request.param == "in its headers" else HEAD_BYTES) as url:
        yield url


def test_a_node_that_drips_is_given_up(dripper: str) -> None:
    with Rpc(dripper, deadline_s=DEADLINE_S) as rpc, pytest.raises(Unreachable, match="no answer in time"):
        rpc.call(ANY)


def test_a_node_that_drips_is_given_up_under_asyncio(dripper: str) -> None:
    async def ask() -> None:
        async with AsyncRpc(dripper, deadline_s=DEADLINE_S) as rpc:
            await rpc.call(ANY)

    with pytest.raises(Unreachable, match="no answer in time"):
        asyncio.run(ask())


def test_the_next_node_is_asked_and_stays_the_one_that_is(dripper: str) -> None:
    body = json.dumps({"id": 2, "result": "good"}).encode()
    second = json.dumps({"id": 3, "result": "good again"}).encode()
    whole, _ = http_answer(body)
    again, _ = http_answer(second)
    asked = iter([whole, again])
    urls = []

    class Two(DeadlineTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            urls.append(str(request.url))
            if str(request.url).startswith(dripper):
                return super().handle_request(request)
            return httpx.Response(200, content=next(asked).partition(b"\r\n\r\n")[2])

    with Rpc(dripper, others=["http://next.test"], transport=Two(DEADLINE_S)) as rpc:
        assert rpc.call(ANY) == "good"
        assert rpc.call(ANY) == "good again"
    assert [url.startswith(dripper) for url in urls] == [True, False, False]


def test_where_no_node_answers_each_was_asked_once() -> None:
    asked = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        raise httpx.ConnectError("connection refused")

    with (
        Rpc("http://a.test", others=["http://b.test", "http://c.test"], transport=httpx.MockTransport(refuse)) as rpc,
        pytest.raises(Unreachable, match="http://c"),
    ):
        rpc.call(ANY)
    assert asked == ["a.test", "b.test", "c.test"]


def test_an_authentication_server_that_drips_is_given_up(dripper: str) -> None:
    with MfaClient(dripper, deadline_s=DEADLINE_S) as client, pytest.raises(TimedOut):
        client.status()


def test_a_kubo_that_drips_is_given_up(dripper: str) -> None:
    client = httpx.Client(base_url=dripper, timeout=30.0, trust_env=False, transport=DeadlineTransport(DEADLINE_S))
    with pytest.raises(StoreUnreachable, match="ReadTimeout"):
        KuboStore(client)


def test_a_server_that_does_not_read_an_upload_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            httpx.Client(timeout=30.0, trust_env=False, transport=DeadlineTransport(DEADLINE_S)) as client,
            pytest.raises(httpx.TimeoutException),
        ):
            client.put(url, content=bytes(32 << 20))
