"""A ceremony never shrinks in silence: what runs is exactly what its operators consented to (authority.md, Accept)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from abci_app.authority import record, rules
from abci_app.block import TxResult
from abci_app.codes import Code
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import governance_pb2
from abci_app.state.due import DueKind
from abci_app.state.records import EPOCHS
from tests.sim.rebuild import differences
from tests.support import governance
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium, consortium, honest, ids, only
from tests.support.misdealing import dealt, wrong_share_to
from tests.support.refusals import refused


def under_way(world: Consortium, authority: bytes) -> pb.CeremonyRecord:
    return world.ceremony(world.authority(authority).ceremony)


def consents(world: Consortium, authority: bytes, *actors: Actor, decline: bool = False) -> list[int]:
    return [result.code for result in world.consent(authority, *actors, decline=decline)]


def wait(world: Consortium, authority: bytes) -> pb.CeremonyRecord:
    """Step until the attempt that is under way has ended, and nothing else."""
    ceremony = world.authority(authority).ceremony
    for _ in range(200):
        found = world.ceremony(ceremony)
        if found.ended_height:
            return found
        world.step()
    raise AssertionError("the attempt does not end")


# --- consent ------------------------------------------------------------------------------------------------------
def test_a_first_key_runs_once_every_candidate_has_consented_and_not_before() -> None:
    world = consortium(4)
    authority = world.create()
    assert consents(world, authority, *world.chain.founders[:3]) == [Code.OK] * 3
    assert under_way(world, authority).phase == pb.CEREMONY_PHASE_CONSENT
    assert consents(world, authority, world.chain.founders[3]) == [Code.OK]
    assert under_way(world, authority).phase == pb.CEREMONY_PHASE_ACCEPT


def test_passing_a_key_on_takes_all_candidates_and_the_threshold_of_the_old_members_at_once() -> None:
    world = consortium(6, ceremony_consent_blocks=8)
    old, new = world.chain.founders[:4], world.chain.founders[2:]
    authority = world.make(*old)  # three of four
    world.reshare(authority, *new, threshold=2)
    assert consents(world, authority, *new) == [Code.OK] * 4, "two of them are old members"
    assert under_way(world, authority).phase == pb.CEREMONY_PHASE_CONSENT
    assert consents(world, authority, old[0]) == [Code.OK]
    found = under_way(world, authority)
    assert (found.phase, found.candidates_consented, found.old_consented) == (pb.CEREMONY_PHASE_ACCEPT, 4, 3)
    last = world.run(authority)
    assert last.phase == pb.CEREMONY_PHASE_DONE
    assert last.dealt == 4, "the old member that said nothing did not decline: it deals"
    assert world.opens(authority, *new[:2])


def test_an_old_member_that_declines_deals_nothing() -> None:
    world = consortium(5, ceremony_consent_blocks=8)
    old, new = world.chain.founders[:4], world.chain.founders[1:]
    authority = world.make(*old)
    world.reshare(authority, *new, threshold=3)
    assert consents(world, authority, old[0], decline=True) == [Code.OK]
    assert consents(world, authority, *new) == [Code.OK] * 4
    last = world.run(authority)
    assert (last.phase, last.dealers) == (pb.CEREMONY_PHASE_DONE, 3)
    assert world.faults(last) == {old[0].name: pb.FAULT_DECLINED}


def test_too_few_old_members_that_consent_or_too_many_that_decline_end_it_by_name() -> None:
    world = consortium(6, ceremony_consent_blocks=3)
    old, new = world.chain.founders[:4], world.chain.founders[2:]
    authority = world.make(*old)
    world.reshare(authority, *new)
    assert consents(world, authority, *new) == [Code.OK] * 4
    failed = wait(world, authority)
    assert (failed.failure, failed.next) == (pb.FAILURE_TOO_FEW_CONSENTED, b"")
    assert world.faults(failed) == {one.name: pb.FAULT_NOT_CONSENTED for one in old[:2]}
    world.reshare(authority, *new)
    assert consents(world, authority, *old[:2], decline=True) == [Code.OK] * 2
    failed = world.ceremony(world.authority(authority).last_ceremony)
    assert failed.failure == pb.FAILURE_TOO_FEW_CONSENTED, "at once"
    assert world.faults(failed) == {one.name: pb.FAULT_DECLINED for one in old[:2]}
    assert world.authority(authority).epoch == 1
    assert world.opens(authority, *old[:3])


@pytest.mark.parametrize("lifted", [True, False], ids=["it rotates in time", "it does not"])
def test_an_old_members_consent_counts_while_it_is_active(lifted: bool) -> None:
    """(!) Whoever holds a stolen key consents; its identity is stopped, and one honest word fewer was enough."""
    world = consortium(6, ceremony_consent_blocks=8)
    old, new = world.chain.founders[:4], world.chain.founders[4:]
    authority = world.make(*old)  # three of four
    world.reshare(authority, *new)
    assert consents(world, authority, *old[:3]) == [Code.OK] * 3
    world.suspend(old[0])
    assert consents(world, authority, *new) == [Code.OK] * 2
    found = under_way(world, authority)
    assert (found.phase, found.old_consented) == (pb.CEREMONY_PHASE_CONSENT, 3)
    if lifted:
        world.rotate(old[0])
        assert under_way(world, authority).phase == pb.CEREMONY_PHASE_ACCEPT
        return
    failed = wait(world, authority)
    assert (failed.failure, failed.next) == (pb.FAILURE_TOO_FEW_CONSENTED, b"")
    assert world.faults(failed) == {old[0].name: pb.FAULT_NOT_ACTIVE, old[3].name: pb.FAULT_NOT_CONSENTED}
    assert world.authority(authority).epoch == 1


def test_one_silent_consent_never_makes_a_smaller_set_of_it() -> None:
    """(!) A reshare to four of five went on as four of four: one liar then held the key."""
    world = consortium(5, ceremony_consent_blocks=3)
    authority = world.make(*world.chain.founders[:4])
    world.reshare(authority, *world.chain.founders)
    consents(world, authority, *world.chain.founders[:4])
    failed = wait(world, authority)
    assert (failed.failure, failed.next) == (pb.FAILURE_TOO_FEW_CONSENTED, b"")
    assert world.faults(failed) == {world.chain.founders[4].name: pb.FAULT_NOT_CONSENTED}
    assert world.authority(authority).epoch == 1


def test_a_consent_counts_for_the_terms_that_it_names_and_no_others() -> None:
    world = consortium(5)
    authority = world.make(*world.chain.founders[:4])
    operator = world.chain.founders[0]
    world.reshare(authority, *world.chain.founders, threshold=3)
    first = under_way(world, authority)
    four = ids(world.chain.founders[:4])
    assert first.terms == record.terms_digest(
        first.id, pb.CEREMONY_KIND_RESHARE, 3, ids(world.chain.founders), four
    )
    stale = pb.ConsentCeremony(first=first.first, terms=first.terms)
    refused(world.chain.run(operator, pb.ConsentCeremony(first=first.first, terms=bytes(32))), Code.WRONG_TERMS)
    # Another proposal takes its place: the consent that was asked for before is of no use.
    world.reshare(authority, *world.chain.founders, threshold=4)
    second = under_way(world, authority)
    assert world.ceremony(first.id).failure == pb.FAILURE_SUPERSEDED
    refused(world.chain.run(operator, stale), Code.WRONG_TERMS)
    mixed = pb.ConsentCeremony(first=second.first, terms=first.terms)
    refused(world.chain.run(operator, mixed), Code.WRONG_TERMS)
    assert not world.party(second, operator).consent_height


# --- accept -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("down", [4, 3], ids=["a newcomer", "an old member that stays"])
def test_a_candidate_that_is_down_in_accept_never_makes_a_smaller_set_of_it(down: int) -> None:
    """(!) A reshare to four of five took over as four of four because one node was down."""
    world = consortium(5, ceremony_consent_blocks=3)
    authority = world.make(*world.chain.founders[:4])
    liar, others = world.chain.founders[0], world.chain.founders[1:4]
    world.reshare(authority, *world.chain.founders)
    consents(world, authority)
    world.down = [world.chain.founders[down]]
    world.run(authority)
    tried = world.attempts(authority)[1:]
    assert [(one.failure, one.candidates, one.threshold) for one in tried] == [
        (pb.FAILURE_TOO_FEW_ACCEPTED, 5, 4)
    ] * rules.MAX_WITH_TERMS
    assert len({one.terms for one in tried}) == 1
    for one in tried:
        assert world.faults(one) == {world.chain.founders[down].name: pb.FAULT_SILENT_ACCEPT}
    # Four that need four: governance would have to say so. The key is used as before, without the liar too.
    assert world.authority(authority).ceremony == b""
    world.down = [liar]
    assert (world.authority(authority).epoch, EPOCHS.get(world.chain.view, authority, 1).threshold) == (1, 3)
    assert world.opens(authority, *others)


@pytest.mark.parametrize("how", [Consortium.suspend, Consortium.expire], ids=["suspended", "out of date"])
def test_a_candidate_that_accepted_and_is_not_active_when_the_record_would_be_frozen_fails_the_attempt(
    how: Callable[[Consortium, Actor], None],
) -> None:
    world = consortium(5, ceremony_consent_blocks=3)
    authority = world.make(*world.chain.founders[:4])
    world.reshare(authority, *world.chain.founders)
    consents(world, authority)
    gone, late = world.chain.founders[2:4]
    world.down = [late]
    attempt = under_way(world, authority)
    world.step()
    assert world.party(attempt, gone).accepted_height
    how(world, gone)
    world.down = [gone]
    world.step()
    failed = world.ceremony(attempt.id)
    assert (failed.failure, failed.accepted, failed.members) == (pb.FAILURE_TOO_FEW_ACCEPTED, 5, 0)
    assert world.faults(failed) == {gone.name: pb.FAULT_NOT_ACTIVE}
    assert world.authority(authority).ceremony == b"", "four that need four are not begun by themselves"


def test_an_old_member_that_leaves_and_is_down_is_missed_by_nobody() -> None:
    """Only candidates can be missing at Accept; without its dealing three old ones are enough."""
    world = consortium(5, ceremony_consent_blocks=8)
    old, new = world.chain.founders[:4], world.chain.founders[1:]
    authority = world.make(*old)
    world.reshare(authority, *new)
    consents(world, authority)
    world.down = [old[0]]
    last = world.run(authority)
    assert (last.phase, last.attempt, last.dealt) == (pb.CEREMONY_PHASE_DONE, 1, 3)
    assert world.faults(last) == {old[0].name: pb.FAULT_SILENT_DEAL}


def test_a_node_that_comes_back_in_time_needs_no_other_consent() -> None:
    world = consortium(5, ceremony_consent_blocks=3)
    authority = world.make(*world.chain.founders[:4])
    world.reshare(authority, *world.chain.founders)
    consents(world, authority)
    world.down = [world.chain.founders[4]]
    wait(world, authority)
    second = under_way(world, authority)
    assert (second.phase, second.retry, second.with_terms) == (pb.CEREMONY_PHASE_ACCEPT, 1, 2)
    assert (second.candidates_consented, second.old_consented) == (5, 4)
    world.down = []
    last = world.run(authority)
    assert (last.id, last.phase, last.threshold, last.members) == (second.id, pb.CEREMONY_PHASE_DONE, 4, 5)


# --- retries ------------------------------------------------------------------------------------------------------
def five_of_which_one_is_silent_in_accept() -> tuple[Consortium, bytes, Actor]:
    """Five with threshold three, and a refresh that one of them stops. A window is as short as it may be."""
    world = consortium(5, ceremony_consent_blocks=4, ceremony_window_blocks=1)
    authority = world.make(threshold=3)
    quiet = world.chain.founders[4]
    world.behave = only(quiet, DueKind.ACCEPT_CEREMONY, lambda _: None)
    world.reshare(authority, threshold=3)
    return world, authority, quiet


def test_after_three_attempts_the_silent_is_left_out_with_the_consent_of_all_that_are_left() -> None:
    world, authority, quiet = five_of_which_one_is_silent_in_accept()
    waiting = world.run(authority)
    tried = world.attempts(authority)[1:]
    assert [one.with_terms for one in tried] == [1, 2, 3, 1]
    assert (waiting.phase, waiting.kind, waiting.candidates) == (
        pb.CEREMONY_PHASE_CONSENT, pb.CEREMONY_KIND_RESHARE, 4,
    )  # fmt: skip
    left = [actor for actor in world.chain.founders if actor is not quiet]
    assert world.candidates(waiting) == ids(left)
    assert waiting.terms != tried[0].terms
    assert waiting.first == tried[0].id
    # Nobody's hook goes on by itself, and three of the four are not enough.
    assert [job for actor in left for job in world.jobs(actor)] == []
    assert consents(world, authority, *left[:3]) == [Code.OK] * 3
    assert under_way(world, authority).phase == pb.CEREMONY_PHASE_CONSENT
    assert consents(world, authority, left[3]) == [Code.OK]
    last = world.run(authority)
    assert (last.phase, last.threshold, last.members) == (pb.CEREMONY_PHASE_DONE, 3, 4)
    assert world.opens(authority, *left[:3])


def test_missing_consent_to_leaving_one_out_is_not_retried_and_the_key_goes_on() -> None:
    world, authority, quiet = five_of_which_one_is_silent_in_accept()
    waiting = world.run(authority)
    left = [actor for actor in world.chain.founders if actor is not quiet]
    consents(world, authority, *left[:3])
    failed = wait(world, authority)
    assert (failed.id, failed.failure, failed.next) == (waiting.id, pb.FAILURE_TOO_FEW_CONSENTED, b"")
    assert world.faults(failed) == {left[3].name: pb.FAULT_NOT_CONSENTED}
    assert world.authority(authority).epoch == 1
    assert world.opens(authority, *left[:3])


def test_whoever_lied_is_left_out_at_once_and_who_was_only_silent_is_not() -> None:
    world = consortium(7, ceremony_consent_blocks=4, ceremony_window_blocks=1)
    authority = world.make()  # five of seven: all must confirm
    liar, quiet = world.chain.founders[6], world.chain.founders[5]
    world.behave = lambda actor, job, said: (
        dealt(world, actor, said.ceremony, wrong_share_to(0))
        if actor is liar and isinstance(said, pb.DealShares)
        else None
        if actor is quiet and job.kind is DueKind.DEAL_SHARES
        else said
    )
    world.reshare(authority)
    waiting = world.run(authority)
    assert (waiting.phase, waiting.retry, waiting.with_terms) == (pb.CEREMONY_PHASE_CONSENT, 1, 1)
    assert world.candidates(waiting) == ids([one for one in world.chain.founders if one is not liar])
    assert not waiting.candidates_consented


def test_a_newcomer_that_is_dropped_leaves_a_refresh_that_takes_consent_all_the_same() -> None:
    world = consortium(6, ceremony_consent_blocks=4, ceremony_window_blocks=1)
    old, newcomer = world.chain.founders[:5], world.chain.founders[5]
    authority = world.make(*old, threshold=3)
    world.reshare(authority, *old, newcomer, threshold=3)
    consents(world, authority)
    world.down = [newcomer]
    waiting = world.run(authority)
    assert (waiting.phase, waiting.kind, waiting.asks_consent) == (
        pb.CEREMONY_PHASE_CONSENT, pb.CEREMONY_KIND_REFRESH, True,
    )  # fmt: skip
    assert world.candidates(waiting) == ids(old)
    assert consents(world, authority, *old) == [Code.OK] * 5
    assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE


def test_a_member_that_always_rotates_ends_the_attempts_and_stops_nobody_for_ever() -> None:
    """It is no culprit and so never left out; so many attempts have the same terms, and then governance decides."""
    world = consortium(4, ceremony_window_blocks=1)
    authority = world.make()
    restless, others = world.chain.founders[3], world.chain.founders[:3]
    world.reshare(authority)
    for number in range(1, rules.MAX_WITH_TERMS + 1):
        attempt = world.to_phase(authority, pb.CEREMONY_PHASE_DISPUTE)
        assert (attempt.retry, attempt.with_terms) == (number - 1, number)
        world.rotate(restless)
        failed = wait(world, authority)
        assert world.faults(failed) == {restless.name: pb.FAULT_NOT_ACTIVE}
    assert (failed.next, world.authority(authority).ceremony) == (b"", b"")
    world.reshare(authority, *others, threshold=2)
    assert consents(world, authority, *others) == [Code.OK] * 3
    assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE
    assert world.opens(authority, *others[:2])


def test_silence_in_confirm_is_forgiven_so_often_and_needs_no_consent() -> None:
    world = consortium(4, ceremony_window_blocks=1)
    authority = world.make()
    quiet = world.chain.founders[3]
    world.reshare(authority)
    world.behave = only(quiet, DueKind.CONFIRM_SHARE, lambda _: None)
    failed = wait(world, authority)
    assert (failed.failure, world.faults(failed)) == (
        pb.FAILURE_TOO_FEW_CONFIRMED, {quiet.name: pb.FAULT_SILENT_CONFIRM},
    )  # fmt: skip
    assert world.authority(authority).epoch == 1
    world.behave = honest
    last = world.run(authority)
    assert (last.phase, last.with_terms, world.authority(authority).epoch) == (pb.CEREMONY_PHASE_DONE, 2, 2)


def test_one_silent_member_of_four_stops_a_refresh_and_governance_leaves_it_out() -> None:
    world = consortium(4, ceremony_window_blocks=1)
    authority = world.make()
    quiet, others = world.chain.founders[3], world.chain.founders[:3]
    world.reshare(authority)
    world.behave = only(quiet, DueKind.CONFIRM_SHARE, lambda _: None)
    last = world.run(authority)
    assert [one.failure for one in world.attempts(authority)[1:]] == [pb.FAILURE_TOO_FEW_CONFIRMED] * 3
    assert (last.next, world.authority(authority).epoch) == (b"", 1)
    world.reshare(authority, *others, threshold=2)
    assert consents(world, authority, *others) == [Code.OK] * 3
    last = world.run(authority)
    assert (last.phase, world.authority(authority).epoch) == (pb.CEREMONY_PHASE_DONE, 2)
    assert [member.fiduciary for member in world.members(authority)] == ids(others)


# --- what gives way -----------------------------------------------------------------------------------------------
def proposed(world: Consortium, authority: bytes, *members: Actor, threshold: int) -> TxResult:
    """What is said to a proposal to pass the key on to these."""
    message = pb.ReshareAuthority(authority=authority, members=ids(members), threshold=threshold)
    action = governance_pb2.Action(reshare_authority=message)
    return world.chain.run(world.chain.founders[0], governance.proposing(action))


@pytest.mark.parametrize(
    "phase",
    [pb.CEREMONY_PHASE_ACCEPT, pb.CEREMONY_PHASE_DEAL, pb.CEREMONY_PHASE_DISPUTE, pb.CEREMONY_PHASE_CONFIRM],
    ids=pb.CeremonyPhase.Name,
)
def test_a_refresh_gives_way_to_a_reshare_in_every_phase_and_changes_nothing(phase: pb.CeremonyPhase) -> None:
    """(!) A silent member kept the key's ceremonies under way nearly always: nobody found the time to leave it out."""
    world = consortium(4)
    authority = world.make(refresh=20)
    quiet, others = world.chain.founders[3], world.chain.founders[:3]
    while not world.authority(authority).ceremony:
        world.step()
    refresh = world.to_phase(authority, phase)
    world.down = [quiet]
    refused(
        proposed(world, authority, *world.chain.founders, threshold=3), Code.CEREMONY_UNDER_WAY, why="a refresh too"
    )
    proposal = world.reshare(authority, *others, threshold=2)
    assert proposal.status == governance_pb2.PROPOSAL_STATUS_EXECUTED
    failed = world.ceremony(refresh.id)
    assert (failed.phase, failed.failure, failed.next) == (
        pb.CEREMONY_PHASE_FAILED, pb.FAILURE_SUPERSEDED, b"",
    )  # fmt: skip
    assert world.faults(failed) == {}
    assert differences(world.chain.view) == []
    waiting = under_way(world, authority)
    assert (waiting.phase, waiting.first, waiting.retry) == (pb.CEREMONY_PHASE_CONSENT, waiting.id, 0)
    world.step()
    held = [world.keystores[one.identity].labels() for one in others]
    assert [sum(label.startswith(("receive-", "deal-")) for label in labels) for labels in held] == [1, 1, 1]
    assert world.opens(authority, *others)
    assert consents(world, authority, *others) == [Code.OK] * 3
    assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE
    assert world.opens(authority, *others[:2])


def test_a_reshare_that_people_consented_to_gives_way_to_nothing_once_it_runs() -> None:
    world = consortium(5)
    authority = world.make(*world.chain.founders[:4])
    world.reshare(authority, *world.chain.founders)
    consents(world, authority)
    running = under_way(world, authority)
    assert running.phase == pb.CEREMONY_PHASE_ACCEPT
    refused(proposed(world, authority, *world.chain.founders[:3], threshold=2), Code.CEREMONY_UNDER_WAY)
