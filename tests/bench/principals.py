"""Principals by the dozen, and what they do before anything is measured: vaults, sealing, uploads, requests' keys."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from google.protobuf.message import Message
from nacl.signing import SigningKey

from abci_app import limits
from abci_app.crypto import statements
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from dta.base.config import load_node_config
from dta.base.secret import SecretBytes
from dta.blocks.peers import Uploader
from dta.client.custody import asking, receiving
from dta.client.custody import session as sdk
from dta.client.custody.blocks import Blocks
from dta.client.custody.orders import default_threshold
from dta.client.ledger.ledger import VaultView
from dta.client.ledger.tx import build_tx
from dta.custodians import registry
from dta.custodians.plugin import PrepareInput
from dta.hsm import labels
from dta.hsm.keystore import Keystore
from dta.localnet.network import Network
from tests.bench.load import commit_all
from tests.bench.sustained import Flight
from tests.support.actors import Actor
from tests.support.custody import single
from tests.support.keystore import MemoryKeystore

CUSTODIAN = "hsm-realm"
SECRET_BYTES = 64
EXPIRES_IN_BLOCKS = 900
UPLOADS_AT_ONCE = 8
UPLOAD_TIMEOUT_S = 600.0
KEYS_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class _Signer:
    """An actor's transaction key as the SDK takes it."""

    identity: bytes
    key: SigningKey

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message).signature


def _root_of(actor: Actor) -> Keystore:
    """The keystore that seals the keys of an actor's requests: the same whenever it is made."""
    root = MemoryKeystore(actor)
    root.ensure_prf_key(labels.root())
    return root


@dataclass(frozen=True, slots=True)
class Order:
    """One that is sealed and uploaded. ``owner``: its principal's position."""

    owner: int
    id_: bytes
    message: tx_pb2.PlaceOrder
    secret: bytes


class Principals:
    """Some principals, each with a vault of its own that every fiduciary has a key for."""

    def __init__(self, first: sdk.Session, count: int, network: Network) -> None:
        """``first``: the one whose home and ledger connection are there; the others' keys are in memory."""
        self._ledger, self._gid = first.ledger, first.gid
        self._custodian = registry.custodian(CUSTODIAN)
        self.sessions = [first, *self._register(count - 1, network.root / "principals")]
        self.vaults = self._open_vaults([load_node_config(network.home(node)).identity for node in network.nodes()])
        self._gateways = [url for urls in first.gateways(self.vaults[0].keys).values() for url in urls]

    def _register(self, count: int, directory: Path) -> list[sdk.Session]:
        actors = [Actor(f"principal-{number}") for number in range(count)]
        blocks = [actor.enrol(self._gid) for actor in actors]
        signers = [_Signer(actor.identity, actor.tx_key) for actor in actors]
        sessions = []
        for actor, signer in zip(actors, signers, strict=True):
            home = directory / actor.name
            party = sdk.Party(signer, actor.bls_key, partial(_root_of, actor))
            sessions.append(sdk.Session(self._ledger, party, Blocks(home / "envelopes", self._gid), home))
        commit_all(
            self._ledger.rpc.url,
            [
                self._sign(session, tx_pb2.RegisterIdentity(envelope=block))
                for session, block in zip(sessions, blocks, strict=True)
            ],
        )
        return sessions

    def _open_vaults(self, fiduciaries: Sequence[bytes]) -> list[VaultView]:
        nonces = [secrets.token_bytes(limits.NONCE_BYTES) for _ in self.sessions]
        opening = [tx_pb2.OpenVault(nonce=nonce, custodian=CUSTODIAN, fiduciaries=fiduciaries) for nonce in nonces]
        txs = [self._sign(*one) for one in zip(self.sessions, opening, strict=True)]
        self.see(commit_all(self._ledger.rpc.url, txs))
        ids = [
            statements.vault_id(self._gid, session.party.identity, nonce)
            for session, nonce in zip(self.sessions, nonces, strict=True)
        ]
        return [self._with_keys(id_) for id_ in ids]

    def _with_keys(self, vault: bytes) -> VaultView:
        deadline = time.monotonic() + KEYS_TIMEOUT_S
        while True:
            view = self._ledger.vault_keys(vault)
            if None not in view.keys.values():
                return view
            if time.monotonic() > deadline:
                raise RuntimeError("a vault's keys are not published in time")
            time.sleep(0.2)

    def see(self, height: int) -> None:
        """Wait until what was committed at ``height`` can be proved: what is read from then on has it."""
        self._ledger.rpc.run(self._ledger.flows.reader.head(height))

    # --- orders -------------------------------------------------------------------------------------------------
    def seal(self, count: int) -> list[Order]:
        """``count`` orders, of the principals in turn, each to itself; every fiduciary has their envelopes."""
        orders, uploads = [], []
        for number in range(count):
            owner = number % len(self.sessions)
            order, block = self._seal(owner)
            orders.append(order)
            uploads.append((owner, block))
        asyncio.run(self._upload(uploads))
        return orders

    def _seal(self, owner: int) -> tuple[Order, bytes]:
        session, view = self.sessions[owner], self.vaults[owner]
        me, secret = session.party.identity, secrets.token_bytes(SECRET_BYTES)
        prepared = self._custodian.prepare(
            PrepareInput(
                gid=self._gid, principal=me, vault=view.record,
                keys={fiduciary: record.key for fiduciary, record in view.keys.items() if record is not None},
                threshold=default_threshold(len(view.keys)), policy=single(me),
                rule=custody_pb2.BeneficiaryRule(identity=me), salt=secrets.token_bytes(limits.NONCE_BYTES),
                secret=SecretBytes(secret), bls=session.party.need_bls(), time_s=int(time.time()),
            )
        )  # fmt: skip
        session.blocks.keep(prepared.envelope_block)
        message = prepared.message
        return Order(owner, statements.order_id(self._gid, me, message.nonce), message, secret), prepared.envelope_block

    def placing(self, orders: Sequence[Order]) -> list[Flight]:
        """Their signed transactions, in date from now on."""
        return [Flight(tx, order.id_.hex()) for order, tx in zip(orders, self._all_signed(orders), strict=True)]

    def _all_signed(self, orders: Sequence[Order]) -> list[bytes]:
        expires_at = self._expiry()
        return [self._sign(self.sessions[order.owner], order.message, expires_at) for order in orders]

    # --- requests -----------------------------------------------------------------------------------------------
    def ask(self, orders: Sequence[Order]) -> list[Flight]:
        """A request for each of these ACTIVE orders, its keys uploaded, signed."""
        opened = [asking.prepare(self.sessions[order.owner], order.id_) for order in orders]
        uploads = []
        for order, one in zip(orders, opened, strict=True):
            block = self.sessions[order.owner].blocks.kept(one.message.keys_cid)
            assert block is not None
            uploads.append((order.owner, block))
        asyncio.run(self._upload(uploads))
        expires_at = self._expiry()
        return [
            Flight(self._sign(self.sessions[order.owner], one.message, expires_at), one.request.hex())
            for order, one in zip(orders, opened, strict=True)
        ]

    def check_received(self, order: Order, request: bytes) -> None:
        """That what comes out is what went in. Raises RuntimeError."""
        received = receiving.receive(self.sessions[order.owner], self._custodian, request)
        if received.secret.reveal() != order.secret or received.bad_fiduciaries:
            raise RuntimeError("what came back is not what was entrusted")

    # --- beneath ------------------------------------------------------------------------------------------------
    def _expiry(self) -> int:
        return self._ledger.status().latest_height + EXPIRES_IN_BLOCKS

    def _sign(self, session: sdk.Session, message: Message, expires_at_height: int = 0) -> bytes:
        expires_at_height = expires_at_height or self._expiry()
        salt = secrets.token_bytes(limits.SALT_BYTES)
        return build_tx(
            self._ledger.trust.chain_id, self._gid, session.party.signer, message, expires_at_height, salt
        ).tx

    async def _upload(self, uploads: Sequence[tuple[int, bytes]]) -> None:
        """Each principal from an address of its own, as on machines of their own: gateways count by address too."""
        clients = [
            httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(local_address=f"127.0.1.{number + 1}", verify=False),
                timeout=60.0, trust_env=False,
            )
            for number in range(len(self.sessions))
        ]  # fmt: skip
        slots = asyncio.Semaphore(UPLOADS_AT_ONCE)
        deadline = time.monotonic() + UPLOAD_TIMEOUT_S

        async def upload(owner: int, block: bytes) -> None:
            uploader, signer = Uploader(clients[owner], self._gid), self.sessions[owner].party.signer
            wanted = list(self._gateways)
            while True:
                async with slots:
                    results = await uploader.upload(block, wanted, signer)
                wanted = [result.gateway for result in results if not result.ok]
                if not wanted:
                    return
                failed = [result for result in results if not result.ok]
                may_wait = all(result.status == httpx.codes.TOO_MANY_REQUESTS for result in failed)
                if not may_wait or time.monotonic() > deadline:
                    raise RuntimeError(f"an upload was refused: {failed[0].error}")
                await asyncio.sleep(1.0)

        try:
            await asyncio.gather(*(upload(owner, block) for owner, block in uploads))
        finally:
            for client in clients:
                await client.aclose()
