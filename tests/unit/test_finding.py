"""Whose first digits name what: the orders, vaults and requests that the ledger says concern an identity."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.records import CONCERNS, VAULTS
from dta.base import ids
from dta.base.errors import NotVerified
from dta.base.secret import SecretBytes
from dta.cli import custody as commands
from dta.client.custody import asking, finding, orders, own_vaults, vaults
from dta.client.custody.orders import NewOrder
from dta.client.ledger.concerns import Concerns
from tests.support.actors import Actor
from tests.support.custody import k_of
from tests.support.inboxes import left_out, lying
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
    assert own_vaults.every(world.session(world.alice)) == (vault,)
    assert own_vaults.every(world.session(world.carol)) == ()
    stranger = Actor("stranger").identity
    assert finding.orders(ledger, stranger) == [*finding.requests(ledger, stranger)] == []


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


def test_one_s_vaults_are_whole_or_refused_and_each_entry_is_read_once(world: World) -> None:
    alice = world.session(world.alice)
    first = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    assert own_vaults.every(alice) == (first,)
    second = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    hiding = lying(world, {CONCERNS.key(world.alice.identity, 2): left_out})
    with pytest.raises(NotVerified) as caught:
        own_vaults.every(world.session(world.alice, hiding))
    assert caught.value.step == "proof"
    asked: list[bytes] = []
    honest = lying(world, {})
    honest.lies["abci_query"] = lambda params, answer: asked.append(bytes.fromhex(params["data"])) or answer
    assert own_vaults.every(world.session(world.alice, honest)) == (first, second)
    assert CONCERNS.key(world.alice.identity, 1) not in asked
    for broken in ("", "[]", own_vaults.path_of(alice.directory, world.alice.identity).read_text()[:-9]):
        own_vaults.path_of(alice.directory, world.alice.identity).write_text(broken)
        assert own_vaults.every(alice) == (first, second)


def test_a_vault_that_is_closed_for_good_is_not_read_again_and_one_that_may_be_kept_is(tmp_path: Path) -> None:
    statuses = {b"c" * 32: pb.VAULT_STATUS_CLOSED, b"k" * 32: pb.VAULT_STATUS_CLOSING, b"o" * 32: pb.VAULT_STATUS_OPEN}
    read: list[bytes] = []

    class OfThese:
        def get(self, leaf: Any, at_least: int) -> pb.VaultRecord:
            assert at_least == 7
            [id_] = (one for one in statuses if leaf.key == VAULTS.key(one))
            read.append(id_)
            return pb.VaultRecord(id=id_, status=statuses[id_])

        def concerns_page(self, identity: bytes, after: int, *, at_least: int) -> Concerns:
            return Concerns(identity, after, (), after, at_least)

    gid, me = b"g" * 32, b"m" * 32
    own_vaults._save(tmp_path, own_vaults.OwnVaults(gid, me, 3, 7, tuple(statuses)))
    session = cast(Any, SimpleNamespace(
        ledger=OfThese(), gid=gid, party=SimpleNamespace(identity=me), directory=tmp_path,
    ))  # fmt: skip
    for expected in ([b"c" * 32, b"k" * 32, b"o" * 32], [b"k" * 32, b"o" * 32]):
        read.clear()
        assert list(own_vaults.opened(session, own_vaults.read(session))) == [b"o" * 32]
        assert read == expected
    assert own_vaults.every(session) == tuple(statuses)
