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
from abci_app.state import as_of
from abci_app.state.as_of import Moment
from abci_app.state.records import DECISIONS, params
from tests.sim.rebuild import differences
from tests.support.custody import SEALED, Custody, k_of, single
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.world import fresh_custody, nonce, without_sweep


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
