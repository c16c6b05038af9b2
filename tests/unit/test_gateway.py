"""The gateway over real sockets on loopback: what it serves, and every way in which it refuses an upload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from nacl.signing import SigningKey

from abci_app.cid import cid_of, digest_of
from dta.ipfs.auth import MAX_CLAIM_S, put_headers, put_statement
from dta.ipfs.embedded import EmbeddedStore
from dta.ipfs.errors import StoreFull
from dta.ipfs.gateway import Gateway, GatewayConfig, GatewayPorts
from dta.ipfs.quota import MIN_CHARGE_BYTES
from dta.ipfs.store import MAX_BLOCK_BYTES

GID = bytes(range(32))
NOW_S = 1_800_000_000
RAW = "application/vnd.ipld.raw"
BLOCK = b"an envelope"
CID = cid_of(BLOCK)
DOCUMENT = b"document: alice"


@dataclass
class Signer:
    """An identity with an Ed25519 key from a seed."""

    seed: bytes
    identity: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.key = SigningKey(self.seed)
        self.identity = bytes(reversed(self.seed))

    def sign(self, statement: bytes) -> bytes:
        return self.key.sign(statement).signature


ALICE = Signer(b"a" * 32)
BOB = Signer(b"b" * 16 + b"B" * 16)
SUSPENDED = Signer(b"s" * 16 + b"S" * 16)
KEYS = {signer.identity: [bytes(31) + b"\x09", bytes(signer.key.verify_key)] for signer in (ALICE, BOB)}


async def identity_keys(identity: bytes) -> list[bytes] | None:
    return KEYS.get(identity)


async def status() -> Mapping[str, object]:
    return {"height": 7}


PORTS = GatewayPorts(identity_keys, lambda block: block.startswith(b"document:"), status)


@dataclass
class Running:
    """A gateway that listens, a client for it, and its clock."""

    store: EmbeddedStore
    client: httpx.AsyncClient
    address: tuple[str, int]
    clock: list[float]

    async def put(
        self, block: bytes, signer: Signer | None = ALICE, cid: str | None = None, expires_s: int = NOW_S + 60
    ) -> httpx.Response:
        cid = cid or cid_of(block)
        headers = put_headers(GID, cid, signer, expires_s) if signer else {}
        return await self.client.put(f"/ipfs/{cid}", content=block, headers=headers)

    async def get(self, cid: str, **headers: str) -> httpx.Response:
        return await self.client.get(f"/ipfs/{cid}?format=raw", headers=headers)

    async def get_when_let_in(self, cid: str) -> int:
        """The status of a GET, tried until the connection is taken."""
        while True:
            with suppress(httpx.HTTPError):
                return (await self.get(cid)).status_code
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(
    directory: Path, config: GatewayConfig | None = None, ports: GatewayPorts = PORTS
) -> AsyncIterator[Running]:
    clock = [0.0]
    store = EmbeddedStore(directory)
    config = replace(config or GatewayConfig(), port=0)
    gateway = Gateway(store, GID, ports, config, now_s=lambda: NOW_S + clock[0], monotonic_s=lambda: clock[0])
    address = await gateway.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{address[0]}:{address[1]}", trust_env=False) as client:
            yield Running(store, client, address, clock)
    finally:
        await gateway.stop()
        store.close()


Scenario = Callable[[Running], Awaitable[None]]


def play(directory: Path, scenario: Scenario, config: GatewayConfig | None = None, ports: GatewayPorts = PORTS) -> None:
    async def run() -> None:
        async with running(directory, config, ports) as gateway:
            await asyncio.wait_for(scenario(gateway), 60)

    asyncio.run(run())


def assert_refused(response: httpx.Response, status_code: int) -> None:
    assert response.status_code == status_code, response.text
    assert set(response.json()) == {"error", "hint"}
    assert response.headers["content-type"].startswith("application/json")


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


def test_a_signed_upload_is_stored_and_an_upload_repeated_is_harmless(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        first = await gateway.put(BLOCK)
        assert (first.status_code, first.json()) == (201, {"cid": CID})
        assert (await gateway.put(BLOCK)).status_code == 200
        assert (await gateway.put(bytes(MAX_BLOCK_BYTES))).status_code == 201
        assert (await gateway.get(CID)).content == BLOCK
        assert not gateway.store.is_pinned(CID)

    play(tmp_path, scenario)


def test_bytes_that_do_not_hash_to_the_cid_are_refused(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        assert_refused(await gateway.put(b"something else", cid=CID), 400)
        assert gateway.store.cids() == []

    play(tmp_path, scenario)


def test_signatures_that_do_not_cover_this_upload_are_refused(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        async def refused(headers: dict[str, str]) -> None:
            response = await gateway.client.put(f"/ipfs/{CID}", content=BLOCK, headers=headers)
            assert_refused(response, 403)

        good = put_headers(GID, CID, ALICE, NOW_S + 60)
        await refused(good | {"DTA-Identity": BOB.identity.hex()})
        await refused(good | {"DTA-Expires": str(NOW_S + 61)})
        await refused(good | {"DTA-Signature": "00" * 64})
        await refused(put_headers(bytes(32), CID, ALICE, NOW_S + 60))
        await refused(put_headers(GID, cid_of(b"another"), ALICE, NOW_S + 60))
        await refused(put_headers(GID, CID, SUSPENDED, NOW_S + 60))
        assert gateway.store.cids() == []

    play(tmp_path, scenario)


@pytest.mark.parametrize("expires_s", [0, NOW_S - 1, NOW_S, NOW_S + MAX_CLAIM_S + 1, 2**53 - 1])
def test_signatures_that_expired_or_last_too_long_are_refused(tmp_path: Path, expires_s: int) -> None:
    async def scenario(gateway: Running) -> None:
        assert_refused(await gateway.put(BLOCK, expires_s=expires_s), 403)

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "change",
    [
        {"DTA-Identity": "zz"},
        {"DTA-Identity": "00 " * 21 + "0"},
        {"DTA-Expires": "-1"},
        {"DTA-Expires": "soon"},
        {"DTA-Expires": "9" * 5000},
        {"DTA-Signature": ""},
        {"DTA-Signature": "0" * 130},
    ],
)
def test_malformed_headers_are_refused(tmp_path: Path, change: dict[str, str]) -> None:
    async def scenario(gateway: Running) -> None:
        headers = put_headers(GID, CID, ALICE, NOW_S + 60) | change
        assert_refused(await gateway.client.put(f"/ipfs/{CID}", content=BLOCK, headers=headers), 400)

    play(tmp_path, scenario)


def test_an_upload_without_its_identity_is_not_taken_for_an_unsigned_one(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        headers = put_headers(GID, cid_of(DOCUMENT), ALICE, NOW_S + 60)
        del headers["DTA-Identity"]
        response = await gateway.client.put(f"/ipfs/{cid_of(DOCUMENT)}", content=DOCUMENT, headers=headers)
        assert_refused(response, 400)

    play(tmp_path, scenario)


def test_a_state_that_cannot_be_read_is_no_refusal_of_the_identity(tmp_path: Path) -> None:
    async def broken(identity: bytes) -> list[bytes] | None:
        raise OSError("the application's socket is gone")

    async def scenario(gateway: Running) -> None:
        assert_refused(await gateway.put(BLOCK), 503)

    play(tmp_path, scenario, ports=replace(PORTS, identity_keys=broken))


def test_a_block_over_the_limit_is_refused_whether_its_length_is_said_or_not(tmp_path: Path) -> None:
    big = bytes(MAX_BLOCK_BYTES + 1)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield bytes(65_536)

    async def scenario(gateway: Running) -> None:
        assert_refused(await gateway.put(big), 413)
        headers = put_headers(GID, CID, ALICE, NOW_S + 60)
        assert_refused(await gateway.client.put(f"/ipfs/{CID}", content=chunks(), headers=headers), 413)

    play(tmp_path, scenario)


def test_a_compressed_body_is_not_unpacked(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        headers = put_headers(GID, CID, ALICE, NOW_S + 60) | {"Content-Encoding": "deflate"}
        assert_refused(await gateway.client.put(f"/ipfs/{CID}", content=b"\x78\x9c", headers=headers), 400)

    play(tmp_path, scenario)


def test_an_unregistered_subject_may_upload_its_identity_document_and_nothing_else(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        assert (await gateway.put(DOCUMENT, signer=None)).status_code == 201
        assert_refused(await gateway.put(BLOCK, signer=None), 403)
        assert_refused(await gateway.put(DOCUMENT + bytes(16_384), signer=None), 413)
        assert gateway.store.cids() == [cid_of(DOCUMENT)]

    play(tmp_path, scenario)


def test_an_address_has_a_quota_of_unsigned_documents(tmp_path: Path) -> None:
    config = GatewayConfig(documents_per_minute=100, document_bytes_per_address=2 * MIN_CHARGE_BYTES)

    async def scenario(gateway: Running) -> None:
        for number in range(2):
            assert (await gateway.put(DOCUMENT + bytes([number]), signer=None)).status_code == 201
        assert_refused(await gateway.put(DOCUMENT + b"more", signer=None), 429)
        assert (await gateway.put(BLOCK)).status_code == 201

    play(tmp_path, scenario, config)


def test_unsigned_documents_are_rate_limited_by_address(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        for number in range(2):
            assert (await gateway.put(DOCUMENT + bytes([number]), signer=None)).status_code == 201
        refused = await gateway.put(DOCUMENT + b"more", signer=None)
        assert_refused(refused, 429)
        assert refused.headers["retry-after"] == "30"
        gateway.clock[0] += 30
        assert (await gateway.put(DOCUMENT + b"more", signer=None)).status_code == 201

    play(tmp_path, scenario, GatewayConfig(documents_per_minute=2))


def test_a_trusted_proxy_s_clients_have_quotas_of_their_own(tmp_path: Path) -> None:
    config = GatewayConfig(documents_per_minute=1, trusted_proxies=frozenset({"127.0.0.1"}))

    async def scenario(gateway: Running) -> None:
        async def upload(number: int, forwarded: str) -> int:
            block = DOCUMENT + bytes([number])
            headers = {"X-Forwarded-For": forwarded}
            return (await gateway.client.put(f"/ipfs/{cid_of(block)}", content=block, headers=headers)).status_code

        assert await upload(1, "192.0.2.1") == 201
        assert await upload(2, "192.0.2.2") == 201
        assert await upload(3, "198.51.100.7, 192.0.2.1") == 429
        assert await upload(4, "2001:db8::1") == 201
        assert await upload(5, "2001:db8::2") == 429

    play(tmp_path, scenario, config)


def test_an_identity_s_uploads_are_rate_limited_and_another_s_are_not(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        assert [(await gateway.put(BLOCK)).status_code for _ in range(3)] == [201, 200, 429]
        assert (await gateway.put(BLOCK, BOB)).status_code == 200
        gateway.clock[0] += 31
        assert (await gateway.put(BLOCK)).status_code == 200

    play(tmp_path, scenario, GatewayConfig(identity_requests_per_minute=2))


def test_bad_signatures_do_not_use_up_the_identity_s_rate(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        forged = put_headers(GID, CID, ALICE, NOW_S + 60) | {"DTA-Signature": "11" * 64}
        for _ in range(5):
            assert_refused(await gateway.client.put(f"/ipfs/{CID}", content=BLOCK, headers=forged), 403)
        assert (await gateway.put(BLOCK)).status_code == 201

    play(tmp_path, scenario, GatewayConfig(identity_requests_per_minute=1))


def test_an_address_that_only_guesses_is_stopped(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        codes = [(await gateway.put(BLOCK, SUSPENDED)).status_code for _ in range(4)]
        assert codes == [403, 403, 403, 429]

    play(tmp_path, scenario, GatewayConfig(address_requests_per_minute=3))


def test_what_an_identity_has_outstanding_is_bounded_until_it_is_pinned_or_lapses(tmp_path: Path) -> None:
    config = GatewayConfig(identity_bytes=20_000, grace_s=100)
    blocks = [bytes([number]) * 8_000 for number in range(4)]

    async def scenario(gateway: Running) -> None:
        assert (await gateway.put(blocks[0])).status_code == 201
        assert (await gateway.put(blocks[1])).status_code == 201
        assert (await gateway.put(blocks[1])).status_code == 200
        assert_refused(await gateway.put(blocks[2]), 429)
        assert not gateway.store.has(cid_of(blocks[2]))
        assert (await gateway.put(blocks[2], BOB)).status_code == 201
        gateway.store.pin(cid_of(blocks[0]))
        assert (await gateway.put(blocks[3])).status_code == 201
        gateway.clock[0] += 100
        assert (await gateway.put(b"5" * 8_000, expires_s=NOW_S + 160)).status_code == 201

    play(tmp_path, scenario, config)


def test_many_small_blocks_count_for_the_room_that_they_take_on_disk(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        codes = [(await gateway.put(bytes([number]))).status_code for number in range(3)]
        assert codes == [201, 201, 429]

    play(tmp_path, scenario, GatewayConfig(identity_bytes=2 * MIN_CHARGE_BYTES))


def test_all_that_is_unpinned_has_one_cap(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        gateway.store.put(bytes(30_000))
        assert (await gateway.put(b"a" * 15_000)).status_code == 201
        assert_refused(await gateway.put(b"b" * 15_000, BOB), 507)
        gateway.store.pin(cid_of(bytes(30_000)))
        assert (await gateway.put(b"b" * 15_000, BOB)).status_code == 201

    play(tmp_path, scenario, GatewayConfig(unpinned_bytes=50_000))


def test_a_full_disk_is_507_and_charges_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(block: bytes) -> str:
        raise StoreFull("disk", len(block))

    async def scenario(gateway: Running) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(gateway.store, "put", full)
            assert_refused(await gateway.put(BLOCK), 507)
        assert (await gateway.put(BLOCK)).status_code == 201

    play(tmp_path, scenario, GatewayConfig(identity_bytes=MIN_CHARGE_BYTES))


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


def test_the_statement_of_an_upload_is_written_as_the_specification_says() -> None:
    statement = put_statement(GID, CID, ALICE.identity, 5)
    parts = [b"DTA-v1-put", GID, CID.encode(), ALICE.identity, (5).to_bytes(8, "big")]
    assert statement == b"".join(len(part).to_bytes(4, "big") + part for part in parts)
