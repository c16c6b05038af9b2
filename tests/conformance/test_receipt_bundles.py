"""Receipts of what came in bundles: a result is done by its own code, whatever the transaction's is. Both verifiers."""

from __future__ import annotations

import json
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from abci_app.block import TxResult
from abci_app.codes import Code
from abci_app.messages.submit_results import RESULTS
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders, receiving, vaults
from dta.client.custody.orders import NewOrder
from dta.client.receipt import collect
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.summary import summary_json, summary_lines
from dta.client.receipt.verify import Verified, verify_receipt
from dta.light.hashes import tx_hash
from dta.light.people import People
from dta.light.trust import TrustFile
from tests.support.custody import k_of
from tests.support.receipt_verifier import verdicts
from tests.support.refusals import recorded

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # where the hand-signed chains are

from receipt_world import NOW_S, edited, rpc_of

from tests.support.order_flow import REALM, World, make_world

NOBODYS = tx_pb2.FulfilOrder(order=bytes(32))
_FIELD_OF = {spec.message: field for field, spec in RESULTS.items()}

Change = Callable[[list[Message], tx_pb2.ResultOutcomes], None]


def result_of(message: Message) -> tx_pb2.Result:
    result = tx_pb2.Result()
    getattr(result, _FIELD_OF[type(message)]).CopyFrom(message)
    return result


def with_failures(results: list[Message]) -> list[Message]:
    """One bundle: something that nobody owes, the results, and the first of them again."""
    if not results:
        return []
    each = [NOBODYS, *results, results[0]]
    return [tx_pb2.SubmitResults(results=[result_of(one) for one in each])]


def bundled(tx: bytes) -> list[Message]:
    body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)
    return [getattr(one, one.WhichOneof("message") or "") for one in body.submit_results.results]


def lies(world: World, change: Change) -> None:
    """From now on the chain's blocks say something else of what became of a bundle's results."""
    add = world.chain.add

    def changed(leaves: Any, txs: Any, results: tuple[TxResult, ...]) -> Any:
        shown = []
        for tx, result in zip(txs, results, strict=True):
            if bundled(tx) and result.code == Code.OK:
                outcomes = tx_pb2.ResultOutcomes.FromString(result.data)
                change(bundled(tx), outcomes)
                result = TxResult(Code.OK, outcomes.SerializeToString(), "", result.gas_wanted, result.gas_used)
            shown.append(result)
        return add(leaves, txs, tuple(shown))

    world.chain.add = changed  # type: ignore[method-assign]


def story(change: Change | None = None) -> tuple[World, bytes]:
    """An order that was fulfilled, asked for and answered by bundles."""
    world = make_world(Path(tempfile.mkdtemp(prefix="dta-bundle-receipts-")))
    for agent in world.chain.agents:
        agent.together = with_failures
    alice, bob = world.session(world.alice), world.session(world.bob)
    vault = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    policy = k_of(1, world.alice.identity, world.carol.identity)
    rule = pb.BeneficiaryRule(identity=world.bob.identity)
    order = orders.place(alice, REALM, NewOrder(vault, SecretBytes(b"the secret"), policy, rule)).record.id
    opened = asking.prepare(bob, order)
    asking.submit(bob, opened)
    if change is not None:
        lies(world, change)
    asking.approve(alice, asking.content(alice, opened.request))
    receiving.receive(bob, REALM, opened.request)
    for _ in range(3):
        world.chain.make_block()
    return world, order


def unverified(monkeypatch: pytest.MonkeyPatch, world: World, order: bytes) -> bytes:
    """The receipt as a node would make it that does not look whether it holds."""
    with monkeypatch.context() as patch:
        patch.setattr(collect, "verify_receipt", lambda *_: None)
        return collect.collect_order_receipt(rpc_of(world), trust_of(world), order).content


def trust_of(world: World) -> TrustFile:
    return world.chain.trust_file(world.chain.replica.gid)


def step_of(trust: TrustFile, content: bytes) -> str:
    """At which step both refuse it; "ok" where both take it."""
    try:
        verify_receipt(content, trust, NOW_S)
        ours = "ok"
    except ReceiptRefused as refused:
        ours = refused.step
    (said,) = verdicts(trust, [content], NOW_S)
    theirs = said.removeprefix("refused: ").partition(":")[0]
    assert ours == theirs
    return ours


def first_bundle(value: dict[str, Any]) -> Any:
    txs = [tx for block in value["blocks"] for tx in block["transactions"]]
    return next(tx for tx in txs if bundled(b64decode(tx["tx"])))


def kinds(verified: Verified) -> list[str]:
    return [tx.read.kind for tx in verified.txs if tx.read is not None]


def test_an_order_that_was_kept_and_answered_by_bundles_has_a_receipt() -> None:
    world, order = story()
    made = collect.collect_order_receipt(rpc_of(world), trust_of(world), order)
    assert step_of(trust_of(world), made.content) == "ok"
    found = kinds(made.verified)
    assert found == ["place_order", *["submit_results"] * 4, "request_secret", "approve_request",
                     *["submit_results"] * 4]  # fmt: skip
    held = made.verified.order
    assert held is not None
    assert {one.tx_item for one in [*held.fulfilments.values(), *held.answers.values()]} == {1}
    by_bundle = [tx for tx in made.verified.txs if tx.read is not None and tx.read.kind == "submit_results"]
    for tx in by_bundle:
        for one, code in zip(tx.outcomes, (Code.UNKNOWN_ORDER, Code.OK, Code.ALREADY_DONE), strict=True):
            recorded(one.code, code)


def test_a_bundle_is_shown_with_what_became_of_each_result() -> None:
    world, order = story()
    rpc, trust = rpc_of(world), trust_of(world)
    held = collect.collect_order_receipt(rpc, trust, order).verified.order
    assert held is not None
    first = next(iter(held.fulfilments.values()))
    made = collect.collect_transaction_receipt(rpc, trust, first.tx_hash)
    assert step_of(trust, made.content) == "ok"
    (shown,) = summary_json(made.verified, People())["transactions"]  # type: ignore[misc]
    assert [part["code_name"] for part in shown["parts"]] == ["UNKNOWN_ORDER", "OK", "ALREADY_DONE"]  # type: ignore[index, call-overload]
    lines = [line.strip() for line in summary_lines(made.verified, People())]
    assert "1: fulfil_order done" in lines
    assert [line.split(",")[0] for line in lines if line.startswith(("0:", "2:"))] == [
        "0: fulfil_order refused", "2: fulfil_order refused",
    ]  # fmt: skip


def test_a_record_that_names_a_result_which_failed_makes_no_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(results: list[Message], outcomes: tx_pb2.ResultOutcomes) -> None:
        for message, outcome in zip(results, outcomes.outcomes, strict=True):
            outcome.code = Code.FAILED if isinstance(message, tx_pb2.FulfilSecret) else outcome.code

    world, order = story(fails)
    content = unverified(monkeypatch, world, order)
    assert step_of(trust_of(world), content) == "content"
    with pytest.raises(ReceiptRefused):
        collect.collect_order_receipt(rpc_of(world), trust_of(world), order)


def test_the_result_that_a_record_names_is_meant_and_not_another_of_the_bundle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def another(results: list[Message], outcomes: tx_pb2.ResultOutcomes) -> None:
        if isinstance(results[1], tx_pb2.FulfilSecret):  # the same answer twice: the second is said to have counted
            outcomes.outcomes[1].code, outcomes.outcomes[2].code = Code.ALREADY_DONE, Code.OK

    world, order = story(another)
    assert step_of(trust_of(world), unverified(monkeypatch, world, order)) == "content"


@pytest.mark.parametrize("what", ["too few", "too many", "none"])
def test_a_bundle_that_does_not_say_what_became_of_each_makes_no_receipt(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def other(_results: list[Message], outcomes: tx_pb2.ResultOutcomes) -> None:
        if what == "too few":
            del outcomes.outcomes[-1]
        elif what == "too many":
            outcomes.outcomes.add(kind=1)
        else:
            outcomes.Clear()

    world, order = story(other)
    assert step_of(trust_of(world), unverified(monkeypatch, world, order)) == "result"


def test_a_bundle_by_which_nothing_happened_to_the_order_is_not_in_its_receipt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, order = story()
    agent = world.chain.agents[0]
    again = with_failures([tx_pb2.FulfilOrder(order=order)])[0]
    tx = world.chain.replica.tx(agent.founder, again, key=agent.founder.node_key)
    world.chain.pending.append(tx)
    at = world.chain.height + 1
    for _ in range(3):
        world.chain.make_block()
    rpc, trust = rpc_of(world), trust_of(world)
    made = collect.collect_order_receipt(rpc, trust, order)
    assert tx_hash(tx) not in {one.tx_hash for one in made.verified.txs}
    assemble = collect._assemble
    with monkeypatch.context() as patch:  # a collector that takes it in
        patch.setattr(
            collect, "_assemble", lambda kind, trust, state, wanted: assemble(
                kind, trust, state, {**wanted, at: lambda one, _result: tx_hash(one) == tx_hash(tx)}
            ),
        )  # fmt: skip
        patch.setattr(collect, "verify_receipt", lambda *_: None)
        content = collect.collect_order_receipt(rpc, trust, order).content
    assert step_of(trust, content) == "content"


def test_what_became_of_a_result_can_not_be_changed_in_a_receipt() -> None:
    world, order = story()
    trust = trust_of(world)
    content = collect.collect_order_receipt(rpc_of(world), trust, order).content

    def all_done(value: dict[str, Any]) -> None:
        outcomes = tx_pb2.ResultOutcomes.FromString(b64decode(first_bundle(value)["data"]))
        for one in outcomes.outcomes:
            one.code = 0
        first_bundle(value)["data"] = b64encode(outcomes.SerializeToString()).decode()

    assert step_of(trust, edited(content, all_done)) == "result"
    assert json.loads(content) != json.loads(edited(content, all_done))
