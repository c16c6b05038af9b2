"""A gateway that listens on loopback, with a client, a clock, and identities to upload as."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from nacl.signing import SigningKey

from abci_app.cid import cid_of
from dta.blocks.auth import put_headers
from dta.blocks.embedded import EmbeddedStore
from dta.node.gateway.server import Gateway, GatewayConfig, GatewayPorts
from tests.support.patience import PATIENCE_S

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
CAROL = Signer(b"c" * 16 + b"C" * 16)
SUSPENDED = Signer(b"s" * 16 + b"S" * 16)
KEYS = {signer.identity: [bytes(31) + b"\x09", bytes(signer.key.verify_key)] for signer in (ALICE, BOB, CAROL)}


async def identity_keys(identity: bytes) -> list[bytes] | None:
    return KEYS.get(identity)


async def status() -> Mapping[str, object]:
    return {"height": 7}


PORTS = GatewayPorts(identity_keys, lambda block: block.startswith(b"document:"), status)


@dataclass
class Running:
    """A gateway that listens, a client for it, and its clock."""

    gateway: Gateway
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
            yield Running(gateway, store, client, address, clock)
    finally:
        await gateway.stop()
        store.close()


Scenario = Callable[[Running], Awaitable[None]]


def play(directory: Path, scenario: Scenario, config: GatewayConfig | None = None, ports: GatewayPorts = PORTS) -> None:
    async def run() -> None:
        async with running(directory, config, ports) as gateway:
            await asyncio.wait_for(scenario(gateway), PATIENCE_S)

    asyncio.run(run())


def assert_refused(response: httpx.Response, status_code: int) -> None:
    assert response.status_code == status_code, response.text
    assert set(response.json()) == {"error", "hint"}
    assert response.headers["content-type"].startswith("application/json")
