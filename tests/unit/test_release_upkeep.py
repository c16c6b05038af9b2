"""Releases, ends of veto windows and cancellations within a block's budget, and what becomes of one that fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from abci_app.custody import orders, releases, turns
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.indexes import REVOKED_REQUESTERS
from abci_app.state.records import ORDERS, SET_ASIDE
from tests.support.authority import CUSTODY, install_new
from tests.support.custody import k_of
from tests.support.governance import pass_
from tests.support.upkeep import ENDS, IDS, RETRY, failing, untouched
from tests.support.waiting import World
from tests.support.world import set_params


def stages(world: World, asked: list[bytes]) -> list[str]:
    return [pb.ReleaseStage.Name(world.record(request).stage)[14:].lower() for request in asked]


def queue_of(count: int) -> tuple[World, list[bytes]]:
    """A request that holds the only place, and so many others' that queue."""
    names = [f"person-{n}" for n in range(count)]
    world = World("holder", *names)
    world.ask("holder", world.place("holder"))
    return world, [world.ask(name, world.place(name)) for name in names]


def tight(world: World, places: int = 100) -> None:
    """The first item of each queue, and no more, in a block."""
    set_params(world.chain, max_upkeep_cost=1, max_open_extractions=places)


def test_a_block_releases_what_its_budget_affords_and_one_at_least() -> None:
    world, asked = queue_of(4)
    tight(world)
    counts = []
    for _ in range(5):
        world.chain.block()
        counts.append(stages(world, asked).count("released"))
    assert counts == [1, 2, 3, 4, 4]
    assert untouched(world.chain)


def test_a_budget_is_shared_by_what_ends_and_what_is_released() -> None:
    world, asked = queue_of(4)
    set_params(world.chain, max_upkeep_cost=2 * turns.RELEASE_COST, max_open_extractions=100)
    world.chain.block()
    assert stages(world, asked).count("released") == 2


def test_a_flood_of_expiries_leaves_half_of_the_budget_to_the_end_of_the_block() -> None:
    world, asked = queue_of(4)
    height = world.chain.height + 13
    flood = [world.place("holder", ("flood", tag), expires_at_height=height) for tag in range(12)]
    while world.chain.height < height:
        world.chain.block()
    set_params(world.chain, max_upkeep_cost=8 * turns.RELEASE_COST, max_open_extractions=100)
    world.chain.block()
    ended = [ORDERS.get(world.chain.view, order).status == pb.ORDER_STATUS_EXPIRED for order in flood]
    assert 0 < ended.count(True) < 12, "more expired than the budget has room for"
    assert stages(world, asked) == ["released"] * 4


def test_the_ends_of_windows_wait_for_the_budget_too() -> None:
    world = World("alice", places=100)
    policy = k_of(1, world.people["alice"].identity, veto_window_s=20)
    order = world.place("alice", policy=policy)
    asked = [world.ask("alice", order, tag) for tag in range(3)]
    tight(world)
    counts = []
    for seconds in (20, 1, 1, 1, 1, 1):
        world.chain.block(seconds=seconds)
        counts.append(stages(world, asked).count("veto_time"))
    assert counts == [2, 1, 0, 0, 0, 0]
    assert stages(world, asked) == ["released"] * 3
    assert untouched(world.chain)


def two_queues(count: int) -> tuple[World, list[bytes], list[bytes]]:
    """The same people's requests to two keys, whose only places are held."""
    world, asked = queue_of(count)
    other = World.__new__(World)
    other.__dict__.update(world.__dict__)
    other.dealt = install_new(world.chain, CUSTODY, seed=1)
    other.ask("holder", other.place("holder", "other"))
    return world, asked, [other.ask(name, other.place(name, "other")) for name in list(world.people)[1:]]


def test_which_key_has_the_first_turn_changes_with_the_height() -> None:
    world, asked, others = two_queues(2)
    tight(world)
    for _ in range(2):
        world.chain.block()
    assert [stages(world, one).count("released") for one in (asked, others)] == [1, 1]


def test_keys_have_turns_too() -> None:
    world, asked, others = two_queues(4)
    set_params(world.chain, max_upkeep_cost=4 * turns.RELEASE_COST, max_open_extractions=100)
    world.chain.block()
    assert stages(world, asked).count("released") == stages(world, others).count("released") == 2


def test_a_revoked_identity_s_requests_are_cancelled_as_the_budget_affords() -> None:
    world = World("mallory", places=100)
    asked = [world.ask("mallory", world.place("mallory", tag)) for tag in range(3)]
    tight(world)
    mallory = world.people["mallory"]
    next_key = mallory.key(mallory.generation + 1)
    world.chain.run(mallory, tx_pb2.RevokeIdentity(next_key=bytes(next_key.verify_key)), key=next_key)
    counts = []
    for _ in range(4):
        assert not any(world.is_due(request) for request in asked)
        world.chain.block()
        counts.append(sum(world.record(request).status == pb.REQUEST_STATUS_CANCELLED for request in asked))
    assert counts == [1, 2, 3, 3]
    assert world.entries(REVOKED_REQUESTERS) == []
    assert untouched(world.chain)


def test_a_release_that_fails_expires_that_request_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    world, asked = queue_of(3)
    broken = failing(releases.release, lambda _, request: request.id == asked[1], ZeroDivisionError)
    monkeypatch.setattr(releases, "release", broken)
    tight(world)
    set_params(world.chain, max_upkeep_cost=100_000)
    world.chain.block()
    assert [world.record(request).status for request in asked] == [
        pb.REQUEST_STATUS_GRANTED, pb.REQUEST_STATUS_EXPIRED, pb.REQUEST_STATUS_GRANTED,
    ]  # fmt: skip
    assert stages(world, [asked[0], asked[2]]) == ["released"] * 2
    assert untouched(world.chain)


def test_where_its_expiry_fails_too_only_that_it_ended_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    world, asked = queue_of(2)
    monkeypatch.setattr(
        releases, "release", failing(releases.release, lambda _, request: request.id == asked[0], ZeroDivisionError)
    )
    monkeypatch.setattr(
        orders, "record_request_expired", failing(orders.record_request_expired, lambda _: True, ZeroDivisionError)
    )
    tight(world)
    for _ in range(3):
        world.chain.block()
    assert world.record(asked[0]).status == pb.REQUEST_STATUS_EXPIRED
    assert stages(world, asked) == ["unspecified", "released"]
    assert world.chain.view.get(b"chain/stray") is None


def test_a_cancellation_that_fails_is_set_aside_and_tried_again_by_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World("mallory", places=100)
    asked = [world.ask("mallory", world.place("mallory", tag)) for tag in range(2)]
    mallory = world.people["mallory"]
    next_key = mallory.key(mallory.generation + 1)
    with monkeypatch.context() as patch:
        broken = failing(orders.end_request, lambda _, request, __: request.id == asked[0], ZeroDivisionError)
        patch.setattr(orders, "end_request", broken)
        world.chain.run(mallory, tx_pb2.RevokeIdentity(next_key=bytes(next_key.verify_key)), key=next_key)
        world.chain.block()
    (aside,) = SET_ASIDE.all(world.chain.view)
    assert aside.subject == mallory.identity
    assert [world.record(request).status for request in asked] == [
        pb.REQUEST_STATUS_GRANTED, pb.REQUEST_STATUS_CANCELLED,
    ]  # fmt: skip
    assert not world.is_due(asked[0]), "what is set aside stays as restricted as it was"
    pass_(world.chain, RETRY)
    world.chain.block()
    assert world.record(asked[0]).status == pb.REQUEST_STATUS_CANCELLED
    assert world.entries(REVOKED_REQUESTERS) == []
    assert untouched(world.chain)


@pytest.mark.parametrize("error", ENDS, ids=IDS)
def test_what_may_differ_between_nodes_ends_the_process_at_a_release_too(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    world, _ = queue_of(1)
    monkeypatch.setattr(releases, "release", failing(releases.release, lambda *_: True, error))
    tight(world)
    with pytest.raises(type(error())):
        world.chain.block()
