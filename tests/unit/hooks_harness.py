"""Fiduciaries' agents around one chain in this process: real keystores, real seals, the real state machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import Message

from abci_app import canonical
from abci_app.cid import cid_of
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.params import default_params
from abci_app.pb.dta.v1 import custody_pb2, envelope_pb2, params_pb2, tx_pb2
from abci_app.state.records import ANSWERS, IDENTITIES, ORDERS, REQUESTS, VAULT_KEYS, VAULTS
from dta.base.secret import SecretBytes
from dta.blocks.errors import BlockUnavailable
from dta.crypto.hpke import HpkePrivateKey
from dta.custodians import registry
from dta.custodians.plugin import Custodian, PreparedOrder, PrepareInput, Recovered, RecoverInput
from dta.custodians.registry import Loaded
from dta.envelope import clear_envelope, sign
from dta.hsm.keystore import Keystore
from dta.hsm.software import SoftwareKeystore
from dta.node.agent.jobs import perform, wanted_blocks
from dta.node.hooks.errors import NotAtHead
from dta.node.hooks.plan import Job, plan
from dta.node.hooks.tools import Pinned, Tools
from tests.support.actors import Actor, seeded
from tests.support.chain import Chain
from tests.support.custody import single
from tests.support.keystore import software_keystore

SECRET = SecretBytes(b"the combination is 12-34-56")


@dataclass
class World:
    """A chain, an agent's tools for each founder, and the blocks that everybody can fetch.

    ``before_pin`` is called each time that a job reads state, with how often it did: tests change the chain there.
    """

    chain: Chain
    tools: dict[bytes, Tools]
    keystores: dict[bytes, SoftwareKeystore]
    custodian: Custodian
    blocks: dict[str, bytes] = field(default_factory=dict)
    principal: Actor = field(default_factory=lambda: Actor("alice"))
    beneficiary: Actor = field(default_factory=lambda: Actor("bob"))
    vault: bytes = b""
    keys: dict[bytes, dict[bytes, HpkePrivateKey]] = field(default_factory=dict)
    pins: int = 0
    at_head: bool = True
    before_pin: Callable[[int], None] = lambda _: None

    @contextmanager
    def pin(self) -> Iterator[Pinned]:
        self.pins += 1
        self.before_pin(self.pins)
        if not self.at_head:
            raise NotAtHead("cut off")
        yield self.now

    @property
    def now(self) -> Pinned:
        return Pinned(self.chain.view, self.chain.height, self.chain.time_s, self.chain.view)

    # --- what fiduciaries do ------------------------------------------------------------------------------------
    def jobs(self, fiduciary: Actor) -> list[Job]:
        return plan(self.chain.view, fiduciary.identity, self.chain.time_s, self.chain.height + 1)

    def answer(self, fiduciary: Actor, job: Job) -> Message:
        wanted = wanted_blocks(job, self.now)
        missing = [cid for cid in wanted if cid not in self.blocks]
        if missing:
            raise BlockUnavailable(missing[0], (), True)
        return perform(job, self.tools[fiduciary.identity], {cid: self.blocks[cid] for cid in wanted})

    def settle(self, *fiduciaries: Actor) -> list[tuple[Actor, Message]]:
        """Everybody (or these) answers all that is due, in one block. What they said."""
        said = [(one, self.answer(one, job)) for one in fiduciaries or self.chain.founders for job in self.jobs(one)]
        txs = [self.chain.tx(one, message, key=one.node_key) for one, message in said]
        results = self.chain.block(*txs).tx_results
        assert [result.code for result in results] == [Code.OK] * len(txs), results
        return said

    # --- what people do -----------------------------------------------------------------------------------------
    def open_vault(self, nonce: bytes = bytes(32)) -> bytes:
        ids = [founder.identity for founder in self.chain.founders]
        name = next(name for name, one in self.loaded.custodians.items() if one is self.custodian)
        result = self.chain.run(self.principal, tx_pb2.OpenVault(nonce=nonce, custodian=name, fiduciaries=ids))
        assert result.code == 0, result
        self.vault = result.data
        self.settle()
        return self.vault

    @property
    def loaded(self) -> Loaded:
        return next(iter(self.tools.values())).custodians

    def prepare(self, threshold: int = 3, salt: bytes = bytes(32), **changes: object) -> PreparedOrder:
        """Seal SECRET for every founder. ``changes`` go into PrepareInput."""
        view = self.chain.view
        given: dict[str, object] = {
            "gid": self.chain.gid, "principal": self.principal.identity, "vault": VAULTS.get(view, self.vault),
            "keys": {
                one.identity: VAULT_KEYS.get(view, self.vault, one.identity).key for one in self.chain.founders
            },
            "threshold": threshold, "policy": single(self.beneficiary.identity),
            "rule": custody_pb2.BeneficiaryRule(identity=self.beneficiary.identity), "salt": salt, "secret": SECRET,
            "bls": self.principal.bls_key, "time_s": self.chain.time_s,
        }  # fmt: skip
        return self.custodian.prepare(PrepareInput(**(given | changes)))  # type: ignore[arg-type]

    def place(self, prepared: PreparedOrder | None = None, *, upload: bool = True) -> bytes:
        """Upload and place an order; nobody has answered it yet. Its id."""
        prepared = prepared or self.prepare()
        if upload:
            self.blocks[cid_of(prepared.envelope_block)] = prepared.envelope_block
        result = self.chain.run(self.principal, prepared.message)
        assert result.code == 0, result
        return result.data

    def request(self, order: bytes, nonce: bytes = bytes(32)) -> bytes:
        """Make keys, upload them, ask. The request's id."""
        gid, asker = self.chain.gid, self.beneficiary
        id_ = statements.request_id(gid, order, asker.identity, nonce)
        named = ORDERS.get(self.chain.view, order).fiduciaries
        keys = {
            one: HpkePrivateKey.from_seed(SecretBytes(seeded(one, nonce, 0) + seeded(one, nonce, 1) + seeded(one, 2)))
            for one in named
        }
        body = custody_pb2.RequestKeys(request=id_, keys=[key.public for key in keys.values()])
        draft = clear_envelope(
            envelope_pb2.ENVELOPE_TYPE_REQUEST_KEYS, sender=asker.identity, time_s=1, body=canonical.encode(body)
        )
        block = sign(draft, gid, {asker.identity: asker.bls_key})
        self.blocks[cid_of(block)] = block
        message = tx_pb2.RequestSecret(
            order=order, nonce=nonce, beneficiary=asker.identity, keys_cid=cid_of(block),
            key_digests=[statements.hpke_key_digest(key.public) for key in keys.values()],
        )  # fmt: skip
        result = self.chain.run(asker, message)
        assert result.code == 0, result
        self.keys[id_] = keys
        return id_

    def recover(self, request: bytes, answers: Mapping[bytes, bytes] | None = None) -> Recovered:
        """What the beneficiary makes of the answers on the ledger, or of those given."""
        view = self.chain.view
        record = REQUESTS.get(view, request)
        order = ORDERS.get(view, record.order)
        if answers is None:
            found = {one: ANSWERS.find(view, request, one) for one in order.fiduciaries}
            answers = {one: answer.sealed for one, answer in found.items() if answer is not None}
        return self.custodian.recover(
            RecoverInput(
                gid=self.chain.gid, order=order, vault=VAULTS.get(view, order.vault), request=record,
                principal=IDENTITIES.get(view, order.principal), envelope_block=self.blocks[order.envelope_cid],
                answers=answers, keys=self.keys[request],
            )
        )  # fmt: skip

    def order(self, order: bytes) -> custody_pb2.OrderRecord:
        return ORDERS.get(self.chain.view, order)


def make_world(
    directory: Path, custodian: str = "hsm-realm", fiduciaries: int = 4, params: params_pb2.Params | None = None
) -> World:
    """A chain with a principal and a beneficiary, and an agent for each founder, with keystores in ``directory``."""
    chain = Chain(fiduciaries, params or default_params())
    loaded = registry.load_custodians()
    world = World(chain, {}, {}, loaded.get(custodian))
    for number, founder in enumerate(chain.founders):
        store = software_keystore(directory / f"keys-{number}", founder)
        world.keystores[founder.identity] = store
        world.tools[founder.identity] = Tools(founder.identity, chain.gid, loaded, _always(store), world.pin)
    chain.register(world.principal, world.beneficiary)
    return world


def _always(store: Keystore) -> Callable[[], Keystore]:
    return lambda: store
