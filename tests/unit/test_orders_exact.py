"""Orders, requests and vaults at the exact second and block of each bound, and what they leave for others to read.

Where a message looks at a deadline itself, the sweep is off: what it has written would answer first.
"""

from __future__ import annotations

from hashlib import sha256

import pytest

from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state import as_of, due
from abci_app.state.as_of import Moment
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_TIME, DUE, SEEN
from abci_app.state.records import DECISIONS, VAULT_KEYS, VAULTS, params
from tests.sim.rebuild import differences
from tests.support.chain import Chain
from tests.support.custody import SEALED, Custody, k_of, single
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.world import fresh_custody, is_note, nonce, set_params, without_sweep


@pytest.fixture
def custody() -> Custody:
    return fresh_custody()


def test_an_order_lives_until_the_second_before_its_time_and_through_its_height() -> None:
    by_time = pb.OrderRecord(status=pb.ORDER_STATUS_ACTIVE, expires_at_time_s=100)
    by_height = pb.OrderRecord(status=pb.ORDER_STATUS_PLACED, expires_at_height=9)
    assert [as_of.order(by_time, Moment(1, time_s)) for time_s in (99, 100)] == [
        pb.ORDER_STATUS_ACTIVE, pb.ORDER_STATUS_EXPIRED,
    ]  # fmt: skip
    assert [as_of.order(by_height, Moment(height, 1)) for height in (9, 10)] == [
        pb.ORDER_STATUS_PLACED, pb.ORDER_STATUS_EXPIRED,
    ]  # fmt: skip


def test_a_vault_is_closed_from_the_second_and_the_block_of_its_delays_end() -> None:
    vault = pb.VaultRecord(status=pb.VAULT_STATUS_CLOSING, closes_at_time_s=100, closes_at_height=9)
    moments = (Moment(9, 99), Moment(8, 100), Moment(9, 100))
    assert [as_of.vault(vault, at) for at in moments] == [
        pb.VAULT_STATUS_CLOSING, pb.VAULT_STATUS_CLOSING, pb.VAULT_STATUS_CLOSED,
    ]  # fmt: skip


@pytest.mark.parametrize(("early_s", "code"), [(1, TAKEN), (0, Because(Code.ORDER_NOT_OPEN, "order"))])
def test_a_fiduciary_may_fulfil_an_order_until_the_second_before_it_expires(
    custody: Custody, monkeypatch: pytest.MonkeyPatch, early_s: int, code: Because
) -> None:
    order = custody.place(fulfil=False, expires_at_time_s=custody.chain.time_s + 500)
    without_sweep(monkeypatch)
    seconds = custody.order(order).expires_at_time_s - custody.chain.time_s - early_s
    founder = custody.chain.founders[0]
    fulfil = custody.chain.tx(founder, tx_pb2.FulfilOrder(order=order), key=founder.node_key)
    assert because(custody.chain.block(fulfil, seconds=seconds).tx_results[0]) == code


@pytest.mark.parametrize(("early_s", "code"), [(1, Because(Code.NOT_RELEASED_YET, "sealed")), (0, TAKEN)])
def test_a_share_is_released_from_the_second_in_which_the_veto_window_ends(
    custody: Custody, early_s: int, code: Because
) -> None:
    order = custody.place(policy=k_of(1, custody.beneficiary.identity, veto_window_s=600))
    request = custody.request(order)
    while custody.chain.height < custody.request_record(request).release_height:
        custody.chain.block()
    seconds = custody.request_record(request).release_time_s - custody.chain.time_s - early_s
    founder = custody.chain.founders[0]
    answer = tx_pb2.FulfilSecret(request=request, sealed=SEALED)
    tx = custody.chain.tx(founder, answer, key=founder.node_key)
    assert because(custody.chain.block(tx, seconds=seconds).tx_results[0]) == code


def test_a_veto_window_has_as_many_blocks_as_the_parameter_says(custody: Custody) -> None:
    order = custody.place(policy=k_of(1, custody.beneficiary.identity, veto_window_s=60))
    record = custody.request_record(custody.request(order))
    assert record.release_height == record.granted_height + params(custody.chain.view).min_veto_blocks


def test_no_share_is_released_in_the_block_of_the_grant(custody: Custody) -> None:
    order = custody.place()
    message = custody.request_message(order)
    request = statements.request_id(custody.chain.gid, order, custody.beneficiary.identity, message.nonce)
    founder = custody.chain.founders[0]
    answer = custody.chain.tx(founder, tx_pb2.FulfilSecret(request=request, sealed=SEALED), key=founder.node_key)
    asked = custody.chain.tx(custody.beneficiary, message)
    answers = [because(result) for result in custody.chain.block(asked, answer).tx_results]
    assert answers == [TAKEN, Because(Code.NOT_RELEASED_YET, "sealed")]
    refused(custody.chain.block(answer).tx_results[0], Code.REPLAYED, why="it was consumed")
    assert custody.request_record(request).release_height == custody.request_record(request).granted_height + 1


def test_a_granted_request_past_its_deadline_holds_up_no_closing_and_was_not_cancelled(
    custody: Custody, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = custody.place()
    granted = custody.request(order)
    without_sweep(monkeypatch)
    seconds = custody.request_record(granted).deadline_time_s - custody.chain.time_s
    close = tx_pb2.CloseOrder(order=order)
    early = custody.chain.tx(custody.principal, close)
    refused(custody.chain.block(early, seconds=seconds - 1).tx_results[0], Code.ORDER_HAS_GRANTED_REQUEST)
    assert custody.chain.block(custody.chain.tx(custody.principal, close), seconds=1).tx_results[0].code == Code.OK
    assert custody.order(order).status == pb.ORDER_STATUS_CLOSED
    assert custody.request_record(granted).status == pb.REQUEST_STATUS_EXPIRED
    assert (custody.order(order).expired_requests, custody.order(order).cancelled_requests) == (1, 0)
    assert differences(custody.chain.view) == []


def test_an_order_and_its_requests_name_what_ended_them(custody: Custody) -> None:
    order = custody.place(policy=single(custody.principal.identity))
    request = custody.request(order)
    closing = custody.chain.tx(custody.principal, tx_pb2.CloseOrder(order=order))
    custody.chain.block(closing)
    ended = custody.order(order), custody.request_record(request)
    assert [(one.ended_height, one.ended_tx) for one in ended] == [(custody.chain.height, sha256(closing).digest())] * 2
    expiring = custody.place(nonce("expiring"), expires_at_time_s=custody.chain.time_s + 100)
    custody.chain.block(seconds=100)
    record = custody.order(expiring)
    assert (record.status, record.ended_height) == (pb.ORDER_STATUS_EXPIRED, custody.chain.height)
    assert not record.ended_tx, "a deadline is no transaction"


def test_who_asks_and_is_no_party_has_approved_nothing(custody: Custody) -> None:
    order = custody.place(policy=single(custody.principal.identity))
    request = custody.request(order)
    assert DECISIONS.find(custody.chain.view, request, custody.beneficiary.identity) is None
    assert custody.request_record(request).status == pb.REQUEST_STATUS_PENDING


# --- approvals and vetoes ---------------------------------------------------------------------------------------


def test_a_veto_is_a_vetoers_and_of_the_content_that_it_names(custody: Custody) -> None:
    order = custody.place(policy=k_of(1, custody.principal.identity, veto_window_s=60))
    request = custody.request(order)
    digest = custody.request_record(request).content_digest
    veto = tx_pb2.VetoRequest(request=request, content_digest=digest)
    receiver = custody.chain.run(custody.beneficiary, veto)
    refused(receiver, Code.NOT_A_PARTY, "vetoer", why="who receives has no say in it")
    refused(custody.chain.run(custody.chain.founders[0], veto), Code.NOT_A_PARTY, "vetoer")
    other = tx_pb2.VetoRequest(request=request, content_digest=bytes(32))
    refused(custody.chain.run(custody.principal, other), Code.CONTENT_MISMATCH, "veto")
    assert custody.request_record(request).status == pb.REQUEST_STATUS_PENDING
    assert custody.chain.run(custody.principal, veto).code == Code.OK


def test_a_veto_after_an_approval_says_when_it_was_approved(custody: Custody) -> None:
    policy = k_of(2, custody.principal.identity, custody.chain.founders[0].identity, veto_window_s=60)
    request = custody.request(custody.place(policy=policy))
    digest = custody.request_record(request).content_digest
    approving = custody.chain.tx(custody.principal, tx_pb2.ApproveRequest(request=request, content_digest=digest))
    assert custody.chain.block(approving).tx_results[0].code == Code.OK
    approved_height = custody.chain.height
    assert custody.chain.run(custody.principal, tx_pb2.VetoRequest(request=request, content_digest=digest)).code == 0
    decision = DECISIONS.get(custody.chain.view, request, custody.principal.identity)
    assert (decision.veto, decision.height) == (True, custody.chain.height)
    assert (decision.approved_height, decision.approved_tx) == (approved_height, sha256(approving).digest())


@pytest.mark.parametrize(("late_s", "code"), [(0, TAKEN), (1, Because(Code.POLICY_NOT_IN_FORCE, "approval"))])
def test_an_approval_is_taken_to_the_last_second_of_its_policy(custody: Custody, late_s: int, code: Because) -> None:
    until_s = custody.chain.time_s + 1_000
    order = custody.place(policy=k_of(1, custody.principal.identity, not_after_s=until_s))
    request = custody.request(order)
    approve = tx_pb2.ApproveRequest(
        request=request, content_digest=custody.request_record(request).content_digest
    )
    tx = custody.chain.tx(custody.principal, approve)
    assert because(custody.chain.block(tx, seconds=until_s - custody.chain.time_s + late_s).tx_results[0]) == code
    decided = DECISIONS.find(custody.chain.view, request, custody.principal.identity) is not None
    assert decided == (code == TAKEN)


def test_a_policy_and_its_rule_have_as_many_bytes_as_the_parameter_says(custody: Custody) -> None:
    message = custody.order_message(nonce("policy"))
    size_bytes = message.policy.ByteSize() + message.rule.ByteSize()
    set_params(custody.chain, max_policy_bytes=size_bytes - 1)
    refused(custody.chain.run(custody.principal, message), Code.BAD_POLICY, "size")
    set_params(custody.chain, max_policy_bytes=size_bytes)
    assert custody.chain.run(custody.principal, message).code == Code.OK


def test_a_vault_closes_after_the_seconds_and_the_blocks_of_the_parameters(custody: Custody) -> None:
    assert custody.chain.run(custody.principal, tx_pb2.CloseVault(vault=custody.vault)).code == Code.OK
    vault, now = VAULTS.get(custody.chain.view, custody.vault), params(custody.chain.view)
    assert vault.closes_at_time_s == custody.chain.time_s + now.close_vault_delay_s
    assert vault.closes_at_height == custody.chain.height + now.close_vault_delay_blocks


# --- vaults -----------------------------------------------------------------------------------------------------


def test_a_key_is_to_be_erased_from_the_second_and_the_block_in_which_the_vault_is_closed(custody: Custody) -> None:
    assert custody.chain.run(custody.principal, tx_pb2.CloseVault(vault=custody.vault)).code == Code.OK
    vault = VAULTS.get(custody.chain.view, custody.vault)
    for founder in custody.chain.founders:
        asked = (custody.chain.view, founder.identity, DueKind.ERASE_VAULT, custody.vault)
        assert due.is_due(*asked, vault.closes_at_time_s, vault.closes_at_height)
        assert not due.is_due(*asked, vault.closes_at_time_s - 1, vault.closes_at_height)
        assert not due.is_due(*asked, vault.closes_at_time_s, vault.closes_at_height - 1)


def test_closing_is_cancelled_to_the_last_block_before_its_end_and_no_later(
    custody: Custody, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, cancel = tx_pb2.CloseVault(vault=custody.vault), tx_pb2.CancelCloseVault(vault=custody.vault)
    without_sweep(monkeypatch)
    for late, code in ((0, TAKEN), (1, Because(Code.VAULT_NOT_CLOSING))):
        assert custody.chain.run(custody.principal, close).code == Code.OK
        vault = VAULTS.get(custody.chain.view, custody.vault)
        custody.chain.block(seconds=vault.closes_at_time_s - custody.chain.time_s)
        while custody.chain.height < vault.closes_at_height - 2 + late:
            custody.chain.block()
        assert because(custody.chain.run(custody.principal, cancel)) == code


def besides_blocks(chain: Chain) -> dict[bytes, bytes]:
    """The index entries that follow from leaves."""
    return {
        key: value for key, value in chain.view.index.items() if not key.startswith(SEEN.prefix) and not is_note(key)
    }


def test_a_closing_that_was_cancelled_leaves_nothing_to_sweep_and_the_keys_that_lacked_are_owed_again(
    custody: Custody,
) -> None:
    """One fiduciary had not published its key yet."""
    founders = custody.chain.founders
    opening = tx_pb2.OpenVault(
        nonce=nonce("second"), custodian="hsm-realm", fiduciaries=[founder.identity for founder in founders[:2]]
    )
    vault = custody.chain.run(custody.principal, opening).data
    key = VAULT_KEYS.get(custody.chain.view, custody.vault, founders[0].identity).key
    assert custody.chain.result(founders[0], tx_pb2.PublishVaultKey(vault=vault, key=key)).code == Code.OK
    before = besides_blocks(custody.chain)
    assert custody.chain.run(custody.principal, tx_pb2.CloseVault(vault=vault)).code == Code.OK
    assert not DUE.exists(custody.chain.view, founders[1].identity, DueKind.PUBLISH_VAULT_KEY, vault)
    assert DEADLINE_TIME.has_any(custody.chain.view)
    assert custody.chain.run(custody.principal, tx_pb2.CancelCloseVault(vault=vault)).code == Code.OK
    assert besides_blocks(custody.chain) == before
    assert DUE.exists(custody.chain.view, founders[1].identity, DueKind.PUBLISH_VAULT_KEY, vault)
    assert not DUE.exists(custody.chain.view, founders[0].identity, DueKind.PUBLISH_VAULT_KEY, vault)
