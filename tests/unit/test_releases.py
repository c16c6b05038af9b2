"""Who waits for an authority key, who has a place of it, and for how long (docs/spec/authority.md, Quotas)."""

from __future__ import annotations

import pytest

from abci_app.codes import Code
from abci_app.limits import MAX_TIME_S
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state import as_of
from abci_app.state.indexes import RELEASE_QUEUE, REQUESTER_REQUESTS, VETO_WINDOWS
from abci_app.state.records import EXTRACTIONS, params
from tests.support.actors import seeded
from tests.support.authority import answer, message_of
from tests.support.custody import k_of
from tests.support.refusals import refused
from tests.support.waiting import CID, World
from tests.support.world import set_params


def stage(world: World, request: bytes) -> str:
    return pb.ReleaseStage.Name(world.record(request).stage).removeprefix("RELEASE_STAGE_").lower()


def windowed(world: World, who: str, seconds: int) -> pb.Policy:
    """Granted as soon as it is asked for, released after so many seconds."""
    return k_of(1, world.people[who].identity, veto_window_s=seconds)


def test_the_longest_veto_windows_hold_no_place_of_a_key() -> None:
    sybils = [f"sybil-{n}" for n in range(8)]
    world = World("alice", *sybils, places=2)
    longest = params(world.chain.view).max_veto_window_s
    for sybil in sybils:
        order = world.place(sybil, policy=windowed(world, sybil, longest))
        for tag in range(2):
            assert stage(world, world.ask(sybil, order, tag)) == "veto_time"
    assert world.in_flight() == []
    request = world.ask("alice", world.place("alice"))
    assert (stage(world, request), world.in_flight()) == ("released", [request])
    world.answer(request)
    assert world.record(request).status == pb.REQUEST_STATUS_COMPLETED


def test_a_veto_window_is_bounded_by_a_parameter() -> None:
    world = World("mallory")
    longest = params(world.chain.view).max_veto_window_s
    world.place("mallory", "longest", policy=windowed(world, "mallory", longest))
    for seconds in (longest + 1, MAX_TIME_S):
        message = tx_pb2.PlaceOrder(
            nonce=seeded("longer", seconds), custodian="mpc-bls", authority=world.dealt.id, envelope_cid=CID,
            policy=windowed(world, "mallory", seconds),
            rule=pb.BeneficiaryRule(identity=world.people["mallory"].identity),
        )  # fmt: skip
        refused(world.chain.run(world.people["mallory"], message), Code.BAD_POLICY, "veto-window")


def test_a_granted_request_takes_a_free_place_in_the_block_of_its_grant() -> None:
    world = World("alice")
    request = world.ask("alice", world.place("alice"))
    record, extraction = world.record(request), EXTRACTIONS.get(world.chain.view, request)
    assert (record.released_height, record.granted_height) == (world.chain.height, world.chain.height)
    assert (extraction.from_time_s, extraction.from_height) == (world.chain.time_s, world.chain.height + 1)
    assert extraction.requester == world.people["alice"].identity
    assert world.is_due(request)
    assert world.waiting("alice") == 0


def test_a_granted_request_is_never_refused_it_queues_and_its_deadline_counts_from_its_turn() -> None:
    world = World("alice", "bob")
    ttl_s = params(world.chain.view).request_ttl_s
    held = world.ask("bob", world.place("bob"))
    request = world.ask("alice", world.place("alice"))
    record = world.record(request)
    assert (record.status, stage(world, request), record.deadline_time_s) == (pb.REQUEST_STATUS_GRANTED, "queued", 0)
    assert as_of.request(record, as_of.Moment(10**9, MAX_TIME_S)) == pb.REQUEST_STATUS_GRANTED, "no deadline yet"
    assert EXTRACTIONS.find(world.chain.view, request) is None
    assert not world.is_due(request)
    assert world.waiting("alice") == 1
    world.chain.block(seconds=ttl_s - 100)
    assert stage(world, request) == "queued"
    world.answer(held)
    record = world.record(request)
    assert (stage(world, request), record.released_height) == ("released", world.chain.height)
    assert record.deadline_time_s == world.chain.time_s + ttl_s
    assert world.in_flight() == [request]
    assert (world.waiting("alice"), world.entries(RELEASE_QUEUE)) == (0, [])
    world.answer(request)


def test_a_place_that_is_never_answered_is_free_again_at_the_deadline() -> None:
    world = World("alice", "bob")
    held = world.ask("bob", world.place("bob"))
    request = world.ask("alice", world.place("alice"))
    world.chain.block(seconds=params(world.chain.view).request_ttl_s)
    assert world.record(held).status == pb.REQUEST_STATUS_EXPIRED
    assert (stage(world, request), world.in_flight()) == ("released", [request])


def test_requesters_have_turns_however_much_one_of_them_asks_for() -> None:
    world = World("alice", "bob", "mallory")
    flood = [world.ask("mallory", world.place("mallory", n)) for n in range(5)]
    own = {name: [world.ask(name, world.place(name, n)) for n in range(2)] for name in ("alice", "bob")}
    asked_by = {request: name for name, requests in [("mallory", flood), *own.items()] for request in requests}
    turns = []
    while world.in_flight():
        (request,) = world.in_flight()
        turns.append(asked_by[request])
        world.answer(request)
    assert len(turns) == 9
    assert turns[0] == "mallory", "there was a place when it asked first"
    for begin in (1, 4):
        assert sorted(turns[begin : begin + 3]) == ["alice", "bob", "mallory"]
    assert turns[7:] == ["mallory"] * 2
    assert world.entries(REQUESTER_REQUESTS) == []


def test_a_requester_s_own_requests_have_their_turns_in_the_order_of_their_grants() -> None:
    world = World("alice")
    asked = [world.ask("alice", world.place("alice", n)) for n in range(4)]
    for request in asked:
        assert world.in_flight() == [request]
        world.answer(request)


def test_who_asks_when_others_queue_queues_too_though_a_place_became_free_in_that_block() -> None:
    world = World("alice", "bob", "mallory")
    held = world.ask("bob", world.place("bob"))
    queued = world.ask("alice", world.place("alice"))
    late, request = world.asking("mallory", world.place("mallory"))
    for founder in world.chain.founders[:2]:
        assert answer(world.chain, world.dealt, founder, held).code == 0
    third = world.chain.founders[2]
    last = message_of(world.chain.view, world.chain.gid, world.dealt, third, held)
    freed = world.chain.block(
        world.chain.tx(third, last, key=third.node_key), world.chain.tx(world.people["mallory"], late)
    )
    assert [result.code for result in freed.tx_results] == [0, 0]
    assert sorted(stage(world, one) for one in (queued, request)) == ["queued", "released"]
    (released,) = world.in_flight()
    assert EXTRACTIONS.get(world.chain.view, released).opened_tx == b"", "by its turn, at the end of the block"


def test_a_quota_that_was_lowered_lets_nobody_in_until_it_is_kept_and_a_raised_one_is_used_at_once() -> None:
    world = World("alice", places=3)
    asked = [world.ask("alice", world.place("alice", n)) for n in range(5)]
    assert sorted(world.in_flight()) == sorted(asked[:3])
    set_params(world.chain, max_open_extractions=1)
    for number, request in enumerate(asked[:2]):
        world.answer(request)
        assert len(world.in_flight()) == 2 - number
    world.answer(asked[2])
    assert world.in_flight() == [asked[3]]
    set_params(world.chain, max_open_extractions=3)
    world.chain.block()
    assert sorted(world.in_flight()) == sorted(asked[3:])


def test_a_window_is_over_after_its_seconds_and_its_blocks_and_then_it_queues() -> None:
    world = World("alice", "bob")
    request = world.ask("alice", world.place("alice", policy=windowed(world, "alice", 10)))
    record = world.record(request)
    assert (record.release_height, record.deadline_time_s) == (record.granted_height + 3, 0)
    veto = tx_pb2.VetoRequest(request=request, content_digest=record.content_digest)
    seen = []
    for seconds in (20, 0):
        assert not world.is_due(request)
        world.chain.block(seconds=seconds)
        seen.append((stage(world, request), len(world.entries(VETO_WINDOWS))))
    # The next block is the first that takes no veto, and the first that takes an answer.
    assert seen == [("veto_height", 1), ("released", 0)]
    assert world.chain.height + 1 == record.release_height
    assert world.is_due(request)
    refused(world.chain.run(world.people["alice"], veto), Code.VETO_TOO_LATE)
    world.answer(request)


def test_a_window_lasts_to_its_last_second_though_its_blocks_are_over() -> None:
    world = World("alice")
    request = world.ask("alice", world.place("alice", policy=windowed(world, "alice", 10)))
    while world.chain.height < world.record(request).release_height:
        world.chain.block(seconds=0)
    world.chain.block(seconds=world.record(request).release_time_s - world.chain.time_s - 1)
    assert (stage(world, request), world.in_flight()) == ("veto_time", [])
    world.chain.block(seconds=1)
    assert (stage(world, request), world.in_flight()) == ("released", [request])


def test_a_veto_in_the_last_block_of_the_window_stops_the_release() -> None:
    world = World("alice")
    order = world.place("alice", policy=windowed(world, "alice", 10))
    request = world.ask("alice", order)
    world.chain.block(seconds=20)
    assert stage(world, request) == "veto_height"
    veto = tx_pb2.VetoRequest(request=request, content_digest=world.record(request).content_digest)
    assert world.chain.height + 1 == world.record(request).release_height - 1
    assert world.chain.run(world.people["alice"], veto).code == 0
    assert world.record(request).status == pb.REQUEST_STATUS_VETOED
    assert (world.waiting("alice"), world.entries(VETO_WINDOWS), world.in_flight()) == (0, [], [])


def test_what_waits_counts_against_who_asked_and_nobody_else() -> None:
    world = World("alice", "mallory")
    set_params(world.chain, max_waiting_requests_per_identity=3)
    orders = [world.place("mallory", n, policy=windowed(world, "mallory", 1_000)) for n in range(4)]
    asked = [world.ask("mallory", order) for order in orders[:3]]
    fourth, _ = world.asking("mallory", orders[3])
    refused(world.chain.run(world.people["mallory"], fourth), Code.TOO_MANY, "waiting-requests")
    assert world.waiting("mallory") == 3
    world.answer(world.ask("alice", world.place("alice")))
    veto = tx_pb2.VetoRequest(request=asked[0], content_digest=world.record(asked[0]).content_digest)
    assert world.chain.run(world.people["mallory"], veto).code == 0
    assert world.waiting("mallory") == 2
    assert world.chain.run(world.people["mallory"], fourth).code == 0


def test_a_request_that_is_not_granted_waits_too_and_is_counted_until_it_expires() -> None:
    world = World("alice", "bob")
    order = world.place("alice", policy=k_of(1, world.people["bob"].identity))
    request = world.ask("alice", order)
    assert (world.record(request).status, world.waiting("alice")) == (pb.REQUEST_STATUS_PENDING, 1)
    world.chain.block(seconds=params(world.chain.view).request_ttl_s)
    assert (world.record(request).status, world.waiting("alice")) == (pb.REQUEST_STATUS_EXPIRED, 0)


def test_an_order_that_ends_takes_its_requests_out_of_the_queue() -> None:
    world = World("alice", "bob")
    held = world.ask("bob", world.place("bob"))
    order = world.place("alice", expires_at_height=world.chain.height + 4)
    request = world.ask("alice", order)
    assert stage(world, request) == "queued"
    close = tx_pb2.CloseOrder(order=order)
    refused(world.chain.run(world.people["alice"], close), Code.ORDER_HAS_GRANTED_REQUEST)
    for _ in range(3):
        world.chain.block()
    assert world.record(request).status == pb.REQUEST_STATUS_EXPIRED
    assert (world.waiting("alice"), world.entries(RELEASE_QUEUE)) == (0, [])
    world.answer(held)
    assert world.in_flight() == []


@pytest.mark.parametrize("seconds", [0, 50])
def test_an_answer_before_the_release_is_refused(seconds: int) -> None:
    world = World("alice", "bob")
    held = world.ask("bob", world.place("bob"))
    policy = windowed(world, "alice", seconds) if seconds else None
    request = world.ask("alice", world.place("alice", policy=policy))
    early = message_of(world.chain.view, world.chain.gid, world.dealt, world.chain.founders[0], held)
    assert isinstance(early, tx_pb2.FulfilSecret)
    early.request = request
    refused(world.chain.result(world.chain.founders[0], early), Code.NOT_RELEASED_YET, "partial")
