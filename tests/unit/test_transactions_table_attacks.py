"""What somebody with a registered identity may try against others, and what keeps it from working."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from abci_app import params, replay, sweep
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.execution import upkeep
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.indexes import DEADLINE_TIME, DUE, SEEN
from abci_app.state.memory_view import MemoryView
from abci_app.state.overlay import Overlay
from abci_app.state.records import COUNTERS, SEEN_BUCKETS, VAULTS
from tests.sim.rebuild import differences
from tests.support.actors import Actor
from tests.support.custody import SEALED, k_of
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.world import fresh_custody, nonce, set_params, without_sweep


def test_a_flood_of_expiries_by_time_does_not_starve_those_by_height() -> None:
    custody = fresh_custody()
    chain = custody.chain
    set_params(chain, max_upkeep_cost=1)
    victim = custody.place(nonce("victim"), fulfil=False, expires_at_height=chain.height + 12)
    for number in range(8):
        custody.place(nonce(number), fulfil=False, expires_at_time_s=chain.time_s + 20)
    chain.block(seconds=100)
    while chain.height <= custody.order(victim).expires_at_height:
        chain.block()
    chain.block()
    chain.block()
    assert custody.order(victim).status == pb.ORDER_STATUS_EXPIRED
    assert any(key.startswith(DEADLINE_TIME.prefix) for key in chain.view.index), "the flood is not swept yet"
    assert differences(chain.view) == []


def test_a_block_records_no_more_expiries_than_it_may() -> None:
    custody = fresh_custody()
    chain = custody.chain
    orders = [custody.place(nonce(n), fulfil=False, expires_at_time_s=chain.time_s + 50) for n in range(7)]
    cost = sweep.RECORD[DeadlineKind.ORDER].cost(custody.order(orders[0]))
    set_params(chain, max_upkeep_cost=upkeep.SWEEP_PART * 3 * cost)
    chain.block(seconds=1_000)
    expired = []
    for _ in range(3):
        expired.append(sum(custody.order(order).status == pb.ORDER_STATUS_EXPIRED for order in orders))
        chain.block()
    assert expired == [3, 6, 7]


def test_what_is_left_of_a_blocks_expiries_goes_to_the_other_kind() -> None:
    custody = fresh_custody()
    chain = custody.chain
    orders = [custody.place(nonce(n), fulfil=False, expires_at_time_s=chain.time_s + 50) for n in range(2)]
    orders.append(custody.place(nonce(2), fulfil=False, expires_at_height=chain.height + 1))
    cost = sweep.RECORD[DeadlineKind.ORDER].cost(custody.order(orders[0]))
    set_params(chain, max_upkeep_cost=upkeep.SWEEP_PART * 3 * cost)
    chain.block(seconds=1_000)
    assert [custody.order(order).status for order in orders] == [pb.ORDER_STATUS_EXPIRED] * 3


@pytest.mark.parametrize("parity", [0, 1], ids=["even", "odd"])
def test_deadlines_by_time_go_first_at_even_heights_and_those_by_height_at_odd_ones(parity: int) -> None:
    custody = fresh_custody()
    chain = custody.chain
    if (chain.height + 8 + 2) % 2 != parity:  # placed in eight blocks, one that waits, and the one that expires them
        chain.block()
    at = chain.height + 10
    by_time = [custody.place(nonce(n), fulfil=False, expires_at_time_s=chain.time_s + 500) for n in range(4)]
    by_height = [custody.place(nonce(n), fulfil=False, expires_at_height=at - 1) for n in range(4, 8)]
    cost = sweep.RECORD[DeadlineKind.ORDER].cost(custody.order(by_time[0]))
    set_params(chain, max_upkeep_cost=upkeep.SWEEP_PART * 3 * cost)
    chain.block()
    chain.block(seconds=1_000)
    assert chain.height == at
    expired = [
        sum(custody.order(order).status == pb.ORDER_STATUS_EXPIRED for order in orders)
        for orders in (by_time, by_height)
    ]
    assert expired == ([3, 1] if parity == 0 else [1, 3]), "the second has its first item all the same"


def test_an_order_and_its_requests_that_expire_in_one_block_are_counted_once() -> None:
    custody = fresh_custody()
    chain = custody.chain
    policy = k_of(1, custody.principal.identity)
    order = custody.place(policy=policy, expires_at_time_s=chain.time_s + 100)
    requests = [custody.request(order, nonce(n)) for n in range(3)]
    chain.block(seconds=1_000_000)
    assert custody.order(order).open_requests == 0
    assert {custody.request_record(request).status for request in requests} == {pb.REQUEST_STATUS_EXPIRED}
    assert differences(chain.view) == []


def test_a_principal_need_not_wait_for_the_sweep_to_end_an_expired_order(monkeypatch: pytest.MonkeyPatch) -> None:
    custody = fresh_custody()
    chain = custody.chain
    order = custody.place(expires_at_time_s=chain.time_s + 100)
    custody.request(order)
    without_sweep(monkeypatch)
    chain.block(seconds=200)
    assert custody.order(order).status == pb.ORDER_STATUS_ACTIVE
    refused(chain.run(custody.beneficiary, tx_pb2.CloseOrder(order=order)), Code.NOT_PRINCIPAL, "close-order")
    refused(chain.run(custody.principal, tx_pb2.CloseVault(vault=custody.vault)), Code.VAULT_HAS_OPEN_ORDERS)
    assert chain.run(custody.principal, tx_pb2.CloseOrder(order=order)).code == Code.OK
    assert custody.order(order).status == pb.ORDER_STATUS_EXPIRED
    refused(chain.run(custody.principal, tx_pb2.CloseOrder(order=order)), Code.ORDER_NOT_OPEN, "close-order")
    assert chain.run(custody.principal, tx_pb2.CloseVault(vault=custody.vault)).code == Code.OK
    assert differences(chain.view) == []


def test_what_expires_at_one_height_is_forgotten_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "FORGET_MOST", 4)
    view = MemoryView()
    state = Overlay(view)
    for number in range(10):
        replay.consume(state, 7, nonce(number))
    replay.consume(state, 9, nonce("later"))
    view.apply(state.changes())
    left = []
    for height in (6, 7, 8, 9, 10):
        state = Overlay(view)
        replay.forget_expired(state, height)
        view.apply(state.changes())
        left.append(sum(key.startswith(SEEN.prefix) for key in view.index))
    assert left == [11, 7, 3, 0, 0]
    assert view.leaves == {}


def test_the_running_hash_of_a_bucket_depends_on_what_was_included_and_in_which_order() -> None:
    def bucket(*replay_keys: bytes) -> bytes | None:
        state = Overlay(MemoryView())
        for key in replay_keys:
            replay.consume(state, 7, key)
        return SEEN_BUCKETS.find(state, 7)

    one, two, three = nonce(1), nonce(2), nonce(3)
    values = [bucket(one), bucket(two), bucket(one, two), bucket(two, one), bucket(three, two), bucket(three, one, two)]
    assert len(set(values)) == 6, "as many, and the same last one, say nothing of those before"


def test_what_a_bucket_holds_is_numbered_in_the_order_of_its_inclusion() -> None:
    state = Overlay(MemoryView())
    for number in range(4):
        replay.consume(state, 7, nonce(number))
        replay.consume(state, 9, nonce(number))
    for height in (7, 9):
        numbers = [SEEN.find(state, height, nonce(number)) for number in range(4)]
        assert numbers == [number.to_bytes(8, "big") for number in range(4)]


def test_an_order_with_a_greater_share_of_silent_fiduciaries_holds_up_nobody_else() -> None:
    custody = fresh_custody()
    stuck = custody.place(nonce("stuck"), fulfil=False)
    other = custody.place(nonce("other"))
    assert custody.request_record(custody.request(other)).status == pb.REQUEST_STATUS_GRANTED
    assert custody.chain.run(custody.principal, tx_pb2.CloseOrder(order=stuck)).code == Code.OK


def test_a_stranger_can_neither_use_nor_block_anothers_order() -> None:
    custody = fresh_custody()
    eve = Actor("eve")
    custody.chain.register(eve)
    order = custody.place(policy=k_of(1, custody.principal.identity, veto_window_s=60))
    request = custody.request(order)
    digest = custody.request_record(request).content_digest
    before = custody.order(order)
    attempts: list[tuple[Message, Because]] = [
        (tx_pb2.CloseOrder(order=order), Because(Code.NOT_PRINCIPAL, "close-order")),
        (tx_pb2.FulfilOrder(order=order), Because(Code.NOT_NAMED, "order")),
        (tx_pb2.RejectOrder(order=order, rejection=1), Because(Code.NOT_NAMED, "order")),
        (custody.request_message(order, signer=eve), Because(Code.NOT_BENEFICIARY, "rule")),
        (tx_pb2.ApproveRequest(request=request, content_digest=digest), Because(Code.NOT_A_PARTY, "approver")),
        (tx_pb2.VetoRequest(request=request, content_digest=digest), Because(Code.NOT_A_PARTY, "vetoer")),
        (tx_pb2.FulfilSecret(request=request, sealed=SEALED), Because(Code.NOT_NAMED, "order")),
        (tx_pb2.CloseVault(vault=custody.vault), Because(Code.NOT_PRINCIPAL, "close-vault")),
        (tx_pb2.CancelCloseVault(vault=custody.vault), Because(Code.NOT_PRINCIPAL, "cancel-closing")),
        (tx_pb2.ConfirmVaultErased(vault=custody.vault), Because(Code.NOT_NAMED, "erasure")),
    ]
    for message, code in attempts:
        refused(custody.chain.run(eve, message), *code)
    assert custody.order(order) == before


def test_one_principals_nonce_never_meets_anothers() -> None:
    custody = fresh_custody()
    ids = {
        function(custody.chain.gid, actor.identity, nonce("same"))
        for actor in (custody.principal, custody.beneficiary)
        for function in (statements.vault_id, statements.order_id)
    }
    assert len(ids) == 4
    request = statements.request_id(custody.chain.gid, nonce("a"), nonce("b"), nonce("c"))
    assert request != statements.request_id(custody.chain.gid, nonce("b"), nonce("a"), nonce("c"))


def test_deadlines_at_the_end_of_time_neither_overflow_nor_end_early() -> None:
    custody = fresh_custody()
    chain, last = custody.chain, 2**53 - 1
    longest_s = params._BOUNDS["max_veto_window_s"][2]
    set_params(chain, max_veto_window_s=longest_s)
    policy = k_of(1, custody.beneficiary.identity, veto_window_s=longest_s)
    order = custody.place(policy=policy, expires_at_time_s=last, expires_at_height=last)
    request = custody.request(order)
    record = custody.request_record(request)
    assert record.status == pb.REQUEST_STATUS_GRANTED
    assert record.release_time_s == chain.time_s + longest_s
    chain.block(seconds=100_000)
    founder = chain.founders[0]
    answer = chain.result(founder, tx_pb2.FulfilSecret(request=request, sealed=SEALED))
    refused(answer, Code.NOT_RELEASED_YET, "sealed")
    assert chain.run(custody.principal, tx_pb2.VetoRequest(
        request=request, content_digest=record.content_digest
    )).code == Code.OK  # fmt: skip
    assert differences(chain.view) == []


def test_a_beneficiary_cannot_ask_without_end() -> None:
    custody = fresh_custody()
    order = custody.place(policy=k_of(1, custody.principal.identity))
    for number in range(8):
        custody.request(order, nonce(number))
    message = custody.request_message(order, nonce("ninth"))
    refused(custody.chain.run(custody.beneficiary, message), Code.TOO_MANY, "open-requests")
    assert custody.chain.run(custody.principal, tx_pb2.CloseOrder(order=order)).code == Code.OK
    assert custody.order(order).open_requests == 0


def test_an_answer_under_a_key_of_low_order_still_names_who_sent_it() -> None:
    """The sealed answer's X25519 half agrees on nothing: it opens for nobody, which is a bad answer, not a defect."""
    from tests.support.custody import request_key

    custody = fresh_custody()
    request = custody.request(custody.place())
    liar = custody.chain.founders[2]
    for number, sealed in enumerate((SEALED, b"\xff" * len(SEALED))):
        founder = custody.chain.founders[number + 2]
        custody.chain.result(founder, tx_pb2.FulfilSecret(request=request, sealed=sealed))
        seed, private = request_key(custody.chain, founder, bytes(32))
        report = tx_pb2.ReportShare(
            request=request, fiduciary=founder.identity, mlkem768_seed=seed, x25519_private=private
        )
        assert custody.chain.run(custody.beneficiary, report).code == Code.OK
    assert custody.request_record(request).bad_answers == 2
    assert liar.identity in custody.order(custody.request_record(request).order).fiduciaries


def test_counters_come_back_to_nothing_and_never_go_below() -> None:
    custody = fresh_custody()
    chain = custody.chain
    orders = [custody.place(nonce(n), fulfil=n % 2 == 0) for n in range(4)]
    for order in orders:
        assert chain.run(custody.principal, tx_pb2.CloseOrder(order=order)).code == Code.OK
        refused(chain.run(custody.principal, tx_pb2.CloseOrder(order=order)), Code.ORDER_NOT_OPEN, "close-order")
    chain.run(custody.principal, tx_pb2.CloseVault(vault=custody.vault))
    for _ in range(12):
        chain.block(seconds=90_000)
    counter = COUNTERS.get(chain.view, custody.principal.identity)
    assert (counter.open_orders, counter.open_vaults) == (0, 0)
    assert VAULTS.get(chain.view, custody.vault).status == pb.VAULT_STATUS_CLOSED
    for founder in chain.founders:
        assert chain.result(founder, tx_pb2.ConfirmVaultErased(vault=custody.vault)).code == Code.OK
    assert [key for key in chain.view.index if key.startswith(DUE.prefix)] == []
    assert differences(chain.view) == []


def test_a_transaction_pays_for_nothing_that_another_sent() -> None:
    """Refusals before authentication count for nobody: made-up transactions use up no identity's share."""
    custody = fresh_custody()
    set_params(custody.chain, max_txs_per_identity=1)
    good = custody.chain.tx(custody.principal, tx_pb2.CloseVault(vault=custody.vault))
    forged = [
        custody.chain.tx(custody.principal, tx_pb2.CloseVault(vault=custody.vault), key=custody.beneficiary.tx_key)
        for _ in range(5)
    ]
    answers = [because(result) for result in custody.chain.block(*forged, good).tx_results]
    assert answers == [Because(Code.BAD_SIGNATURE)] * 5 + [TAKEN]


def test_a_node_key_cannot_be_claimed_by_another_identity_nor_used_as_its_own_operator_key() -> None:
    custody = fresh_custody()
    eve = Actor("eve", fiduciary=True)
    document = eve.document(custody.chain.gid)
    document.node_key = document.tx_key
    envelope = eve.sealed_document(custody.chain.gid, document)
    result = custody.chain.run(custody.chain.founders[0], tx_pb2.RegisterIdentity(envelope=envelope))
    refused(result, Code.DOCUMENT_MALFORMED, "node_key")
    document = eve.document(custody.chain.gid)
    document.node_key = bytes(custody.chain.founders[1].node_key.verify_key)
    envelope = eve.sealed_document(custody.chain.gid, document)
    result = custody.chain.run(custody.chain.founders[0], tx_pb2.RegisterIdentity(envelope=envelope))
    refused(result, Code.DOCUMENT_PROOF, "node-key")


def test_to_claim_the_role_of_a_fiduciary_is_not_to_be_one() -> None:
    custody = fresh_custody()
    eve = Actor("eve", fiduciary=True)
    custody.chain.register(eve)
    mallory = Actor("mallory")
    sponsor = custody.chain.run(eve, tx_pb2.RegisterIdentity(envelope=mallory.enrol(custody.chain.gid)))
    refused(sponsor, Code.SPONSOR_REQUIRED, "sponsor")
    message = tx_pb2.OpenVault(nonce=nonce(1), custodian="hsm-realm", fiduciaries=[eve.identity])
    refused(custody.chain.run(custody.principal, message), Code.UNKNOWN_FIDUCIARY, "vault")


def test_a_thief_of_the_current_key_can_stop_an_identity_but_not_take_it() -> None:
    custody = fresh_custody()
    alice, chain = custody.principal, custody.chain
    thief = alice.tx_key
    chain.run(alice, tx_pb2.SuspendIdentity(), key=thief)
    revoke = tx_pb2.RevokeIdentity(next_key=bytes(thief.verify_key))
    refused(chain.run(alice, revoke, key=thief), Code.NEXT_KEY_MISMATCH, "revocation")
    rotate = tx_pb2.RotateIdentity(envelope=alice.next_document(chain.gid))
    refused(chain.run(alice, rotate, key=thief), Code.BAD_SIGNATURE)
    assert chain.run(alice, rotate, key=alice.key(1)).code == Code.OK
    refused(chain.run(alice, tx_pb2.CloseVault(vault=custody.vault), key=thief), Code.BAD_SIGNATURE)
    assert chain.run(alice, tx_pb2.CloseVault(vault=custody.vault), key=alice.key(1)).code == Code.OK
