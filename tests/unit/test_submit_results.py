"""SubmitResults: several results of one fiduciary in one transaction, each as if it came alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from google.protobuf.message import Message

from abci_app import limits, transition
from abci_app.block import Block, Time, TxResult
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass
from abci_app.messages import submit_results
from abci_app.messages.registry import SPECS
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state import records
from abci_app.state.due import DueKind
from abci_app.state.records import ANSWERS, FULFILMENTS, ORDERS, REQUESTS
from dta.base.errors import UsageError
from dta.node.hooks.bundle import bundles
from tests.support.actors import Actor, body_bytes, signed_tx
from tests.support.chain import CHAIN_ID
from tests.support.custody import SEALED, Custody
from tests.support.refusals import TAKEN, Because, because, recorded, refused
from tests.support.world import field, fresh_custody, nonce, only_consumed, set_params

COST = 200  # of a FulfilOrder


def bundle(*messages: Message) -> tx_pb2.SubmitResults:
    made = tx_pb2.SubmitResults()
    for message in messages:
        name = next(one.name for one in _ONEOF if one.message_type is message.DESCRIPTOR)
        getattr(made.results.add(), name).CopyFrom(message)
    return made


_ONEOF = tx_pb2.Result.DESCRIPTOR.oneofs_by_name["message"].fields


def outcomes(result: TxResult) -> list[tuple[int, bytes, int]]:
    assert result.code == Code.OK, result
    parsed = tx_pb2.ResultOutcomes.FromString(result.data)
    return [(one.kind, one.subject, one.code) for one in parsed.outcomes]


def placed(custody: Custody, count: int) -> list[bytes]:
    """Orders that wait to be fulfilled."""
    return [custody.place(nonce(("placed", number)), fulfil=False) for number in range(count)]


def fulfil(orders: Sequence[bytes]) -> list[Message]:
    return [tx_pb2.FulfilOrder(order=order) for order in orders]


def by_node(custody: Custody, message: Message) -> bytes:
    founder = custody.chain.founders[0]
    return custody.chain.tx(founder, message, key=founder.node_key)


# --- what it may hold -------------------------------------------------------------------------------------------


def test_a_bundle_holds_every_hooks_result_and_nothing_else() -> None:
    results = {name for name, spec in SPECS.items() if spec.message_class is MessageClass.RESULT}
    assert {one.name for one in _ONEOF} == results - {"submit_results"}
    of_body = tx_pb2.TxBody.DESCRIPTOR.oneofs_by_name["message"].fields
    assert {(one.name, one.number, one.message_type.full_name) for one in _ONEOF} <= {
        (one.name, one.number, one.message_type.full_name) for one in of_body
    }
    assert list(submit_results.RESULTS) == [one.name for one in _ONEOF]


@pytest.mark.parametrize("name", ["close_order", "veto_request", "submit_results"])
def test_a_users_message_or_a_bundle_in_a_bundle_is_no_transaction(name: str) -> None:
    custody = fresh_custody()
    number = tx_pb2.TxBody.DESCRIPTOR.fields_by_name[name].number
    inner = field(1, field(number, field(1, bytes(32))))
    whole = body_bytes(CHAIN_ID, tx_pb2.SubmitResults(), custody.chain.height + 9, bytes(16))
    body = whole[:-3] + field(120, inner)
    assert tx_pb2.TxBody.FromString(body).HasField("submit_results")
    founder = custody.chain.founders[0]
    tx = signed_tx(custody.chain.gid, founder.identity, founder.node_key, body)
    refused(custody.chain.check(tx), Code.NOT_CANONICAL, "body")
    refused(custody.chain.block(tx).tx_results[0], Code.NOT_CANONICAL, "body")


Make = Callable[[Custody], Message]


def _padded(custody: Custody) -> Message:
    """Several results of more than 16 KiB."""
    sealed = bytes(limits.MAX_SEALED_ANSWER_BYTES)
    return bundle(*(tx_pb2.FulfilSecret(request=nonce(number), sealed=sealed) for number in range(9)))


BAD_SHAPES: dict[str, tuple[Because, Make]] = {
    "nothing": (Because(Code.MALFORMED, "result-count"), lambda _: tx_pb2.SubmitResults()),
    "a result of no kind": (
        Because(Code.MALFORMED, "result-kind"),
        lambda _: tx_pb2.SubmitResults(results=[*bundle(*fulfil([bytes(32)])).results, tx_pb2.Result()]),
    ),
    "too many": (
        Because(Code.MALFORMED, "result-count"), lambda _: bundle(*fulfil([nonce(number) for number in range(257)])),
    ),
    "too large": (Because(Code.MALFORMED, "bundle-size"), _padded),
    "too costly": (
        Because(Code.TOO_COSTLY, "bundle"), lambda _: bundle(*fulfil([nonce(number) for number in range(101)])),
    ),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_a_bundle_of_a_wrong_shape_is_refused_whole_and_never_proposed(name: str) -> None:
    custody = fresh_custody()
    set_params(custody.chain, max_block_cost=100 * COST * 8)
    code, make = BAD_SHAPES[name]
    tx = by_node(custody, make(custody))
    refused(custody.chain.check(tx), *code)
    height, time = custody.chain.height + 1, Time(custody.chain.time_s + 1)
    assert not transition.process_proposal(custody.chain.view, [tx], height=height, time=time)
    result = custody.chain.block(tx)
    refused(result.tx_results[0], *code)
    assert result.changes.leaves == ()


def test_several_results_fill_their_bytes_to_the_last_one() -> None:
    assert submit_results.SPEC.parts is not None
    sealed = [bytes(limits.MAX_SEALED_ANSWER_BYTES)] * 7
    made = bundle(*(tx_pb2.FulfilSecret(request=nonce(number), sealed=one) for number, one in enumerate(sealed)))
    last = made.results.add().fulfil_secret
    last.request = nonce("last")
    last.sealed = bytes(1_000)
    last.sealed = bytes(1_000 + limits.MAX_BUNDLE_BYTES - made.ByteSize())
    assert made.ByteSize() == limits.MAX_BUNDLE_BYTES
    assert len(submit_results.SPEC.parts(made)) == 8
    last.sealed += b"\0"
    with pytest.raises(Refusal, match=f"several results have {limits.MAX_BUNDLE_BYTES} bytes at most"):
        submit_results.SPEC.parts(made)


def test_two_results_are_several_and_cost_an_eighth_of_a_block_at_most() -> None:
    custody = fresh_custody()
    orders = placed(custody, 2)
    tx = by_node(custody, bundle(*fulfil(orders)))
    set_params(custody.chain, max_block_cost=2 * COST * limits.BUNDLE_COST_PART - 1)
    refused(custody.chain.check(tx), Code.TOO_COSTLY, "bundle")
    set_params(custody.chain, max_block_cost=2 * COST * limits.BUNDLE_COST_PART)
    assert [code for _, _, code in outcomes(custody.chain.block(tx).tx_results[0])] == [Code.OK] * 2


def test_one_result_alone_may_be_larger_and_dearer_than_several() -> None:
    custody = fresh_custody()
    [order] = placed(custody, 1)
    set_params(custody.chain, max_block_cost=COST)
    assert outcomes(custody.chain.block(by_node(custody, bundle(*fulfil([order])))).tx_results[0]) == [
        (DueKind.FULFIL_ORDER, order, Code.OK)
    ]
    large = bundle(tx_pb2.FulfilSecret(request=bytes(32), sealed=bytes(limits.MAX_SEALED_ANSWER_BYTES)))
    assert submit_results.SPEC.parts is not None
    assert len(submit_results.SPEC.parts(large)) == 1


def test_a_result_that_is_malformed_inside_refuses_the_whole() -> None:
    custody = fresh_custody()
    [order] = placed(custody, 1)
    tx = by_node(custody, bundle(*fulfil([order]), tx_pb2.FulfilOrder(order=b"short")))
    refused(custody.chain.check(tx), Code.FIELD_INVALID, "order")
    result = custody.chain.block(tx)
    refused(result.tx_results[0], Code.FIELD_INVALID, "order")
    expiry = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body).expires_at_height
    assert only_consumed(result.changes, expiry)


@pytest.mark.parametrize("who", ["operator", "principal", "nobody"])
def test_only_a_node_key_signs_a_bundle(who: str) -> None:
    custody = fresh_custody()
    [order] = placed(custody, 1)
    message, chain = bundle(*fulfil([order])), custody.chain
    nobody = Actor("nobody", fiduciary=True, identity=bytes(32))
    signer, key, code = {
        "operator": (chain.founders[0], chain.founders[0].tx_key, Because(Code.BAD_SIGNATURE)),
        "principal": (custody.principal, custody.principal.tx_key, Because(Code.NOT_ALLOWED, "bundle-signer")),
        "nobody": (nobody, nobody.node_key, Because(Code.UNKNOWN_SIGNER, "newcomer")),
    }[who]
    tx = chain.tx(signer, message, key=key)
    refused(chain.check(tx), *code)
    refused(chain.block(tx).tx_results[0], *code)


# --- what it does -----------------------------------------------------------------------------------------------


def test_each_result_does_what_it_would_do_alone_and_its_record_names_it() -> None:
    custody = fresh_custody()
    first, second, third = placed(custody, 3)
    active = custody.place(nonce("active"))
    request = custody.request(active)
    tx = by_node(custody, bundle(
        *fulfil([first]), tx_pb2.RejectOrder(order=second, rejection=5),
        tx_pb2.FulfilSecret(request=request, sealed=SEALED), *fulfil([third]),
    ))  # fmt: skip
    assert custody.chain.check(tx).code == Code.OK
    result = custody.chain.block(tx).tx_results[0]
    assert outcomes(result) == [
        (DueKind.FULFIL_ORDER, first, Code.OK), (DueKind.FULFIL_ORDER, second, Code.OK),
        (DueKind.FULFIL_SECRET, request, Code.OK), (DueKind.FULFIL_ORDER, third, Code.OK),
    ]  # fmt: skip
    view, me = custody.chain.view, custody.chain.founders[0].identity
    hash_ = FULFILMENTS.get(view, first, me).tx_hash
    named = [FULFILMENTS.get(view, first, me), FULFILMENTS.get(view, second, me), ANSWERS.get(view, request, me),
             FULFILMENTS.get(view, third, me)]  # fmt: skip
    assert [(one.tx_hash, one.tx_item) for one in named] == [(hash_, number) for number in range(4)]
    assert FULFILMENTS.get(view, second, me).rejection == 5
    kinds = [dict(event.attributes)["action"] for event in result.events if event.kind == "fiduciary"]
    assert kinds == ["order-fulfilled", "order-rejected", "secret-fulfilled", "order-fulfilled"]
    assert dict(result.events[-1].attributes)["action"] == "submit-results"


def test_what_an_order_ends_by_names_transaction_and_item() -> None:
    custody = fresh_custody(1)
    first, second = placed(custody, 2)
    active = custody.place(nonce("active"))
    request = custody.request(active)
    tx = by_node(custody, bundle(
        *fulfil([first]), tx_pb2.RejectOrder(order=second, rejection=5),
        tx_pb2.FulfilSecret(request=request, sealed=SEALED),
    ))  # fmt: skip
    custody.chain.block(tx)
    order, answered = ORDERS.get(custody.chain.view, second), REQUESTS.get(custody.chain.view, request)
    assert (order.status, order.ended_tx_item) == (custody_pb2.ORDER_STATUS_FAILED, 1)
    assert (answered.status, answered.ended_tx_item) == (custody_pb2.REQUEST_STATUS_COMPLETED, 2)
    assert order.ended_tx == answered.ended_tx != b""


def test_a_result_that_fails_is_undone_alone_listed_and_charged() -> None:
    custody = fresh_custody()
    first, second = placed(custody, 2)
    set_params(custody.chain, max_block_cost=8 * 4 * COST)
    tx = by_node(custody, bundle(*fulfil([first, first, bytes(32), second])))
    result = custody.chain.block(tx).tx_results[0]
    done = outcomes(result)
    assert [(kind, subject) for kind, subject, _ in done] == [
        (DueKind.FULFIL_ORDER, subject) for subject in (first, first, bytes(32), second)
    ]
    for (_, _, code), expected in zip(done, (Code.OK, Code.ALREADY_DONE, Code.UNKNOWN_ORDER, Code.OK), strict=True):
        recorded(code, expected)
    assert (result.gas_wanted, result.gas_used) == (4 * COST, 4 * COST)
    assert [ORDERS.get(custody.chain.view, order).fulfilled for order in (first, second)] == [1, 1]
    actions = [dict(event.attributes)["action"] for event in result.events if event.kind == "order"]
    assert actions == ["fulfilled", "fulfilled"], "what was undone left no event"
    refused(custody.chain.block(tx).tx_results[0], Code.REPLAYED)


def test_the_cost_of_results_that_fail_counts_against_the_block() -> None:
    custody = fresh_custody()
    set_params(custody.chain, max_block_cost=8 * 2 * COST)
    txs = [by_node(custody, bundle(*fulfil([nonce(tag), nonce(tag)]))) for tag in range(9)]
    answers = [because(result) for result in custody.chain.block(*txs).tx_results]
    assert answers == [TAKEN] * 8 + [Because(Code.BLOCK_FULL)]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError])
def test_a_defect_in_one_result_costs_that_one(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    custody = fresh_custody()
    first, second = placed(custody, 2)
    right = submit_results.RESULTS["fulfil_order"]

    def fail_first(context: Context, message: Any) -> bytes:
        if message.order == first:
            ORDERS.put(context.state, ORDERS.get(context.state, second), bytes(32))
            context.scratch.registrations.append(b"half done")
            raise error("detail")
        return right.execute(context, message)

    patched = dataclasses.replace(right, execute=fail_first)
    monkeypatch.setitem(submit_results.RESULTS, "fulfil_order", patched)
    result = custody.chain.block(by_node(custody, bundle(*fulfil([first, second]))))
    assert [code for _, _, code in outcomes(result.tx_results[0])] == [Code.FAILED, Code.OK]
    assert not ORDERS.exists(custody.chain.view, bytes(32))
    assert ORDERS.get(custody.chain.view, second).fulfilled == 1


@pytest.mark.parametrize("error", [MemoryError, RecursionError, OSError])
def test_what_differs_between_machines_ends_the_process_in_a_bundle_too(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    custody = fresh_custody()
    orders = placed(custody, 2)

    def fail(*_: object) -> bytes:
        raise error

    right = submit_results.RESULTS["fulfil_order"]
    monkeypatch.setitem(submit_results.RESULTS, "fulfil_order", dataclasses.replace(right, execute=fail))
    tx = by_node(custody, bundle(*fulfil(orders)))
    with pytest.raises(error):
        transition.apply_block(
            custody.chain.view, Block(custody.chain.height + 1, Time(custody.chain.time_s + 1), (tx,))
        )


def test_a_bundle_is_one_transaction_of_its_signer() -> None:
    custody = fresh_custody()
    orders = placed(custody, 3)
    set_params(custody.chain, max_txs_per_identity=1)
    result = custody.chain.block(by_node(custody, bundle(*fulfil(orders)))).tx_results[0]
    assert [code for _, _, code in outcomes(result)] == [Code.OK] * 3


# --- who takes it -----------------------------------------------------------------------------------------------


def test_a_bundle_waits_and_is_proposed_while_any_of_it_is_due() -> None:
    custody = fresh_custody()
    first, second = placed(custody, 2)
    chain = custody.chain
    tx = by_node(custody, bundle(*fulfil([first, second, bytes(32)])))
    nothing = by_node(custody, bundle(*fulfil([bytes(32), nonce(1)])))

    def proposed() -> list[bytes]:
        height, time = chain.height + 1, Time(chain.time_s + 1)
        return transition.prepare_proposal(chain.view, [nothing, tx], max_tx_bytes=100_000, height=height, time=time)

    assert [because(chain.check(one)) for one in (tx, nothing)] == [TAKEN, Because(Code.NOT_DUE, "not-early")]
    chain.result(chain.founders[0], tx_pb2.FulfilOrder(order=first))
    assert chain.check(tx, recheck=True).code == Code.OK
    assert proposed() == [tx]
    chain.result(chain.founders[0], tx_pb2.FulfilOrder(order=second))
    refused(chain.check(tx, recheck=True), Code.NOT_DUE, "not-early")
    assert proposed() == []


def test_a_bundle_may_come_early() -> None:
    custody = fresh_custody()
    chain, founder = custody.chain, custody.chain.founders[0]
    for ahead, code in ((2, TAKEN), (4, Because(Code.NOT_DUE, "not-early"))):
        message = bundle(*fulfil([bytes(32), nonce(1)]))
        body = body_bytes(CHAIN_ID, message, chain.height + 9, nonce(ahead)[:16], chain.height + ahead)
        answer = chain.check(signed_tx(chain.gid, founder.identity, founder.node_key, body))
        assert because(answer) == code


# --- how it is built --------------------------------------------------------------------------------------------


def test_results_are_put_together_as_far_as_the_ledger_takes_them() -> None:
    custody = fresh_custody()
    params = records.params(custody.chain.view)
    small = fulfil([nonce(number) for number in range(600)])
    sealed = bytes(limits.MAX_SEALED_ANSWER_BYTES)
    large: list[Message] = [tx_pb2.FulfilSecret(request=nonce(number), sealed=sealed) for number in range(20)]
    made = bundles([*small, *large], params)
    assert [len(one.results) for one in made] == [256, 256, 88 + 6, 7, 7]  # type: ignore[attr-defined]
    flat = [getattr(one, str(one.WhichOneof("message"))) for each in made for one in each.results]  # type: ignore[attr-defined]
    assert flat == [*small, *large], "every one, in its order"
    for one in made:
        tx = by_node(custody, one)
        assert custody.chain.block(tx).tx_results[0].code == Code.OK
    assert bundles([], params) == []


def test_a_result_that_is_alone_or_too_dear_for_a_bundle_goes_alone() -> None:
    custody = fresh_custody()
    set_params(custody.chain, max_block_cost=8 * 2 * COST)
    params = records.params(custody.chain.view)
    one, two, three = fulfil([nonce(number) for number in range(3)])
    assert bundles([one], params) == [one]
    assert bundles([one, two, three], params) == [bundle(one, two), three]
    set_params(custody.chain, max_block_cost=COST)
    assert bundles([one, two], records.params(custody.chain.view)) == [one, two]


def test_what_is_no_result_is_not_put_into_a_bundle() -> None:
    params = records.params(fresh_custody().chain.view)
    for message in (tx_pb2.CloseOrder(order=bytes(32)), tx_pb2.SubmitResults()):
        with pytest.raises(UsageError):
            bundles([message], params)
