"""Clients and agents together: what an agent does that is no answer of a job's reaches the client as it should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.records import REQUESTS, VAULTS
from dta.base.errors import TimedOut
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders, receiving, vaults
from dta.client.custody.errors import OrderFailed
from dta.client.custody.orders import NewOrder
from dta.node.hooks.bundle import parts_of
from tests.support.custody import single
from tests.support.order_flow import REALM, World, make_world

SECRET = SecretBytes(b"what only agents and clients together give back")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def open_vault(world: World) -> bytes:
    return vaults.open_vault(world.session(world.alice), "hsm-realm", world.founders).record.id


def new_order(world: World, vault: bytes) -> NewOrder:
    bob = world.bob.identity
    return NewOrder(vault, SECRET, single(bob), pb.BeneficiaryRule(identity=bob))


def placed(world: World) -> bytes:
    return orders.place(world.session(world.alice), REALM, new_order(world, open_vault(world))).record.id


def sent_by_agents(world: World) -> list[tx_pb2.TxBody]:
    """The bodies of all transactions that results of hooks are in, in their order."""
    signed = [tx_pb2.SignedTx.FromString(tx) for _, txs in sorted(world.chain.txs.items()) for tx in txs]
    bodies = [tx_pb2.TxBody.FromString(one.body) for one in signed]
    return [body for body in bodies if body.made_at_height]


def test_an_agent_says_by_which_height_it_answered_and_answers_all_that_is_due(world: World) -> None:
    alice = world.alice
    replica = world.chain.replica
    opening = [
        tx_pb2.OpenVault(nonce=bytes([number]) * 32, custodian="hsm-realm", fiduciaries=world.founders)
        for number in range(3)
    ]
    world.chain.pending += [replica.tx(alice, message) for message in opening]
    opened = [result.data for result in world.chain.make_block()]
    at = world.chain.height
    world.chain.make_block()
    bodies = sent_by_agents(world)
    assert [body.made_at_height for body in bodies] == [at] * len(bodies)
    assert sum(len(parts_of(getattr(body, body.WhichOneof("message") or ""))) for body in bodies) == 3 * 4
    assert [VAULTS.get(replica.view, vault).published for vault in opened] == [4, 4, 4]


def test_agents_that_start_again_in_the_middle_give_back_what_they_were_entrusted(world: World) -> None:
    order = placed(world)
    bob = world.session(world.bob)
    opened = asking.prepare(bob, order)
    for agent in world.chain.agents:
        agent.restart()
    asking.submit(bob, opened)
    for agent in world.chain.agents:
        agent.restart()
    assert receiving.receive(bob, REALM, opened.request).secret == SECRET


def test_an_envelope_that_nobody_serves_for_a_while_is_fetched_later(world: World) -> None:
    vault = open_vault(world)
    alice, gateways = world.session(world.alice), world.chain.gateways
    for agent in world.chain.agents:
        agent.silent.add(DueKind.FULFIL_ORDER)
    with pytest.raises(TimedOut) as caught:
        orders.place(alice, REALM, new_order(world, vault), wait_s=10)
    order = bytes.fromhex(str(caught.value.data["order"]))
    # Three of four lost the envelope, and the one that has it can't be reached.
    hosts = sorted(gateways.blocks)
    for host in hosts[1:]:
        gateways.blocks[host].clear()
    gateways.down = {hosts[0]}
    for agent in world.chain.agents:
        agent.silent.clear()
    with pytest.raises(TimedOut):
        orders.wait_until_active(alice, order, wait_s=10)
    assert alice.ledger.order(order, at_least=world.chain.height).fulfilled == 1
    [error] = world.chain.agents[1].status()["errors"]  # type: ignore[misc, union-attr]
    assert "is available nowhere" in error["error"]  # type: ignore[index, call-overload, operator]
    gateways.down = set()
    assert orders.wait_until_active(alice, order).record.fulfilled >= 3


def test_an_envelope_that_nobody_has_for_long_is_rejected_and_the_principal_is_told(world: World) -> None:
    vault = open_vault(world)
    alice = world.session(world.alice)
    for agent in world.chain.agents:
        agent.silent.add(DueKind.FULFIL_ORDER)
        agent.config = replace(agent.config, envelope_wait_s=30, envelope_attempts=2)
        agent.restart()
    with pytest.raises(TimedOut) as caught:
        orders.place(alice, REALM, new_order(world, vault), wait_s=10)
    for held in world.chain.gateways.blocks.values():
        held.clear()
    for agent in world.chain.agents:
        agent.silent.clear()
    with pytest.raises(OrderFailed) as failed:
        orders.wait_until_active(alice, bytes.fromhex(str(caught.value.data["order"])))
    outcomes = {one["outcome"] for one in failed.value.data["fiduciaries"]}  # type: ignore[union-attr, index, call-overload]
    assert "rejected: envelope-unavailable" in outcomes


def test_whoever_is_asked_by_a_key_that_the_ledger_does_not_name_answers_nothing_and_says_why(world: World) -> None:
    order = placed(world)
    bob = world.session(world.bob)
    opened = asking.prepare(bob, order)
    first, second, *others = opened.message.key_digests
    opened.message.key_digests[:] = [second, first, *others]
    asking.submit(bob, opened)
    for _ in range(3):
        world.chain.make_block()
    record = REQUESTS.get(world.chain.replica.view, opened.request)
    assert record.answers == 2
    stuck = [agent.status() for agent in world.chain.agents]
    assert [one["given_up"] for one in stuck] == [1, 1, 0, 0]
    assert "not the one that the ledger names" in str(stuck[0]["errors"])
