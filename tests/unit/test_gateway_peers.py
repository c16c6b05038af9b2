"""Fetching from peers that lie, hang or are gone, uploading to them, and keeping pins equal to state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from nacl.signing import SigningKey

from abci_app.cid import BadCid, cid_of, digest_of
from dta.blocks.embedded import EmbeddedStore
from dta.blocks.errors import BlockTooLarge, BlockUnavailable
from dta.blocks.peers import PeerFetcher, Uploader
from dta.blocks.store import MAX_BLOCK_BYTES
from dta.node.gateway.server import Gateway, GatewayConfig, GatewayPorts

GID = bytes(32)
BLOCK = b"an envelope"
CID = cid_of(BLOCK)
NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Alice:
    """A registered identity."""

    identity = b"a" * 32
    key = SigningKey(b"k" * 32)

    def sign(self, statement: bytes) -> bytes:
        return self.key.sign(statement).signature


@asynccontextmanager
async def peer(handler: Handler) -> AsyncIterator[str]:
    """A peer that answers with ``handler``; yields its base URL."""
    listener = await asyncio.get_running_loop().create_server(web.Server(handler), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()


@asynccontextmanager
async def honest(directory: Path, *blocks: bytes) -> AsyncIterator[str]:
    """A real gateway with a store that holds ``blocks``; Alice may upload to it."""

    async def keys(identity: bytes) -> list[bytes] | None:
        return [bytes(Alice.key.verify_key)] if identity == Alice.identity else None

    async def status() -> Mapping[str, object]:
        return {}

    store = EmbeddedStore(directory)
    for block in blocks:
        store.put(block)
    gateway = Gateway(store, GID, GatewayPorts(keys, lambda _: False, status), GatewayConfig(port=0))
    host, port = await gateway.start()
    try:
        yield f"http://{host}:{port}"
    finally:
        await gateway.stop()
        store.close()


@asynccontextmanager
async def fetcher(
    directory: Path, gateways: list[str], attempt_s: float = 60.0, patience_s: float = 60.0, per_gateway: int = 16
) -> AsyncIterator[tuple[EmbeddedStore, PeerFetcher]]:
    """A fetcher over an empty store, which starts at the first gateway."""
    # The fetcher's own attempt bounds a call: httpx's five seconds for each wait would on a machine that is busy.
    store = EmbeddedStore(directory)
    async with httpx.AsyncClient(trust_env=False, timeout=None) as client:
        try:
            yield (
                store,
                PeerFetcher(store, lambda: gateways, client, attempt_s, lambda _: 0, patience_s, per_gateway),
            )
        finally:
            store.close()


async def says_nothing(request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def lies(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"something else")


async def fails(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=503)


async def without(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=404)


async def floods(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1000):
        await response.write(bytes(65_536))
    return response


async def redirects(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/ipfs/"})


def path_of(root: Path, cid: str) -> Path:
    shard = digest_of(cid)[:2].hex()
    return root / "blocks" / shard[:2] / shard[2:] / cid


def test_a_block_is_fetched_from_a_peer_and_kept(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            honest(tmp_path / "peer", BLOCK) as url,
            fetcher(tmp_path / "own", [NOWHERE, url + "/"]) as (store, fetch),
        ):
            assert await fetch.fetch(CID) == BLOCK
            assert store.get(CID) == BLOCK
            assert fetch.faults() == []

    asyncio.run(run())


def test_what_the_store_holds_is_asked_of_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        async with fetcher(tmp_path, [NOWHERE]) as (store, fetch):
            store.put(BLOCK)
            assert await fetch.fetch(CID) == BLOCK

    asyncio.run(run())


def test_a_block_corrupt_on_disk_is_fetched_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            honest(tmp_path / "peer", BLOCK) as url,
            fetcher(tmp_path / "own", [url]) as (store, fetch),
        ):
            store.put(BLOCK)
            path_of(tmp_path / "own", CID).write_bytes(b"damaged")
            assert await fetch.fetch(CID) == BLOCK
            assert store.get(CID) == BLOCK

    asyncio.run(run())


@pytest.mark.parametrize(
    ("handler", "reason"),
    [(lies, "served bytes with another hash"), (floods, f"served more than {MAX_BLOCK_BYTES} bytes")],
)
def test_a_peer_that_serves_wrong_bytes_is_recorded_and_the_next_one_is_tried(
    tmp_path: Path, handler: Handler, reason: str
) -> None:
    async def run() -> None:
        async with (
            peer(handler) as bad,
            honest(tmp_path / "peer", BLOCK, b"another") as good,
            fetcher(tmp_path / "own", [bad, good]) as (store, fetch),
        ):
            assert await fetch.fetch(CID) == BLOCK
            (fault,) = fetch.faults()
            assert (fault.gateway, fault.reason, fault.cid, fault.count) == (bad, reason, CID, 1)
            assert store.cids() == [CID]
            assert await fetch.fetch(cid_of(b"another")) == b"another"
            assert fetch.faults()[0].count == 1  # it comes last from then on

    asyncio.run(run())


def test_a_block_that_nobody_has_names_every_gateway_and_its_reason(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            peer(says_nothing) as hanging,
            peer(lies) as lying,
            peer(redirects) as redirecting,
            honest(tmp_path / "peer") as without,
            fetcher(
                tmp_path / "own",
                [hanging, lying, redirecting, without, NOWHERE, "ftp://x", "http://xn--", "::"], attempt_s=3.0,
            ) as (store, fetch),
        ):
            with pytest.raises(BlockUnavailable) as caught:
                await fetch.fetch(CID)
            assert caught.value.cid == CID
            assert caught.value.attempts == (
                (hanging, "timed out"),
                (lying, "served bytes with another hash"),
                (redirecting, "HTTP 302"),
                (without, "does not have it"),
                (NOWHERE, "unreachable: ConnectError"),
                ("ftp://x", "is not the base URL of a gateway"),
                ("http://xn--", "is not a URL"),  # the ledger takes it, and httpx decodes it only when asked
                ("::", caught.value.attempts[-1][1]),
            )
            assert store.cids() == []

    asyncio.run(run())


def test_concurrent_fetches_of_one_block_are_one_request(tmp_path: Path) -> None:
    asked = []

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path_qs)
        await asyncio.sleep(0.1)
        return web.Response(body=BLOCK)

    async def run() -> None:
        async with peer(slow) as url, fetcher(tmp_path, [url]) as (_, fetch):
            impatient = asyncio.create_task(fetch.fetch(CID))
            others = [asyncio.create_task(fetch.fetch(CID)) for _ in range(10)]
            await asyncio.sleep(0)
            impatient.cancel()
            assert await asyncio.gather(*others) == [BLOCK] * 10
            assert asked == [f"/ipfs/{CID}?format=raw"]
            assert impatient.cancelled()

    asyncio.run(run())


def test_a_failed_flight_is_not_remembered(tmp_path: Path) -> None:
    async def run() -> None:
        gateways: list[str] = []
        async with honest(tmp_path / "peer", BLOCK) as url, fetcher(tmp_path / "own", gateways) as (_, fetch):
            with pytest.raises(BlockUnavailable):
                await fetch.fetch(CID)
            gateways.append(url)
            assert await fetch.fetch(CID) == BLOCK
            with pytest.raises(BadCid):
                await fetch.fetch("../lock")

    asyncio.run(run())


class Slow:
    """A peer that lets every reader wait until it is told; counts them."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = {cid_of(block): block for block in blocks}
        self.asked: list[str] = []
        self.waiting = self.most = 0
        self.let_go = asyncio.Event()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        cid = request.path.rpartition("/")[2]
        self.asked.append(cid)
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self.let_go.wait()
        finally:
            self.waiting -= 1
        block = self.blocks.get(cid)
        return web.Response(status=404) if block is None else web.Response(body=block)


def test_a_slow_gateway_holds_up_what_it_alone_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        everywhere = [bytes([number]) * 10 for number in range(5)]
        slow = Slow(BLOCK, *everywhere)
        async with (
            peer(slow) as hanging,
            honest(tmp_path / "fast", *everywhere) as fast,
            fetcher(tmp_path / "own", [hanging, fast], 60.0, patience_s=0.01, per_gateway=2) as (_, fetch),
            asyncio.timeout(30),
        ):
            alone = [asyncio.create_task(fetch.fetch(CID))]
            alone += [asyncio.create_task(fetch.fetch(cid_of(bytes([99, number])))) for number in range(3)]
            while slow.waiting < 2:
                await asyncio.sleep(0.01)
            assert await asyncio.gather(*(fetch.fetch(cid_of(block)) for block in everywhere)) == everywhere
            assert not any(task.done() for task in alone)
            slow.let_go.set()
            assert await alone[0] == BLOCK
            others = await asyncio.gather(*alone[1:], return_exceptions=True)
            assert all(isinstance(other, BlockUnavailable) for other in others), "they waited for their turn, no less"
            assert slow.most == 2

    asyncio.run(scenario())


def test_waiting_for_a_place_at_a_slow_gateway_has_an_end_and_is_no_answer_of_it_s(tmp_path: Path) -> None:
    async def scenario() -> None:
        slow = Slow(BLOCK, b"a second one")
        async with (
            peer(slow) as hanging,
            fetcher(tmp_path / "own", [hanging], 60.0, per_gateway=1) as (_, fetch),
            asyncio.timeout(60),
        ):
            first = asyncio.create_task(fetch.fetch(CID))
            while not slow.waiting:
                await asyncio.sleep(0.01)
            fetch._attempt_s = 0.01
            with pytest.raises(BlockUnavailable) as caught:
                await fetch.fetch(cid_of(b"another"))
            assert caught.value.attempts == ((hanging, "is asked for too many other blocks"),)
            assert caught.value.is_nowhere is False
            slow.let_go.set()
            await asyncio.gather(first, return_exceptions=True)
            fetch._attempt_s = 20.0
            assert await fetch.fetch(cid_of(b"a second one")) == b"a second one", "its place is free again"

    asyncio.run(scenario())


def test_a_gateway_that_was_overtaken_comes_after_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        second = b"a second one"
        slow = Slow()
        async with (
            peer(slow) as hanging,
            honest(tmp_path / "fast", BLOCK, second) as fast,
            fetcher(tmp_path / "own", [hanging, fast], 60.0, patience_s=0.01) as (_, fetch),
            asyncio.timeout(60),
        ):
            assert await fetch.fetch(CID) == BLOCK
            assert fetch._walk() == [fast, hanging]
            fetch._patience_s = 60.0
            assert await fetch.fetch(cid_of(second)) == second
            assert cid_of(second) not in slow.asked, "the fast one was asked first, and was enough"
            slow.let_go.set()
            with pytest.raises(BlockUnavailable):
                await fetch.fetch(cid_of(b"nobody has it"))
            assert fetch._walk() == [hanging, fast], "it answered at once: it has its place again"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("handlers", "is_nowhere"),
    [
        ([], True),
        ([NOWHERE], False),
        ([says_nothing, NOWHERE], False),
        ([fails], False),
        ([NOWHERE, without], True),
        ([lies], True),
    ],
    ids=["no gateway", "unreachable", "silent", "failing", "one says so", "one lies"],
)
def test_a_block_is_nowhere_only_where_somebody_said_so(
    tmp_path: Path, handlers: list[Handler | str], is_nowhere: bool
) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            gateways = [
                one if isinstance(one, str) else await stack.enter_async_context(peer(one)) for one in handlers
            ]
            _, fetch = await stack.enter_async_context(fetcher(tmp_path / "own", gateways, attempt_s=3.0))
            with pytest.raises(BlockUnavailable) as caught:
                await fetch.fetch(CID)
            assert caught.value.is_nowhere is is_nowhere

    asyncio.run(scenario())


def test_the_walk_starts_where_it_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        store = EmbeddedStore(tmp_path)
        async with httpx.AsyncClient(trust_env=False) as client:
            fetch = PeerFetcher(store, lambda: ["a", "b", "c", "a"], client, choose_start=lambda count: count - 1)
            with pytest.raises(BlockUnavailable) as caught:
                await fetch.fetch(CID)
        assert [gateway for gateway, _ in caught.value.attempts] == ["c", "a", "b"]
        store.close()

    asyncio.run(run())


def test_an_upload_tells_for_each_gateway_how_it_went(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            httpx.AsyncClient(trust_env=False) as client,
            honest(tmp_path / "one") as one,
            honest(tmp_path / "two", BLOCK) as two,
            peer(floods) as flooding,
            peer(says_nothing) as hanging,
        ):
            uploader = Uploader(client, GID, attempt_s=5.0)
            gateways = [one, NOWHERE, two, flooding, hanging, "mailto:x"]
            results = await uploader.upload(BLOCK, gateways, Alice())
            assert [result.gateway for result in results] == gateways
            assert [result.ok for result in results] == [True, False, True, False, False, False]
            assert [result.status for result in results] == [201, None, 200, None, None, None]
            assert all(result.ok or result.error for result in results)
            assert (await client.get(f"{one}/ipfs/{CID}?format=raw")).content == BLOCK

            (refused,) = await uploader.upload(BLOCK, [one], None)
            assert (refused.ok, refused.status) == (False, 403)
            assert refused.error
            assert refused.hint
            with pytest.raises(BlockTooLarge):
                await uploader.upload(bytes(MAX_BLOCK_BYTES + 1), [one], Alice())

    asyncio.run(run())


def test_a_gateway_s_error_text_is_cut_and_made_printable(tmp_path: Path) -> None:
    async def shouts(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.json_response({"error": "\x1b[31m" + "a" * 1000, "hint": 7}, status=507)

    async def run() -> None:
        async with httpx.AsyncClient(trust_env=False) as client, peer(shouts) as url:
            (result,) = await Uploader(client, GID).upload(BLOCK, [url], Alice())
            assert result.status == 507
            assert result.error.startswith("[31ma")
            assert len(result.error) == 300
            assert result.hint == ""

    asyncio.run(run())
