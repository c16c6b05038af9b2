"""An order's requests: their numbers, what the order counts of them, how many there may be, what authorises one."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor

from abci_app import cid
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.crypto.curve import G1
from abci_app.custody import allowance
from abci_app.limits import MAX_ORDER_ACTS, MAX_ORDER_FIDUCIARIES
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2, tx_pb2
from abci_app.state.records import EXTRACTIONS, REQUEST_NUMBERS, REQUESTS
from dta.crypto.extraction import make_transport
from tests.sim.rebuild import differences
from tests.support.actors import Actor, seeded
from tests.support.authority import CUSTODY, UNPROVED_BLINDED, Dealt, answer, install_new, reshare
from tests.support.custody import SEALED, Custody, k_of, make_custody, single
from tests.support.refusals import Because, because, refused


@pytest.fixture
def custody() -> Iterator[Custody]:
    made = make_custody()
    yield made
    assert differences(made.chain.view) == [], "every count and index, worked out again from the leaves"


def nonce_of(number: int) -> bytes:
    return seeded("request", number)


def answered(custody: Custody, request: bytes, *numbers: int) -> None:
    for number in numbers:
        message = tx_pb2.FulfilSecret(request=request, sealed=SEALED)
        assert custody.chain.result(custody.chain.founders[number], message).code == Code.OK


def place_under_key(custody: Custody, key: Dealt, **changes: object) -> bytes:
    message = tx_pb2.PlaceOrder(
        nonce=seeded("order", key.id), custodian="mpc-bls", authority=key.id, envelope_cid=cid.cid_of(b"envelope"),
        policy=single(custody.beneficiary.identity),
        rule=pb.BeneficiaryRule(identity=custody.beneficiary.identity),
    )  # fmt: skip
    for name, value in changes.items():
        getattr(message, name).CopyFrom(value)
    result = custody.chain.run(custody.principal, message)
    assert result.code == Code.OK, result
    return result.data


def by_transport(custody: Custody, order: bytes, number: int, signer: Actor | None = None) -> tx_pb2.RequestSecret:
    who, nonce = signer or custody.beneficiary, nonce_of(number)
    request = statements.request_id(custody.chain.gid, order, who.identity, nonce)
    made = make_transport(G1, custody.chain.gid, extraction_pb2.USE_CUSTODY, request, order, who.identity)
    return tx_pb2.RequestSecret(
        order=order, nonce=nonce, beneficiary=who.identity, transport_key=made.point, possession=made.proof
    )


def test_requests_are_numbered_by_the_ledger_and_counted_by_their_outcome(custody: Custody) -> None:
    policy = k_of(1, custody.beneficiary.identity, veto_window_s=60)
    order = custody.place(policy=policy)
    asked = [custody.request(order, nonce_of(number)) for number in range(3)]
    vetoed = tx_pb2.VetoRequest(request=asked[1], content_digest=custody.request_record(asked[1]).content_digest)
    assert custody.chain.run(custody.principal, vetoed).code == Code.OK
    for _ in range(3):
        custody.chain.block(seconds=60)
    answered(custody, asked[0], 0, 1, 2)
    custody.chain.block(seconds=2 * 86_400)
    record = custody.order(order)
    assert [custody.request_record(request).number for request in asked] == [1, 2, 3]
    assert [REQUEST_NUMBERS.find(custody.chain.view, order, number) for number in (1, 2, 3)] == asked
    assert REQUEST_NUMBERS.find(custody.chain.view, order, 4) is None
    outcomes = (record.completed_requests, record.vetoed_requests, record.expired_requests, record.cancelled_requests)
    assert (record.requests, *outcomes, record.open_requests, record.granted_requests) == (3, 1, 1, 1, 0, 0, 0)


def test_requests_that_closing_cancels_are_counted_too(custody: Custody) -> None:
    order = custody.place(policy=single(custody.principal.identity))
    custody.request(order)
    assert custody.chain.run(custody.principal, tx_pb2.CloseOrder(order=order)).code == Code.OK
    assert (custody.order(order).requests, custody.order(order).cancelled_requests) == (1, 1)


def test_every_answer_of_every_request_is_counted_whatever_became_of_the_request(custody: Custody) -> None:
    order = custody.place()
    first, second = (custody.request(order, nonce_of(number)) for number in range(2))
    answered(custody, first, 0, 1)
    height = custody.chain.height - 1
    answered(custody, second, 1, 2)
    custody.chain.block(seconds=2 * 86_400)
    record = custody.order(order)
    statuses = [custody.request_record(request).status for request in (first, second)]
    assert statuses == [pb.REQUEST_STATUS_EXPIRED] * 2, "neither had three answers"
    assert (record.answers, record.answerers, record.answer_threshold) == (4, 3, 3)
    assert record.first_answer_height == height


def test_an_epoch_flip_resets_no_count_of_answers(custody: Custody) -> None:
    key = install_new(custody.chain, CUSTODY)
    order, founders = place_under_key(custody, key), custody.chain.founders
    request = custody.chain.run(custody.beneficiary, by_transport(custody, order, 0)).data
    for number in (0, 1):
        assert answer(custody.chain, key, founders[number], request).code == Code.OK
    before = custody.order(order)
    assert (before.answers, before.answerers, before.answer_threshold) == (2, 2, 3)
    reshare(custody.chain, key, [founder.identity for founder in founders[1:]], 2)
    assert EXTRACTIONS.get(custody.chain.view, request).answers == 0
    assert custody.order(order) == before
    assert answer(custody.chain, key, founders[1], request).code == Code.OK
    assert answer(custody.chain, key, founders[3], request).code == Code.OK
    after = custody.order(order)
    assert (after.answers, after.answerers, after.answer_threshold, after.completed_requests) == (4, 3, 2, 1)
    assert after.first_answer_height == before.first_answer_height


def test_an_order_under_a_key_names_a_custodian_whose_answers_the_ledger_verifies(custody: Custody) -> None:
    key = install_new(custody.chain, CUSTODY)
    message = tx_pb2.PlaceOrder(
        nonce=seeded("wrong custodian"), custodian="hsm-realm", authority=key.id, envelope_cid=cid.cid_of(b"envelope"),
        policy=single(custody.beneficiary.identity),
        rule=pb.BeneficiaryRule(identity=custody.beneficiary.identity),
    )  # fmt: skip
    refused(custody.chain.run(custody.principal, message), Code.UNKNOWN_CUSTODIAN, "order")
    message.custodian = "mpc-bls"
    assert custody.chain.run(custody.principal, message).code == Code.OK


def test_the_lowest_threshold_that_an_answer_was_given_under_stays(custody: Custody) -> None:
    key = install_new(custody.chain, CUSTODY)
    ids = [founder.identity for founder in custody.chain.founders]
    reshare(custody.chain, key, ids[1:], 2)
    order = place_under_key(custody, key)
    request = custody.chain.run(custody.beneficiary, by_transport(custody, order, 0)).data
    assert answer(custody.chain, key, custody.chain.founders[1], request).code == Code.OK
    reshare(custody.chain, key, ids, 3)
    assert answer(custody.chain, key, custody.chain.founders[2], request).code == Code.OK
    assert (custody.order(order).answers, custody.order(order).answer_threshold) == (2, 2)


def test_a_request_that_two_epochs_answered_does_not_start_again_in_a_third(custody: Custody) -> None:
    key = install_new(custody.chain, CUSTODY)
    order, founders = place_under_key(custody, key), custody.chain.founders
    request = custody.chain.run(custody.beneficiary, by_transport(custody, order, 0)).data
    ids = [founder.identity for founder in founders]
    reshare(custody.chain, key, ids, 3)  # nobody answered yet: this flip does not count
    for _ in range(2):
        assert answer(custody.chain, key, founders[0], request).code == Code.OK
        reshare(custody.chain, key, ids, 3)
    record = EXTRACTIONS.get(custody.chain.view, request)
    assert (record.status, record.epoch) == (extraction_pb2.EXTRACTION_STATUS_EXPIRED, 3)
    assert (record.answers, record.answered_epochs, record.earlier_answers) == (1, 1, 1)
    assert custody.order(order).answers == 2
    custody.chain.block(seconds=2 * 86_400)
    assert REQUESTS.get(custody.chain.view, request).status == pb.REQUEST_STATUS_EXPIRED


# --- how many --------------------------------------------------------------------------------------------------
def ask_until_refused(custody: Custody, order: bytes, first: int) -> tuple[int, Because]:
    """How many requests of the beneficiary were taken, each answered by all, and why the next one was not."""
    for number in range(first, first + 200):
        result = custody.chain.run(custody.beneficiary, custody.request_message(order, nonce_of(number)))
        if result.code:
            return number - first, because(result)
        answered(custody, result.data, *range(4))
    raise AssertionError("no end of requests")


def test_a_key_makes_half_of_the_requests_and_the_next_one_half_of_what_is_left(custody: Custody) -> None:
    order = custody.place()
    assert allowance.requests_left(custody.order(order), 0) == 44
    assert ask_until_refused(custody, order, 0) == (22, Because(Code.KEY_REQUESTS_SPENT))
    bob = custody.beneficiary
    rotation = tx_pb2.RotateIdentity(envelope=bob.next_document(custody.chain.gid))
    assert custody.chain.run(bob, rotation, key=bob.key(1)).code == Code.OK
    bob.generation = 1
    assert allowance.requests_left(custody.order(order), 0) == 22
    assert ask_until_refused(custody, order, 22) == (11, Because(Code.KEY_REQUESTS_SPENT))
    assert allowance.requests_left(custody.order(order), 0) == 11, "a stolen key never uses them up"


@pytest.mark.parametrize("under_key", [False, True])
def test_whatever_comes_about_an_order_s_acts_stay_within_their_bound(under_key: bool) -> None:
    """Against a model that opens requests where the rule lets it, and has as many answers as the rules allow."""
    for seed in range(50):
        rng = random.Random(f"acts {seed}")
        fiduciaries = 0 if under_key else rng.randint(1, MAX_ORDER_FIDUCIARIES)
        parties = [bytes([200 - number]) * 32 for number in range(rng.randint(1, 28))]
        order = pb.OrderRecord(
            principal=bytes(32), fiduciaries=[bytes([n]) * 32 for n in range(fiduciaries)],
            authority=bytes(32) if under_key else b"",
            policy=k_of(1, *parties, veto_window_s=rng.randint(0, 1)),
        )  # fmt: skip
        deciders = allowance.asking_acts(order) - 1
        open_ones: list[int] = []
        acts = 2 + fiduciaries
        for _ in range(400):
            if allowance.acts_left(order) >= allowance.asking_acts(order) + allowance.answering_acts(order):
                order.requests += 1
                open_ones.append(allowance.MOST_KEY_ANSWERS if under_key else fiduciaries)
                acts += 1 + deciders
            if open_ones and rng.random() < 0.7:
                most = open_ones.pop()
                given = rng.choice((0, most, rng.randint(0, most)))
                order.answers += given
                acts += given if under_key else 2 * given
            order.open_requests = len(open_ones)
        assert order.requests >= 2, seed
        assert acts + sum(most if under_key else 2 * most for most in open_ones) <= MAX_ORDER_ACTS, seed


# --- answers under a key that nobody may give yet
def test_an_answer_under_a_key_is_a_partial_and_waits_for_the_grant_and_the_veto_window(custody: Custody) -> None:
    key, bob = install_new(custody.chain, CUSTODY), custody.beneficiary
    order = place_under_key(custody, key, policy=k_of(2, bob.identity, custody.principal.identity, veto_window_s=60))
    request = custody.chain.run(bob, by_transport(custody, order, 0)).data
    member = custody.chain.founders[0]
    sealed = tx_pb2.FulfilSecret(request=request, sealed=SEALED)
    refused(custody.chain.result(member, sealed), Code.WRONG_FORM, "partial")
    answer = tx_pb2.FulfilSecret(request=request, epoch=1, partial=UNPROVED_BLINDED)
    refused(custody.chain.result(member, answer), Code.NOT_GRANTED, "partial")
    digest = custody.request_record(request).content_digest
    approval = tx_pb2.ApproveRequest(request=request, content_digest=digest)
    assert custody.chain.run(custody.principal, approval).code == Code.OK
    refused(custody.chain.result(member, answer), Code.NOT_RELEASED_YET, "partial")


# --- one authorisation, one request ----------------------------------------------------------------------------
def authorised(custody: Custody, message: tx_pb2.RequestSecret) -> tx_pb2.RequestSecret:
    request = statements.request_id(custody.chain.gid, message.order, message.beneficiary, message.nonce)
    statement = statements.authorisation_statement(custody.chain.gid, request, message)
    message.authorisation = custody.principal.tx_key.sign(statement).signature
    return message


def test_a_principal_s_authorisation_serves_one_request(custody: Custody) -> None:
    carol = Actor("carol")
    custody.chain.register(carol)
    order = custody.place(rule=pb.BeneficiaryRule())
    message = authorised(custody, custody.request_message(order, signer=carol))
    assert custody.chain.run(carol, message).code == Code.OK
    refused(custody.chain.run(carol, message), Code.DUPLICATE, "request", why="in another transaction")
    for number in range(3):
        message.nonce = nonce_of(number)
        refused(custody.chain.run(carol, message), Code.AUTHORISATION_INVALID, "signature")
    assert custody.order(order).requests == 1


def test_an_authorisation_under_a_key_serves_one_request_and_one_order(custody: Custody) -> None:
    carol, key = Actor("carol"), install_new(custody.chain, CUSTODY)
    custody.chain.register(carol)
    order = place_under_key(custody, key, rule=pb.BeneficiaryRule())
    message = authorised(custody, by_transport(custody, order, 0, carol))
    again = by_transport(custody, order, 1, carol)
    again.authorisation = message.authorisation
    refused(custody.chain.run(carol, again), Code.AUTHORISATION_INVALID, "signature")
    assert custody.chain.run(carol, message).code == Code.OK
    fresh = by_transport(custody, order, 2, carol)
    fresh.transport_key, fresh.authorisation = message.transport_key, message.authorisation
    refused(custody.chain.run(carol, fresh), Code.AUTHORISATION_INVALID, "signature")


USED_UP_BY = {
    "RequestSecret.authorisation": "names the request, whose id counts once",
    "RequestSecret.possession": "names the request; its point counts once (used-point/)",
    "RegisterIdentity.envelope": "its identity exists from then on",
    "RotateIdentity.envelope": "names the document before it, and its signer was that one's next key",
    "RotateValidatorKey.proof": "names the key that it replaces; its own is never taken again (validator-key/)",
    "AdmitFiduciary.proof": "its key is never taken again (validator-key/); until then the votes decide",
    "ClientEnrolment.proof": "names the ticket; its point counts once (used-point/)",
    "RequestServerSecret.proof": "names the request; its point counts once (used-point/)",
    "AcceptCeremony.proof": "names the attempt; one for each party of it",
    "Dealing.proof": "names the attempt's record; one for each dealer of it",
    "Accusation.proof": "names the attempt's record; one Dispute for each member",
    "ConfirmShare.proof": "names the attempt's record; one for each member",
    "BlindedPartial.proof": "names request, item and epoch; one for each member",
    "UnblindedPartial.proof": "names request, item and epoch; one for each member",
}
"""What is proved or signed inside a message, by anybody but who signs the transaction or beside it."""


def _proofs(message: Descriptor, seen: set[str]) -> Iterator[str]:
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    for field in message.fields:
        if field.message_type is not None:
            yield from _proofs(field.message_type, seen)
        elif field.name in ("authorisation", "possession", "proof", "envelope", "signature", "approval", "consent"):
            yield f"{message.name}.{field.name}"


def test_every_proof_inside_a_message_is_listed_with_what_uses_it_up() -> None:
    found = set(_proofs(tx_pb2.TxBody.DESCRIPTOR, set()))
    assert found == set(USED_UP_BY)
