"""The door's /ipfs: the gateway's answers, at a client's pace and not at the agent's expense."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from door_harness import Open, opened, play
from gateway_harness import ALICE, BLOCK, CID, DOCUMENT, GID, NOW_S, RAW

from abci_app.cid import cid_of
from dta.blocks.auth import put_headers
from dta.blocks.store import MAX_BLOCK_BYTES
from dta.node.door.blocks import MAX_CID_CHARS
from dta.node.gateway.server import PROBE_CID
from tests.support.patience import PATIENCE_S


def test_a_block_comes_through_with_the_gateway_s_headers(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        door.store.put(BLOCK)
        answer = await door.client.get(f"/ipfs/{CID}?format=raw")
        assert (answer.status_code, answer.content) == (200, BLOCK)
        assert answer.headers["content-type"] == RAW
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["access-control-allow-origin"] == "*"
        again = await door.client.get(
            f"/ipfs/{CID}", headers={"Accept": RAW, "If-None-Match": answer.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        head = await door.client.head(f"/ipfs/{CID}?format=raw")
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(BLOCK)))

    play(tmp_path, scenario)


def test_the_probe_of_a_trustless_gateway_is_answered(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        for ask in (door.client.get, door.client.head):
            answer = await ask(f"/ipfs/{PROBE_CID}?format=raw")
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["content-type"] == RAW
        assert (await door.client.get(f"/ipfs/{PROBE_CID}")).status_code == 406

    play(tmp_path, scenario)


@pytest.mark.parametrize(("path", "status_code"), [
    (f"/ipfs/{cid_of(b'absent')}?format=raw", 404), ("/ipfs/x?format=raw", 400), ("/ipfs/", 400),
    (f"/ipfs/{CID}/../../v1/gateways", 404), (f"/ipfs/{CID}%2f..%2fv1%2fgateways", 400), (f"/ipfs/{CID}", 406),
    ("/v1/gateways", 404), ("/", 404),
])  # fmt: skip
def test_what_is_not_here_is_refused_and_nothing_else_of_the_agent_s_is_reached(
    tmp_path: Path, path: str, status_code: int
) -> None:
    async def scenario(door: Open) -> None:
        answer = await door.client.get(path)
        assert answer.status_code == status_code, answer.text
        assert set(answer.json()) == {"error", "hint"}

    play(tmp_path, scenario)


def test_uploads_pass_with_their_signature_and_are_counted_for_whoever_sent_them(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        headers = put_headers(GID, CID, ALICE, NOW_S + 60)
        assert (await door.client.put(f"/ipfs/{CID}", content=BLOCK, headers=headers)).status_code == 201
        assert door.store.get(CID) == BLOCK
        assert (await door.client.put(f"/ipfs/{CID}", content=b"x")).status_code in (400, 403)
        sent = []
        for number in range(7):  # six documents a minute from one address
            document = DOCUMENT + bytes([number])
            sent.append((await door.client.put(f"/ipfs/{cid_of(document)}", content=document)).status_code)
        assert sent[-1] == 429
        late = await door.client.put(f"/ipfs/{cid_of(DOCUMENT)}", content=DOCUMENT)
        assert late.headers["retry-after"]
        assert "access-control-allow-origin" not in late.headers

    play(tmp_path, scenario)


def test_a_body_that_trickles_or_is_too_long_never_reaches_the_agent(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        _, writer = await asyncio.open_connection(*door.address)
        writer.write(f"PUT /ipfs/{CID} HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nan".encode())
        reader, other = await asyncio.open_connection(*door.address)
        length = MAX_BLOCK_BYTES + 1
        other.write(f"PUT /ipfs/{CID} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nan".encode())
        assert (await reader.readline()).split()[1] == b"413"
        writer.close()
        other.close()

    play(tmp_path, scenario, upload_s=0.2)


@pytest.mark.parametrize(("over", "status_code"), [(0, 503), (1, 400)])
def test_a_name_that_is_longer_than_any_cid_is_asked_for_nowhere(tmp_path: Path, over: int, status_code: int) -> None:
    """The agent is down: 503 says that it was asked."""

    async def scenario(door: Open) -> None:
        answer = await door.client.get(f"/ipfs/{'b' * (MAX_CID_CHARS + over)}?format=raw")
        assert answer.status_code == status_code, answer.text

    play(tmp_path, scenario, blocks_socket=tmp_path / "nobody.sock")


def test_where_the_agent_is_down_that_is_said(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        answer = await door.client.get(f"/ipfs/{CID}?format=raw")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")

    play(tmp_path, scenario, blocks_socket=tmp_path / "nobody.sock")


def test_streams_calls_and_idle_connections_to_their_bounds_keep_no_fiduciary_from_a_block(tmp_path: Path) -> None:
    """Each budget is used up by strangers of many addresses; the fiduciary's address has none of its own in use."""

    async def run() -> None:
        async with opened(
            tmp_path, max_streams=4, max_connections=6, max_ipfs=2, max_rpc=2, max_reserved=2, max_reads=2,
            fiduciary_addresses=frozenset({"127.0.9.9"}),
        ) as door:
            await door.until(lambda: bool(door.door.follower.known.fiduciaries), "the fiduciaries' addresses")
            door.store.put(BLOCK)
            held = []
            for number in range(4):
                held.append(await strange(door, number, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n"))
            await door.until(lambda: len(door.door.budgets.streams) == 4, "four streams")
            for number in range(2):
                put = f"PUT /ipfs/{CID} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"
                held.append(await strange(door, 10 + number, put))
            await door.until(lambda: len(door.door.budgets.ipfs) == 2, "two uploads")
            for number in range(2):
                call = "POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\nx"
                held.append(await strange(door, 20 + number, call))
            await door.until(lambda: len(door.door.budgets.rpc) == 2, "two calls")
            for number in range(6):
                held.append(await strange(door, 30 + number, ""))
            status = await asyncio.wait_for(from_address(door, "127.0.9.9"), PATIENCE_S)
            assert status == 200
            for writer in held:
                writer.close()

    asyncio.run(run())


async def strange(door: Open, number: int, sent: str) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection(*door.address, local_addr=(f"127.0.1.{1 + number}", 0))
    writer.write(sent.encode())
    return writer


async def from_address(door: Open, address: str) -> int:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(transport=transport, base_url=door.client.base_url) as client:
        return (await client.get(f"/ipfs/{CID}?format=raw")).status_code
