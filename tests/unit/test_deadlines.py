"""A server that drips holds nobody up: every call that we make is over at a deadline of its own, and the next is asked.

No wait of such a server's is long, so no timeout for a wait ends it: each call here would take twenty seconds and then
have an answer.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from dta.base.config import NodeConfig
from dta.base.errors import TimedOut, Unreachable, UsageError
from dta.base.home import ClientConfig, Home
from dta.base.keystore_config import KeystoreConfig
from dta.blocks.errors import StoreUnreachable
from dta.blocks.kubo import KuboStore
from dta.cli.session import Session
from dta.client.ledger.flow import Request
from dta.client.ledger.rpc import AsyncRpc, Rpc
from dta.client.mfa.login import MfaClient
from dta.http import deadline
from dta.http.deadline import DeadlineTransport
from dta.node import doctor
from dta.node.agent import network
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


def test_a_command_goes_on_with_the_other_nodes_where_the_first_that_answered_fails_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[str, list[str]]] = []

    class Known(Rpc):
        def __init__(self, url: str, *, others: Sequence[str] = (), verify: object = True) -> None:
            super().__init__(url, others=others, transport=httpx.MockTransport(lambda request: httpx.Response(500)))
            made.append((url, list(others)))

        def call(self, request: Request[Any]) -> Any:
            if self.url.startswith("http://a"):
                raise Unreachable("it does not answer")

    config = ClientConfig("chain", bytes(32), ("http://a.test", "http://b.test", "http://c.test"))
    monkeypatch.setattr("dta.client.ledger.rpc.Rpc", Known)
    monkeypatch.setattr(Session, "client", lambda self: config)
    with Session(Home.__new__(Home))._rpc():
        pass
    assert made == [("http://a.test", []), ("http://b.test", []), ("http://b.test", ["http://c.test", "http://a.test"])]


def test_the_addresses_of_a_name_share_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    tried: list[tuple[str, float]] = []

    class Nowhere(httpcore.NetworkBackend):
        def connect_tcp(self, host: str, port: int, timeout: float | None = None, *_: Any) -> httpcore.NetworkStream:
            assert timeout is not None
            tried.append((host, timeout))
            clock[0] += timeout
            raise httpcore.ConnectTimeout

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"10.0.0.{n}", 80)) for n in range(9)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(deadline.time, "monotonic", lambda: clock[0])
    transport = DeadlineTransport(5.0)
    transport._pool._network_backend._inner = Nowhere()  # type: ignore[attr-defined]
    with httpx.Client(timeout=2.0, transport=transport) as client, pytest.raises(httpx.ConnectTimeout):
        client.get("http://many.test")
    assert [host for host, _ in tried] == [f"10.0.0.{n}" for n in range(9)]
    assert [took for _, took in tried] == pytest.approx([5.0 / 9] * 9)


def test_an_address_that_swallows_what_is_sent_to_it_leaves_the_next_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout of a connection is the whole deadline where a doctor asks: IPv6 that leads nowhere comes first."""
    clock = [0.0]

    class Second(httpcore.NetworkBackend):
        def connect_tcp(self, host: str, port: int, timeout: float | None = None, *_: Any) -> httpcore.NetworkStream:
            assert timeout is not None
            if host == "10.0.0.2":
                raise httpcore.ConnectError("refused")
            clock[0] += timeout
            raise httpcore.ConnectTimeout

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"10.0.0.{n}", 80)) for n in (1, 2)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(deadline.time, "monotonic", lambda: clock[0])
    transport = DeadlineTransport(5.0)
    transport._pool._network_backend._inner = Second()  # type: ignore[attr-defined]
    with httpx.Client(timeout=5.0, transport=transport) as client, pytest.raises(httpx.ConnectError):
        client.get("http://two.test")
    assert clock == [2.5]


def test_an_upload_that_is_taken_a_little_at_a_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    waits: list[float | None] = []

    class Slow(httpcore.NetworkStream):
        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            assert len(buffer) <= deadline.WRITE_BYTES
            waits.append(timeout)
            clock[0] += 2.0

    monkeypatch.setattr(deadline.time, "monotonic", lambda: clock[0])
    due = deadline._Due()
    due.at_s = 5.0
    with pytest.raises(httpcore.WriteTimeout):
        deadline._Stream(Slow(), due).write(bytes(9 * deadline.WRITE_BYTES), 30.0)
    assert waits == [5.0, 3.0, 1.0]


def test_the_next_address_of_a_name_is_tried_and_a_name_that_is_none_is_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = DeadlineTransport(DEADLINE_S)
        with httpx.Client(timeout=30.0, transport=transport) as client:
            with pytest.raises(httpx.ReadTimeout):  # ::1 refuses where localhost has it, 127.0.0.1 is silent
                client.get(f"http://localhost:{silent.getsockname()[1]}")
            with pytest.raises(httpx.ConnectError):
                client.get(f"http://{'a' * 64}.test")


def test_an_authentication_server_that_drips_is_given_up(dripper: str) -> None:
    with MfaClient(dripper, deadline_s=DEADLINE_S) as client, pytest.raises(TimedOut):
        client.status()


def test_a_kubo_that_drips_is_given_up(dripper: str) -> None:
    client = httpx.Client(base_url=dripper, timeout=30.0, trust_env=False, transport=DeadlineTransport(DEADLINE_S))
    with pytest.raises(StoreUnreachable, match="ReadTimeout"):
        KuboStore(client).open()


def test_a_node_s_own_kubo_that_drips_is_given_up(
    dripper: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore = KeystoreConfig("software", path=tmp_path / "keys")
    config = NodeConfig(tmp_path, "chain", bytes(32), keystore, "", ("", 0), blocks="kubo", kubo_api=dripper)
    monkeypatch.setattr(network, "KUBO_DEADLINE_S", DEADLINE_S)
    store = network.open_store(config)
    assert isinstance(store, KuboStore)
    with pytest.raises(StoreUnreachable, match="ReadTimeout"):
        store.open()


def test_a_gateway_that_drips_holds_up_no_doctor(dripper: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_TIMEOUT_S", DEADLINE_S)
    assert doctor._gateway(dripper, 0.0, True).detail == "does not answer: ReadTimeout"


def test_a_server_that_does_not_read_an_upload_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            httpx.Client(timeout=30.0, trust_env=False, transport=DeadlineTransport(DEADLINE_S)) as client,
            pytest.raises(httpx.TimeoutException),
        ):
            client.put(url, content=bytes(32 << 20))


def test_an_address_that_is_found_to_be_none_when_it_is_asked_is_no_fault_of_this_program() -> None:
    with MfaClient("http://xn--", deadline_s=DEADLINE_S) as client, pytest.raises(Unreachable, match="IDNAError"):
        client.status()
    with pytest.raises(UsageError, match="no URL"):
        Rpc("http://xn--")
