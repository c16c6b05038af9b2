"""What a fiduciary's ``hsm-realm`` rejects, check by check: all else is right, so that no later one answers for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hooks_harness import World, make_world

from abci_app import canonical
from abci_app.cid import cid_of
from abci_app.crypto import hpke, statements
from abci_app.envelope import order_seal_info
from abci_app.pb.dta.v1 import custody_pb2, envelope_pb2, identity_pb2
from abci_app.state.records import IDENTITIES, VAULT_KEYS, VAULTS
from dta.base.secret import SecretBytes
from dta.crypto.hpke import HpkePrivateKey, seal
from dta.custodians.plugin import CustodyContext, Entrusted, OrderRejected
from dta.envelope import Draft, sign
from tests.support.refusals import fault_of

RECEIVER = HpkePrivateKey.generate().public


@dataclass
class Given:
    """An order that every fiduciary has taken, as the first of them holds it."""

    world: World
    order: custody_pb2.OrderRecord
    vault: custody_pb2.VaultRecord
    principal: identity_pb2.IdentityRecord
    block: bytes

    @property
    def context(self) -> CustodyContext:
        founder = self.world.chain.founders[0]
        return CustodyContext(
            self.world.chain.gid, founder.identity, self.world.tools[founder.identity].keystore()
        )

    def entrusted(self) -> Entrusted:
        return Entrusted(self.order, self.vault, self.principal, self.block)

    def accepting(self) -> object:
        return fault_of(lambda: self.world.custodian.accept(self.context, self.entrusted()), OrderRejected)

    def releasing(self) -> object:
        request = custody_pb2.RequestRecord(id=bytes(32), order=self.order.id)
        return fault_of(
            lambda: self.world.custodian.release(self.context, self.entrusted(), request, RECEIVER), OrderRejected
        )

    def header(self) -> envelope_pb2.EnvelopeHeader:
        return envelope_pb2.EnvelopeHeader.FromString(envelope_pb2.Envelope.FromString(self.block).header)

    def name(self, header: envelope_pb2.EnvelopeHeader) -> None:
        """The order names this envelope instead, which its sender signed."""
        body = envelope_pb2.Envelope.FromString(self.block).body
        who = next(
            actor for actor in (self.world.principal, self.world.beneficiary) if actor.identity == header.sender
        )
        self.block = sign(Draft(canonical.encode(header), body), self.world.chain.gid, {who.identity: who.bls_key})
        self.order.envelope_cid = cid_of(self.block)

    def seal_share(self, share: bytes) -> None:
        """Another share, under the very seal that the order's own has."""
        bound = statements.order_context(
            self.world.chain.gid, self.order.vault, self.order.principal, self.order.salt,
            statements.policy_hash(self.order.policy, self.order.rule),
        )  # fmt: skip
        info = statements.share_seal_info(bound, 1, self.order.share_commitments[0])
        header = self.header()
        key = VAULT_KEYS.get(self.world.chain.view, self.order.vault, self.world.chain.founders[0].identity).key
        header.recipients[0].sealed = seal(key, order_seal_info(info, header), SecretBytes(share))
        self.name(header)


@pytest.fixture
def given(tmp_path: Path) -> Given:
    world = make_world(tmp_path)
    world.open_vault()
    order = world.order(world.place())
    view = world.chain.view
    vault, principal = VAULTS.get(view, order.vault), IDENTITIES.get(view, order.principal)
    return Given(world, order, vault, principal, world.blocks[order.envelope_cid])


def test_what_is_broken_here_is_taken_whole(given: Given) -> None:
    given.world.custodian.accept(given.context, given.entrusted())
    request = custody_pb2.RequestRecord(id=bytes(32), order=given.order.id)
    sealed = given.world.custodian.release(given.context, given.entrusted(), request, RECEIVER)
    assert len(sealed) == hpke.SEALED_OVERHEAD_BYTES + 32


def other_vault(given: Given) -> None:
    given.vault.id = bytes(32)


def vault_of_another(given: Given) -> None:
    given.vault.principal = given.world.beneficiary.identity


def another_principal(given: Given) -> None:
    """Whose key verifies what he signed himself."""
    given.principal.id = given.world.beneficiary.identity


@pytest.mark.parametrize("spoil", [other_vault, vault_of_another, another_principal])
def test_order_vault_and_principal_must_belong(given: Given, spoil: Callable[[Given], None]) -> None:
    spoil(given)
    assert given.accepting() == "belong"


def test_a_block_that_the_order_does_not_name_is_not_opened(given: Given) -> None:
    """Though it is an envelope of the same principal, to the same fiduciaries, under the same keys."""
    other = given.world.order(given.world.place(given.world.prepare(salt=b"\1" * 32)))
    assert other.vault == given.order.vault
    given.block = given.world.blocks[other.envelope_cid]
    assert given.accepting() == "other-block"
    assert given.releasing() == "other-block"


def another_type(given: Given) -> None:
    header = given.header()
    header.type = envelope_pb2.ENVELOPE_TYPE_RECORD
    given.name(header)


def another_sender(given: Given) -> None:
    header = given.header()
    header.sender = given.world.beneficiary.identity
    given.name(header)


def another_context(given: Given) -> None:
    header = given.header()
    header.context = bytes(32)
    given.name(header)


def another_sequence(given: Given) -> None:
    header = given.header()
    header.recipients.append(header.recipients.pop(1))
    given.name(header)


def no_scalar(given: Given) -> None:
    given.seal_share(b"\xff" * 32)


def another_share(given: Given) -> None:
    given.seal_share(b"\1" * 32)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (another_type, "type"), (another_sender, "sender"), (another_context, "context"),
        (another_sequence, "recipients"), (no_scalar, "scalar"), (another_share, "commitment"),
    ],
)  # fmt: skip
def test_an_envelope_that_is_not_the_orders_releases_nothing(
    given: Given, spoil: Callable[[Given], None], reason: str
) -> None:
    spoil(given)
    assert given.releasing() == reason
