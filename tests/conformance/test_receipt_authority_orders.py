"""Receipts of orders under authority keys: both verifiers take them, and neither without any leaf that belongs."""

from __future__ import annotations

import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state.due import DueKind
from abci_app.state.records import SIGNING_POLICIES
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders, receiving, signing
from dta.client.custody.orders import NewOrder
from dta.client.receipt.collect import collect_order_receipt
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.verify import verify_receipt
from dta.custodians.mpc_bls import MpcBls
from dta.light.trust import TrustFile
from tests.support.authority import CUSTODY, SIGNING, Dealt
from tests.support.custody import k_of, single
from tests.support.receipt_verifier import verdicts

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # where the hand-signed chains are

from receipt_world import NOW_S, edited, rpc_of

from tests.support.order_flow import World, make_world

CUSTODIAN = MpcBls()


@cache
def receipts() -> tuple[TrustFile, dict[str, bytes]]:
    """Of an ``mpc-bls`` order with a request that was answered and one that waits, of a signing order, and of one
    that an epoch flip began again when it had two answers.
    """
    world = make_world(Path(tempfile.mkdtemp(prefix="dta-key-receipts-")))
    safe, seal = world.chain.deal(CUSTODY), world.chain.deal(SIGNING)
    policy = extraction_pb2.SigningPolicy(authority=seal.id, policy=single(world.alice.identity))
    world.chain.write({SIGNING_POLICIES.key(seal.id): policy.SerializeToString()})
    for _ in range(2):
        world.chain.make_block()
    made = {"order": entrusted(world, safe.id), "signing": signed(world, seal.id)}
    made["flipped"] = flipped(world, safe)
    for _ in range(3):
        world.chain.make_block()
    trust = world.chain.trust_file(world.chain.replica.gid)
    return trust, {name: collect_order_receipt(rpc_of(world), trust, id_).content for name, id_ in made.items()}


def entrusted(world: World, key: bytes) -> bytes:
    alice, bob = world.session(world.alice), world.session(world.bob)
    rule = pb.BeneficiaryRule(identity=world.bob.identity)
    policy = k_of(1, world.alice.identity, world.carol.identity)
    order = orders.place(alice, CUSTODIAN, NewOrder(b"", SecretBytes(b"s"), policy, rule, authority=key)).record.id
    for _ in range(2):
        opened = asking.prepare(bob, order)
        asking.submit(bob, opened)
    asking.approve(alice, asking.content(alice, opened.request))
    receiving.receive(bob, CUSTODIAN, opened.request)
    return order


def flipped(world: World, key: Dealt) -> bytes:
    """Answered by two, resharded to three of three, answered by those: five answers, of four."""
    alice, bob = world.session(world.alice), world.session(world.bob)
    rule = pb.BeneficiaryRule(identity=world.bob.identity)
    new = NewOrder(b"", SecretBytes(b"s"), single(world.bob.identity), rule, authority=key.id)
    order = orders.place(alice, CUSTODIAN, new).record.id
    for agent in world.chain.agents[:2]:
        agent.silent.add(DueKind.FULFIL_SECRET)
    opened = asking.prepare(bob, order)
    asking.submit(bob, opened)
    for _ in range(3):
        world.chain.make_block()
    world.chain.reshare(key, world.founders[:3], 3)
    for agent in world.chain.agents:
        agent.silent.clear()
    receiving.receive(bob, CUSTODIAN, opened.request)
    return order


def signed(world: World, key: bytes) -> bytes:
    alice = world.session(world.alice)
    found = signing.place(alice, key, "release", b"1.0")
    return signing.wait(alice, found.record.request, 60).record.order


def ours(trust: TrustFile, content: bytes) -> str:
    try:
        verify_receipt(content, trust, NOW_S)
    except ReceiptRefused as refused:
        return f"refused: {refused.step}"
    return "ok"


def test_a_receipt_has_the_answers_of_epochs_that_count_no_more() -> None:
    trust, made = receipts()
    held = verify_receipt(made["flipped"], trust, NOW_S).order
    assert held is not None
    (record,) = held.extractions.values()
    assert (record.epoch, record.answers, record.earlier_answers) == (2, 3, 2)
    assert sorted(epoch for _, epoch, _ in held.partials) == [1, 1, 2, 2, 2]
    assert (held.order.answers, held.order.answerers) == (5, 4)


@pytest.mark.parametrize("name", ["order", "signing", "flipped"])
def test_both_verifiers_accept_it_and_neither_without_a_leaf(name: str) -> None:
    trust, made = receipts()
    content = made[name]
    (theirs,) = verdicts(trust, [content], NOW_S)
    assert (ours(trust, content), theirs[:4]) == ("ok", "ok: ")
    count = len(leaves_of(content))
    without = [edited(content, lambda receipt, at=at: receipt["states"].pop(at)) for at in range(count)]
    assert [at for at, cut in enumerate(without) if ours(trust, cut) == "ok"] == []
    assert [at for at, said in enumerate(verdicts(trust, without, NOW_S)) if said.startswith("ok")] == []


def leaves_of(content: bytes) -> list[Any]:
    import json

    found: list[Any] = json.loads(content)["states"]
    return found
