"""A block store that hangs, or a Kubo that is gone: whoever wants no block goes on."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from gateway_harness import ALICE, BLOCK, CID, GID, PORTS
from test_blocks_reconcile import Names, settled, whole, working
from test_hooks_agent import make_keystore, node_config, running_agent, served_state
from test_hooks_state_socket import application

from abci_app import transition
from abci_app.cid import cid_of
from abci_app.state.memory_view import MemoryView
from dta.blocks.auth import put_headers
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import StoreUnreachable
from dta.blocks.kubo import KuboStore
from dta.blocks.peers import PeerFetcher
from dta.blocks.reconcile import PinKeeper
from dta.blocks.threads import THREADS, in_store
from dta.client.ledger.rpc import AsyncRpc
from dta.node.agent.agent import Agent
from dta.node.agent.network import AgentNetwork
from dta.node.gateway.server import Gateway, GatewayConfig
from tests.support.actors import Actor
from tests.support.chain import CHAIN_ID, Chain, make_genesis
from tests.support.memory_blocks import nobody
from tests.support.patience import PATIENCE_S


class HangingStore(EmbeddedStore):
    """A store of which one method, ``hanging``, waits until it is let go; ``entered`` counts who waits there."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.hanging = ""
        self.let_go = threading.Event()
        self.entered = threading.Semaphore(0)

    def _wait(self, method: str) -> None:
        if method == self.hanging:
            self.entered.release()
            self.let_go.wait(PATIENCE_S)

    def get(self, cid: str) -> bytes:
        self._wait("get")
        return super().get(cid)

    def put(self, block: bytes, uploaded: bool = True) -> str:
        self._wait("put")
        return super().put(block, uploaded)

    def pin_many(self, cids: Sequence[str]) -> list[str]:
        self._wait("pin")
        return super().pin_many(cids)

    def unpin(self, cid: str, done_s: float = inf) -> None:
        self._wait("unpin")
        super().unpin(cid, done_s)

    def pins(self) -> list[str]:
        self._wait("pins")
        return super().pins()

    def has(self, cid: str) -> bool:
        self._wait("has")
        return super().has(cid)

    def discard(self, cid: str, wanted: Callable[[str], bool]) -> None:
        self._wait("discard")
        super().discard(cid, wanted)


class World:
    """A store with what uses it: a fetcher, the agent's network, a gateway that takes uploads."""

    def __init__(self, store: HangingStore, peer: EmbeddedStore, url: str, own: str, client: httpx.AsyncClient) -> None:
        self.store, self.peer, self.url, self.own, self.client = store, peer, url, own, client
        self.fetcher = PeerFetcher(store, lambda: [url], client)
        self.network = AgentNetwork(cast(AsyncRpc, None), CHAIN_ID, store, self.fetcher)

    async def upload(self, block: bytes) -> object:
        headers = put_headers(GID, cid_of(block), ALICE, 2_000_000_000)
        return await self.client.put(f"{self.own}/ipfs/{cid_of(block)}", content=block, headers=headers)


async def kept(world: World) -> None:
    async with working(PinKeeper(world.store, world.fetcher, Names(CID), wait_s=PATIENCE_S)) as keeper:
        await whole(keeper)


Use = Callable[[World], Awaitable[object]]
USES: dict[str, tuple[str, Use]] = {
    "a fetch reads": ("get", lambda world: world.fetcher.fetch(CID)),
    "a fetch keeps": ("put", lambda world: world.fetcher.fetch(CID)),
    "a job pins": ("pin", lambda world: world.network.obtain(CID, True)),
    "the pins are listed": ("pins", lambda world: kept(world)),
    "the pins are made": ("pin", lambda world: kept(world)),
    "a stranger reads": ("get", lambda world: world.client.get(f"{world.own}/ipfs/{CID}?format=raw")),
    "somebody uploads": ("put", lambda world: world.upload(b"a new one")),
}


@pytest.mark.parametrize("name", USES)
def test_a_store_that_hangs_holds_no_thread_that_others_need(name: str, tmp_path: Path) -> None:
    hanging, use = USES[name]

    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        peer, store = EmbeddedStore(tmp_path / "peer"), HangingStore(tmp_path / "own")
        peer.put(BLOCK)
        gateways = [
            Gateway(one, GID, PORTS, GatewayConfig(port=0), now_s=lambda: 2_000_000_000 - 60) for one in (peer, store)
        ]
        url, own = [f"http://{host}:{port}" for host, port in [await gateway.start() for gateway in gateways]]
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client, asyncio.timeout(PATIENCE_S):
                world = World(store, peer, url, own, client)
                store.hanging = hanging
                using = asyncio.ensure_future(use(world))
                while not store.entered.acquire(blocking=False):
                    assert not using.done(), using
                    await asyncio.sleep(0.01)
                assert await asyncio.to_thread(lambda: "state is read") == "state is read"
                store.let_go.set()
                await using
        finally:
            store.let_go.set()
            for gateway in gateways:
                await gateway.stop()

    asyncio.run(scenario())


def test_no_more_calls_of_a_store_run_at_once_than_it_has_threads() -> None:
    async def scenario() -> None:
        let_go, running = threading.Event(), threading.Semaphore(0)

        def hang() -> None:
            running.release()
            let_go.wait(PATIENCE_S)

        calls = [asyncio.create_task(in_store(hang)) for _ in range(THREADS + 3)]
        try:
            async with asyncio.timeout(PATIENCE_S):
                for _ in range(THREADS):
                    while not running.acquire(blocking=False):
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.05)
                assert not running.acquire(blocking=False)
        finally:
            let_go.set()
        await asyncio.gather(*calls)

    asyncio.run(scenario())


def test_a_keeper_waits_for_no_block_longer_than_it_is_told(tmp_path: Path) -> None:
    """Its fetch goes on: a later run finds it, or waits for the same one."""

    async def scenario() -> None:
        peer, store = HangingStore(tmp_path / "peer"), EmbeddedStore(tmp_path / "own")
        cid = peer.put(BLOCK)
        other = store.put(b"held")
        peer.hanging = "get"
        gateway = Gateway(peer, GID, PORTS, GatewayConfig(port=0))
        host, port = await gateway.start()
        try:
            async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(PATIENCE_S):
                fetcher = PeerFetcher(store, lambda: [f"http://{host}:{port}"], client)
                async with working(PinKeeper(store, fetcher, Names(cid, other), wait_s=0.5)) as keeper:
                    while not store.is_pinned(other):  # one that is here already is, as soon as the disk has it
                        await whole(keeper)
                    assert keeper.missing() == [(cid, f"block {cid} is still being fetched")]
                    peer.let_go.set()
                    while not store.has(cid):
                        await asyncio.sleep(0.01)
                    peer.hanging = ""
                    keeper.look([cid])
                    await settled(keeper)
                    assert store.is_pinned(cid)
        finally:
            peer.let_go.set()
            await gateway.stop()

    asyncio.run(scenario())


@contextmanager
def kubo(is_there: bool) -> Iterator[str]:
    """Where a Kubo should be: it takes connections and says nothing, or nothing is there."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if is_there:
            yield url
    if not is_there:
        yield url


@pytest.mark.parametrize("is_there", [True, False], ids=["silent", "gone"])
def test_an_agent_without_its_kubo_does_what_needs_no_block(is_there: bool, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    (home / "cometbft/config").mkdir(parents=True)
    founders = [Actor(f"f{number}", fiduciary=True, gateway=f"http://127.0.0.1:{1 + number}") for number in range(2)]
    chain = Chain(2)
    chain.view = MemoryView()
    chain.view.apply(transition.init_chain(make_genesis(founders)[0]))
    make_keystore(home)

    async def scenario(url: str) -> None:
        config = replace(node_config(home, founders[0].identity), blocks="kubo", kubo_api=url)
        agent, stop = Agent(config), asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        assert await running_agent(agent, "hooks")
        at = (await running_agent(agent, "gateway"))["gateway"]
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=at)) as client:
            answer = await client.get(f"http://agent/ipfs/{CID}?format=raw")
        assert (answer.status_code, answer.json()["error"]) == (503, "the block store is down")
        while not any("what it holds" in str(text) for text in dict(agent.status())["trouble"].values()):  # type: ignore[union-attr, call-overload]
            await asyncio.sleep(0.05)
        while agent._gateways != ["http://127.0.0.1:2"]:
            await asyncio.sleep(0.05)
        stop.set()
        assert await asyncio.wait_for(running, PATIENCE_S) is False

    with application(node_config(home).state_socket, served_state(chain)), kubo(is_there) as url:
        asyncio.run(asyncio.wait_for(scenario(url), PATIENCE_S))


def test_hooks_and_gateway_start_beside_the_stores_first_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    (home / "cometbft/config").mkdir(parents=True)
    chain = Chain(1)
    make_keystore(home)
    config = node_config(home, chain.founders[0].identity)
    earlier = EmbeddedStore(config.blocks_dir)
    earlier.put(BLOCK)
    earlier.close()
    go_on, happened = threading.Event(), []
    look = EmbeddedStore.open

    def slowly(store: EmbeddedStore) -> None:
        if store._may_be_there(CID):  # the agent's first look
            assert go_on.wait(PATIENCE_S)
            happened.append("looked")
        look(store)

    monkeypatch.setattr(EmbeddedStore, "open", slowly)

    async def scenario() -> None:
        agent, stop = Agent(config), asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        assert await running_agent(agent, "hooks")
        at = (await running_agent(agent, "gateway"))["gateway"]
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=at)) as client:
            answer = await client.get(f"http://agent/ipfs/{CID}?format=raw")
        assert (answer.status_code, answer.content) == (200, BLOCK)
        happened.append("served")
        go_on.set()
        store = agent._store
        assert isinstance(store, EmbeddedStore)
        while store._gone is not None:
            await asyncio.sleep(0.01)
        stop.set()
        assert await asyncio.wait_for(running, PATIENCE_S) is False

    with application(config.state_socket, served_state(chain)):
        try:
            asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))
        finally:
            go_on.set()
    assert happened == ["served", "looked"]


def test_a_kubo_store_that_is_not_open_yet_asks_nobody_and_knows_nothing() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, text="")

    store = KuboStore(httpx.Client(base_url="http://kubo.invalid", transport=httpx.MockTransport(answer)))
    uses: list[Callable[[], Any]] = [
        lambda: store.put(BLOCK), lambda: store.get(CID), lambda: store.has(CID), lambda: store.pin(CID),
        lambda: store.unpin(CID), lambda: store.is_pinned(CID), store.pins, store.cids, store.size_bytes,
        store.unpinned_bytes, lambda: store.delete_unpinned(0, 1e9, nobody), lambda: store.discard(CID, nobody),
        lambda: store.is_let_go(CID), lambda: store.delete_let_go(0, 1e9, nobody),
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(StoreUnreachable):
            use()
    assert asked == []
    store.open()
    assert asked == ["/api/v0/pin/ls"]
    assert store.cids() == []
    assert not store.has(CID)
