"""The agent's own listening: a socket for this user alone, heads that come slowly, connections without end."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from dta.base.errors import UsageError
from dta.service import server

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def serving(path: Path, during: Callable[[], Awaitable[Any]]) -> Any:
    """What ``during`` gives while the server listens at ``path``."""

    async def main() -> Any:
        bound = server.bind_unix(path)
        uvicorn_server = uvicorn.Server(server.config(answers, None))
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


def test_connections_past_the_bound_are_refused_and_those_within_it_answered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)

    async def ask() -> list[bytes]:
        opened = [await asyncio.open_unix_connection(path) for _ in range(3)]
        await asyncio.sleep(0.05)
        answered = []
        for reader, writer in opened:
            writer.write(REQUEST)
            try:
                answered.append((await reader.read(15))[:12])
            except ConnectionError:
                answered.append(b"")
        for _, writer in opened:
            writer.close()
        return answered

    assert serving(path, ask) == [b"HTTP/1.1 200", b"HTTP/1.1 200", b""]
