"""The agent's own listening: a socket for this user alone, heads that come slowly, connections without end."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h11
import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from dta.base.errors import UsageError
from dta.service import guard, server
from dta.service.app import application
from dta.service.guard import Listener
from tests.support import smuggling
from tests.support.certificates import Authority
from tests.support.patience import PATIENCE_S
from tests.support.served import Served

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def gives_much(scope: Scope, receive: Receive, send: Send) -> None:
    """More than any buffer on the way takes, at once or, by its path, in pieces without an end."""

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)  # as ours do, which look for what is new
            yield bytes(10_000)

    response = StreamingResponse(pieces()) if scope["path"] == "/stream" else Response(bytes(8_000_000))
    await response(scope, receive, send)


def serving(
    path: Path,
    during: Callable[[], Awaitable[Any]],
    app: Any = answers,
    tls: ssl.SSLContext | None = None,
    made: list[server.Server] | None = None,
) -> Any:
    """What ``during`` gives while the server, which ``made`` gets, listens at ``path``."""

    async def main() -> Any:
        bound = server.bind_unix(path)
        uvicorn_server = server.Server(server.config(app, tls))
        if made is not None:
            made.append(uvicorn_server)
        running = asyncio.ensure_future(uvicorn_server.serve(sockets=[bound]))
        while not uvicorn_server.started:
            await asyncio.sleep(0.01)
        try:
            return await during()
        finally:
            uvicorn_server.should_exit = True
            await running

    return asyncio.run(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "serve.sock"


def test_the_socket_and_its_directory_are_this_users_alone(path: Path) -> None:
    bound = server.bind_unix(path)
    try:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    finally:
        bound.close()


def test_a_directory_that_is_open_to_others_is_refused(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    with pytest.raises(UsageError):
        server.bind_unix(path)


def test_a_socket_that_nobody_listens_at_is_taken_over_and_a_second_agent_is_not(path: Path) -> None:
    server.bind_unix(path).close()
    bound = server.bind_unix(path)
    bound.listen()
    try:
        with pytest.raises(UsageError) as refused:
            server.bind_unix(path)
        assert "already" in refused.value.message
    finally:
        bound.close()


def test_a_peer_is_this_user_or_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert server.is_own(ours)
        monkeypatch.setattr(os, "getuid", lambda: 4_294_967)
        assert not server.is_own(ours)

        async def ask() -> bytes:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(REQUEST)
            try:
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()

        assert serving(path, ask) == b""


def test_a_head_that_does_not_come_is_not_waited_for_and_one_that_does_is_answered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.3)

    async def ask() -> tuple[bytes, bytes, bytes]:
        async def say(words: bytes, more: bytes = b"") -> bytes:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(words)
            answered = await reader.readuntil(b"ok") if words == REQUEST else b""
            writer.write(more)
            try:
                return answered + await reader.read()
            except ConnectionError:
                return answered
            finally:
                writer.close()

        silent = await say(b"")
        slow = await say(b"GET / HTTP/1.1\r\nHost: x\r\nX")
        second = await say(REQUEST, b"GET / HTTP/1.1\r\nX")
        return silent, slow, second

    silent, slow, second = serving(path, ask)
    assert (silent, slow) == (b"", b"")
    assert second.startswith(b"HTTP/1.1 200")
    assert second.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("query", ["", "?a=b"])
@pytest.mark.parametrize(("over", "status"), [(0, b"200"), (1, b"431"), (150_000, b"431")])
def test_a_head_has_its_bound_to_the_byte_however_it_comes(path: Path, query: str, over: int, status: bytes) -> None:
    """(!) h11 takes a longer one that comes at once: its bound is of what is not whole."""
    before = f"GET /{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ".encode()
    head = before + b"a" * (guard.MAX_HEAD_BYTES + over - len(before) - 4) + b"\r\n\r\n"

    async def ask() -> bytes:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(head)
        answered = await reader.readuntil(b"\r\n")
        writer.transport.abort()
        return answered.split()[1]

    assert serving(path, ask, guard.Guard(answers, guard.Listener())) == status


def test_a_head_without_an_end_is_cut_where_it_is_too_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_S", 600.0)
    called: list[Scope] = []

    async def notes(scope: Scope, receive: Receive, send: Send) -> None:
        called.append(scope)
        await answers(scope, receive, send)

    async def ask() -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        with suppress(ConnectionError):
            for _ in range(32):
                writer.write(b"a" * (guard.MAX_HEAD_BYTES // 4))
                await writer.drain()
            async with asyncio.timeout(30):
                await reader.read()
        writer.transport.abort()

    serving(path, ask, notes)
    assert called == []


def test_who_asks_nothing_more_is_let_go_after_a_while(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_S", 0.2)

    async def ask() -> bytes:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(REQUEST)
        try:
            async with asyncio.timeout(30):
                return await reader.read()  # to the end, which only the server makes
        finally:
            writer.close()

    assert serving(path, ask).endswith(b"ok")


def test_who_is_being_answered_when_the_server_stops_has_a_while_and_no_longer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STOP_S", 0.2)
    begun, ended = asyncio.Event(), []

    async def for_ever(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(scope["path"])
            raise

    async def ask() -> None:
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(REQUEST)
        await begun.wait()

    serving(path, ask, for_ever)  # ends, which it would not
    assert ended == ["/"]
    assert server.config(answers, None).timeout_graceful_shutdown == server.STOP_S


async def until(happens: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(30):
        while not happens():
            await asyncio.sleep(0.01)
    assert happens(), what


@pytest.mark.parametrize("where", ["/", "/stream"])
@pytest.mark.parametrize("has_tls", [False, True])
def test_who_does_not_read_what_it_asked_for_is_cut(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str, has_tls: bool
) -> None:
    monkeypatch.setattr(server, "WRITE_S", 0.2)
    made: list[server.Server] = []
    context, secured = own_tls(tmp_path) if has_tls else (None, None)

    async def ask() -> None:
        reader, writer = await asyncio.open_unix_connection(
            path, limit=1, ssl=secured, server_hostname="127.0.0.1" if has_tls else None
        )
        writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % where.encode())
        await reader.read(1)
        [running] = made
        assert len(running.server_state.connections) == 1
        await until(lambda: not running.server_state.connections, "the connection is cut")
        await until(lambda: not running.server_state.tasks, "what answered it has ended")
        writer.transport.abort()

    serving(path, ask, gives_much, context, made)


def test_who_reads_slowly_and_steadily_is_given_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WRITE_S", 0.2)
    monkeypatch.setattr(server, "WRITE_BYTES", 1_000)

    async def ask() -> int:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        read = 0
        while piece := await reader.read(1_000_000):
            read += len(piece)
            await asyncio.sleep(0.1)
        writer.close()
        return read

    assert serving(path, ask, gives_much) > 8_000_000


def own_tls(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's."""
    authority = Authority(directory / "tls", "ours")
    certificate, key = directory / "tls" / "agent.pem", directory / "tls" / "agent.key"
    authority.write(certificate, key)
    return server.tls_context(certificate, key), ssl.create_default_context(cafile=authority.file)


def test_a_tls_handshake_has_its_time_and_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_S", 0.3)
    context, secured = own_tls(tmp_path)

    async def ask() -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            silent = await asyncio.wait_for(reader.read(), PATIENCE_S)
        except ConnectionError:
            silent = b""
        writer.close()
        reader, writer = await asyncio.open_unix_connection(path, ssl=secured, server_hostname="127.0.0.1")
        writer.write(REQUEST)
        answered = await reader.readuntil(b"ok")
        writer.close()
        return silent, answered[:12]

    assert serving(path, ask, tls=context) == (b"", b"HTTP/1.1 200")
    monkeypatch.setattr(server, "HANDSHAKE_S", 60.0)
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)

    async def crowd() -> tuple[bytes, bytes]:
        shaking = [await asyncio.open_unix_connection(path) for _ in range(2)]
        reader, writer = await asyncio.open_unix_connection(path, ssl=secured, server_hostname="127.0.0.1")
        writer.write(REQUEST)
        answered = await reader.readuntil(b"ok")
        try:
            first = await asyncio.wait_for(shaking[0][0].read(), PATIENCE_S)
        except ConnectionError:
            first = b""
        for _, one in (*shaking, (reader, writer)):
            one.transport.abort()
        return first, answered[:12]

    assert serving(path, crowd, tls=context) == (b"", b"HTTP/1.1 200")


def test_connections_past_the_bound_take_the_place_of_who_says_nothing_and_of_nobody_else(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    going_on = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            await going_on.wait()
        await answers(scope, receive, send)

    async def answered(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
        try:
            return (await asyncio.wait_for(connection[0].read(15), PATIENCE_S))[:12]
        except ConnectionError:
            return b""

    async def ask() -> list[bytes]:
        opened = [await asyncio.open_unix_connection(path) for _ in range(3)]
        for _, writer in opened[1:]:
            writer.write(REQUEST.replace(b"GET /", b"GET /wait"))
        silent = await answered(opened[0])
        await asyncio.sleep(0.2)
        opened.append(await asyncio.open_unix_connection(path))
        refused = await answered(opened[3])
        going_on.set()
        found = [silent, await answered(opened[1]), await answered(opened[2]), refused]
        for _, writer in opened:
            writer.transport.abort()
        return found

    assert serving(path, ask, waits) == [b"", b"HTTP/1.1 200", b"HTTP/1.1 200", b""]


def test_who_sends_a_head_and_no_body_gives_way_to_whoever_asks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    bodies: list[bytes] = []

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            bodies.append(message.get("body", b""))
        await answers(scope, receive, send)

    async def ask() -> tuple[bytes, bytes, bytes]:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
        opened = [await asyncio.open_unix_connection(path) for _ in range(2)]
        for _, writer in opened:
            writer.write(head + b"ab")
        await until(lambda: bodies.count(b"ab") == 2, "the heads are read")
        third = await asyncio.open_unix_connection(path)
        third[1].write(REQUEST)
        answered = await third[0].readuntil(b"ok")
        cut = await opened[0][0].read()
        opened[1][1].write(b"cd")
        whole = await opened[1][0].readuntil(b"ok")
        for _, writer in (*opened, third):
            writer.transport.abort()
        return cut, answered[:12], whole[:12]

    assert serving(path, ask, reads) == (b"", b"HTTP/1.1 200", b"HTTP/1.1 200")


# --- where a request ends ---------------------------------------------------------------------------------------
def responses(received: bytes) -> Iterator[tuple[int, bytes]]:
    """Each answer's status and body, of a connection that has ended."""
    while received:
        reading = h11.Connection(h11.CLIENT)
        reading.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        reading.send(h11.EndOfMessage())
        reading.receive_data(received)
        reading.receive_data(b"")
        status, body = 0, b""
        while not isinstance(event := reading.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Response | h11.Data), received
            status = event.status_code if isinstance(event, h11.Response) else status
            body += event.data if isinstance(event, h11.Data) else b""
        yield status, body
        received = reading.trailing_data[0]


class Called:
    """An agent of alice's that is served at ``path``, and what goes to it byte by byte."""

    def __init__(self, directory: Path, path: Path) -> None:
        self.path = path
        self.served = Served(directory)
        self.home = self.served.home("alice")
        self.app = application(self.served.agent(self.home), Listener())
        self.token = self.served.token(self.home)

    def request(self, line: str, body: bytes | None = None, **headers: str) -> bytes:
        """One that is good, and has its right length."""
        given = {"Host": "x", "Authorization": f"Bearer {self.token}", **headers}
        if body is not None:
            given |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        fields = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return f"{line} HTTP/1.1\r\n{fields}\r\n".encode() + (body or b"")

    async def say(self, *words: bytes) -> list[tuple[int, bytes]]:
        """All that is answered, until the agent closes, to what is sent at once."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(b"".join(words))
        async with asyncio.timeout(60):
            received = await reader.read()
        writer.close()
        return list(responses(received))

    @property
    def noted(self) -> list[str]:
        """Which calls that change something were carried out."""
        return [line["call"] for line in self.served.noted(self.home) if line["event"] == "begun"]


@pytest.fixture
def called(tmp_path: Path, path: Path) -> Iterator[Called]:
    made = Called(tmp_path, path)
    yield made
    made.served.close()


@pytest.mark.parametrize("sent", smuggling.REFUSED)
def test_what_follows_a_request_of_two_lengths_is_carried_out_by_nobody(called: Called, sent: bytes) -> None:
    hidden = called.request("POST /v1/vault", b"{}", Connection="close")
    [(status, _)] = serving(called.path, lambda: called.say(sent, hidden), called.app)
    assert status == 400
    assert called.noted == []
    [(status, _)] = serving(called.path, lambda: called.say(hidden), called.app)
    assert (status, called.noted) == (200, ["POST /v1/vault"])  # it was a good one


def test_a_request_in_the_body_of_another_is_its_body_whether_that_one_is_taken_or_not(called: Called) -> None:
    hidden = called.request("POST /v1/vault", b"{}")
    last = called.request("GET /v1/contacts", Connection="close")
    read = called.request("POST /v1/policy/check", hidden)
    refused = called.request("POST /v1/policy/check", hidden, Origin="https://evil.example")

    async def ask() -> list[list[int]]:
        return [[status for status, _ in await called.say(first, last)] for first in (read, refused)]

    assert serving(called.path, ask, called.app) == [[400, 200], [403]]
    assert called.noted == []


def test_requests_that_come_at_once_are_answered_in_their_order_each_after_the_one_before(called: Called) -> None:
    made = called.request("POST /v1/vault", b"{}")
    listed = called.request("GET /v1/vault")
    nobody = called.request("GET /v1/vault", Connection="close").replace(called.token.encode(), b"dta_")
    answered = serving(called.path, lambda: called.say(made, listed, nobody), called.app)
    assert [status for status, _ in answered] == [200, 200, 401]
    [vault] = json.loads(answered[1][1])["vaults"]
    assert vault["vault"] == json.loads(answered[0][1])["vault"]
    assert called.noted == ["POST /v1/vault"]
