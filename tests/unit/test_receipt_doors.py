"""Receipts through several doors: where what one serves makes no receipt, the next serves the whole of it."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
import pytest
from receipt_world import story
from test_receipt import spoil

from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, identity_pb2
from abci_app.state.records import (
    EPOCHS,
    EXTRACTIONS,
    IDENTITIES,
    IDENTITY_HISTORY,
    ORDERS,
    REQUEST_NUMBERS,
)
from dta.base.errors import BadAnswer
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders
from dta.client.custody.orders import NewOrder
from dta.client.ledger.rpc import Rpc, door_rpc
from dta.client.receipt.collect import collect_identity_receipt, collect_order_receipt, collect_transaction_receipt
from dta.custodians.mpc_bls import MpcBls
from tests.support.authority import CUSTODY
from tests.support.custody import single
from tests.support.light_chain import ClockedRpc, Lie, Node, b64
from tests.support.order_flow import LiveNode, make_world


def doors(*nodes: Node) -> ClockedRpc:
    """A client of doors at these nodes, in this order."""
    rpc = ClockedRpc(nodes[0])
    first, *others = [door_rpc(f"http://{place}.test") for place in range(len(nodes))]
    transport = httpx.MockTransport(lambda request: nodes[int(request.url.host.partition(".")[0])].handle(request))
    Rpc.__init__(rpc, first, others=others, transport=transport)
    return rpc


def liar(method: str, lie: Lie) -> LiveNode:
    return LiveNode(story().world.chain, lies={method: lie})


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("commit", "signed_header.header.data_hash"), ("commit", "signed_header.commit.signatures.1.signature"),
        ("block", "block.data.txs.0"), ("block_results", "txs_results.0.code"), ("abci_query", "response.value"),
        ("abci_query", "response.proofOps.ops.0.data"),
    ],
)  # fmt: skip
def test_where_one_door_s_answers_make_no_receipt_the_next_one_s_do(method: str, where: str) -> None:
    made = story()
    honest = LiveNode(made.world.chain)
    wanted = made.receipts["transaction"].verified.txs[0]
    found = collect_transaction_receipt(
        doors(liar(method, spoil(where)), honest), made.trust, wanted.tx_hash, wanted.header.height
    )
    assert found.verified.txs == (wanted,)
    assert honest.calls


def order_with(change: Any) -> Lie:
    """Another record of the order than the ledger's, and as many requests as anybody asks for."""
    key, numbers = ORDERS.key(story().order).hex(), REQUEST_NUMBERS.prefix.hex()
    asked: list[str] = []

    def lie(params: dict[str, Any], said: Any) -> Any:
        asked.append(params["data"])
        assert len(asked) < 200, "it follows what was made up"
        if params["data"].startswith(numbers):
            return {"response": {**said["response"], "value": b64(b"r" * 32)}}
        if params["data"] != key:
            return said
        return {"response": {**said["response"], "value": b64(change(b64decode(said["response"]["value"])))}}

    return lie


def endless(value: bytes) -> bytes:
    """As if it had more requests than anybody ever asks about."""
    record = custody_pb2.OrderRecord.FromString(value)
    record.requests = (1 << 32) - 1
    return record.SerializeToString(deterministic=True)


@pytest.mark.parametrize("change", [endless, lambda value: b"\xff" * 9])
def test_a_record_that_a_door_made_up_is_not_followed(change: Any) -> None:
    made = story()
    false = liar("abci_query", order_with(change))
    found = collect_order_receipt(doors(false, LiveNode(made.world.chain)), made.trust, made.order)
    assert [tx.tx_hash for tx in found.verified.txs] == [tx.tx_hash for tx in made.receipts["order"].verified.txs]


def with_value(key: bytes, change: Any, counted: bytes) -> Lie:
    """Another record at this key than the ledger's, by which nothing under the prefix ``counted`` may be asked for."""

    def lie(params: dict[str, Any], said: Any) -> Any:
        assert not params["data"].startswith(counted.hex()), "it follows what was made up"
        if params["data"] != key.hex():
            return said
        return {"response": {**said["response"], "value": b64(change(b64decode(said["response"]["value"])))}}

    return lie


def test_a_history_is_not_counted_through_as_far_as_a_door_says_that_it_goes() -> None:
    made = story()
    identity = made.revoked.identity

    def long(value: bytes) -> bytes:
        record = identity_pb2.IdentityRecord.FromString(value)
        record.history_count = (1 << 32) - 1
        return record.SerializeToString(deterministic=True)

    false = liar("abci_query", with_value(IDENTITIES.key(identity), long, IDENTITY_HISTORY.prefix))
    found = collect_identity_receipt(
        doors(false, LiveNode(made.world.chain)), made.trust, identity, made.revoked_height - 1
    )
    assert set(found.verified.states) == set(made.receipts["identity"].verified.states)


def test_epochs_are_not_counted_down_from_where_a_door_says_that_a_key_is(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    key = world.chain.deal(CUSTODY)
    for _ in range(2):
        world.chain.make_block()
    alice, bob = world.session(world.alice), world.session(world.bob)
    rule = custody_pb2.BeneficiaryRule(identity=world.bob.identity)
    new = NewOrder(b"", SecretBytes(b"s"), single(world.bob.identity), rule, authority=key.id)
    order = orders.place(alice, MpcBls(), new).record.id
    opened = asking.prepare(bob, order)
    asking.submit(bob, opened)
    for _ in range(3):
        world.chain.make_block()

    def far(value: bytes) -> bytes:
        record = extraction_pb2.ExtractionRecord.FromString(value)
        record.epoch, record.answers = 1 << 31, record.answers + 1
        return record.SerializeToString(deterministic=True)

    false = LiveNode(world.chain, lies={"abci_query": with_value(EXTRACTIONS.key(opened.request), far, EPOCHS.prefix)})
    trust = world.chain.trust_file(world.chain.replica.gid)
    found = collect_order_receipt(doors(false, LiveNode(world.chain)), trust, order)
    assert found.verified.order is not None


def test_a_door_that_names_a_block_to_come_or_stands_still_is_left_for_the_next() -> None:
    made = story()
    wanted = made.receipts["transaction"].verified.txs[0]
    honest = LiveNode(made.world.chain)
    false = liar("tx", lambda params, said: {**said, "height": str(10**9)})
    found = collect_transaction_receipt(doors(false, honest), made.trust, wanted.tx_hash)
    assert found.verified.txs == (wanted,)

    def old(params: dict[str, Any], said: Any) -> Any:
        return {**said, "sync_info": {**said["sync_info"], "latest_block_height": "2"}}

    found = collect_transaction_receipt(
        doors(liar("status", old), honest), made.trust, wanted.tx_hash, wanted.header.height
    )
    assert found.verified.txs == (wanted,)


def test_a_record_that_can_not_be_read_is_the_node_s_fault_and_not_this_program_s() -> None:
    made = story()
    identity = made.revoked.identity

    def garbage(params: dict[str, Any], said: Any) -> Any:
        if not params["data"].startswith(IDENTITY_HISTORY.prefix.hex()):
            return said
        return {"response": {**said["response"], "value": b64(b"\xff" * 9)}}

    with pytest.raises(BadAnswer, match="no receipt"):
        collect_identity_receipt(doors(liar("abci_query", garbage)), made.trust, identity, made.revoked_height - 1)
