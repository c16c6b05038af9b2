"""What the gateway serves, over real sockets on loopback, and that no client holds it up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from gateway_harness import ALICE, BLOCK, CID, GID, NOW_S, RAW, Running, assert_refused, play

from abci_app.cid import cid_of, digest_of
from dta.blocks.auth import put_headers
from dta.blocks.store import MAX_BLOCK_BYTES
from dta.node.gateway.server import GatewayConfig


def test_a_block_is_served_raw_with_headers_that_let_it_be_cached_for_ever(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        gateway.store.put(BLOCK)
        response = await gateway.get(CID)
        assert (response.status_code, response.content) == (200, BLOCK)
        assert response.headers["content-type"] == RAW
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["etag"] == f'"{CID}.raw"'
        assert response.headers["x-content-type-options"] == "nosniff"
        again = await gateway.get(CID, **{"If-None-Match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    play(tmp_path, scenario)


def test_head_answers_with_the_size_and_no_body(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        gateway.store.put(BLOCK)
        response = await gateway.client.head(f"/ipfs/{CID}?format=raw")
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["content-length"] == str(len(BLOCK))
        assert (await gateway.client.head(f"/ipfs/{cid_of(b'absent')}?format=raw")).status_code == 404

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("query", "accept", "status_code"),
    [
        ("?format=raw", "*/*", 200),
        ("?format=raw", "text/html", 200),
        ("?format=car", RAW, 406),
        ("?format=", RAW, 406),
        ("", RAW, 200),
        ("", f"text/html;q=0.9, {RAW};q=0.5", 200),
        ("", f"{RAW};q=0", 406),
        ("", "text/html", 406),
        ("", "*/*", 406),
    ],
)
def test_raw_is_served_where_it_was_asked_for_by_format_or_else_by_accept(
    tmp_path: Path, query: str, accept: str, status_code: int
) -> None:
    async def scenario(gateway: Running) -> None:
        gateway.store.put(BLOCK)
        response = await gateway.client.get(f"/ipfs/{CID}{query}", headers={"Accept": accept})
        assert response.status_code == status_code
        if status_code != 200:
            assert_refused(response, status_code)

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("path", "status_code"),
    [
        ("/", 404),
        ("/v1/nothing", 404),
        (f"/ipfs/{cid_of(b'absent')}?format=raw", 404),
        ("/ipfs/?format=raw", 400),
        (f"/ipfs/{CID}/a/path?format=raw", 400),
        (f"/ipfs/{CID.upper()}?format=raw", 400),
        ("/ipfs/QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn?format=raw", 400),
        ("/ipfs/..%2f..%2flock?format=raw", 400),
        ("/ipfs/../lock?format=raw", 404),
    ],
)
def test_what_is_not_there_is_refused_in_json(tmp_path: Path, path: str, status_code: int) -> None:
    async def scenario(gateway: Running) -> None:
        gateway.store.put(BLOCK)
        assert_refused(await gateway.client.get(path), status_code)

    play(tmp_path, scenario)


def test_a_raw_request_target_with_dots_reads_no_file(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        reader, writer = await asyncio.open_connection(*gateway.address)
        writer.write(b"GET /ipfs/../../lock?format=raw HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).split()[1] in (b"400", b"404")
        writer.close()

    play(tmp_path, scenario)


def test_other_methods_are_refused(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        assert_refused(await gateway.client.delete(f"/ipfs/{CID}"), 405)
        assert_refused(await gateway.client.post("/v1/status"), 405)

    play(tmp_path, scenario)


def test_a_block_that_is_corrupt_on_disk_is_not_served(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        gateway.store.put(BLOCK)
        shard = digest_of(CID)[:2].hex()
        (tmp_path / "blocks" / shard[:2] / shard[2:] / CID).write_bytes(b"something else")
        assert_refused(await gateway.get(CID), 404)

    play(tmp_path, scenario)


def test_status_is_what_the_agent_says(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        response = await gateway.client.get("/v1/status")
        assert response.json() == {"height": 7}
        assert response.headers["cache-control"] == "no-store"

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /ipfs/x HTTP/1.1\r\nHost", b"PUT /v1/status HTTP/1.1\r\nContent-Length: 9\r\n"]
)
def test_a_client_that_never_finishes_its_request_is_cut_off(tmp_path: Path, sent: bytes) -> None:
    async def scenario(gateway: Running) -> None:
        reader, writer = await asyncio.open_connection(*gateway.address)
        writer.write(sent)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    play(tmp_path, scenario, GatewayConfig(connection_s=0.3))


def test_a_body_that_trickles_is_given_up(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        reader, writer = await asyncio.open_connection(*gateway.address)
        headers = put_headers(GID, CID, ALICE, NOW_S + 60)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"PUT /ipfs/{CID} HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n{lines}\r\nan".encode())
        assert (await reader.readline()).split()[1] == b"408"
        writer.close()

    play(tmp_path, scenario, GatewayConfig(body_s=0.2))


def test_a_client_that_does_not_read_its_answer_is_cut_off(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        block = bytes(MAX_BLOCK_BYTES)
        gateway.store.put(block)
        opened = [await asyncio.open_connection(*gateway.address, limit=1024) for _ in range(4)]
        for _, writer in opened:
            writer.write(f"GET /ipfs/{cid_of(block)}?format=raw HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert await gateway.get_when_let_in(CID) == 404
        for _, writer in opened:
            writer.close()

    play(tmp_path, scenario, GatewayConfig(connection_s=0.5, max_connections=4))


def test_connections_over_the_limit_are_dropped_and_the_others_served(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        held = [await asyncio.open_connection(*gateway.address) for _ in range(2)]
        with pytest.raises(httpx.HTTPError):
            await gateway.get(CID)
        for _, writer in held:
            writer.close()
        assert await gateway.get_when_let_in(CID) == 404

    play(tmp_path, scenario, GatewayConfig(max_connections_per_address=2))


async def hold(gateway: Running, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection from ``address`` that sends nothing."""
    return await asyncio.open_connection(*gateway.address, local_addr=(address, 0))


def test_a_few_addresses_that_take_all_connections_shut_nobody_out(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        held = [await hold(gateway, f"127.0.0.{2 + number // 3}") for number in range(6)]
        for _ in range(3):
            assert (await gateway.get(CID)).status_code == 404
        await asyncio.sleep(0.05)
        ended = [reader.at_eof() or reader.exception() is not None for reader, _ in held]
        assert any(ended), "somebody made room"
        assert not all(ended), "and nobody was cut who need not be"
        for _, writer in held:
            writer.close()

    play(tmp_path, scenario, GatewayConfig(max_connections=6, max_connections_per_address=3))


def test_who_has_as_many_connections_as_anybody_takes_nobody_s(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        held = [await hold(gateway, f"127.0.0.{2 + number}") for number in range(3)]
        fourth, writer = await hold(gateway, "127.0.0.5")
        assert await fourth.read() == b""
        assert not any(reader.at_eof() for reader, _ in held)
        for _, one in [*held, (fourth, writer)]:
            one.close()

    play(tmp_path, scenario, GatewayConfig(max_connections=3, max_connections_per_address=3))
