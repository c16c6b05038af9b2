"""Signatures are summed up at the end of a block, within its budget: 63 shares take 20 ms, which no share pays for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from abci_app import sweep
from abci_app.crypto.curve import G1
from abci_app.execution import upkeep
from abci_app.pb.dta.v1 import custody_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.signing import signing_orders
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.indexes import UNSIGNED
from abci_app.state.records import EXTRACTIONS, ORDERS, REQUESTS, SET_ASIDE, SIGNINGS
from tests.sim.rebuild import differences
from tests.support.actors import seeded
from tests.support.authority import message_of
from tests.support.governance import pass_
from tests.support.upkeep import ENDS, IDS, RETRY, failing, untouched
from tests.support.world import set_params
from tests.unit.test_signing import World


def granted(world: World, count: int) -> list[bytes]:
    """Requests that lack one share each, in the order in which their turn comes."""
    made = [world.place(nonce=seeded(number)) for number in range(count)]
    for request in made:
        world.approve(request, 0, 1, 2)
        assert [world.answer(number, request) for number in (0, 1)] == [0, 0]
    return sorted(made)


def answer_all(world: World, requests: list[bytes]) -> None:
    """The last share of each, in one block."""
    chain, member = world.chain, world.chain.founders[3]
    last = [message_of(chain.view, chain.gid, world.dealt, member, request) for request in requests]
    results = chain.block(*[chain.tx(member, one, key=member.node_key) for one in last]).tx_results
    assert [result.code for result in results] == [0] * len(requests)


def test_they_wait_for_room_and_bear_the_height_and_transaction_of_the_share_that_completed_them() -> None:
    world = World()
    made = granted(world, 3)
    set_params(world.chain, max_upkeep_cost=1)
    answer_all(world, made)
    completed_at = world.chain.height
    for signed in (1, 2, 3):
        found = [SIGNINGS.get(world.chain.view, request) for request in made]
        assert [bool(one.signature) for one in found] == [True] * signed + [False] * (3 - signed)
        assert [request for _, request in UNSIGNED.entries(world.chain.view)] == made[signed:]
        assert differences(world.chain.view) == []
        world.chain.block()
    for request in made:
        record, signing = REQUESTS.get(world.chain.view, request), SIGNINGS.get(world.chain.view, request)
        by = EXTRACTIONS.get(world.chain.view, request).ended_tx
        assert record.status == custody_pb2.REQUEST_STATUS_COMPLETED
        assert (record.ended_height, signing.signed_height) == (completed_at, completed_at)
        assert (record.ended_tx, signing.signed_tx) == (by, by)
        assert ORDERS.get(world.chain.view, record.order).status == custody_pb2.ORDER_STATUS_CLOSED


def test_what_was_complete_first_is_summed_up_first_whatever_ids_later_ones_have() -> None:
    """Who asks chooses the id: by ids alone, one requester's signatures would go before everybody's for ever."""
    world = World()
    first_id, *others = granted(world, 3)
    set_params(world.chain, max_upkeep_cost=1)
    answer_all(world, others)
    answer_all(world, [first_id])
    signed = [bool(SIGNINGS.get(world.chain.view, request).signature) for request in (first_id, *others)]
    assert signed == [False, True, True]


def test_deadlines_in_their_crowds_leave_half_of_the_budget_to_signatures() -> None:
    """Whoever places orders chooses when they expire: a crowd in each block would let one signature a block through."""
    world = World()
    crowd = [world.place(nonce=seeded("crowd", number)) for number in range(40)]
    ttl_s = REQUESTS.get(world.chain.view, crowd[0]).deadline_time_s - world.chain.time_s
    world.chain.block(seconds=100)
    made = granted(world, 2)
    cost = signing_orders.SUM_COST + 3 * signing_orders.SHARE_COST
    set_params(world.chain, max_upkeep_cost=2 * 2 * cost)
    assert sweep.RECORD[DeadlineKind.REQUEST].cost(crowd[0]) * len(crowd) > 2 * 2 * cost, "or it is no crowd"
    world.chain.time_s += ttl_s - 50
    answer_all(world, made)
    assert all(SIGNINGS.get(world.chain.view, request).signature for request in made)


def test_one_that_fails_is_set_aside_and_signed_when_it_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    made = granted(world, 2)
    with monkeypatch.context() as patch:
        broken = failing(signing_orders._sum_up, lambda record: record.id == made[0], ZeroDivisionError)
        patch.setattr(signing_orders, "_sum_up", broken)
        answer_all(world, made)
    assert [bool(SIGNINGS.get(world.chain.view, request).signature) for request in made] == [False, True]
    (aside,) = SET_ASIDE.all(world.chain.view)
    assert (aside.kind, aside.subject) == (upkeep.Aside.SIGNATURE, made[0])
    assert untouched(world.chain)
    pass_(world.chain, RETRY)
    world.chain.block()
    assert SIGNINGS.get(world.chain.view, made[0]).signature
    assert differences(world.chain.view) == []


def test_a_sum_that_does_not_verify_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each share was verified: so this is a defect of ours, and no signature."""
    world = World()
    (request,) = granted(world, 1)
    monkeypatch.setattr(signing_orders, "combine_signature", lambda _: G1.generator().encode())
    answer_all(world, [request])
    assert not SIGNINGS.get(world.chain.view, request).signature
    (aside,) = SET_ASIDE.all(world.chain.view)
    assert (aside.kind, aside.subject) == (upkeep.Aside.SIGNATURE, request)


def test_one_that_ended_by_its_deadline_meanwhile_is_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    (request,) = granted(world, 1)
    with monkeypatch.context() as patch:
        patch.setattr(signing_orders, "_sum_up", failing(signing_orders._sum_up, lambda _: True, ZeroDivisionError))
        answer_all(world, [request])
    assert EXTRACTIONS.get(world.chain.view, request).status == pb.EXTRACTION_STATUS_COMPLETED
    world.chain.block(seconds=1_000_000)
    assert REQUESTS.get(world.chain.view, request).status == custody_pb2.REQUEST_STATUS_EXPIRED
    pass_(world.chain, RETRY)
    world.chain.block()
    assert not SIGNINGS.get(world.chain.view, request).signature
    assert differences(world.chain.view) == []


@pytest.mark.parametrize("error", ENDS, ids=IDS)
def test_what_may_differ_between_nodes_ends_the_process_there_too(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    world = World()
    made = granted(world, 1)
    monkeypatch.setattr(signing_orders, "_sum_up", failing(signing_orders._sum_up, lambda _: True, error))
    with pytest.raises(type(error())):
        answer_all(world, made)
