"""Whatever strangers send to a server of ours, the log gets one counted line a minute (and the case log_flood none)."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from abci_app.state.due import DueKind
from dta.http.guard import listen
from dta.http.logs import MAX_KEYS, MAX_LINE_CHARS, PER_S, STRANGERS, OncePerMinute, OneAMinute
from dta.node.agent.runner import _log_of
from dta.node.hooks.plan import Job
from tests.unit.test_mfa_http import certificate

Send = Callable[[tuple[str, int]], Awaitable[None]]
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Bounds:
    host: str = "127.0.0.1"
    port: int = 0
    connection_s: float = 5.0
    max_connections: int = 99
    max_connections_per_address: int = 99
    trusted_proxies: frozenset[str] = field(default_factory=frozenset)


@contextmanager
def written(clock: list[float]) -> Iterator[io.StringIO]:
    """What the root logger writes, as a server of ours has it set up, with a clock."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(OneAMinute(lambda: clock[0]))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield out
    finally:
        root.removeHandler(handler)


async def fails(request: web.BaseRequest) -> web.StreamResponse:
    raise RuntimeError(request.path * 20)


def flood(send: bytes, times: int, bounds: Bounds | None = None, tls: ssl.SSLContext | None = None) -> Send:
    async def run(address: tuple[str, int]) -> None:
        for _ in range(times):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(send)
                await reader.read()
            except OSError:
                pass
            finally:
                writer.close()
        await asyncio.sleep(0.1)

    return run


def lines_of(send: Send, bounds: Bounds | None = None, tls: ssl.SSLContext | None = None) -> list[str]:
    async def run() -> None:
        listening = await listen(fails, bounds or Bounds(), tls)
        await send(listening.address)
        await listening.stop()

    with written([0.0]) as out:
        asyncio.run(run())
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01" + bytes(40),
        b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"y" * 9_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /fails HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_no_good_request_is_one_short_line(sent: bytes) -> None:
    lines = lines_of(flood(sent, 25))
    assert len(lines) <= 1
    assert all(len(line) <= MAX_LINE_CHARS for line in lines)


def test_handshakes_that_fail_are_one_line(tmp_path: Path) -> None:
    _, context = certificate(tmp_path)
    assert len(lines_of(flood(b"\x16\x03\x01\x00\x05hello", 25), tls=context)) <= 1


def test_connections_over_the_limit_are_no_line() -> None:
    async def run(address: tuple[str, int]) -> None:
        with socket.create_connection(address):
            for _ in range(5):
                socket.create_connection(address).close()
                await asyncio.sleep(0.02)

    assert lines_of(run, Bounds(max_connections_per_address=1)) == []


def test_the_next_line_says_how_many_there_were_and_what_was_sent_is_in_no_key() -> None:
    clock = [0.0]
    log = logging.getLogger("dta.node.gateway.server")
    with written(clock) as out:
        for second in range(0, 200, 10):
            clock[0] = float(second)
            log.error("%s %s failed", "GET", f"/{second}\nforged line")
    lines = out.getvalue().splitlines()
    assert lines == [
        "GET /0 forged line failed",
        "GET /60 forged line failed (and 5 more like it since the last such line)",
        "GET /120 forged line failed (and 5 more like it since the last such line)",
        "GET /180 forged line failed (and 5 more like it since the last such line)",
    ]


def test_another_kind_of_exception_is_a_line_of_its_own_without_what_it_says() -> None:
    log = logging.getLogger("aiohttp.server")
    with written([0.0]) as out:
        for kind in (ValueError, ValueError, KeyError):
            try:
                raise kind("what somebody sent")
            except Exception:
                log.exception("Error handling request")
    lines = out.getvalue().splitlines()
    assert [line.partition(" in ")[0] for line in lines] == [
        "Error handling request: ValueError", "Error handling request: KeyError",
    ]  # fmt: skip
    assert "somebody" not in out.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "aiohttp.server", "asyncio", "dta.blocks.embedded", "dta.http.guard", "dta.login.http",
        "dta.node.agent.runner.fulfil_order", "dta.node.gateway.server", "dta.node.hooks.outbox",
    ],
)  # fmt: skip
def test_what_strangers_reach_is_counted_by_every_library_and_room_of_ours(name: str) -> None:
    with written([0.0]) as out:
        for _ in range(9):
            logging.getLogger(name).error("what somebody sent")
    assert out.getvalue() == "what somebody sent\n"


def test_what_the_node_says_of_itself_is_all_written() -> None:
    log = logging.getLogger("dta.node.agent.keystores")
    with written([0.0]) as out:
        for trouble in ("PIN locked", "no token"):
            log.error("keystore: %s", trouble)
    assert out.getvalue().splitlines() == ["keystore: PIN locked", "keystore: no token"]


def test_places_of_which_nothing_was_said_for_a_minute_make_room_for_others() -> None:
    clock = [0.0]
    lines = OncePerMinute(lambda: clock[0])
    assert [lines.more(key) for key in range(MAX_KEYS)] == [0] * MAX_KEYS
    assert [lines.more(key) for key in ("new", "newer", 0)] == [0, None, None]
    clock[0] = PER_S
    assert lines.more("new") == 0
    assert lines.more(0) == 0  # it was forgotten, and with it the one that was not said


def test_jobs_that_come_of_orders_are_a_counted_line_for_each_kind() -> None:
    orders = [Job(kind, bytes([n]) * 32) for kind in (DueKind.FULFIL_ORDER, DueKind.ERASE_VAULT) for n in range(9)]
    with written([0.0]) as out:
        for job in orders:
            _log_of(job).warning("%s: %s", job, "the envelope is nowhere")
    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["fulfil_order", "erase_vault"]


def test_every_room_that_answers_strangers_is_counted_and_every_program_that_logs_counts() -> None:
    sources = {path: path.read_text() for path in (ROOT / "dta").rglob("*.py")}
    bound = ("listen(", "listen_at(", "bind(")
    serving = [p for p, text in sources.items() if "dta.http.guard" in text and any(one in text for one in bound)]
    assert serving
    for path in serving:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        assert name.startswith(STRANGERS), name
    for path, text in sources.items():
        if "logging.basicConfig(" in text:
            assert "count_strangers()" in text, path
