"""Every way in which the gateway takes or refuses an upload, over real sockets on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_harness import (
    ALICE,
    BLOCK,
    BOB,
    CAROL,
    CID,
    DOCUMENT,
    GID,
    NOW_S,
    PORTS,
    SUSPENDED,
    Running,
    assert_refused,
    play,
)

from abci_app.cid import cid_of
from dta.blocks.auth import MAX_CLAIM_S, put_headers, put_statement
from dta.blocks.errors import StoreFull
from dta.blocks.store import MAX_BLOCK_BYTES
from dta.http.quota import MIN_CHARGE_BYTES
from dta.node.gateway.server import GUESS_COST, GatewayConfig


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
        codes = [(await gateway.put(BLOCK, expires_s=NOW_S + 60 + number)).status_code for number in range(3)]
        assert codes == [201, 200, 429]
        assert (await gateway.put(BLOCK, BOB)).status_code == 200
        gateway.clock[0] += 31
        assert (await gateway.put(BLOCK, expires_s=NOW_S + 70)).status_code == 200

    play(tmp_path, scenario, GatewayConfig(identity_uploads_per_minute=2))


def test_bad_signatures_do_not_use_up_the_identity_s_rate(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        forged = put_headers(GID, CID, ALICE, NOW_S + 60) | {"DTA-Signature": "11" * 64}
        for _ in range(5):
            assert_refused(await gateway.client.put(f"/ipfs/{CID}", content=BLOCK, headers=forged), 403)
        assert (await gateway.put(BLOCK)).status_code == 201

    play(tmp_path, scenario, GatewayConfig(identity_uploads_per_minute=1))


def test_an_address_that_only_guesses_is_stopped(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        codes = [(await gateway.put(BLOCK, SUSPENDED)).status_code for _ in range(4)]
        assert codes == [403, 403, 403, 429]

    play(tmp_path, scenario, GatewayConfig(address_uploads_per_minute=2 * GUESS_COST + 1))


def test_what_an_identity_has_outstanding_is_bounded_until_it_is_named_or_lapses(tmp_path: Path) -> None:
    config = GatewayConfig(identity_bytes=20_000, grace_s=100)
    blocks = [bytes([number]) * 8_000 for number in range(4)]

    async def scenario(gateway: Running) -> None:
        assert (await gateway.put(blocks[0])).status_code == 201
        assert (await gateway.put(blocks[1])).status_code == 201
        assert (await gateway.put(blocks[1])).status_code == 200
        assert_refused(await gateway.put(blocks[2]), 429)
        assert not gateway.store.has(cid_of(blocks[2]))
        assert (await gateway.put(blocks[2], BOB)).status_code == 201
        gateway.gateway.named([cid_of(blocks[0])])
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


def test_identities_that_fill_all_that_may_be_unpinned_shut_nobody_out(tmp_path: Path) -> None:
    """Thirty-two identities, with 16 MiB each of 512, held an upload of anybody else's off for a day."""
    floods = [bytes([number]) * 8_000 for number in range(4)]

    async def scenario(gateway: Running) -> None:
        for number, block in enumerate(floods):
            assert (await gateway.put(block, (ALICE, BOB)[number % 2])).status_code == 201
        assert (await gateway.put(b"c" * 8_000, CAROL)).status_code == 201
        held = [gateway.store.has(cid_of(block)) for block in floods]
        assert held.count(False) == 1, "one block gave way"
        assert False in held[:2], "an oldest one, of whoever had most"
        # Whoever has as much as anybody takes nobody's place.
        assert_refused(await gateway.put(b"d" * 8_000, ALICE if not held[0] else BOB), 507)

    play(tmp_path, scenario, GatewayConfig(unpinned_bytes=32_000, identity_bytes=16_000))


def test_identities_that_upload_the_same_shut_nobody_out(tmp_path: Path) -> None:
    """What two had uploaded gave way to nobody: a few, each with all of another's blocks, had the room for a day."""

    async def scenario(gateway: Running) -> None:
        shared = [bytes([number]) * 8_000 for number in range(2)]
        for block in shared:
            assert (await gateway.put(block, ALICE)).status_code == 201
            assert (await gateway.put(block, BOB)).status_code == 200
        for number, held in enumerate(([True, True], [False, True])):
            assert (await gateway.put(bytes([9 - number]) * MIN_CHARGE_BYTES, CAROL)).status_code == 201
            # First a charge gives way, and with the other's the block.
            assert [gateway.store.has(cid_of(block)) for block in shared] == held

    play(tmp_path, scenario, GatewayConfig(unpinned_bytes=32_000, identity_bytes=16_000))


def test_a_block_that_others_filled_the_room_with_is_taken_of_who_has_less(tmp_path: Path) -> None:
    """It takes no room in the store, but has to be charged to Carol too: 507, though whoever had most had more."""

    async def scenario(gateway: Running) -> None:
        floods = [bytes([number]) * 8_000 for number in range(4)]
        for number, block in enumerate(floods):
            assert (await gateway.put(block, (ALICE, BOB)[number % 2])).status_code == 201
        assert (await gateway.put(floods[3], CAROL)).status_code == 200
        assert [gateway.store.has(cid_of(block)) for block in floods] == [False, True, True, True]
        assert gateway.gateway._identities.bytes_of(CAROL.identity) == 8_000

    play(tmp_path, scenario, GatewayConfig(unpinned_bytes=32_000, identity_bytes=16_000))


def test_addresses_that_fill_the_room_for_documents_shut_no_newcomer_out(tmp_path: Path) -> None:
    config = GatewayConfig(
        document_bytes=4 * MIN_CHARGE_BYTES, document_bytes_per_address=2 * MIN_CHARGE_BYTES,
        documents_per_minute=100, trusted_proxies=frozenset({"127.0.0.1"}),
    )  # fmt: skip

    async def scenario(gateway: Running) -> None:
        async def upload(address: str, number: int) -> int:
            block, headers = b"document: %d" % number, {"X-Forwarded-For": address}
            return (await gateway.client.put(f"/ipfs/{cid_of(block)}", content=block, headers=headers)).status_code

        for number in range(4):
            assert await upload(f"192.0.2.{number % 2}", number) == 201
        assert await upload("192.0.2.9", 9) == 201
        assert sum(gateway.store.has(cid_of(b"document: %d" % number)) for number in range(4)) == 3

    play(tmp_path, scenario, config)


def test_a_full_disk_is_507_and_charges_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(block: bytes) -> str:
        raise StoreFull("disk", len(block))

    async def scenario(gateway: Running) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(gateway.store, "put", full)
            assert_refused(await gateway.put(BLOCK), 507)
        assert (await gateway.put(BLOCK)).status_code == 201

    play(tmp_path, scenario, GatewayConfig(identity_bytes=MIN_CHARGE_BYTES))


def test_the_statement_of_an_upload_is_written_as_the_specification_says() -> None:
    statement = put_statement(GID, CID, ALICE.identity, 5)
    parts = [b"DTA-v1-put", GID, CID.encode(), ALICE.identity, (5).to_bytes(8, "big")]
    assert statement == b"".join(len(part).to_bytes(4, "big") + part for part in parts)
