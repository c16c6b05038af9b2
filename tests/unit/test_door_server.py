"""The door itself: health, status, who may read it from a browser, TLS that follows its files, a home of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from door_harness import CHAIN_ID, IDENTITY, Comet, Open, opened, play

from dta.base.config import DoorSettings, NodeConfig, load_node_config, write_node_config
from dta.base.errors import Unreachable, UsageError
from dta.base.keystore_config import KeystoreConfig
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc, door_rpc
from dta.http.tls import OwnTls, vouched_by
from dta.node.agent.agent import gateway_config
from dta.node.door.main import door_config
from dta.node.gateway.server import GatewayConfig
from tests.support import smuggling
from tests.support.certificates import Authority


def test_live_is_said_always_and_ready_only_where_ledger_blocks_and_events_are(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        known = door.door.follower.known
        await door.until(lambda: known.status is not None and bool(known.agent_at_s), "what is behind the door")
        await door.until(lambda: door.door._index.height == 1, "the index")
        answer = await door.client.get("/health/ready")
        assert (answer.status_code, answer.json()["ready"]) == (200, True)
        assert (await door.client.get("/v1/status")).json() == {
            "chain_id": CHAIN_ID, "identity": IDENTITY.hex(), "height": 1, "block_time_s": 1_767_225_600,
            "catching_up": False, "acting": False, "due": 0, "events": {"from_height": 1, "height": 1}, "ready": True,
        }  # fmt: skip
        door.comet.catching_up = True
        await door.until(lambda: known.status is not None and known.status.catching_up, "a node that catches up")
        answer = await door.client.get("/health/ready")
        assert (answer.status_code, answer.json()["checks"]["ledger"]) == (503, False)
        assert (await door.client.get("/health/live")).json() == {"live": True}

    play(tmp_path, scenario, Comet(blocks=[()]))


def test_a_door_with_nothing_behind_it_is_live_and_not_ready(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        assert (await door.client.get("/health/live")).status_code == 200
        answer = await door.client.get("/health/ready")
        assert answer.json() == {"ready": False, "checks": {"ledger": False, "blocks": False, "events": False}}

    nowhere = tmp_path / "nobody.sock"
    play(tmp_path, scenario, rpc_url="http://127.0.0.1:1", blocks_socket=nowhere)


def test_a_browser_may_read_from_anywhere_and_never_with_credentials(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
        preflight = await door.client.options("/rpc", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert "content-type" in preflight.headers["access-control-allow-headers"].lower()
        reads = [
            await door.client.get("/v1/status"), await door.client.get("/v1/search"), await door.call("commit"),
            await door.call("genesis"), await door.client.get("/health/live"),
        ]  # fmt: skip
        for answer in [*reads, preflight]:
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers
        assert "access-control-allow-origin" not in (await door.call("broadcast_tx_sync", tx="YWJj")).headers

    play(tmp_path, scenario)


@pytest.mark.parametrize("sent", smuggling.REFUSED)
def test_a_request_of_two_lengths_is_refused_and_never_sent_on(tmp_path: Path, sent: bytes) -> None:
    async def scenario(door: Open) -> None:
        reader, writer = await asyncio.open_connection(*door.address)
        writer.write(sent)
        answer = await reader.read()  # to the end: a connection of which one request was no request takes no other
        assert answer.split()[1] == b"400"
        assert answer.count(b"HTTP/1.") == 1
        assert not [call for call in door.comet.calls if call["method"] != "status"]
        writer.close()

    play(tmp_path, scenario)


def test_a_connection_that_sends_its_request_slowly_is_cut(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        reader, writer = await asyncio.open_connection(*door.address)
        writer.write(b"GET /v1/status HTTP/1.1\r\nHost: ")
        with suppress(ConnectionError):
            assert await reader.read() == b""
        assert reader.at_eof() or reader.exception() is not None
        writer.close()

    play(tmp_path, scenario, connection_s=0.3)


# --- TLS ------------------------------------------------------------------------------------------------------
def test_a_client_that_takes_a_private_authority_reads_through_tls_and_another_does_not(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    certificate, key = tmp_path / "door.pem", tmp_path / "door.key"
    ours.write(certificate, key)

    async def run() -> None:
        tls = OwnTls(certificate, key)
        context = vouched_by(ours.file)
        assert isinstance(context, ssl.SSLContext)
        async with opened(tmp_path, Comet(blocks=[()]), tls.context, verify=context) as door:
            assert (await door.client.get("/health/live")).status_code == 200
            url = door_rpc(str(door.client.base_url))

            def height(authority: Path | None) -> int:
                with Rpc(url, verify=vouched_by(authority)) as rpc:
                    return rpc.call(requests.status()).latest_height

            assert await asyncio.to_thread(height, ours.file) == 1
            for stranger in (others.file, None):
                with pytest.raises(Unreachable, match=r"(?i)certificate"):
                    await asyncio.to_thread(height, stranger)

    asyncio.run(run())


def test_a_certificate_is_read_again_when_it_changes_and_the_old_one_stays_while_the_new_is_bad(tmp_path: Path) -> None:
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    certificate, key = tmp_path / "door.pem", tmp_path / "door.key"
    first.write(certificate, key)

    async def run() -> None:
        tls = OwnTls(certificate, key)
        async with opened(tmp_path, tls=tls.context) as door:

            async def served_by() -> list[str]:
                found = []
                for authority in (first, second):
                    context = vouched_by(authority.file)
                    async with httpx.AsyncClient(base_url=door.client.base_url, verify=context) as client:
                        try:
                            await client.get("/health/live")
                        except httpx.ConnectError:
                            continue
                        found.append(authority.file.stem)
                return found

            assert await served_by() == ["first"]
            assert not tls.look()
            key.write_text("no key at all")
            assert not tls.look()
            assert await served_by() == ["first"]
            second.write(certificate, key)
            assert tls.look()
            assert await served_by() == ["second"]

    asyncio.run(run())


def test_a_certificate_that_could_not_be_read_once_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """(!) As where rights came a moment after the files, or descriptors had run out: nothing of the files changes."""
    certificate, key = tmp_path / "door.pem", tmp_path / "door.key"
    Authority(tmp_path, "first").write(certificate, key)
    now_s = 100.0
    tls = OwnTls(certificate, key, lambda: now_s)
    Authority(tmp_path, "second").write(certificate, key)

    def hindered(_tls: OwnTls) -> ssl.SSLContext:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(OwnTls, "_load", hindered)
        for at_s, said in ((100.0, 1), (159.0, 1), (160.0, 2)):
            now_s = at_s
            assert not tls.look()
            assert len([record for record in caplog.records if "Permission denied" in record.message]) == said
    assert tls.look()
    assert not tls.look()


def spoilt_certificate(certificate: Path, key: Path) -> None:
    certificate.write_text("none")


def sealed_key(certificate: Path, key: Path) -> None:
    found = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(found.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    ))  # fmt: skip


@pytest.mark.parametrize("spoil", [spoilt_certificate, sealed_key, lambda certificate, key: key.unlink()])
def test_a_certificate_that_can_not_be_used_is_said_at_the_start(
    tmp_path: Path, spoil: Callable[[Path, Path], None]
) -> None:
    certificate, key = tmp_path / "door.pem", tmp_path / "door.key"
    Authority(tmp_path, "ours").write(certificate, key)
    spoil(certificate, key)
    with pytest.raises(UsageError, match="can't be used") as caught:
        OwnTls(certificate, key)
    assert str(certificate) in caught.value.message


def test_an_authority_s_file_that_holds_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("none")
    for missing in ("ca", "nowhere"):
        with pytest.raises(UsageError):
            vouched_by(tmp_path / missing)


# --- configuration --------------------------------------------------------------------------------------------
def node_config(home: Path, gateway: DoorSettings) -> NodeConfig:
    keystore = KeystoreConfig("software", path=home / "node.keys", pin_file=home / "pin")
    return NodeConfig(home, "chain-1", bytes(32), keystore, "http://127.0.0.1:26657", ("127.0.0.1", 8180), gateway)


def test_what_node_toml_says_of_the_door_is_read_as_it_was_written(tmp_path: Path) -> None:
    for settings in (
        DoorSettings(),
        DoorSettings(
            tls_certificate=tmp_path / "tls/door.pem", tls_key=Path("/elsewhere/door.key"),
            trusted_proxies=("10.0.0.1", "::1"), fiduciary_addresses=("192.0.2.1",), rpc_units_per_minute=60,
            identity_uploads_per_minute=7, address_uploads_per_minute=8, socket=Path("/run/dta/gateway.sock"),
            start_door=False,
        ),
    ):  # fmt: skip
        written = node_config(tmp_path, settings)
        write_node_config(written)
        assert load_node_config(tmp_path) == written
    config = door_config(written)
    assert config.trusted_proxies == {"10.0.0.1", "::1"}
    assert (config.rpc_units_per_minute, config.blocks_socket) == (60, Path("/run/dta/gateway.sock"))
    behind = gateway_config(written)
    assert (behind.identity_uploads_per_minute, behind.address_uploads_per_minute) == (7, 8)


def test_a_gateway_and_node_toml_have_the_same_rates_where_nothing_is_said(tmp_path: Path) -> None:
    plain, behind = GatewayConfig(), gateway_config(node_config(tmp_path, DoorSettings()))
    assert behind.identity_uploads_per_minute == plain.identity_uploads_per_minute
    assert behind.address_uploads_per_minute == plain.address_uploads_per_minute


def test_a_certificate_without_its_key_and_a_proxy_that_is_no_address_are_refused(tmp_path: Path) -> None:
    plain = DoorSettings()
    for wrong in (replace(plain, tls_certificate=tmp_path / "x"), replace(plain, trusted_proxies=("proxy.example",))):
        with pytest.raises(UsageError):
            write_node_config(node_config(tmp_path, wrong))
