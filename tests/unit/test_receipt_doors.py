"""Receipts through several doors: where what one serves makes no receipt, the next serves the whole of it."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import httpx
import pytest
from receipt_world import story
from test_receipt import spoil

from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.records import CHAIN, ORDERS, REQUEST_NUMBERS
from dta.base.errors import BadAnswer
from dta.client.ledger.rpc import Rpc, door_rpc
from dta.client.receipt.collect import collect_identity_receipt, collect_order_receipt, collect_transaction_receipt
from tests.support.light_chain import ClockedRpc, Lie, Node, b64
from tests.support.order_flow import LiveNode


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


def test_a_record_that_can_not_be_read_is_the_node_s_fault_and_not_this_program_s() -> None:
    made = story()
    identity = made.revoked.identity

    def garbage(params: dict[str, Any], said: Any) -> Any:
        if params["data"] == CHAIN.key().hex():
            return said
        return {"response": {**said["response"], "value": b64(b"\xff" * 9)}}

    with pytest.raises(BadAnswer, match="no receipt"):
        collect_identity_receipt(doors(liar("abci_query", garbage)), made.trust, identity, made.revoked_height - 1)
