"""What tests of inboxes share: orders of a running ledger (tests/support/order_flow.py), and whoever reads an inbox."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders, vaults
from dta.client.custody.asking import Content
from dta.client.custody.orders import NewOrder
from dta.client.custody.session import Session
from dta.client.inbox import reading
from dta.client.inbox.followed import Followed
from dta.client.inbox.items import Action, Inbox, Item, ItemKind
from dta.client.inbox.reading import Reader, Reading
from tests.support.actors import Actor
from tests.support.light_chain import Node
from tests.support.order_flow import REALM, LiveNode, World


def register(world: World, name: str) -> Actor:
    """One more person on the ledger."""
    actor, chain = Actor(name), world.chain
    message = tx_pb2.RegisterIdentity(envelope=actor.enrol(chain.replica.gid))
    result = chain.run(chain.replica.founders[0], message)
    assert result.code == 0, result
    return actor


def open_vault(world: World, principal: Actor) -> bytes:
    """A vault of theirs, with every founder's key in it."""
    return vaults.open_vault(world.session(principal), "hsm-realm", world.founders).record.id


def place(
    world: World, principal: Actor, vault: bytes, policy: pb.Policy, beneficiary: bytes = b"", **given: Any
) -> bytes:
    """An active order of theirs."""
    rule = pb.BeneficiaryRule(identity=beneficiary)
    new = NewOrder(vault, SecretBytes(b"the secret"), policy, rule, **given)
    return orders.place(world.session(principal), REALM, new).record.id


def ask(world: World, beneficiary: Actor, order: bytes) -> bytes:
    """A request of theirs."""
    session = world.session(beneficiary)
    opened = asking.prepare(session, order)
    asking.submit(session, opened)
    return opened.request


def decide(world: World, actor: Actor, request: bytes, how: Callable[[Session, Content], object]) -> None:
    """They approve or veto it, and that is in a proved state."""
    session = world.session(actor)
    how(session, asking.content(session, request))
    world.chain.make_block()


def read(
    world: World, actor: Actor, *, node: Node | None = None, contacts: Collection[bytes] = (),
    held: Collection[bytes] = (), followed: Followed | None = None,
) -> Reading:  # fmt: skip
    """What they read of the ledger; ``node``: another than the honest one."""
    ledger = world.session(actor, node).ledger  # type: ignore[arg-type]
    return ledger.rpc.run(reading.read(ledger.flows, Reader(actor.identity, contacts, dict.fromkeys(held)), followed))


def inbox(world: World, actor: Actor, **given: Any) -> Inbox:
    """Their inbox. Whoever is not said otherwise knows alice, bob and carol."""
    given.setdefault("contacts", [one.identity for one in (world.alice, world.bob, world.carol)])
    return read(world, actor, **given).inbox


def seen(items: Collection[Item]) -> list[tuple[ItemKind, bytes, tuple[Action, ...]]]:
    """What stands in a list, in its order."""
    return [(item.kind, item.subject, item.actions) for item in items]


def lying(world: World, lies: Mapping[bytes, Callable[[dict[str, Any]], dict[str, Any]]]) -> LiveNode:
    """A node that says something else about these keys: each honest answer is changed by its function."""

    def lie(params: dict[str, Any], honest: Any) -> Any:
        change = lies.get(bytes.fromhex(params["data"]))
        return honest if change is None else {"response": change(dict(honest["response"]))}

    return LiveNode(world.chain, lies={"abci_query": lie})


def left_out(response: dict[str, Any]) -> dict[str, Any]:
    """There is nothing at that key, says the node."""
    return {**response, "value": None}
