"""Room for uploads, sustained: what the ledger named takes none of it, whether it was pinned or not."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from gateway_harness import ALICE, BOB, CAROL, NOW_S, PORTS, Running, Signer, assert_refused, running
from test_blocks_reconcile import run, settled, working
from test_gateway_peers import fetcher, honest
from test_hooks_pins import IDS, VAULT, Ledger, identity, order, request

from abci_app.cid import cid_of
from abci_app.server.changes import CommittedChanges
from abci_app.state.indexes import OPEN_REQUESTS, VAULT_ORDERS
from dta.blocks.peers import PeerFetcher
from dta.blocks.reconcile import PinKeeper
from dta.http.quota import MIN_CHARGE_BYTES
from dta.node.agent.pinning import PinFollower
from dta.node.agent.pins import WantedPins
from dta.node.gateway.server import GatewayConfig
from tests.support.memory_blocks import nobody

ROOM = 8
SMALL = GatewayConfig(
    identity_bytes=4 * MIN_CHARGE_BYTES, unpinned_bytes=ROOM * MIN_CHARGE_BYTES, let_go_grace_s=600.0,
    identity_uploads_per_minute=1_000_000, address_uploads_per_minute=1_000_000,
)  # fmt: skip


def keys(number: int) -> bytes:
    """A block as large as it counts for."""
    return number.to_bytes(4, "big") * (MIN_CHARGE_BYTES // 4)


@dataclass
class Node:
    """A gateway that listens, and an agent's pins beside it, with a ledger in this process."""

    gateway: Running
    ledger: Ledger
    follow: PinFollower
    keeper: PinKeeper

    async def told(self) -> None:
        """The follower knows the ledger's head, and what it touched was looked at."""
        while self.follow._height != self.ledger.height:
            await self.follow.step()
        while self.keeper._later:
            await asyncio.gather(*self.keeper._later)
        await settled(self.keeper)

    async def upload(self, number: int, signer: Signer = ALICE) -> str:
        response = await self.gateway.put(keys(number), signer, expires_s=NOW_S + int(self.gateway.clock[0]) + 60)
        assert response.status_code in (200, 201), (number, response.text)
        return cid_of(keys(number))

    async def release(self, number: int, signer: Signer = ALICE, then_blocks: int = 1) -> str:
        """Keys are uploaded, a request names them, and it is settled; the agent hears of it ``then_blocks`` times."""
        cid, id_ = await self.upload(number, signer), number.to_bytes(32, "big")
        self.ledger.block(*request(id_, cid))
        if then_blocks == 2:
            await self.follow.step()
        self.ledger.block({}, {OPEN_REQUESTS.key(VAULT, id_): None})
        await self.told()
        return cid


async def node(stack: AsyncExitStack, path: Path, config: GatewayConfig = SMALL, *, later_s: float = 0.0) -> Node:
    ledger, wanted = Ledger(), WantedPins()
    ports = replace(PORTS, names=wanted.wants)
    gateway = await stack.enter_async_context(running(path / "store", config, ports))
    fetch = PeerFetcher(gateway.store, list, gateway.client)
    keeper = PinKeeper(gateway.store, fetch, wanted, later_s=later_s, every_s=0.0)
    await stack.enter_async_context(working(keeper))
    follow = PinFollower(ledger, ledger, wanted, keeper, gateway.gateway, between_s=0.0)
    await follow.step()
    await keeper.check()
    return Node(gateway, ledger, follow, keeper)


@pytest.mark.parametrize("then_blocks", [1, 2], ids=["told once", "told of each"])
def test_releases_that_are_over_before_their_keys_are_pinned_use_up_nobody_s_room(
    tmp_path: Path, then_blocks: int
) -> None:
    """Their charge stayed for a day: 16 MiB were 3,300 releases, and then 429."""

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await node(stack, tmp_path)
            for number in range(5 * ROOM):
                cid = await one.release(number, then_blocks=then_blocks)
                assert not one.gateway.store.is_pinned(cid)
            assert one.gateway.store.unpinned_bytes() == 0
            assert len(one.gateway.store.cids()) == 5 * ROOM
            await one.upload(1_000, BOB)

    run(scenario)


def test_blocks_that_were_pinned_and_closed_use_up_no_room(tmp_path: Path) -> None:
    """They counted among what is not pinned, belonged to nobody, and gave way to nobody."""

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await node(stack, tmp_path)
            for number in range(3 * ROOM):
                cid, id_ = await one.upload(number), number.to_bytes(32, "big")
                one.ledger.block(*order(id_, cid))
                await one.told()
                assert one.gateway.store.is_pinned(cid)
                one.ledger.block({}, {VAULT_ORDERS.key(VAULT, id_): None})
                await one.told()
                assert not one.gateway.store.is_pinned(cid)
            await one.upload(1_000, BOB)

    run(scenario)


def test_a_block_that_state_let_go_is_served_for_the_grace_and_then_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await node(stack, tmp_path)
            store, grace_s = one.gateway.store, SMALL.let_go_grace_s
            quick, waiting = await one.release(1), await one.upload(2)
            since_s = store._let_go._since(quick)
            assert since_s is not None
            assert store.delete_let_go(grace_s, since_s + grace_s - 1, nobody) == []
            assert (await one.gateway.get(quick)).content == keys(1)
            assert store.delete_let_go(grace_s, since_s + grace_s, nobody) == [quick]
            assert (await one.gateway.get(quick)).status_code == 404
            assert (await one.gateway.get(waiting)).status_code == 200, "state has not named it yet"

    run(scenario)


def test_what_slow_hooks_fetch_after_a_release_is_over_uses_up_no_room(tmp_path: Path) -> None:
    """Nothing ever says of it that state let it go: that was before."""

    async def scenario() -> None:
        blocks = [keys(number) for number in range(ROOM)]
        async with (
            honest(tmp_path / "peer", *blocks) as url,
            fetcher(tmp_path / "own", [url]) as (store, fetch),
        ):
            for block in blocks:
                await fetch.fetch(cid_of(block))
            assert store.unpinned_bytes() == 0
            assert len(store.delete_let_go(0, 1e12, nobody)) == ROOM

    run(scenario)


def test_a_stranger_s_flood_meets_its_limits_and_none_of_it_is_let_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await node(stack, tmp_path)
            await one.release(500)
            flood = [await one.upload(number) for number in range(4)]
            assert_refused(await one.gateway.put(keys(4)), 429)
            for number in range(4, 8):
                await one.upload(number, BOB)
            one.ledger.block({}, {})
            await one.told()
            one.keeper.look_at_all()
            await one.keeper.check()
            await settled(one.keeper)
            assert not any(map(one.gateway.store.is_let_go, flood))
            assert_refused(await one.gateway.put(keys(8), BOB), 507)
            await one.upload(9, CAROL)  # one of who has most gives way
            assert one.gateway.store.unpinned_bytes() == ROOM * MIN_CHARGE_BYTES
            await one.release(501, CAROL)

    run(scenario)


def test_what_was_let_go_and_is_uploaded_again_takes_room_and_is_charged(tmp_path: Path) -> None:
    """Else anybody would keep for nothing what a request of its own once named."""

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await node(stack, tmp_path)
            for number in range(5):
                await one.release(number)
            full = one.gateway.store.put(b"f" * ROOM * MIN_CHARGE_BYTES)
            assert_refused(await one.gateway.put(keys(4), BOB), 507)
            one.gateway.store.discard(full, nobody)
            one.gateway.clock[0] += 1  # what was signed before is a repeat
            for number in range(4):
                assert not one.gateway.store.is_let_go(await one.upload(number))
            assert one.gateway.store.unpinned_bytes() == 4 * MIN_CHARGE_BYTES
            assert_refused(await one.gateway.put(keys(4), expires_s=NOW_S + 61), 429)

    run(scenario)


def test_a_block_that_state_names_already_is_charged_to_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await node(stack, tmp_path, later_s=60.0)
            for number in range(5):
                one.ledger.block(*request(number.to_bytes(32, "big"), cid_of(keys(number))))
            await one.follow.step()
            for number in range(5):
                await one.upload(number)

    run(scenario)


def test_a_whole_reading_of_state_takes_charges_back_too(tmp_path: Path) -> None:
    """Of what was named while the application did not have the changes any more nobody is told one by one."""

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one = await node(stack, tmp_path, later_s=60.0)
            cids = [await one.upload(number) for number in range(4)]
            assert_refused(await one.gateway.put(keys(4)), 429)
            one.ledger.block(identity(IDS[0], cids[0]), {})
            for number in range(1, 3):
                one.ledger.block(*order(IDS[number], cids[number]))
            one.ledger.committed = CommittedChanges(one.ledger.height, one.ledger.height, held_s=0.001)
            await one.follow.step()
            await one.follow.step()
            for number in range(4, 7):
                await one.upload(number)
            assert_refused(await one.gateway.put(keys(7)), 429)

    run(scenario)
