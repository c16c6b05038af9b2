"""Receipts that hold: what is in them, what they say, how they are got from a node, and that no node can spoil one."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from receipt_world import NOW_S, changing, rpc_of, story

from abci_app.block import TxResult
from abci_app.state.records import ANSWERS, CHAIN, ORDERS, PARAMS
from dta.base.errors import DtaError, NotFound, RpcError
from dta.client.receipt import identity as identities
from dta.client.receipt.collect import (
    collect_identity_receipt,
    collect_order_receipt,
    collect_state_receipt,
    collect_transaction_receipt,
)
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.format import Receipt
from dta.client.receipt.summary import summary_json, summary_lines
from dta.client.receipt.verify import verify_receipt
from dta.light.hashes import tx_hash
from dta.light.people import People
from dta.light.trust import TrustFile
from tests.support.light_chain import Chain, ClockedRpc, Node, b64, members
from tests.support.order_flow import LiveNode

VECTORS = Path(__file__).parents[1] / "vectors" / "receipts"


@pytest.mark.parametrize("name", ["order", "transaction", "identity", "absence"])
def test_a_receipt_is_read_back_as_it_was_written_and_holds(name: str) -> None:
    made = story()
    content = made.receipts[name].content
    assert Receipt.decode(content).encode() == content
    verified = verify_receipt(content, made.trust, NOW_S)
    assert verified == made.receipts[name].verified
    assert verified.warnings == ()


def test_a_transaction_s_receipt_says_who_signed_what_and_what_came_of_it() -> None:
    made = story()
    verified = made.receipts["transaction"].verified
    (tx,) = verified.txs
    assert tx.read is not None
    assert (tx.read.kind, tx.read.signer, tx.included.code) == ("place_order", made.world.alice.identity, 0)
    assert tx.included.data == made.order
    assert made.world.chain.txs[tx.header.height][0] == tx.included.tx
    assert set(verified.states) == {CHAIN.key()}


def test_an_order_s_receipt_tells_its_whole_life_in_order() -> None:
    made = story()
    verified = made.receipts["order"].verified
    happened = [tx.read.kind for tx in verified.txs if tx.read is not None]
    assert happened == [
        "place_order", *["fulfil_order"] * 4, *["request_secret"] * 2, *["approve_request"] * 3, "veto_request",
        *["fulfil_secret"] * 4, "close_order",
    ]  # fmt: skip
    heights = [tx.header.height for tx in verified.txs]
    assert heights == sorted(heights)
    assert verified.order is not None
    assert len(verified.order.requests) == 2
    assert len(verified.order.answers) == 4
    # The approval that a veto replaced stands in the veto's record.
    named = {(one.tx_hash, one.height) for one in verified.order.named()}
    assert named == {(tx.tx_hash, tx.header.height) for tx in verified.txs}
    replaced = [one.approved_tx for one in verified.order.decisions.values() if one is not None and one.veto]
    assert [tx.read.kind for tx in verified.txs if tx.read and tx.tx_hash in replaced] == ["approve_request"]


def test_the_transactions_of_a_block_stand_in_the_block_s_order() -> None:
    made = story()
    chain = made.world.chain
    for block in made.receipts["order"].verified.receipt.blocks:
        indexes = [chain.txs[block.header.height].index(one.tx) for one in block.txs]
        assert indexes == sorted(indexes)


@pytest.mark.parametrize("count", range(1, 18))
def test_every_transaction_of_a_block_of_any_size_has_a_receipt_with_its_own_result(count: int) -> None:
    chain = Chain(members(1))
    chain.add()
    txs = [b"tx %d" % number for number in range(count)]
    chain.add(txs=txs, results=[TxResult(number, b"%d" % number, "", number, number) for number in range(count)])
    chain.add()
    chain.add()
    for number, tx in enumerate(txs):
        made = collect_transaction_receipt(ClockedRpc(Node(chain)), chain.trust_file(), tx_hash(tx))
        (found,) = made.verified.txs
        assert (found.included.code, found.included.data) == (number, b"%d" % number)


def test_the_path_leads_over_every_change_of_the_validator_set() -> None:
    chain, trust, made = changing()
    verified = verify_receipt(made.content, trust, NOW_S)
    sets = [one.validators for one in verified.vouching]
    assert sets[0] == trust.validators
    assert not {v.public_key for v in sets[-1].validators} & {v.public_key for v in trust.validators.validators}
    assert all(3 * one.power.signed > 2 * one.power.total for one in verified.vouching)
    assert verified.vouching[-1].header.height == chain.height


def test_the_summary_names_the_set_that_vouches_the_dates_and_what_happened() -> None:
    made = story()
    for name, one in made.receipts.items():
        shown = json.loads(json.dumps(summary_json(one.verified, People())))
        assert shown["verified"] is True
        assert len(shown["headers"][0]["validators"]) == 4
        assert shown["kind"] == one.verified.receipt.kind
        lines = "\n".join(summary_lines(one.verified, People()))
        for validator in made.trust.validators.validators:
            assert f"{validator.address.hex()}  power 10" in lines
        assert shown["gid"] in lines, name
    order = summary_json(made.receipts["order"].verified, People())
    assert isinstance(order["transactions"], list)
    last = order["transactions"][-1]
    assert isinstance(last, dict)
    assert (last["message"], last["code_name"]) == ("close_order", "OK")


# --- identities -----------------------------------------------------------------------------------------------
def test_a_recent_receipt_answers_for_every_height_whether_an_identity_was_revoked() -> None:
    made = story()
    verified = made.receipts["identity"].verified
    revoked = made.revoked.identity

    def at(height: int) -> identities.IdentityAnswer:
        return identities.answer(verified.states, verified.state_height, revoked, height)

    assert not at(made.revoked_height - 1).revoked
    assert at(made.revoked_height - 1).status == "suspended"
    assert at(made.revoked_height - 1).since_height == made.revoked_height - 4
    assert at(made.revoked_height).revoked
    assert at(made.revoked_height + 1).status == "revoked"
    assert (at(made.revoked_height - 5).revoked, at(made.revoked_height - 5).status) == (False, "")
    assert at(1).status == "unregistered"
    with pytest.raises(ReceiptRefused) as caught:
        at(verified.state_height + 1)
    assert caught.value.step == "claim"
    with pytest.raises(ReceiptRefused):
        identities.answer(verified.states, verified.state_height, bytes(32), 5)


def test_an_identity_that_was_never_registered_is_proved_absent() -> None:
    made = story()
    verified = made.receipts["absence"].verified
    found = identities.answer(verified.states, verified.state_height, bytes(32), 5)
    assert (found.status, found.revoked) == ("unregistered", False)


@pytest.mark.parametrize("back", range(10))
def test_the_receipt_of_an_identity_at_a_height_has_the_entries_that_tell_its_status(back: int) -> None:
    made = story()
    height = made.revoked_height - back
    collected = collect_identity_receipt(rpc_of(made.world), made.trust, made.revoked.identity, height)
    verified = collected.verified
    found = identities.answer(verified.states, verified.state_height, made.revoked.identity, height)
    expected = ["revoked", *["suspended"] * 4, *["active"] * 4, "unregistered"][back]
    assert found.status == expected
    assert len(verified.states) <= 4


# --- getting them ---------------------------------------------------------------------------------------------
def test_an_order_is_found_without_the_node_s_index() -> None:
    made = story()
    node = LiveNode(made.world.chain, lies={"search": lambda params, answer: {**answer, "events": []}})
    found = collect_order_receipt(rpc_of(made.world, node), made.trust, made.order)
    assert [tx.tx_hash for tx in found.verified.txs] == [tx.tx_hash for tx in made.receipts["order"].verified.txs]
    assert "search" not in node.calls


def test_a_transaction_is_found_by_its_height_where_the_node_has_no_index() -> None:
    made = story()
    wanted = made.receipts["transaction"].verified.txs[0]
    node = LiveNode(made.world.chain, indexing=False)
    rpc = rpc_of(made.world, node)
    with pytest.raises(RpcError):
        collect_transaction_receipt(rpc, made.trust, wanted.tx_hash)
    found = collect_transaction_receipt(rpc, made.trust, wanted.tx_hash, wanted.header.height)
    assert found.verified.txs == (wanted,)


def test_what_is_not_there_is_said_to_be_missing() -> None:
    made = story()
    with pytest.raises(NotFound):
        collect_order_receipt(rpc_of(made.world), made.trust, bytes(32))
    with pytest.raises(ReceiptRefused) as caught:
        collect_transaction_receipt(rpc_of(made.world), made.trust, bytes(32), 5)
    assert caught.value.step == "content"


def spoil(where: str) -> Any:
    """A lie: another value at that place of an answer."""

    def lie(params: dict[str, Any], answer: Any) -> Any:
        changed = json.loads(json.dumps(answer))
        held, names = changed, where.split(".")
        for name in names[:-1]:
            held = held[int(name)] if isinstance(held, list) else held[name]
        last: Any = int(names[-1]) if isinstance(held, list) else names[-1]
        value = held[last]
        if isinstance(value, int):
            held[last] = value + 1
        elif value[-1:] == "Z":
            held[last] = "2" + value[1:-2] + ("1Z" if value[-2] != "1" else "2Z")
        else:
            other = value[:-1] + ("0" if value[-1:] != "0" else "1")
            held[last] = b64(sha256(b64decode(value)).digest()) if value[-1:] == "=" else other
        return changed

    return lie


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("commit", "signed_header.header.app_hash"), ("commit", "signed_header.header.data_hash"),
        ("commit", "signed_header.header.time"), ("commit", "signed_header.commit.round"),
        ("commit", "signed_header.commit.signatures.1.signature"), ("block", "block.data.txs.0"),
        ("block_results", "txs_results.0.code"), ("abci_query", "response.value"),
        ("abci_query", "response.proofOps.ops.0.data"),
    ],
)  # fmt: skip
def test_no_node_makes_a_receipt_of_a_lie(method: str, where: str) -> None:
    made = story()
    node = LiveNode(made.world.chain, lies={method: spoil(where)})
    wanted = made.receipts["transaction"].verified.txs[0]
    with pytest.raises(DtaError):
        collect_transaction_receipt(rpc_of(made.world, node), made.trust, wanted.tx_hash, wanted.header.height)


def test_a_node_that_hides_an_answer_or_an_open_request_is_found_out() -> None:
    made = story()
    answer_prefix = ANSWERS.prefix.hex()

    def hide(params: dict[str, Any], said: Any) -> Any:
        if not params["data"].startswith(answer_prefix):
            return said
        return {"response": {**said["response"], "value": None}}

    node = LiveNode(made.world.chain, lies={"abci_query": hide})
    with pytest.raises(ReceiptRefused) as caught:
        collect_order_receipt(rpc_of(made.world, node), made.trust, made.order)
    assert "answers" in caught.value.reason


def test_leaves_of_one_receipt_are_of_one_height() -> None:
    made = story()
    collected = collect_state_receipt(rpc_of(made.world), made.trust, [PARAMS.key(), ORDERS.key(made.order)])
    assert collected.verified.state_height == collected.verified.vouching[-1].header.height - 1
    assert len(collected.verified.receipt.blocks) == 1


# --- vectors --------------------------------------------------------------------------------------------------
def vector_directories() -> list[Path]:
    return sorted(path.parent for path in VECTORS.glob("*/trust.json"))


@pytest.mark.parametrize("directory", vector_directories(), ids=lambda path: path.name)
def test_committed_receipts_hold_for_ever_and_broken_ones_are_refused_at_their_step(directory: Path) -> None:
    trust = TrustFile.load(directory / "trust.json")
    now_s = json.loads((directory / "now.json").read_text())["now_s"]
    kinds = set()
    for path in directory.glob("*.receipt.json"):
        verified = verify_receipt(path.read_bytes(), trust, now_s)
        kinds.add(path.name.split(".")[0])
        assert verified.receipt.encode() == path.read_bytes()
    assert "transaction" in kinds
    for case in json.loads((directory / "refused.json").read_text()):
        with pytest.raises(ReceiptRefused) as caught:
            verify_receipt(case["receipt"].encode(), trust, now_s)
        assert caught.value.step == case["step"], case["what"]


def test_the_vectors_of_a_real_chain_have_a_validator_that_was_down() -> None:
    directory = VECTORS / "cometbft-0.39.4"
    trust = TrustFile.load(directory / "trust.json")
    now_s = json.loads((directory / "now.json").read_text())["now_s"]
    verified = verify_receipt((directory / "order.receipt.json").read_bytes(), trust, now_s)
    assert {one.power.signed for one in verified.vouching} >= {30}
    assert verified.order is not None
    assert verified.order.order.fulfilled == 3
