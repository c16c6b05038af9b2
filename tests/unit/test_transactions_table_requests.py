"""Every refusal of a decision on a request, of an answer to it and of a report: code, reason, and nothing changed."""

from __future__ import annotations

import pytest

from abci_app.codes import Code
from abci_app.crypto import hpke, statements
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from tests.support.authority import UNPROVED_BLINDED
from tests.support.custody import SEALED, Custody, k_of, request_key, single
from tests.support.refusals import refused
from tests.support.table import Table, by_node, by_principal, check_consumed, ok
from tests.support.world import fresh_custody, nonce, without_sweep

TABLE = Table()
case = TABLE.case


def pending(custody: Custody, **policy: int) -> tuple[bytes, bytes]:
    """A request that waits for its principal's approval, and its content's digest."""
    request = custody.request(custody.place(policy=k_of(1, custody.principal.identity, **policy)))
    return request, custody.request_record(request).content_digest


@case(Code.UNKNOWN_REQUEST, "request")
def approving_nothing(custody: Custody) -> bytes:
    return by_principal(custody, tx_pb2.ApproveRequest(request=bytes(32), content_digest=bytes(32)))


@case(Code.NOT_A_PARTY, "approver")
def approving_without_being_asked(custody: Custody) -> bytes:
    request, digest = pending(custody)
    return custody.chain.tx(custody.beneficiary, tx_pb2.ApproveRequest(request=request, content_digest=digest))


@case(Code.CONTENT_MISMATCH, "approval")
def approving_something_else(custody: Custody) -> bytes:
    request, _ = pending(custody)
    return by_principal(custody, tx_pb2.ApproveRequest(request=request, content_digest=bytes(32)))


@case(Code.POLICY_NOT_IN_FORCE, "approval")
def approving_after_its_time(custody: Custody) -> bytes:
    policy = k_of(1, custody.principal.identity, not_after_s=custody.chain.time_s + 1_000)
    request = custody.request(custody.place(policy=policy))
    custody.chain.block(seconds=2_000)
    digest = custody.request_record(request).content_digest
    return by_principal(custody, tx_pb2.ApproveRequest(request=request, content_digest=digest))


@case(Code.CONTENT_MISMATCH, "veto")
def a_veto_of_something_else(custody: Custody) -> bytes:
    request, _ = pending(custody, veto_window_s=60)
    return by_principal(custody, tx_pb2.VetoRequest(request=request, content_digest=bytes(32)))


@case(Code.NO_VETO_WINDOW, "veto")
def a_veto_without_a_window(custody: Custody) -> bytes:
    request, digest = pending(custody)
    return by_principal(custody, tx_pb2.VetoRequest(request=request, content_digest=digest))


@case(Code.VETO_TOO_LATE)
def a_veto_after_its_window(custody: Custody) -> bytes:
    request, digest = pending(custody, veto_window_s=1)
    approve = tx_pb2.ApproveRequest(request=request, content_digest=digest)
    ok(custody, by_principal(custody, approve))
    for _ in range(3):
        custody.chain.block()
    return by_principal(custody, tx_pb2.VetoRequest(request=request, content_digest=digest))


@case(Code.REQUEST_NOT_OPEN, "over")
def approving_after_a_veto(custody: Custody) -> bytes:
    request, digest = pending(custody, veto_window_s=1)
    ok(custody, by_principal(custody, tx_pb2.VetoRequest(request=request, content_digest=digest)))
    return by_principal(custody, tx_pb2.ApproveRequest(request=request, content_digest=digest))


@case(Code.NOT_GRANTED, "sealed")
def answering_what_was_not_granted(custody: Custody) -> bytes:
    return by_node(custody, tx_pb2.FulfilSecret(request=pending(custody)[0], sealed=SEALED))


@case(Code.NOT_RELEASED_YET, "sealed")
def answering_inside_the_veto_window(custody: Custody) -> bytes:
    order = custody.place(policy=k_of(1, custody.beneficiary.identity, veto_window_s=900))
    return by_node(custody, tx_pb2.FulfilSecret(request=custody.request(order), sealed=SEALED))


@case(Code.NOT_RELEASED_YET, "sealed")
def answering_in_the_very_block_after_the_request_without_waiting_for_it(custody: Custody) -> bytes:
    order = custody.place(policy=k_of(1, custody.beneficiary.identity, veto_window_s=1))
    return by_node(custody, tx_pb2.FulfilSecret(request=custody.request(order), sealed=SEALED))


@case(Code.WRONG_FORM, "sealed")
def an_answer_by_a_partial_where_shares_are_sealed(custody: Custody) -> bytes:
    request = custody.request(custody.place())
    return by_node(custody, tx_pb2.FulfilSecret(request=request, epoch=1, partial=UNPROVED_BLINDED))


@case(Code.FIELD_INVALID, "sealed")
def an_answer_of_another_size(custody: Custody) -> bytes:
    request = custody.request(custody.place())
    return by_node(custody, tx_pb2.FulfilSecret(request=request, sealed=SEALED + b"\0"))


@case(Code.ORDER_HAS_GRANTED_REQUEST)
def closing_an_order_whose_request_is_granted(custody: Custody) -> bytes:
    order = custody.place()
    custody.request(order)
    return by_principal(custody, tx_pb2.CloseOrder(order=order))


def report(custody: Custody, request: bytes, number: int = 0, **changes: bytes) -> tx_pb2.ReportShare:
    founder = custody.chain.founders[number]
    seed, private = request_key(custody.chain, founder, bytes(32))
    fields = {"request": request, "fiduciary": founder.identity, "mlkem768_seed": seed, "x25519_private": private}
    return tx_pb2.ReportShare(**{**fields, **changes})


@case(Code.UNKNOWN_REQUEST, "report")
def reporting_of_no_request(custody: Custody) -> bytes:
    return custody.chain.tx(custody.beneficiary, report(custody, bytes(32)))


@case(Code.NO_ANSWER)
def reporting_an_answer_that_is_not_there(custody: Custody) -> bytes:
    return custody.chain.tx(custody.beneficiary, report(custody, custody.request(custody.place())))


def answered(custody: Custody) -> bytes:
    request = custody.request(custody.place())
    ok(custody, by_node(custody, tx_pb2.FulfilSecret(request=request, sealed=SEALED)))
    return request


@case(Code.REPORT_KEY_MISMATCH)
def reporting_with_another_key(custody: Custody) -> bytes:
    return custody.chain.tx(custody.beneficiary, report(custody, answered(custody), mlkem768_seed=bytes(64)))


@case(Code.NOT_BENEFICIARY, "report")
def reporting_anothers_answer(custody: Custody) -> bytes:
    return by_principal(custody, report(custody, answered(custody)))


@case(Code.ALREADY_DONE, "reported")
def reporting_twice(custody: Custody) -> bytes:
    request = answered(custody)
    ok(custody, custody.chain.tx(custody.beneficiary, report(custody, request)))
    return custody.chain.tx(custody.beneficiary, report(custody, request))


@pytest.mark.parametrize("name", TABLE.make_of)
def test_a_refused_message_consumes_its_body_and_changes_nothing_else(name: str) -> None:
    check_consumed(TABLE, name)


def test_a_request_past_its_deadline_is_over_before_the_sweep_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    custody = fresh_custody()
    request, digest = pending(custody)
    without_sweep(monkeypatch)
    tx = by_principal(custody, tx_pb2.ApproveRequest(request=request, content_digest=digest))
    result = custody.chain.block(tx, seconds=90_000)
    refused(result.tx_results[0], Code.DEADLINE_PASSED, "request")


def test_a_good_answer_cannot_be_reported() -> None:
    custody = fresh_custody()
    seed, private = request_key(custody.chain, custody.chain.founders[0], bytes(32))
    share, order_nonce = bytes(range(32)), nonce("good")
    policy = single(custody.beneficiary.identity)
    rule = pb.BeneficiaryRule(identity=custody.beneficiary.identity)
    bound = statements.order_context(
        custody.chain.gid, custody.vault, custody.principal.identity, order_nonce, statements.policy_hash(policy, rule)
    )
    commitments = [statements.share_commitment(bound, index, share) for index in range(1, 5)]
    order = custody.place(order_nonce, share_commitments=commitments)
    request = custody.request(order)
    founder = custody.chain.founders[0].identity
    info = statements.answer_seal_info(custody.chain.gid, request, founder, 1, commitments[0])
    key = hpke.decode_key(hpke.public_key_of(seed, private))
    sealed = hpke.SUITE.encrypt(share, key, info)
    ok(custody, by_node(custody, tx_pb2.FulfilSecret(request=request, sealed=sealed)))
    result = custody.chain.run(custody.beneficiary, report(custody, request))
    refused(result, Code.REPORT_UNFOUNDED)
