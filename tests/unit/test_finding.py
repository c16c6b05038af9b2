"""Whose first digits name what: the orders, vaults and requests that the ledger says concern an identity."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.base import ids
from dta.base.secret import SecretBytes
from dta.cli import custody as commands
from dta.client.custody import asking, finding, orders, vaults
from dta.client.custody.orders import NewOrder
from tests.support.actors import Actor
from tests.support.custody import k_of
from tests.support.order_flow import REALM, World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def made(world: World) -> tuple[bytes, bytes, list[bytes]]:
    """Alice's vault, her order of which carol is a party, and bob's two requests."""
    alice, bob = world.session(world.alice), world.session(world.bob)
    vault = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    policy = k_of(2, world.alice.identity, world.carol.identity)
    rule = pb.BeneficiaryRule(identity=world.bob.identity)
    order = orders.place(alice, REALM, NewOrder(vault, SecretBytes(b"the secret"), policy, rule)).record.id
    asked = []
    for _ in range(2):
        opened = asking.prepare(bob, order)
        asking.submit(bob, opened)
        asked.append(opened.request)
    return vault, order, asked


def test_an_order_and_its_requests_are_found_by_all_whom_they_concern_and_nobody_else(
    world: World, made: tuple[bytes, bytes, list[bytes]]
) -> None:
    vault, order, asked = made
    ledger = world.session(world.alice).ledger
    for actor in (world.alice, world.bob, world.carol):
        assert finding.orders(ledger, actor.identity) == [order]
        assert sorted(finding.requests(ledger, actor.identity)) == sorted(asked)
    assert finding.vaults(ledger, world.alice.identity) == [vault]
    assert finding.vaults(ledger, world.carol.identity) == []
    stranger = Actor("stranger").identity
    assert finding.orders(ledger, stranger) == finding.vaults(ledger, stranger) == [*finding.requests(ledger, stranger)]
    assert finding.orders(ledger, stranger) == []


def work(world: World, actor: Actor) -> commands.Work:
    """What a command has, of somebody whose home is empty."""
    session = world.session(actor)
    home = SimpleNamespace(path=session.directory / "empty")
    return cast(Any, SimpleNamespace(session=SimpleNamespace(home=home), ledger=session.ledger, custody=session))


def test_first_digits_name_what_concerns_one_though_the_home_never_saw_it(
    world: World, made: tuple[bytes, bytes, list[bytes]]
) -> None:
    vault, order, asked = made
    carol, alice = work(world, world.carol), work(world, world.alice)
    assert commands.find_order(carol, order.hex()[:6]) == order
    assert commands.find_request(carol, asked[1].hex()[:8], "signing order") == asked[1]
    assert commands.find_vault(alice, vault.hex()[:6]) == vault
    with pytest.raises(ids.IdUnknown):
        commands.find_vault(carol, vault.hex()[:6])
