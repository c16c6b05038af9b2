"""Uploads that give way to others while a store is slow: what is needed again by then stays."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_harness import ALICE, BOB, CAROL, DOCUMENT, NOW_S, PORTS, Running, play

from abci_app.cid import cid_of
from dta.http.quota import MIN_CHARGE_BYTES
from dta.node.gateway.server import GatewayConfig
from tests.support.patience import PATIENCE_S

ROOM = 4
SMALL = GatewayConfig(unpinned_bytes=ROOM * MIN_CHARGE_BYTES, identity_bytes=ROOM * MIN_CHARGE_BYTES)
BLOCKS = [bytes([number]) * MIN_CHARGE_BYTES for number in range(ROOM)]
CIDS = [cid_of(block) for block in BLOCKS]
NEW = b"n" * MIN_CHARGE_BYTES


class Slow:
    """A call of the store that has begun, and does its work when it is let go on."""

    def __init__(self, gateway: Running, monkeypatch: pytest.MonkeyPatch, name: str, only: object) -> None:
        self.begun, self.goes_on = threading.Event(), threading.Event()
        real = getattr(gateway.store, name)

        def slow(what: object, *args: object) -> object:
            if what == only and not self.begun.is_set():
                self.begun.set()
                assert self.goes_on.wait(PATIENCE_S)
            return real(what, *args)

        monkeypatch.setattr(gateway.store, name, slow)

    @asynccontextmanager
    async def meanwhile(self, upload: Callable[[], object]) -> AsyncIterator[asyncio.Task[int]]:
        """What is done within is done between the call and its work."""

        async def code() -> int:
            return (await upload()).status_code  # type: ignore[misc,no-any-return]

        task = asyncio.create_task(code())
        try:
            assert await asyncio.to_thread(self.begun.wait, PATIENCE_S)
            yield task
        finally:
            self.goes_on.set()


async def filled(gateway: Running) -> None:
    for block in BLOCKS:
        assert (await gateway.put(block)).status_code == 201


def test_what_state_names_before_it_is_deleted_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gave way a moment ago, and is not pinned yet."""
    named: set[str] = set()

    async def scenario(gateway: Running) -> None:
        await filled(gateway)
        async with Slow(gateway, monkeypatch, "discard", CIDS[0]).meanwhile(lambda: gateway.put(NEW, BOB)) as put:
            named.add(CIDS[0])
        assert await put == 201
        assert [gateway.store.has(cid) for cid in CIDS] == [True, False, True, True], "the next one went"

    play(tmp_path, scenario, SMALL, replace(PORTS, names=named.__contains__))


def test_what_is_uploaded_again_before_it_is_deleted_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was answered, charged again, and then deleted."""

    async def scenario(gateway: Running) -> None:
        await filled(gateway)
        async with Slow(gateway, monkeypatch, "discard", CIDS[0]).meanwhile(lambda: gateway.put(NEW, BOB)) as put:
            again = await gateway.put(BLOCKS[0], expires_s=NOW_S + 61)
        assert again.status_code == 200
        assert await put == 201
        assert gateway.store.has(CIDS[0])
        assert gateway.gateway._identities.is_charged(CIDS[0], ALICE.identity)
        assert gateway.store.unpinned_bytes() == ROOM * MIN_CHARGE_BYTES

    play(tmp_path, scenario, SMALL)


def test_what_gives_way_while_it_is_stored_is_kept_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was stored all the same, charged to nobody, and gave way to nobody for a day."""

    async def scenario(gateway: Running) -> None:
        async with Slow(gateway, monkeypatch, "put", BLOCKS[0]).meanwhile(lambda: gateway.put(BLOCKS[0])) as put:
            for block in BLOCKS[1:]:
                assert (await gateway.put(block)).status_code == 201
            other = asyncio.create_task(gateway.put(NEW, BOB))
            assert (await other).status_code == 201
        assert await put == 507
        assert not gateway.store.has(CIDS[0])
        assert gateway.store.unpinned_bytes() == (ROOM - 1) * MIN_CHARGE_BYTES

    play(tmp_path, scenario, SMALL)


def test_a_document_that_an_identity_uploaded_too_does_not_go_with_its_charge(tmp_path: Path) -> None:
    async def scenario(gateway: Running) -> None:
        assert (await gateway.put(DOCUMENT)).status_code == 201
        assert (await gateway.put(DOCUMENT, signer=None)).status_code == 200
        for block in BLOCKS[: ROOM - 1]:
            assert (await gateway.put(block)).status_code == 201
        assert (await gateway.put(NEW, CAROL)).status_code == 201
        assert gateway.store.has(cid_of(DOCUMENT))
        assert not gateway.store.has(CIDS[0])

    play(tmp_path, scenario, SMALL)
