"""What the networks are loaded with: signed PlaceOrder transactions, and kvstore's of the same length."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from google.protobuf.message import Message
from nacl.signing import SigningKey

from abci_app import cid
from abci_app.crypto import hpke, statements
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from tests.bench.bare import BareNetwork
from tests.bench.load import commit_all
from tests.support.actors import Actor, body_bytes, seeded, signed_tx
from tests.support.custody import single

PRINCIPALS = 20
EXPIRES_IN_BLOCKS = 900


@dataclass(frozen=True, slots=True)
class Vault:
    """A principal and its open vault."""

    principal: Actor
    id: bytes


class Submitter:
    """Puts single transactions on a bare network and waits until they are in a block."""

    def __init__(self, network: BareNetwork) -> None:
        self._network = network

    def tx(self, signer: Actor, message: Message, key: SigningKey | None = None) -> bytes:
        plan = self._network.plan
        body = body_bytes(plan.chain_id, message, self._network.height() + EXPIRES_IN_BLOCKS, secrets.token_bytes(16))
        return signed_tx(self._network.gid, signer.identity, key or signer.tx_key, body)

    def commit(self, txs: Sequence[bytes]) -> None:
        """Until all are committed with code 0."""
        commit_all(self._network.rpc_url(0), txs)


def open_vaults(network: BareNetwork, principals: int = PRINCIPALS) -> list[Vault]:
    """Registers principals, opens a vault for each and publishes every fiduciary's key for it."""
    submitter = Submitter(network)
    actors = [Actor(f"principal-{number}") for number in range(principals)]
    registrations = zip(cycle(network.founders), actors)  # a sponsor has a part of a block's
    submitter.commit([
        submitter.tx(sponsor, tx_pb2.RegisterIdentity(envelope=actor.enrol(network.gid)))
        for sponsor, actor in registrations
    ])  # fmt: skip
    ids = [founder.identity for founder in network.founders]
    opening = tx_pb2.OpenVault(nonce=bytes(32), custodian="hsm-realm", fiduciaries=ids)
    submitter.commit([submitter.tx(actor, opening) for actor in actors])
    vaults = [Vault(actor, statements.vault_id(network.gid, actor.identity, opening.nonce)) for actor in actors]
    publishing = []
    for founder in network.founders:
        seed = seeded("vault-key", founder.name)
        key = hpke.public_key_of(seed + seed, seed)
        for vault in vaults:
            message = tx_pb2.PublishVaultKey(vault=vault.id, key=key)
            publishing.append(submitter.tx(founder, message, founder.node_key))
    submitter.commit(publishing)
    return vaults


def order_message(vault: Vault, fiduciaries: Sequence[bytes], nonce: bytes) -> tx_pb2.PlaceOrder:
    """An order of one share a fiduciary, threshold all but one, for its principal. Nothing real is sealed."""
    return tx_pb2.PlaceOrder(
        nonce=nonce, custodian="hsm-realm", vault=vault.id, fiduciaries=fiduciaries,
        threshold=max(1, len(fiduciaries) - 1),
        share_commitments=[seeded("share", number) for number in range(len(fiduciaries))],
        key_commitment=seeded("key"), envelope_cid=cid.cid_of(nonce), policy=single(vault.principal.identity),
        rule=custody_pb2.BeneficiaryRule(identity=vault.principal.identity),
    )  # fmt: skip


def signed_orders(network: BareNetwork, vaults: Sequence[Vault], count: int) -> list[bytes]:
    """``count`` signed PlaceOrder transactions, the principals taking turns."""
    expires_at_height = network.height() + EXPIRES_IN_BLOCKS
    ids = [founder.identity for founder in network.founders]
    keys = [vault.principal.tx_key for vault in vaults]
    txs = []
    for number in range(count):
        at = number % len(vaults)
        message = order_message(vaults[at], ids, secrets.token_bytes(32))
        body = body_bytes(network.plan.chain_id, message, expires_at_height, secrets.token_bytes(16))
        txs.append(signed_tx(network.gid, vaults[at].principal.identity, keys[at], body))
    return txs


def kvstore_txs(count: int, tx_bytes: int) -> list[bytes]:
    """``key=value`` transactions of ``tx_bytes`` each: a random key of 32 hex digits, a value of the rest."""
    value = "v" * (tx_bytes - 33)
    return [f"{secrets.token_hex(16)}={value}".encode() for _ in range(count)]
