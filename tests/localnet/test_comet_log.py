"""What a real CometBFT writes at the end of its consensus, and what strangers make it write, is what logs.py reads.

It runs alone, with the application that it brings along.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from dta.node.logs import ChildLog, CometLines
from tests.localnet.conftest import comet_binary
from tests.support.go_tools import built

pytestmark = pytest.mark.localnet
P2P_PORT, RPC_PORT = 32_500, 32_501
TIMES = 20
HELLO = (
    b"GET /websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(params=["0.39", "0.38", "0.40"])
def binary(request: pytest.FixtureRequest) -> str:
    if request.param == "0.39":
        return comet_binary()
    return built(f"cometbft-v{request.param}.*", f"DTA_COMETBFT_{request.param.replace('.', '_')}", "--compat")


class Alone:
    """A CometBFT of one validator: the reasons that it gave for the end of its consensus, and all that it wrote."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "cometbft.log"
        self.reasons: list[str] = []
        self.wrote: list[bytes] = []
        self._lines = CometLines(self.reasons.append, lambda: 0.0)

    def line(self, line: bytes) -> bytes | None:
        self.wrote.append(line)
        return self._lines(line)

    def count(self, message: bytes) -> int:
        return sum(message in line for line in self.wrote)


def initialized(binary: str, home: Path, log_format: str) -> Alone:
    """Its home. The sign-state has a directory of its own: root writes into one that is not to be written to."""
    subprocess.run([binary, "init", "--home", str(home)], capture_output=True, check=True)
    (home / "sign").mkdir()
    (home / "data/priv_validator_state.json").rename(home / "sign/state.json")
    config = home / "config/config.toml"
    text = config.read_text()
    for setting, value in (
        ("priv_validator_state_file", "sign/state.json"), ("log_format", log_format), ("timeout_commit", "100ms"),
    ):  # fmt: skip
        text = re.sub(rf"(?m)^{setting} = .*$", f'{setting} = "{value}"', text)
    config.write_text(text.replace(":26656", f":{P2P_PORT}").replace(":26657", f":{RPC_PORT}"))
    return Alone(home)


@asynccontextmanager
async def running(binary: str, home: Path, log_format: str) -> AsyncIterator[Alone]:
    comet = initialized(binary, home, log_format)
    log = ChildLog(comet.log, comet.line)
    sink = log.open()
    process = await asyncio.create_subprocess_exec(
        binary, "start", "--home", str(home), "--proxy_app", "kvstore", stdout=sink, stderr=sink
    )
    os.close(sink)
    try:
        await until("its first blocks", lambda: comet.count(b"committed state") > 1)
        yield comet
        assert process.returncode is None, "it was to stay"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        log.close()


async def until(what: str, is_so: Callable[[], bool], timeout_s: float = 120.0) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not is_so():
                await asyncio.sleep(0.05)
    assert is_so(), f"after {timeout_s:.0f} s still not: {what}"


async def send(port: int, *parts: bytes) -> None:
    """One connection: each part after an answer to the one before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError):
        for part in parts:
            writer.write(part)
            await asyncio.wait_for(reader.read(1 << 12), 10.0)
    writer.close()


@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_the_end_of_consensus_is_read_from_a_real_log_whose_process_stays(
    binary: str, tmp_path: Path, log_format: str
) -> None:
    async def run() -> None:
        async with running(binary, tmp_path / "home", log_format) as comet:
            assert comet.reasons == []
            (comet.home / "sign").rename(comet.home / "gone")
            await until("the end of its consensus", lambda: bool(comet.reasons))
            await asyncio.sleep(0.5)
            (reason,) = comet.reasons
            assert "no such file or directory" in reason
            assert b"CONSENSUS FAILURE!!!" in comet.log.read_bytes()

    asyncio.run(run())


@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_what_strangers_make_a_real_cometbft_write_is_a_line_each(
    binary: str, tmp_path: Path, log_format: str
) -> None:
    asked = b'{"jsonrpc":"2.0","id":1,"method":"health","params":{}}'
    frame = b"\x81" + bytes([0x80 + len(asked)]) + bytes(4) + asked  # text, masked with zeros

    async def run() -> None:
        async with running(binary, tmp_path / "home", log_format) as comet:
            for _ in range(TIMES):
                await send(RPC_PORT, HELLO, b"junk" * 20)
                await send(RPC_PORT, HELLO, frame)
                await send(P2P_PORT, b"\x22\x0a\x20" + secrets.token_bytes(32))
            await until("all rejected", lambda: comet.count(b"Inbound Peer rejected") >= TIMES)
            await until("all refused", lambda: comet.count(b"New websocket connection") == 2 * TIMES)
            await until("all asked", lambda: comet.count(b"WSJSONRPC") == TIMES)
            heights = comet.count(b"committed state")
            await until("the next block", lambda: comet.count(b"committed state") > heights)
        written = comet.log.read_bytes().splitlines()
        assert Counter(b"committed state" in line for line in written)[True] == comet.count(b"committed state")
        for message in (b"Inbound Peer rejected", b"New websocket connection", b"Failed to read request", b"WSJSONRPC"):
            assert sum(message in line for line in written) <= 1, message
        assert max(map(len, written)) < 1_000

    asyncio.run(run())
