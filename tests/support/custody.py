"""Vaults and orders for tests of the ledger's rules: well formed on the ledger; what is sealed stands for the real."""

from __future__ import annotations

from dataclasses import dataclass

from abci_app import cid
from abci_app.crypto import hpke, statements
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state.records import ORDERS, REQUESTS
from tests.support.actors import Actor, seeded
from tests.support.chain import Chain

SEALED = bytes(hpke.SEALED_OVERHEAD_BYTES + 32)


def single(identity: bytes) -> custody_pb2.Policy:
    """A policy of one party."""
    return custody_pb2.Policy(nodes=[custody_pb2.PolicyNode(identity=identity)])


def k_of(threshold: int, *identities: bytes, **fields: int) -> custody_pb2.Policy:
    """A policy of one gate over leaves."""
    gate = custody_pb2.PolicyNode(threshold=threshold, children=range(1, len(identities) + 1))
    leaves = [custody_pb2.PolicyNode(identity=identity) for identity in identities]
    return custody_pb2.Policy(nodes=[gate, *leaves], **fields)


def request_key(chain: Chain, fiduciary: Actor, tag: object = 0) -> tuple[bytes, bytes]:
    """(ML-KEM seed, X25519 private key) of a request, for one fiduciary."""
    seed = seeded("request-key", chain.gid, fiduciary.name, tag)
    return seed + seed, seed


@dataclass
class Custody:
    """A principal with an open vault at every founder, keys published."""

    chain: Chain
    principal: Actor
    beneficiary: Actor
    vault: bytes

    def order_message(self, nonce: bytes = bytes(32), **changes: object) -> tx_pb2.PlaceOrder:
        """A PlaceOrder that the ledger accepts, but for ``changes``."""
        ids = [founder.identity for founder in self.chain.founders]
        message = tx_pb2.PlaceOrder(
            nonce=nonce, custodian="hsm-realm", vault=self.vault, fiduciaries=ids,
            threshold=max(1, len(ids) - 1), share_commitments=[seeded("share", n) for n in range(len(ids))],
            key_commitment=seeded("key"), envelope_cid=cid.cid_of(b"envelope"),
            policy=single(self.beneficiary.identity),
            rule=custody_pb2.BeneficiaryRule(identity=self.beneficiary.identity),
        )  # fmt: skip
        for name, value in changes.items():
            field = message.DESCRIPTOR.fields_by_name[name]
            message.ClearField(name)
            if field.is_repeated:
                getattr(message, name).extend(value)
            elif field.message_type is not None:
                getattr(message, name).CopyFrom(value)
            else:
                setattr(message, name, value)
        return message

    def place(self, nonce: bytes = bytes(32), fulfil: bool = True, **changes: object) -> bytes:
        """Place an order and, unless told otherwise, have every fiduciary fulfil it. Returns its id."""
        result = self.chain.run(self.principal, self.order_message(nonce, **changes))
        assert result.code == 0, result
        if fulfil:
            order = ORDERS.get(self.chain.view, result.data)
            for founder in self.chain.founders:
                if founder.identity in order.fiduciaries:
                    answer = self.chain.result(founder, tx_pb2.FulfilOrder(order=result.data))
                    assert answer.code == 0, answer
        return result.data

    def request_message(
        self, order: bytes, nonce: bytes = bytes(32), signer: Actor | None = None
    ) -> tx_pb2.RequestSecret:
        """A RequestSecret of the beneficiary (or ``signer``), with one key for each fiduciary."""
        named = ORDERS.get(self.chain.view, order).fiduciaries
        keys = [
            hpke.public_key_of(*request_key(self.chain, founder, nonce))
            for founder in self.chain.founders
            if founder.identity in named
        ]
        return tx_pb2.RequestSecret(
            order=order, nonce=nonce, beneficiary=(signer or self.beneficiary).identity,
            keys_cid=cid.cid_of(b"keys"), key_digests=[statements.hpke_key_digest(key) for key in keys],
        )  # fmt: skip

    def request(self, order: bytes, nonce: bytes = bytes(32)) -> bytes:
        """Ask for the order's secret. Returns the request's id."""
        result = self.chain.run(self.beneficiary, self.request_message(order, nonce))
        assert result.code == 0, result
        return result.data

    def order(self, order: bytes) -> custody_pb2.OrderRecord:
        return ORDERS.get(self.chain.view, order)

    def request_record(self, request: bytes) -> custody_pb2.RequestRecord:
        return REQUESTS.get(self.chain.view, request)


def make_custody(fiduciaries: int = 4, chain: Chain | None = None) -> Custody:
    """A chain with a principal, a beneficiary and an open vault."""
    chain = chain or Chain(fiduciaries)
    principal, beneficiary = Actor("alice"), Actor("bob")
    chain.register(principal, beneficiary)
    message = tx_pb2.OpenVault(
        nonce=bytes(32), custodian="hsm-realm", fiduciaries=[founder.identity for founder in chain.founders]
    )
    vault = chain.run(principal, message).data
    for founder in chain.founders:
        seed = seeded("vault-key", founder.name)
        key = hpke.public_key_of(seed + seed, seed)
        assert chain.result(founder, tx_pb2.PublishVaultKey(vault=vault, key=key)).code == 0
    return Custody(chain, principal, beneficiary, vault)
