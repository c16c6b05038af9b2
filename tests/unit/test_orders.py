"""Orders and requests on the ledger: who may do what, and when (docs/spec/custody.md)."""

from __future__ import annotations

import pytest

from abci_app.cid import digest_of
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_TIME, DUE, OPEN_REQUESTS, VAULT_ORDERS
from tests.support.actors import Actor
from tests.support.custody import SEALED, Custody, k_of, make_custody, single
from tests.support.refusals import Because, because, refused


@pytest.fixture
def custody() -> Custody:
    return make_custody()


def due_kinds(custody: Custody, fiduciary: Actor) -> list[int]:
    return [kind for _, kind, _ in DUE.entries(custody.chain.view, fiduciary.identity)]


def test_an_order_is_active_once_threshold_many_have_fulfilled_it(custody: Custody) -> None:
    order = custody.place(fulfil=False)
    one, two, three, four = custody.chain.founders
    for founder in (one, two):
        custody.chain.result(founder, tx_pb2.FulfilOrder(order=order))
    assert custody.order(order).status == pb.ORDER_STATUS_PLACED
    custody.chain.result(three, tx_pb2.FulfilOrder(order=order))
    assert custody.order(order).status == pb.ORDER_STATUS_ACTIVE
    assert custody.chain.result(four, tx_pb2.FulfilOrder(order=order)).code == Code.OK, "a late one still counts"
    assert custody.order(order).fulfilled == 4
    assert due_kinds(custody, four) == []


def test_a_fiduciary_fulfils_once_and_only_for_itself(custody: Custody) -> None:
    order = custody.place(fulfil=False, fiduciaries=[f.identity for f in custody.chain.founders[:3]], threshold=2,
                          share_commitments=[bytes([n]) * 32 for n in range(3)])  # fmt: skip
    first, outsider = custody.chain.founders[0], custody.chain.founders[3]
    assert custody.chain.result(first, tx_pb2.FulfilOrder(order=order)).code == Code.OK
    refused(custody.chain.result(first, tx_pb2.FulfilOrder(order=order)), Code.ALREADY_DONE, "fulfilment")
    refused(custody.chain.result(first, tx_pb2.RejectOrder(order=order, rejection=1)), Code.ALREADY_DONE, "fulfilment")
    refused(custody.chain.result(outsider, tx_pb2.FulfilOrder(order=order)), Code.NOT_NAMED, "order")


def test_too_many_rejections_fail_the_order(custody: Custody) -> None:
    order = custody.place(fulfil=False)
    for founder in custody.chain.founders[:2]:
        message = tx_pb2.RejectOrder(order=order, rejection=pb.REJECTION_SHARE_COMMITMENT)
        assert custody.chain.result(founder, message).code == Code.OK
    assert custody.order(order).status == pb.ORDER_STATUS_FAILED
    last = custody.chain.founders[3]
    refused(custody.chain.result(last, tx_pb2.FulfilOrder(order=order)), Code.ORDER_NOT_OPEN, "order")
    assert due_kinds(custody, last) == []


def test_the_beneficiary_receives_after_threshold_many_answers_and_late_ones_count(custody: Custody) -> None:
    order = custody.place()
    request = custody.request(order)
    assert custody.request_record(request).status == pb.REQUEST_STATUS_GRANTED
    for position, founder in enumerate(custody.chain.founders):
        assert custody.chain.result(founder, tx_pb2.FulfilSecret(request=request, sealed=SEALED)).code == Code.OK
        completed = custody.request_record(request).status == pb.REQUEST_STATUS_COMPLETED
        assert completed == (position >= 2)
    again = custody.chain.result(custody.chain.founders[0], tx_pb2.FulfilSecret(request=request, sealed=SEALED))
    refused(again, Code.ALREADY_DONE, "answer")
    assert custody.order(order).open_requests == 0
    assert custody.order(order).granted_requests == 0


def test_nobody_but_the_beneficiary_may_ask(custody: Custody) -> None:
    order = custody.place()
    mallory = Actor("mallory")
    custody.chain.register(mallory)
    for signer in (mallory, custody.principal, custody.chain.founders[0]):
        message = custody.request_message(order, signer=signer)
        refused(custody.chain.run(signer, message), Code.NOT_BENEFICIARY, "rule")
    in_bobs_name = custody.request_message(order)
    refused(custody.chain.run(mallory, in_bobs_name), Code.NOT_BENEFICIARY, "signer")


def test_an_open_beneficiary_needs_the_principals_authorisation(custody: Custody) -> None:
    order = custody.place(rule=pb.BeneficiaryRule(), policy=single(custody.principal.identity))
    carol = Actor("carol")
    custody.chain.register(carol)
    message = custody.request_message(order, signer=carol)
    refused(custody.chain.run(carol, message), Code.AUTHORISATION_INVALID, "signature")
    asked = statements.request_id(custody.chain.gid, order, carol.identity, message.nonce)
    statement = statements.authorisation_statement(custody.chain.gid, asked, message)
    message.authorisation = custody.principal.tx_key.sign(statement).signature
    result = custody.chain.run(carol, message)
    assert result.code == Code.OK
    assert custody.request_record(result.data).status == pb.REQUEST_STATUS_PENDING
    message.key_digests[0] = bytes(32)
    message.nonce = bytes([1]) * 32
    refused(
        custody.chain.run(carol, message),
        Code.AUTHORISATION_INVALID,
        "signature",
        why="other keys than those authorised",
    )


def test_two_of_three_approvals_grant(custody: Custody) -> None:
    parties = [Actor(name) for name in ("anna", "ben", "cleo")]
    custody.chain.register(*parties)
    order = custody.place(policy=k_of(2, *[party.identity for party in parties]))
    request = custody.request(order)
    digest = custody.request_record(request).content_digest
    approve = tx_pb2.ApproveRequest(request=request, content_digest=digest)
    refused(custody.chain.run(custody.beneficiary, approve), Code.NOT_A_PARTY, "approver")
    wrong = tx_pb2.ApproveRequest(request=request, content_digest=bytes(32))
    refused(custody.chain.run(parties[0], wrong), Code.CONTENT_MISMATCH, "approval")
    assert custody.chain.run(parties[0], approve).code == Code.OK
    refused(custody.chain.run(parties[0], approve), Code.ALREADY_DONE, "decided")
    early = custody.chain.result(custody.chain.founders[0], tx_pb2.FulfilSecret(request=request, sealed=SEALED))
    refused(early, Code.NOT_GRANTED, "sealed")
    assert custody.chain.run(parties[2], approve).code == Code.OK
    assert custody.request_record(request).status == pb.REQUEST_STATUS_GRANTED
    refused(custody.chain.run(parties[1], approve), Code.REQUEST_NOT_OPEN, "granted")
    veto = tx_pb2.VetoRequest(request=request, content_digest=digest)
    refused(custody.chain.run(parties[1], veto), Code.NO_VETO_WINDOW, "veto")


def test_a_veto_stops_a_granted_release_inside_its_window_only(custody: Custody) -> None:
    policy = k_of(1, custody.beneficiary.identity, veto_window_s=60)
    order = custody.place(policy=policy)
    request = custody.request(order)
    record = custody.request_record(request)
    assert record.status == pb.REQUEST_STATUS_GRANTED
    answer = tx_pb2.FulfilSecret(request=request, sealed=SEALED)
    refused(custody.chain.result(custody.chain.founders[0], answer), Code.NOT_RELEASED_YET, "sealed")
    veto = tx_pb2.VetoRequest(request=request, content_digest=record.content_digest)
    assert custody.chain.run(custody.principal, veto).code == Code.OK
    assert custody.request_record(request).status == pb.REQUEST_STATUS_VETOED
    assert due_kinds(custody, custody.chain.founders[0]) == []
    refused(custody.chain.result(custody.chain.founders[0], answer), Code.REQUEST_NOT_OPEN, "over")
    second = custody.request(order, bytes([2]) * 32)
    for _ in range(3):
        custody.chain.block(seconds=60)
    late = tx_pb2.VetoRequest(request=second, content_digest=custody.request_record(second).content_digest)
    refused(custody.chain.run(custody.principal, late), Code.VETO_TOO_LATE)
    answer = tx_pb2.FulfilSecret(request=second, sealed=SEALED)
    assert custody.chain.result(custody.chain.founders[0], answer).code == Code.OK


def test_a_jump_of_block_time_alone_does_not_end_a_veto_window(custody: Custody) -> None:
    order = custody.place(policy=k_of(1, custody.beneficiary.identity, veto_window_s=60))
    request = custody.request(order)
    answer = custody.chain.run(
        custody.chain.founders[0], tx_pb2.FulfilSecret(request=request, sealed=SEALED),
        key=custody.chain.founders[0].node_key, seconds=10_000,
    )  # fmt: skip
    refused(answer, Code.NOT_RELEASED_YET, "sealed")


def test_a_jump_over_a_veto_window_and_the_deadline_behind_it_releases_nothing(custody: Custody) -> None:
    """A halt of days: the first block after it is the first whose time shows that both are over."""
    order = custody.place(policy=k_of(1, custody.beneficiary.identity, veto_window_s=60))
    request = custody.request(order)
    for _ in range(4):
        custody.chain.block()  # blocks enough for the window, seconds too few
    after_s = custody.request_record(request).deadline_time_s - custody.chain.time_s
    answer, veto = (
        custody.chain.tx(custody.chain.founders[0], tx_pb2.FulfilSecret(request=request, sealed=SEALED),
                         key=custody.chain.founders[0].node_key),
        custody.chain.tx(custody.principal, tx_pb2.VetoRequest(
            request=request, content_digest=custody.request_record(request).content_digest)),
    )  # fmt: skip
    answers = [because(result) for result in custody.chain.block(answer, veto, seconds=after_s).tx_results]
    assert answers == [Because(Code.REQUEST_NOT_OPEN, "over"), Because(Code.REQUEST_NOT_OPEN, "over")]
    assert custody.request_record(request).status == pb.REQUEST_STATUS_EXPIRED
    assert due_kinds(custody, custody.chain.founders[0]) == []


def test_closing_waits_for_a_granted_request_and_cancels_pending_ones(custody: Custody) -> None:
    order = custody.place()
    request = custody.request(order)
    close = tx_pb2.CloseOrder(order=order)
    refused(custody.chain.run(custody.beneficiary, close), Code.NOT_PRINCIPAL, "close-order")
    refused(custody.chain.run(custody.principal, close), Code.ORDER_HAS_GRANTED_REQUEST)
    for founder in custody.chain.founders[:3]:
        custody.chain.result(founder, tx_pb2.FulfilSecret(request=request, sealed=SEALED))
    assert custody.chain.run(custody.principal, close).code == Code.OK
    late = custody.chain.result(custody.chain.founders[3], tx_pb2.FulfilSecret(request=request, sealed=SEALED))
    refused(late, Code.ORDER_NOT_OPEN, "request")
    assert due_kinds(custody, custody.chain.founders[3]) == []
    refused(
        custody.chain.run(custody.beneficiary, custody.request_message(order, bytes([3]) * 32)),
        Code.ORDER_NOT_OPEN,
        "order",
    )
    pending_order = custody.place(bytes([5]) * 32, policy=single(custody.principal.identity))
    pending = custody.request(pending_order)
    assert custody.chain.run(custody.principal, tx_pb2.CloseOrder(order=pending_order)).code == Code.OK
    assert custody.request_record(pending).status == pb.REQUEST_STATUS_CANCELLED


def test_a_request_and_an_order_expire_by_block_time_before_the_sweep_says_so(custody: Custody) -> None:
    order = custody.place(expires_at_time_s=custody.chain.time_s + 500)
    request = custody.request(order)
    answer = custody.chain.tx(
        custody.chain.founders[0], tx_pb2.FulfilSecret(request=request, sealed=SEALED),
        key=custody.chain.founders[0].node_key,
    )  # fmt: skip
    result = custody.chain.block(answer, seconds=1_000)
    refused(result.tx_results[0], Code.ORDER_NOT_OPEN, "request")
    assert custody.order(order).status == pb.ORDER_STATUS_EXPIRED
    assert custody.request_record(request).status == pb.REQUEST_STATUS_EXPIRED
    assert not DEADLINE_TIME.has_any(custody.chain.view)
    assert not OPEN_REQUESTS.has_any(custody.chain.view)


def test_what_is_open_says_which_block_it_names(custody: Custody) -> None:
    order = custody.place()
    request = custody.request(order)
    envelope, keys = custody.order(order).envelope_cid, custody.request_record(request).keys_cid
    assert list(VAULT_ORDERS.items(custody.chain.view)) == [((custody.vault, order), digest_of(envelope))]
    assert list(OPEN_REQUESTS.items(custody.chain.view)) == [((order, request), digest_of(keys))]


def test_an_order_expires_by_height(custody: Custody) -> None:
    order = custody.place(expires_at_height=custody.chain.height + 7)
    for _ in range(6):
        custody.chain.block()
    assert custody.order(order).status == pb.ORDER_STATUS_EXPIRED


def test_a_vault_closes_after_its_delay_and_its_keys_are_erased(custody: Custody) -> None:
    chain, close = custody.chain, tx_pb2.CloseVault(vault=custody.vault)
    order = custody.place()
    refused(chain.run(custody.principal, close), Code.VAULT_HAS_OPEN_ORDERS)
    chain.run(custody.principal, tx_pb2.CloseOrder(order=order))
    refused(chain.run(custody.beneficiary, close), Code.NOT_PRINCIPAL, "close-vault")
    assert chain.run(custody.principal, close).code == Code.OK
    refused(chain.run(custody.principal, custody.order_message(bytes([9]) * 32)), Code.VAULT_NOT_OPEN, "place-order")
    assert chain.run(custody.principal, tx_pb2.CancelCloseVault(vault=custody.vault)).code == Code.OK
    assert due_kinds(custody, chain.founders[0]) == []
    assert chain.run(custody.principal, close).code == Code.OK
    erased = tx_pb2.ConfirmVaultErased(vault=custody.vault)
    refused(chain.result(chain.founders[0], erased), Code.VAULT_NOT_CLOSED)
    chain.block(seconds=100_000)
    refused(chain.result(chain.founders[0], erased), Code.VAULT_NOT_CLOSED, why="its height has not come")
    for _ in range(10):
        chain.block()
    refused(chain.run(custody.principal, tx_pb2.CancelCloseVault(vault=custody.vault)), Code.VAULT_NOT_CLOSING)
    assert due_kinds(custody, chain.founders[0]) == [DueKind.ERASE_VAULT]
    assert chain.result(chain.founders[0], erased).code == Code.OK
    refused(chain.result(chain.founders[0], erased), Code.ALREADY_DONE, "erased")
    assert due_kinds(custody, chain.founders[0]) == []


def test_a_report_names_a_bad_answer_and_a_good_one_is_not_reported(custody: Custody) -> None:
    from abci_app.crypto import hpke
    from tests.support.custody import request_key

    order = custody.place()
    request = custody.request(order)
    liar = custody.chain.founders[1]
    custody.chain.result(liar, tx_pb2.FulfilSecret(request=request, sealed=SEALED))
    seed, private = request_key(custody.chain, liar, bytes(32))
    report = tx_pb2.ReportShare(
        request=request, fiduciary=liar.identity, mlkem768_seed=seed, x25519_private=private
    )
    refused(custody.chain.run(custody.principal, report), Code.NOT_BENEFICIARY, "report")
    other = tx_pb2.ReportShare(
        request=request, fiduciary=liar.identity, mlkem768_seed=bytes(64), x25519_private=private
    )
    refused(custody.chain.run(custody.beneficiary, other), Code.REPORT_KEY_MISMATCH)
    nobody = tx_pb2.ReportShare(
        request=request, fiduciary=custody.chain.founders[2].identity, mlkem768_seed=seed, x25519_private=private
    )
    refused(custody.chain.run(custody.beneficiary, nobody), Code.NO_ANSWER)
    result = custody.chain.run(custody.beneficiary, report)
    assert result.code == Code.OK
    assert any(("id", liar.identity.hex()) in event.attributes for event in result.events)
    assert hpke.valid_key(hpke.public_key_of(seed, private))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"fiduciaries": [bytes(32)], "threshold": 1, "share_commitments": [bytes(32)]},
        Because(Code.UNKNOWN_FIDUCIARY, "order")),
        ({"threshold": 0}, Because(Code.BAD_THRESHOLD, "order")),
        ({"threshold": 5}, Because(Code.BAD_THRESHOLD, "order")),
        ({"share_commitments": [bytes(32)] * 3}, Because(Code.BAD_COMMITMENTS, "of-shares")),
        ({"key_commitment": b""}, Because(Code.BAD_COMMITMENTS, "of-shares")),
        ({"envelope_cid": "bafy"}, Because(Code.BAD_CID, "metadata")),
        ({"policy": pb.Policy()}, Because(Code.BAD_POLICY, "node-count")),
        ({"policy": pb.Policy(nodes=[pb.PolicyNode(threshold=1, children=[0])])}, Because(Code.BAD_POLICY, "child")),
        ({"policy": pb.Policy(nodes=[pb.PolicyNode(identity=bytes(31))])}, Because(Code.BAD_POLICY, "leaf")),
        ({"policy": k_of(2, *[bytes([n]) * 32 for n in range(40)])}, Because(Code.BAD_POLICY, "gate-children")),
        ({"rule": pb.BeneficiaryRule(identity=b"short")}, Because(Code.BAD_RULE)),
        ({"custodian": "nobody-knows"}, Because(Code.UNKNOWN_CUSTODIAN, "order")),
        ({"expires_at_height": 1}, Because(Code.BAD_EXPIRY, "over")),
        ({"vault": bytes(32)}, Because(Code.UNKNOWN_VAULT, "order")),
        ({"nonce": b"short"}, Because(Code.FIELD_INVALID, "nonce")),
    ],
)
def test_a_bad_order_is_refused_with_its_own_code(custody: Custody, changes: dict[str, object], code: Because) -> None:
    result = custody.chain.run(custody.principal, custody.order_message(**changes))
    refused(result, *code)


def test_an_order_in_somebody_elses_vault_is_refused(custody: Custody) -> None:
    refused(custody.chain.run(custody.beneficiary, custody.order_message()), Code.NOT_PRINCIPAL, "place-order")


def test_placing_the_same_order_again_makes_no_second_one_and_harms_nothing(custody: Custody) -> None:
    order = custody.place()
    before = custody.order(order)
    refused(custody.chain.run(custody.principal, custody.order_message()), Code.DUPLICATE, "order")
    assert custody.order(order) == before
