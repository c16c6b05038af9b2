"""What is said of a record whose deadline has passed is what the sweep will record, and what the next block goes by."""

from __future__ import annotations

import copy

import pytest

from abci_app.pb.dta.v1 import custody_pb2, governance_pb2, identity_pb2
from abci_app.state import as_of
from abci_app.state.as_of import Moment
from abci_app.state.deadlines import DeadlineKind
from tests.support.refusals import because
from tests.support.world import without_sweep
from tests.unit.test_upkeep import EXPIRING

ACTIVE = identity_pb2.IDENTITY_STATUS_ACTIVE
OUT_OF_DATE = identity_pb2.IDENTITY_STATUS_OUT_OF_DATE


@pytest.mark.parametrize("kind", DeadlineKind)
def test_at_every_moment_it_is_what_a_sweep_would_have_recorded(
    monkeypatch: pytest.MonkeyPatch, kind: DeadlineKind
) -> None:
    """Two chains of the same blocks: one never sweeps, the other does in this one."""
    world = EXPIRING[kind]()
    chain, subject = world.chain, world.subjects[0]
    seen = []
    step_s = world.seconds - 60
    for _ in range(13 + world.blocks):
        swept = copy.deepcopy(chain)
        swept.block(seconds=step_s)
        record = world.records.get(chain.view, subject)
        assert record.status == world.open_status
        now = as_of.seen(record, Moment(swept.height, swept.time_s)).status
        assert now == world.records.get(swept.view, subject).status
        seen.append(now == world.open_status)
        with monkeypatch.context() as patch:
            without_sweep(patch)
            late = [] if seen[-1] else [chain.tx(world.actor, world.message(subject), key=world.key)]
            codes = [because(result) for result in chain.block(*late, seconds=step_s).tx_results]
        assert codes == [world.code] * len(late), "and what the block goes by"
        step_s = 6
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {True, False}


def test_a_requests_end_is_its_orders_too() -> None:
    order = custody_pb2.OrderRecord(status=custody_pb2.ORDER_STATUS_ACTIVE, expires_at_height=9)
    request = custody_pb2.RequestRecord(status=custody_pb2.REQUEST_STATUS_GRANTED, deadline_time_s=100)
    granted, expired = custody_pb2.REQUEST_STATUS_GRANTED, custody_pb2.REQUEST_STATUS_EXPIRED
    assert [as_of.request(request, Moment(9, time_s), order) for time_s in (99, 100)] == [granted, expired]
    assert as_of.request(request, Moment(10, 99), order) == expired
    assert as_of.request(request, Moment(10, 99)) == granted, "of an order that is not known"
    assert as_of.seen_request(request, order, Moment(10, 99)).status == expired
    assert request.status == granted, "the record itself is as it was"
    done = custody_pb2.RequestRecord(status=custody_pb2.REQUEST_STATUS_COMPLETED, deadline_time_s=100)
    assert as_of.seen_request(done, order, Moment(10, 100)) is done


def test_a_proposal_is_open_to_its_last_second_and_through_its_last_block() -> None:
    record = governance_pb2.ProposalRecord(
        status=governance_pb2.PROPOSAL_STATUS_OPEN, deadline_time_s=100, deadline_height=9
    )
    moments = (Moment(9, 100), Moment(10, 99), Moment(10, 100))
    open_, expired = governance_pb2.PROPOSAL_STATUS_OPEN, governance_pb2.PROPOSAL_STATUS_EXPIRED
    assert [as_of.proposal(record, at) for at in moments] == [open_, open_, expired]


def test_an_identity_is_out_of_date_before_and_after_its_documents_validity() -> None:
    record = identity_pb2.IdentityRecord(status=ACTIVE, not_before_s=10, not_after_s=20)
    found = [as_of.seen(record, Moment(1, time_s)).status for time_s in (9, 10, 20, 21)]
    assert found == [OUT_OF_DATE, ACTIVE, ACTIVE, OUT_OF_DATE]
    record.status = identity_pb2.IDENTITY_STATUS_REVOKED
    assert as_of.seen(record, Moment(1, 21)) is record
    assert as_of.seen(identity_pb2.IdentityRecord(status=ACTIVE), Moment(1, 2**40)).status == ACTIVE


def test_records_without_a_deadline_are_as_they_are() -> None:
    counter = custody_pb2.CounterRecord(open_orders=1)
    assert as_of.seen(counter, Moment(2**40, 2**40)) is counter
    forever = custody_pb2.OrderRecord(status=custody_pb2.ORDER_STATUS_PLACED)
    assert as_of.seen(forever, Moment(2**40, 2**40)) is forever
