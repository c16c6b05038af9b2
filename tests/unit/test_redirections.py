"""Where a stranger's server says that one should go: nobody follows, and a place that is none ends no call as a fault.

httpx reads where a redirection leads though it follows none, and what it raises of a host such as ``xn--`` is a
UnicodeError: none of its own errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import Any

import httpx
import pytest

from abci_app.cid import cid_of
from dta.base.errors import Unreachable
from dta.blocks.errors import StoreUnreachable
from dta.blocks.kubo import KuboStore
from dta.blocks.peers import Uploader, _download, _Failed
from dta.client.ledger.flow import Request
from dta.client.ledger.rpc import AsyncRpc, Rpc
from dta.client.mfa import login
from dta.client.mfa.login import MfaClient
from dta.node import doctor
from dta.node.agent import agent

ANY: Request[Any] = Request("any", {}, lambda value: value)
BLOCK = b"a block"


@pytest.fixture(params=["http://xn--/", "//xn--/"])
def nowhere(request: pytest.FixtureRequest) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(302, headers={"Location": request.param})


Answer = Callable[[httpx.Request], httpx.Response]


def test_the_next_node_is_asked(nowhere: Answer) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "bad.test":
            return nowhere(request)
        return httpx.Response(200, json={"id": 2, "result": "good"})

    with Rpc("http://bad.test", others=["http://good.test"], transport=httpx.MockTransport(answer)) as rpc:
        assert rpc.call(ANY) == "good"


def test_a_node_is_unreachable_under_asyncio_too(nowhere: Answer) -> None:
    async def run() -> None:
        async with AsyncRpc("http://bad.test", transport=httpx.MockTransport(nowhere)) as rpc:
            await rpc.call(ANY)

    with pytest.raises(Unreachable):
        asyncio.run(run())


def test_a_gateway_fails_by_itself(nowhere: Answer) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(nowhere)) as client:
            with pytest.raises(_Failed, match="IDNAError"):
                await _download(client, "http://bad.test", cid_of(BLOCK))
            [result] = await Uploader(client, bytes(32)).upload(BLOCK, ["http://bad.test"], None)
            assert (result.ok, result.error) == (False, "unreachable: IDNAError")

    asyncio.run(run())


def test_a_kubo_an_authentication_server_and_a_doctor_s_peer_do(
    nowhere: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = httpx.MockTransport(nowhere)
    with pytest.raises(StoreUnreachable):
        KuboStore(httpx.Client(base_url="http://bad.test", transport=transport)).open()
    monkeypatch.setattr(login, "DeadlineTransport", lambda *_, **__: transport)
    with MfaClient("http://bad.test") as client, pytest.raises(Unreachable):
        client.status()
    monkeypatch.setattr(doctor, "DeadlineTransport", lambda *_, **__: transport)
    assert doctor._gateway("http://bad.test", 0.0).status == "warning"


def test_what_a_gateway_sets_is_not_kept() -> None:
    answer = httpx.Response(404, headers={"Set-Cookie": "a=b"}, request=httpx.Request("GET", "http://bad.test/"))
    with httpx.Client(transport=httpx.MockTransport(lambda _: answer), cookies=CookieJar(agent._NO_COOKIES)) as client:
        client.get("http://bad.test/")
        assert len(client.cookies.jar) == 0
    with httpx.Client(transport=httpx.MockTransport(lambda _: answer)) as client:
        client.get("http://bad.test/")
        assert len(client.cookies.jar) == 1, "as httpx has it by itself"
