"""A signed upload that others send again: its identity pays once, its block is stored once, and who repeats it pays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from gateway_harness import ALICE, BLOCK, CID, GID, KEYS, NOW_S, PORTS, Running, assert_refused, play

from dta.blocks.auth import MAX_CLAIM_S, put_headers
from dta.blocks.errors import StoreFull
from dta.http.quota import MIN_CHARGE_BYTES
from dta.node.gateway.claims import MAX_CLAIMS, Claims
from dta.node.gateway.server import GUESS_COST, GatewayConfig

ELSEWHERE, AT_HOME = "192.0.2.66", "198.51.100.1"
BEHIND = GatewayConfig(trusted_proxies=frozenset({"127.0.0.1"}))
SIGNED = put_headers(GID, CID, ALICE, NOW_S + 60)


async def sent(gateway: Running, address: str, body: bytes = BLOCK) -> httpx.Response:
    """The upload that Alice signed once, from wherever."""
    headers = SIGNED | {"X-Forwarded-For": address}
    return await gateway.client.put(f"/ipfs/{CID}", content=body, headers=headers)


def age(gateway: Running, seconds: float) -> None:
    """What is put from now on is put so much later."""
    now_s = gateway.store._now_s() + seconds
    gateway.store._now_s = lambda: now_s


def test_an_upload_that_others_send_again_uses_up_nothing_of_its_identity_s(tmp_path: Path) -> None:
    """A fiduciary that got it signed could send it to all others, 20 times a second: Alice had no uploads left."""

    async def scenario(gateway: Running) -> None:
        for _ in range(20):
            assert_refused(await sent(gateway, ELSEWHERE, b""), 400)
        assert (await sent(gateway, AT_HOME)).status_code == 201
        for _ in range(20):
            assert (await sent(gateway, ELSEWHERE)).status_code == 200
        assert (await gateway.put(b"another")).status_code == 201
        assert_refused(await gateway.put(b"a third"), 429)

    play(tmp_path, scenario, replace(BEHIND, identity_uploads_per_minute=2))


def test_who_only_repeats_is_stopped_and_whose_it_is_pays_for_one_upload(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        codes = [(await sent(gateway, ELSEWHERE, b"")).status_code for _ in range(5)]
        assert codes == [400, 400, 400, 429, 429], "one, and two guesses"
        assert (await sent(gateway, AT_HOME)).status_code == 201
        codes = [(await sent(gateway, AT_HOME)).status_code for _ in range(2 * GUESS_COST + 1)]
        assert codes == [200] * (2 * GUESS_COST) + [429], "each costs one: state is asked for no more"

    play(tmp_path, scenario, replace(BEHIND, address_uploads_per_minute=2 * GUESS_COST + 1))


def test_a_repeat_of_what_was_stored_asks_for_no_state_unless_the_block_is_gone(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def identity_keys(identity: bytes) -> list[bytes] | None:
        asked.append(identity)
        return KEYS.get(identity)

    async def scenario(gateway: Running) -> None:
        assert (await sent(gateway, AT_HOME)).status_code == 201
        for body, status in ((BLOCK, 200), (b"", 400), (BLOCK, 200)):
            assert (await sent(gateway, ELSEWHERE, body)).status_code == status
        assert len(asked) == 1
        forged = SIGNED | {"DTA-Signature": "11" * 64}
        assert_refused(await gateway.client.put(f"/ipfs/{CID}", content=BLOCK, headers=forged), 403)
        assert len(asked) == 2

    play(tmp_path, scenario, BEHIND, replace(PORTS, identity_keys=identity_keys))


def test_a_repeat_keeps_no_block_that_its_owner_was_done_with_and_charges_nobody(tmp_path: Path) -> None:
    """State named it and let it go: for a day it would have had Alice's room again, until she had none."""

    async def scenario(gateway: Running) -> None:
        assert (await sent(gateway, AT_HOME)).status_code == 201
        gateway.gateway.named([CID])
        gateway.store.unpin(CID)
        assert (await sent(gateway, ELSEWHERE)).status_code == 200
        assert gateway.store.is_let_go(CID)
        assert (await gateway.put(b"another")).status_code == 201

    play(tmp_path, scenario, replace(BEHIND, identity_bytes=MIN_CHARGE_BYTES))


def test_a_repeat_does_not_keep_an_upload_for_longer(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        assert (await sent(gateway, AT_HOME)).status_code == 201
        since_s = gateway.store._loose._since(CID)
        age(gateway, 30)
        assert (await sent(gateway, ELSEWHERE)).status_code == 200
        assert gateway.store._loose._since(CID) == since_s

    play(tmp_path, scenario, BEHIND)


def test_an_owner_s_upload_is_one_whoever_sent_its_signature_before(tmp_path: Path) -> None:
    """The block was here from long ago: answered at once it would go within the minute, and was told to be stored."""

    async def scenario(gateway: Running) -> None:
        gateway.store.put(BLOCK)
        age(gateway, 86_000)
        assert_refused(await sent(gateway, ELSEWHERE, b""), 400)
        assert (await sent(gateway, AT_HOME)).status_code == 200
        assert gateway.store._loose._since(CID) == gateway.store._now_s()
        assert gateway.gateway._identities.is_charged(CID, ALICE.identity)

    play(tmp_path, scenario, BEHIND)


def test_a_try_that_failed_is_repeated_by_its_owner_at_no_charge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(block: bytes) -> str:
        raise StoreFull("disk", len(block))

    async def scenario(gateway: Running) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(gateway.store, "put", full)
            assert_refused(await sent(gateway, AT_HOME), 507)
        assert (await sent(gateway, AT_HOME)).status_code == 201
        assert (await sent(gateway, AT_HOME)).status_code == 200

    play(tmp_path, scenario, replace(BEHIND, identity_uploads_per_minute=1))


@pytest.mark.parametrize("damaged", [False, True], ids=["gone", "damaged"])
def test_a_repeat_brings_back_a_block_that_is_not_here_any_more(tmp_path: Path, damaged: bool) -> None:
    async def scenario(gateway: Running) -> None:
        assert (await sent(gateway, AT_HOME)).status_code == 201
        path = gateway.store._path(CID)
        path.write_bytes(b"damaged") if damaged else path.unlink()
        assert (await sent(gateway, AT_HOME)).status_code == 201
        assert (await gateway.get(CID)).content == BLOCK

    play(tmp_path, scenario, BEHIND)


def test_a_repeat_is_out_of_date_with_its_signature(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        assert (await sent(gateway, AT_HOME)).status_code == 201
        gateway.clock[0] += 60
        assert_refused(await sent(gateway, AT_HOME), 403)

    play(tmp_path, scenario, BEHIND)


def test_an_upload_that_its_rate_refused_is_counted_when_it_is_taken(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        for block in (b"another", b"a third"):
            assert (await gateway.put(block)).status_code == 201
        assert_refused(await sent(gateway, AT_HOME), 429)
        gateway.clock[0] += 30
        assert (await sent(gateway, AT_HOME)).status_code == 201
        assert_refused(await gateway.put(b"a fourth"), 429)

    play(tmp_path, scenario, replace(BEHIND, identity_uploads_per_minute=2))


def test_whoever_signs_much_has_others_remembered_and_its_own_oldest_forgotten() -> None:
    now_s = 0.0
    claims = Claims(lambda: now_s)
    alice, mallory, sybil = (bytes([number]) * 32 for number in range(3))
    claims.count((alice, CID, 1), b"")
    for number in range(MAX_CLAIMS - 2):
        claims.count((mallory, CID, number), b"")
    claims.count((sybil, CID, 1), b"")
    assert claims.is_counted((mallory, CID, 0))
    claims.count((sybil, CID, 2), b"")
    assert [claims.is_counted((mallory, CID, number)) for number in (0, 1)] == [False, True]
    assert claims.is_counted((alice, CID, 1))
    assert claims.is_counted((sybil, CID, 1))
    assert len(claims._counted) == MAX_CLAIMS
    now_s = MAX_CLAIM_S
    assert not claims.is_counted((alice, CID, 1))
    assert (len(claims._counted), claims._of, len(claims._weights), claims._weights.heaviest()) == (0, {}, 0, None)
