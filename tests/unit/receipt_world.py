"""Receipts to test with: of an order with a whole life, of identities, of leaves, across changes of the validator set.

The state machine, its tree, the proofs, the validators' signatures and the node's answers are real; time is not.
"""

from __future__ import annotations

import json
import tempfile
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from abci_app.block import TxResult
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.records import IDENTITIES, PARAMS, VAULTS
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders, receiving, vaults
from dta.client.custody.orders import NewOrder
from dta.client.receipt.collect import (
    Collected,
    collect_identity_receipt,
    collect_order_receipt,
    collect_state_receipt,
    collect_transaction_receipt,
)
from dta.light.hashes import tx_hash
from dta.light.trust import TrustFile
from tests.support.actors import Actor
from tests.support.custody import k_of
from tests.support.light_chain import START_S, Chain, ClockedRpc, Members, Node, members
from tests.support.order_flow import REALM, LiveNode, World, make_world

NOW_S = START_S + 10_000


@dataclass
class Story:
    """An order with a request that was granted and answered, one that was vetoed, and its end."""

    world: World
    trust: TrustFile
    order: bytes
    revoked: Actor
    revoked_height: int
    receipts: dict[str, Collected] = field(default_factory=dict)


def rpc_of(world: World, node: LiveNode | None = None) -> ClockedRpc:
    chain = world.chain
    return ClockedRpc(node or world.node, on_sleep=lambda: chain.make_block() and None)


def _place(world: World) -> bytes:
    policy = k_of(3, world.alice.identity, world.bob.identity, world.carol.identity)
    policy.veto_window_s = 60
    alice = world.session(world.alice)
    vault = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    new = NewOrder(vault, SecretBytes(b"the secret"), policy, pb.BeneficiaryRule(identity=world.bob.identity))
    return orders.place(alice, REALM, new).record.id


def _ask(world: World, order: bytes) -> bytes:
    bob = world.session(world.bob)
    opened = asking.prepare(bob, order)
    asking.submit(bob, opened)
    return opened.request


@cache
def story() -> Story:
    """Made once: nobody changes it."""
    world = make_world(Path(tempfile.mkdtemp(prefix="dta-receipts-")))
    order = _place(world)
    carol, bob = world.session(world.carol), world.session(world.bob)
    granted, vetoed = _ask(world, order), _ask(world, order)
    alice = world.session(world.alice)
    asking.approve(alice, asking.content(alice, granted))
    asking.approve(carol, asking.content(carol, granted))
    asking.approve(carol, asking.content(carol, vetoed))
    asking.veto(carol, asking.content(carol, vetoed))
    receiving.receive(bob, REALM, granted)
    orders.close(alice, order)
    revoked = Actor("dora")
    register = tx_pb2.RegisterIdentity(envelope=revoked.enrol(world.chain.replica.gid))
    assert world.chain.run(world.chain.replica.founders[0], register).code == 0
    for _ in range(3):
        world.chain.make_block()
    assert world.chain.run(revoked, tx_pb2.SuspendIdentity()).code == 0
    for _ in range(3):
        world.chain.make_block()
    key = revoked.key(1)
    tx = world.chain.replica.tx(revoked, tx_pb2.RevokeIdentity(next_key=bytes(key.verify_key)), key=key)
    world.chain.pending.append(tx)
    assert world.chain.make_block()[-1].code == 0
    height = world.chain.height
    for _ in range(2):
        world.chain.make_block()
    found = Story(world, world.chain.trust_file(world.chain.replica.gid), order, revoked, height)
    _collect(found)
    return found


def _collect(story: Story) -> None:
    rpc, trust, revoked = rpc_of(story.world), story.trust, story.revoked.identity
    story.receipts["order"] = collect_order_receipt(rpc, trust, story.order)
    order = story.receipts["order"].verified.order
    assert order is not None
    story.receipts["transaction"] = collect_transaction_receipt(rpc, trust, order.order.placed_tx)
    story.receipts["identity"] = collect_identity_receipt(rpc, trust, revoked, story.revoked_height - 1)
    unknown = [IDENTITIES.key(bytes(32)), VAULTS.key(b"\x01" * 32)]
    story.receipts["absence"] = collect_state_receipt(rpc, trust, [*unknown, PARAMS.key()])


@cache
def changing() -> tuple[Chain, TrustFile, Collected]:
    """A transaction's receipt over a chain whose validators changed, all of them in the end, one by one."""
    group: Members = members(4)
    chain = Chain(group)
    for step in range(24):
        txs = [b"tx %d %d" % (step, number) for number in range(step % 6)]
        results = [TxResult(number, b"data" * number, "log", 10 + number, 5) for number in range(len(txs))]
        following = None
        if step % 4 == 3:
            first = 4 + step // 4
            following = group = (*group[1:], *members(1, first=first))
        chain.add([(b"k%d" % step, b"v")], txs, results, next_group=following, absent=[chain.next_group[0][0]])
    rpc = ClockedRpc(Node(chain))
    wanted = chain.txs[18][3]
    collected = collect_transaction_receipt(rpc, chain.trust_file(), tx_hash(wanted))
    return chain, chain.trust_file(), collected


# --- changing receipts ----------------------------------------------------------------------------------------
def edited(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The receipt after ``change`` to its JSON, in the canonical form again."""
    value = json.loads(content)
    change(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def base64_text(value: bytes) -> str:
    return b64encode(value).decode()
