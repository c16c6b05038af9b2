"""A ledger whose records deadlines have overtaken, and no sweep came to any of them: one of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from abci_app.block import Changes
from abci_app.params import default_params
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2, tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.overlay import Overlay
from abci_app.state.records import EXTRACTIONS, IDENTITIES, ORDERS, PROPOSALS, REQUESTS, VAULTS
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders, vaults
from dta.client.custody.orders import NewOrder
from tests.support import authority, governance
from tests.support.actors import Actor
from tests.support.custody import k_of
from tests.support.order_flow import REALM, World, make_world
from tests.support.world import DatedActor

TTL_S = 300


@dataclass
class Overtaken:
    """``waits``: a request of an order that lives on. ``request``: one of ``order``, which has expired."""

    world: World
    order: bytes
    request: bytes
    waits: bytes
    vault: bytes
    proposal: bytes
    extraction: bytes
    dated: Actor

    @property
    def statuses(self) -> dict[bytes, str]:
        """What each is, by its key."""
        return {
            ORDERS.key(self.order): "expired", REQUESTS.key(self.request): "expired",
            REQUESTS.key(self.waits): "expired", VAULTS.key(self.vault): "closed",
            PROPOSALS.key(self.proposal): "expired", EXTRACTIONS.key(self.extraction): "expired",
            IDENTITIES.key(self.dated.identity): "out of date",
        }  # fmt: skip


def overtaken(directory: Path) -> Overtaken:
    """Made while no deadline is recorded; some blocks later all have passed."""
    params = default_params()
    params.request_ttl_s = params.close_vault_delay_s = params.proposal_ttl_s = TTL_S
    params.close_vault_delay_blocks = 1
    world = make_world(directory, params=params)
    chain, replica = world.chain, world.chain.replica
    for agent in chain.agents:  # an answer would write the end down
        agent.silent |= {DueKind.SUBMIT_PARTIALS, DueKind.ERASE_VAULT}
    dated = DatedActor("dora")
    dated.not_after_s = replica.time_s + TTL_S
    register = tx_pb2.RegisterIdentity(envelope=dated.enrol(replica.gid))
    assert chain.run(replica.founders[0], register).code == 0
    proposal = _propose(world)
    alice = world.session(world.alice)
    vault = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    empty = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    expires_at_s = replica.time_s + TTL_S
    order, other = (_place(world, vault, expires_at_time_s=at) for at in (expires_at_s, 0))
    request, waits = _ask(world, order), _ask(world, other)
    vaults.close_vault(alice, empty)
    extraction = _extraction(world)
    while replica.time_s < expires_at_s + TTL_S:
        chain.make_block()
    return Overtaken(world, order, request, waits, empty, proposal, extraction, dated)


def _propose(world: World) -> bytes:
    replica = world.chain.replica
    message = governance.proposing(governance.change_params(replica, max_upkeep_cost=7))
    result = world.chain.run(replica.founders[0], message)
    assert result.code == 0, result
    return result.data


def _place(world: World, vault: bytes, expires_at_time_s: int) -> bytes:
    policy = k_of(3, world.alice.identity, world.bob.identity, world.carol.identity)
    rule = pb.BeneficiaryRule(identity=world.bob.identity)
    new = NewOrder(vault, SecretBytes(b"secret"), policy, rule, expires_at_time_s=expires_at_time_s)
    return orders.place(world.session(world.alice), REALM, new).record.id


def _ask(world: World, order: bytes) -> bytes:
    bob = world.session(world.bob)
    opened = asking.prepare(bob, order)
    asking.submit(bob, opened)
    return opened.request


def _extraction(world: World) -> bytes:
    """A client's enrolment that no member answers: what it writes is in a proved state from the next block on."""
    chain, replica = world.chain, world.chain.replica
    dealt = chain.deal(authority.MFA)
    state = Overlay(replica.view)
    context = authority.context_over(state, replica.gid, replica.height, replica.time_s)
    request, _ = authority.open_mfa(
        context, dealt, extraction_pb2.USE_CLIENT, items=1, deadline_time_s=replica.time_s + TTL_S
    )
    changes = state.changes()
    replica.view.apply(Changes(leaves=(), index=changes.index))
    chain.write({key: value for key, value in changes.leaves if value is not None})
    return request
