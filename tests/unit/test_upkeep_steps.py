"""The steps at the end of a block: each queue goes on where it stopped, and what fails there fails by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from abci_app import end_of_block
from abci_app.authority import ceremonies, extractions, phases, restarts
from abci_app.codes import Code
from abci_app.execution import upkeep
from abci_app.execution.context import Context
from abci_app.governance import actions, proposals
from abci_app.governance import upgrade as upgrades
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.state import records
from abci_app.state.due import DueKind
from abci_app.state.indexes import OPEN_EXTRACTIONS, RESTARTS, WAITING_PROPOSALS
from abci_app.state.overlay import Overlay
from abci_app.state.records import CURSORS, EXTRACTIONS, SET_ASIDE
from tests.sim.rebuild import differences
from tests.support import governance
from tests.support.actors import Actor
from tests.support.authority import context_over, message_of, reshare
from tests.support.ceremonies import Consortium, consortium, honest, only
from tests.support.chain import Chain
from tests.support.governance import pass_, propose, record, revoke, status, vote
from tests.support.refusals import refused
from tests.support.upkeep import ENDS, IDS, RETRY, asked, failing, untouched
from tests.support.world import set_params

# --- proposals and upgrades ---------------------------------------------------------------------------------------


def voted(chain: Chain, *acts: pb.Action) -> list[bytes]:
    """All of them pass in one block."""
    made = sorted(propose(chain, chain.founders[0], action, n) for n, action in enumerate(acts))
    for voter in chain.founders[1:3]:
        chain.block(*[
            chain.tx(voter, pb.Vote(proposal=one, content_digest=record(chain, one).content_digest)) for one in made
        ])  # fmt: skip
    return made


@pytest.fixture
def people() -> tuple[Chain, list[Actor]]:
    chain, made = Chain(4), [Actor(name) for name in ("ann", "ben", "cas")]
    chain.register(*made)
    return chain, made


def test_proposals_that_do_not_fit_wait_in_their_order_and_the_first_never_does(
    people: tuple[Chain, list[Actor]],
) -> None:
    chain, actors = people
    set_params(chain, max_upkeep_cost=1)
    made = voted(chain, *[revoke(actor) for actor in actors])
    for executed in (1, 2, 3):
        found = [status(chain, one) for one in made]
        assert found == [pb.PROPOSAL_STATUS_EXECUTED] * executed + [pb.PROPOSAL_STATUS_PASSED] * (3 - executed)
        assert differences(chain.view) == []
        chain.block()
    assert not WAITING_PROPOSALS.has_any(chain.view)


def test_parameters_are_decided_outside_the_budget(people: tuple[Chain, list[Actor]]) -> None:
    chain, actors = people
    set_params(chain, max_upkeep_cost=1)
    made = voted(chain, revoke(actors[0]), revoke(actors[1]), governance.change_params(chain, max_upkeep_cost=900_000))
    found = {record(chain, one).action.WhichOneof("kind"): status(chain, one) for one in made}
    assert found["change_params"] == pb.PROPOSAL_STATUS_EXECUTED
    left = [one for one in made if status(chain, one) == pb.PROPOSAL_STATUS_PASSED]
    assert len(left) == 1, "this block goes by the parameters of its beginning"
    chain.block()
    assert status(chain, left[0]) == pb.PROPOSAL_STATUS_EXECUTED


def test_a_proposal_that_fails_fails_for_good_and_alone(
    monkeypatch: pytest.MonkeyPatch, people: tuple[Chain, list[Actor]]
) -> None:
    chain, actors = people
    row = actions.ACTIONS["revoke_identity"]
    bad = actors[0].identity
    broken = failing(row.execute, lambda message: message.identity == bad, ZeroDivisionError)
    monkeypatch.setitem(actions.ACTIONS, row.field, replace(row, execute=broken))
    made = voted(chain, *[revoke(actor) for actor in actors])
    found = {record(chain, one).action.revoke_identity.identity: record(chain, one) for one in made}
    assert (found[bad].status, found[bad].failure_code) == (pb.PROPOSAL_STATUS_FAILED, Code.FAILED)
    others = [found[actor.identity].status for actor in actors[1:]]
    assert others == [pb.PROPOSAL_STATUS_EXECUTED] * 2
    assert list(SET_ASIDE.all(chain.view)) == []
    assert untouched(chain)


def test_where_failing_it_fails_too_its_status_and_its_indexes_are_written_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, people: tuple[Chain, list[Actor]]
) -> None:
    chain, actors = people
    row = actions.ACTIONS["revoke_identity"]
    monkeypatch.setitem(
        actions.ACTIONS, row.field, replace(row, execute=failing(row.execute, lambda _: True, ZeroDivisionError))
    )
    monkeypatch.setattr(proposals, "end", failing(proposals.end, lambda *_: True, ZeroDivisionError))
    (made,) = voted(chain, revoke(actors[0]))
    found = record(chain, made)
    assert (found.status, found.failure_code) == (pb.PROPOSAL_STATUS_FAILED, Code.FAILED)
    assert found.ended_height == chain.height
    assert untouched(chain)


def test_a_count_that_fails_fails_its_proposal(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(4)
    made = propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7))
    monkeypatch.setattr(proposals, "tally", failing(proposals.tally, lambda *_: False, ZeroDivisionError))
    with monkeypatch.context() as patch:

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        patch.setattr(proposals, "tally", broken)
        vote(chain, chain.founders[1], made)
    assert status(chain, made) == pb.PROPOSAL_STATUS_FAILED
    assert differences(chain.view) == []


@pytest.mark.parametrize("error", ENDS, ids=IDS)
def test_what_may_differ_between_nodes_ends_the_process_in_a_proposal_too(
    monkeypatch: pytest.MonkeyPatch, people: tuple[Chain, list[Actor]], error: Callable[[], Exception]
) -> None:
    chain, actors = people
    row = actions.ACTIONS["revoke_identity"]
    broken = failing(row.execute, lambda _: True, error)
    monkeypatch.setitem(actions.ACTIONS, row.field, replace(row, execute=broken))
    with pytest.raises(type(error())):
        voted(chain, revoke(actors[0]))


def test_an_upgrade_begins_whatever_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(4)
    at = chain.height + 8
    pass_(chain, governance.upgrade(at, 2))
    monkeypatch.setattr(upgrades.upkeep, "retry_all", failing(upkeep.retry_all, lambda *_: True, ZeroDivisionError))
    while chain.height < at - 1:
        chain.block()
    assert records.params(chain.view).protocol_version == 2
    assert untouched(chain)


def test_an_upgrade_that_can_not_begin_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never set aside: a node that goes on under the old rules would fork."""
    chain = Chain(4)
    at = chain.height + 8
    pass_(chain, governance.upgrade(at, 2))
    monkeypatch.setattr(upgrades, "PARAMS", None)
    while chain.height < at - 2:
        chain.block()
    with pytest.raises(AttributeError):
        chain.block()


# --- ceremonies, refreshes, requests that start again -------------------------------------------------------------


def under_way(count: int) -> tuple[Consortium, list[bytes]]:
    """So many ceremonies that wait for consent, by their ids."""
    world = consortium(4)
    keys = [world.create() for _ in range(count)]
    return world, sorted(world.authority(key).ceremony for key in keys)


def test_ceremonies_take_turns_where_they_do_not_all_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    world, made = under_way(3)
    taken: list[bytes] = []
    step = phases._step

    def noted(context: Context, id_: bytes) -> None:
        taken.append(id_)
        step(context, id_)

    monkeypatch.setattr(phases, "_step", noted)
    set_params(world.chain, max_upkeep_cost=phases.WAITING_COST)
    for _ in range(6):
        world.chain.block()
        assert CURSORS.find(world.chain.view, upkeep.Queue.CEREMONIES) == taken[-1]
    assert taken == made * 2
    taken.clear()
    set_params(world.chain, max_upkeep_cost=2 * phases.WAITING_COST)
    for _ in range(3):
        world.chain.block()
    assert taken == made * 2
    set_params(world.chain, max_upkeep_cost=500_000)
    world.chain.block()
    assert CURSORS.find(world.chain.view, upkeep.Queue.CEREMONIES) is None
    assert world.chain.block().changes.leaves == (), "a block in which nothing is due changes nothing"


def test_a_ceremony_dearer_than_the_budget_is_taken_all_the_same() -> None:
    world = consortium(3, max_upkeep_cost=1)
    authority = world.create()
    world.consent(authority)
    assert world.run(authority).phase == authority_pb2.CEREMONY_PHASE_DONE


def test_a_ceremony_that_can_not_even_be_failed_is_ended_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    world, made = under_way(2)
    monkeypatch.setattr(phases, "_step", failing(phases._step, lambda id_: id_ == made[0], ZeroDivisionError))
    monkeypatch.setattr(ceremonies, "fail", failing(ceremonies.fail, lambda *_: True, ZeroDivisionError))
    world.chain.block()
    broken = world.ceremony(made[0])
    failed = authority_pb2.CEREMONY_PHASE_FAILED
    assert (broken.phase, broken.failure) == (failed, authority_pb2.FAILURE_BROKEN)
    assert world.authority(broken.authority).ceremony == b""
    assert world.ceremony(made[1]).phase == authority_pb2.CEREMONY_PHASE_CONSENT
    assert untouched(world.chain)


PHASES = (
    authority_pb2.CEREMONY_PHASE_ACCEPT, authority_pb2.CEREMONY_PHASE_DEAL, authority_pb2.CEREMONY_PHASE_DISPUTE,
    authority_pb2.CEREMONY_PHASE_CONFIRM,
)  # fmt: skip


@pytest.mark.parametrize("phase", PHASES, ids=authority_pb2.CeremonyPhase.Name)
def test_nothing_is_owed_to_a_ceremony_that_was_ended_by_its_status(
    monkeypatch: pytest.MonkeyPatch, phase: authority_pb2.CeremonyPhase
) -> None:
    world = consortium(3)
    authority = world.create()
    world.consent(authority)
    made = world.to_phase(authority, phase).id
    assert all(world.jobs(actor) for actor in world.chain.founders)
    monkeypatch.setattr(phases, "_step", failing(phases._step, lambda _: True, ZeroDivisionError))
    monkeypatch.setattr(ceremonies, "fail", failing(ceremonies.fail, lambda *_: True, ZeroDivisionError))
    world.chain.block()
    assert world.ceremony(made).phase == authority_pb2.CEREMONY_PHASE_FAILED
    assert world.authority(authority).status == authority_pb2.AUTHORITY_STATUS_FAILED, "nobody waits for its key"
    assert [world.jobs(actor) for actor in world.chain.founders] == [[], [], []]
    assert untouched(world.chain)


@pytest.mark.parametrize("finishing_fails", [False, True], ids=["its step fails", "finishing it fails too"])
def test_a_first_key_that_is_in_force_is_never_failed_and_its_shares_stay(
    monkeypatch: pytest.MonkeyPatch, finishing_fails: bool
) -> None:
    """(!) It waits for more confirmations: the attempt failed, and every node destroyed what its share opens with."""
    world = consortium(4)
    quiet = world.chain.founders[3]
    world.behave = only(quiet, DueKind.CONFIRM_SHARE, lambda _: None)
    authority = world.create()
    world.consent(authority)
    made = world.to_phase(authority, authority_pb2.CEREMONY_PHASE_CONFIRM).id
    world.step()
    assert (world.authority(authority).epoch, len(world.jobs(quiet))) == (1, 1)
    monkeypatch.setattr(phases, "_step", failing(phases._step, lambda _: True, ZeroDivisionError))
    finish = failing(ceremonies.finish, lambda *_: finishing_fails, ZeroDivisionError)
    monkeypatch.setattr(ceremonies, "finish", finish)
    world.step()
    done = world.ceremony(made)
    assert (done.phase, done.failure) == (authority_pb2.CEREMONY_PHASE_DONE, authority_pb2.FAILURE_NONE)
    record = world.authority(authority)
    assert (record.status, record.ceremony) == (authority_pb2.AUTHORITY_STATUS_ACTIVE, b"")
    assert untouched(world.chain)
    assert world.holders(authority, 1, *world.chain.founders) == world.chain.founders
    monkeypatch.undo()
    world.behave = honest
    world.step()
    assert world.jobs(quiet) == [], "what it still owed counts"
    world.reshare(authority)
    last = world.run(authority)
    assert (last.phase, last.attempt, last.epoch) == (authority_pb2.CEREMONY_PHASE_DONE, 1, 2)


@pytest.mark.parametrize("error", ENDS, ids=IDS)
def test_what_may_differ_between_nodes_ends_the_process_in_a_ceremony_too(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    world, _ = under_way(1)
    monkeypatch.setattr(phases, "_step", failing(phases._step, lambda _: True, error))
    with pytest.raises(type(error())):
        world.chain.block()


def refreshing() -> tuple[Consortium, list[bytes]]:
    """Two keys whose refresh is scheduled for the same height, the next one, in the order in which it comes to them."""
    world = consortium(3)
    keys = sorted(world.make(refresh=20) for _ in range(2))
    at = max(world.authority(key).refresh_height for key in keys)
    first = next(key for key in keys if world.authority(key).refresh_height < at)
    state = Overlay(world.chain.view)
    context = context_over(state, world.chain.gid, at - 20, world.chain.time_s)
    record_of = world.authority(first)
    ceremonies.schedule(context, record_of)
    records.AUTHORITIES.put(state, record_of, first)
    world.chain.view.apply(state.changes())
    while world.chain.height < at - 1:
        world.chain.block()
    return world, keys


def test_refreshes_that_do_not_fit_wait_and_the_first_never_does() -> None:
    world, keys = refreshing()
    set_params(world.chain, max_upkeep_cost=1)
    world.chain.block()
    assert [bool(world.authority(key).ceremony) for key in keys] == [True, False]
    world.chain.block()
    assert [bool(world.authority(key).ceremony) for key in keys] == [True, True]


def test_a_refresh_that_fails_is_set_aside_and_another_ceremony_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, keys = refreshing()
    begin = ceremonies.begin
    with monkeypatch.context() as patch:
        broken = failing(begin, lambda authority, _: authority.id == keys[0], ZeroDivisionError)
        patch.setattr(ceremonies, "begin", broken)
        world.chain.block()
    assert [bool(world.authority(key).ceremony) for key in keys] == [False, True]
    (aside,) = SET_ASIDE.all(world.chain.view)
    assert (aside.kind, aside.subject) == (upkeep.Aside.REFRESH, keys[0])
    assert untouched(world.chain)
    world.reshare(keys[0], threshold=2)
    assert world.authority(keys[0]).ceremony
    world.run(keys[0])
    later = world.authority(keys[0]).refresh_height
    pass_(world.chain, RETRY, voters=world.chain.founders)
    world.chain.block()
    assert (world.authority(keys[0]).ceremony, world.authority(keys[0]).refresh_height) == (b"", later)
    assert differences(world.chain.view) == []


def test_pending_requests_start_again_within_the_budget_and_take_no_partial_before() -> None:
    world = asked(3)
    chain, dealt = world.chain, world.dealt
    old = [message_of(chain.view, chain.gid, dealt, chain.founders[0], request) for request in world.made]
    members = [founder.identity for founder in chain.founders]
    set_params(chain, max_upkeep_cost=1)
    reshare(chain, dealt, members, 3)
    for started in (1, 2, 3):
        epochs = [EXTRACTIONS.get(chain.view, request).epoch for request in world.made]
        assert epochs == [2] * started + [1] * (3 - started)
        assert [request for (request,) in RESTARTS.entries(chain.view)] == world.made[started:]
        assert differences(chain.view) == []
        if started < 3:
            waiting = chain.tx(chain.founders[0], old[2], key=chain.founders[0].node_key)
            refused(chain.block(waiting).tx_results[0], Code.WRONG_EPOCH, "in-force")
    for request in world.made:
        message = message_of(chain.view, chain.gid, dealt, chain.founders[0], request)
        assert chain.result(chain.founders[0], message).code == Code.OK


def test_one_that_ends_while_it_waits_to_start_again_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    world = asked(2)
    others = tuple(step for step in end_of_block.STEPS if step is not restarts.start_again)
    monkeypatch.setattr(end_of_block, "STEPS", others)
    monkeypatch.setattr(restarts, "start_again", lambda _: None)
    reshare(world.chain, world.dealt, [founder.identity for founder in world.chain.founders], 3)
    assert [request for (request,) in RESTARTS.entries(world.chain.view)] == world.made
    world.chain.block(seconds=1_000)
    statuses = [EXTRACTIONS.get(world.chain.view, request).status for request in world.made]
    assert statuses == [extraction_pb2.EXTRACTION_STATUS_EXPIRED] * 2
    assert not RESTARTS.has_any(world.chain.view)


def test_one_that_can_not_start_again_is_set_aside_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    world = asked(2)
    chain, bad = world.chain, world.made[0]
    late = message_of(chain.view, chain.gid, world.dealt, chain.founders[0], bad)
    restart = extractions.restart
    with monkeypatch.context() as patch:
        broken = failing(restart, lambda request: request == bad, ZeroDivisionError)
        patch.setattr(restarts.extractions, "restart", broken)
        reshare(chain, world.dealt, [founder.identity for founder in chain.founders], 3)
    assert [EXTRACTIONS.get(chain.view, request).epoch for request in world.made] == [1, 2]
    (aside,) = SET_ASIDE.all(chain.view)
    assert (aside.kind, aside.subject) == (upkeep.Aside.RESTART, bad)
    assert untouched(chain)
    refused(chain.result(chain.founders[0], late), Code.WRONG_EPOCH, "in-force")
    chain.block(seconds=1_000)
    assert EXTRACTIONS.get(chain.view, bad).status == extraction_pb2.EXTRACTION_STATUS_EXPIRED
    assert not OPEN_EXTRACTIONS.has_any(chain.view)
    pass_(chain, RETRY)
    chain.block()
    assert EXTRACTIONS.get(chain.view, bad).epoch == 1
    assert differences(chain.view) == []


@pytest.mark.parametrize("error", ENDS, ids=IDS)
def test_what_may_differ_between_nodes_ends_the_process_in_a_restart_too(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    world = asked(1)
    members = [founder.identity for founder in world.chain.founders]
    broken = failing(extractions.restart, lambda _: True, error)
    monkeypatch.setattr(restarts.extractions, "restart", broken)
    with pytest.raises(type(error())):
        reshare(world.chain, world.dealt, members, 3)
