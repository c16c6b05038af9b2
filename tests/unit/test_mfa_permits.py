"""What a revocation does to permits that are under way."""

from __future__ import annotations

from hashlib import sha256

from abci_app.codes import Code
from abci_app.mfa import issuing
from abci_app.mfa.points import SECONDS_PER_DAY
from abci_app.params import LONGEST_PERMIT_AHEAD_S
from abci_app.pb.dta.v1 import extraction_pb2, mfa_pb2
from abci_app.state.indexes import REQUESTER_REQUESTS
from abci_app.state.records import EXTRACTIONS
from tests.support.authority import UNPROVED
from tests.support.realms import client, fresh_world
from tests.support.refusals import refused
from tests.support.world import set_params

ALICE, BOB = client("alice"), client("bob")


def test_nothing_is_answered_in_the_block_that_asks_for_it() -> None:
    """From the next block on: by then whoever may stop it has seen it."""
    world = fresh_world()
    world.enrol(ALICE)
    ask = world.chain.tx(world.registrar, world.permits_message(world.today))
    request = issuing.permit_request(world.chain.gid, world.realm, world.today, sha256(ask).digest())
    member = world.chain.founders[0]
    answer = extraction_pb2.SubmitUnblinded(request=request, epoch=1, partials=[UNPROVED])
    asked, early = world.chain.block(ask, world.chain.tx(member, answer, key=member.node_key)).tx_results
    assert asked.code == Code.OK
    refused(early, Code.NOT_RELEASED_YET, "extraction")


def test_what_was_answered_is_no_request_of_anybody_any_more() -> None:
    world = fresh_world()
    world.enrol(ALICE)
    request = world.do(world.registrar, world.permits_message(world.today))
    assert (world.registrar.identity, request) in REQUESTER_REQUESTS.entries(world.chain.view)
    world.answer(request)
    assert world.status(request) == extraction_pb2.EXTRACTION_STATUS_COMPLETED
    assert (world.registrar.identity, request) not in REQUESTER_REQUESTS.entries(world.chain.view)


def test_a_revocation_stops_a_permit_that_is_under_way() -> None:
    world = fresh_world()
    world.enrol(ALICE, BOB)
    request = world.do(world.registrar, world.permits_message(world.today))
    world.answer(request, 2)
    world.do(world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE))
    assert world.status(request) == extraction_pb2.EXTRACTION_STATUS_CANCELLED
    again = world.do(world.registrar, world.permits_message(world.today))
    assert [world.item(again, 0).subject] == [BOB]
    assert all(result.code == Code.OK for result in world.answer(again))


def test_a_revocation_stops_the_permits_of_today_tomorrow_and_the_day_after() -> None:
    world = fresh_world()
    world.enrol(ALICE)
    set_params(world.chain, permit_ahead_s=LONGEST_PERMIT_AHEAD_S)
    days = range(world.today, world.today + 3)
    requests = [world.do(world.registrar, world.permits_message(day)) for day in days]
    world.do(world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE))
    assert [world.status(request) for request in requests] == [extraction_pb2.EXTRACTION_STATUS_CANCELLED] * 3


def test_a_batch_of_permits_waits_for_answers_to_the_end_of_its_day_and_no_longer() -> None:
    world = fresh_world()
    world.enrol(ALICE)
    request = world.do(world.registrar, world.permits_message(world.today))
    midnight_s = (world.today + 1) * SECONDS_PER_DAY
    assert EXTRACTIONS.get(world.chain.view, request).deadline_time_s == midnight_s
    world.chain.block(seconds=midnight_s - world.chain.time_s - 1)
    assert world.status(request) == extraction_pb2.EXTRACTION_STATUS_PENDING
    world.chain.block(seconds=1)
    assert world.status(request) == extraction_pb2.EXTRACTION_STATUS_EXPIRED


def test_a_revocation_stops_a_permit_for_a_day_that_none_are_issued_for_any_more() -> None:
    world = fresh_world()
    world.enrol(ALICE)
    set_params(world.chain, permit_ahead_s=LONGEST_PERMIT_AHEAD_S)
    request = world.do(world.registrar, world.permits_message(world.today + 2))
    set_params(world.chain, permit_ahead_s=0)
    world.do(world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE))
    assert world.status(request) == extraction_pb2.EXTRACTION_STATUS_CANCELLED
