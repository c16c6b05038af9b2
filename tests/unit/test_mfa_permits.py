"""What a revocation does to permits that are under way."""

from __future__ import annotations

from abci_app.codes import Code
from abci_app.params import LONGEST_PERMIT_AHEAD_S
from abci_app.pb.dta.v1 import extraction_pb2, mfa_pb2
from abci_app.state.indexes import REQUESTER_REQUESTS
from tests.support.realms import client, fresh_world
from tests.support.world import set_params

ALICE, BOB = client("alice"), client("bob")


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


def test_a_revocation_stops_a_permit_for_a_day_that_none_are_issued_for_any_more() -> None:
    world = fresh_world()
    world.enrol(ALICE)
    set_params(world.chain, permit_ahead_s=LONGEST_PERMIT_AHEAD_S)
    request = world.do(world.registrar, world.permits_message(world.today + 2))
    set_params(world.chain, permit_ahead_s=0)
    world.do(world.registrar, mfa_pb2.RevokeClient(realm=world.realm, client=ALICE))
    assert world.status(request) == extraction_pb2.EXTRACTION_STATUS_CANCELLED
