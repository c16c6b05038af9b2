"""When another epoch takes over: never so early that those who lie could lose the key for the honest (authority.md).

What must confirm is reckoned by those that were agreed to. Whatever takes a seat from an honest member between the
record and the end lowers what can confirm, never what must.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.due import DueKind
from abci_app.state.records import EPOCHS
from dta.node.hooks.errors import NotDue
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium, consortium, ids, only
from tests.support.ceremonies import honest as honest_messages
from tests.support.misdealing import dealt, wrong_share_to

AFTER_THE_RECORD = (pb.CEREMONY_PHASE_DEAL, pb.CEREMONY_PHASE_DISPUTE, pb.CEREMONY_PHASE_CONFIRM)
MISFORTUNES: dict[str, Callable[[Consortium, Actor], None]] = {
    "rotates": Consortium.rotate,
    "suspends": Consortium.suspend,
    "expires": Consortium.expire,
}


def hold_the_key(world: Consortium, authority: bytes, honest: list[Actor]) -> bool:
    """Whether the honest alone can use the key: by the epoch in force, or by the one before."""
    now = world.authority(authority).epoch
    for epoch in (now, now - 1):
        record = EPOCHS.find(world.chain.view, authority, epoch) if epoch else None
        if record is not None and len(world.holders(authority, epoch, *honest)) >= record.threshold:
            return True
    return False


def end_of(world: Consortium, ceremony: bytes) -> pb.CeremonyRecord:
    """Step until this attempt is over."""
    for _ in range(200):
        found = world.ceremony(ceremony)
        if found.phase in (pb.CEREMONY_PHASE_DONE, pb.CEREMONY_PHASE_FAILED):
            return found
        world.step()
    raise AssertionError("the attempt does not end")


def stopped(members: int, threshold: int, liars: int, phase: pb.CeremonyPhase, how: str) -> tuple[Consortium, bytes]:
    """A refresh in which an honest member has a misfortune, the liars do all that is asked, and go away after it."""
    world = consortium(members, ceremony_consent_blocks=3)
    authority = world.make(threshold=threshold)
    honest = world.chain.founders[liars:]
    unlucky = honest[0]
    world.reshare(authority, threshold=threshold)
    under_way = world.to_phase(authority, phase)
    MISFORTUNES[how](world, unlucky)
    last = end_of(world, under_way.id)
    confirming = phase == pb.CEREMONY_PHASE_CONFIRM
    assert last.failure == (pb.FAILURE_TOO_FEW_CONFIRMED if confirming else pb.FAILURE_TOO_FEW_SEATS)
    assert world.faults(last) == {unlucky.name: pb.FAULT_NOT_ACTIVE}
    assert world.authority(authority).epoch == 1
    assert world.holders(authority, 1, *honest) == honest
    assert world.opens(authority, *honest[:threshold])
    return world, authority


@pytest.mark.parametrize("phase", AFTER_THE_RECORD, ids=pb.CeremonyPhase.Name)
@pytest.mark.parametrize("how", MISFORTUNES)
@pytest.mark.parametrize(("members", "threshold"), [(3, 2), (4, 3)])
def test_a_misfortune_of_one_stops_the_take_over_and_the_old_shares_go_on(
    members: int, threshold: int, how: str, phase: pb.CeremonyPhase
) -> None:
    """(!) With the seats that were left as n', one liar and one rotation lost the key, of three and of four."""
    world, authority = stopped(members, threshold, 1, phase, how)
    if how == "rotates":  # no culprit: it is active again, and taken again, with nobody's consent
        assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE
        assert world.authority(authority).epoch == 2
        assert hold_the_key(world, authority, world.chain.founders[1:])
        assert [member.fiduciary for member in world.members(authority)] == ids(world.chain.founders)
    else:  # without it as many would be left as it takes: that is not begun by itself
        assert world.authority(authority).ceremony == b""


@pytest.mark.parametrize("phase", AFTER_THE_RECORD, ids=pb.CeremonyPhase.Name)
def test_two_liars_of_seven_and_one_misfortune_lose_no_key(phase: pb.CeremonyPhase) -> None:
    stopped(7, 5, 2, phase, "rotates")


@pytest.mark.parametrize("how", MISFORTUNES)
def test_whoever_loses_its_seat_after_it_confirmed_does_not_count_either(how: str) -> None:
    """A liar that confirms last chooses when. Had the key been passed on to these four, two would hold new shares."""
    world = consortium(4)
    authority = world.make()
    liar, unlucky = world.chain.founders[:2]
    honest = world.chain.founders[1:]
    world.reshare(authority)
    world.behave = only(liar, DueKind.CONFIRM_SHARE, lambda _: None)
    under_way = world.to_phase(authority, pb.CEREMONY_PHASE_CONFIRM)
    world.step()
    assert world.ceremony(under_way.id).confirmed == 3
    MISFORTUNES[how](world, unlucky)
    world.behave = honest_messages
    last = end_of(world, under_way.id)
    assert (last.confirmed, last.needed, last.failure) == (4, 4, pb.FAILURE_TOO_FEW_CONFIRMED)
    assert world.faults(last) == {unlucky.name: pb.FAULT_NOT_ACTIVE}
    assert world.authority(authority).epoch == 1
    assert world.holders(authority, 1, *honest) == honest


def test_a_first_key_is_not_in_force_by_the_word_of_one_that_is_not_there_any_more() -> None:
    world = consortium(4)
    authority = world.create()
    world.consent(authority)
    quiet, unlucky = world.chain.founders[:2]
    world.behave = only(quiet, DueKind.CONFIRM_SHARE, lambda _: None)
    under_way = world.to_phase(authority, pb.CEREMONY_PHASE_CONFIRM)
    confirming = [actor for actor in world.chain.founders if actor is not quiet]
    world.down = confirming[1:]
    world.step()
    world.rotate(unlucky)
    world.down = []
    world.step()
    found = world.ceremony(under_way.id)
    assert (found.confirmed, found.threshold, world.authority(authority).epoch) == (3, 3, 0)
    world.behave = honest_messages
    assert end_of(world, under_way.id).phase == pb.CEREMONY_PHASE_DONE
    assert world.authority(authority).epoch == 1


def test_with_a_lower_threshold_it_takes_over_without_one_and_the_honest_hold_it() -> None:
    """Four of seven: six must confirm, so that four of them are honest."""
    world = consortium(7)
    authority = world.make(threshold=4)
    unlucky = world.chain.founders[6]
    world.reshare(authority, threshold=4)
    world.to_phase(authority, pb.CEREMONY_PHASE_DISPUTE)
    world.rotate(unlucky)
    last = world.run(authority)
    assert (last.phase, last.members, last.seats, last.needed) == (pb.CEREMONY_PHASE_DONE, 7, 6, 6)
    assert hold_the_key(world, authority, world.chain.founders[2:])


def test_what_a_refresh_must_confirm_is_reckoned_by_those_that_were_agreed_to() -> None:
    """(!) Two liars of seven (threshold three) are two of five once two honest members lost their seats.

    Reckoned by those five, four confirmations brought the next refresh into force: two of the honest, two of the
    liars, while the third honest one, which was down, had been dealt a wrong share. No three of the honest were left,
    of neither epoch.
    """
    world = consortium(7)
    by_id = sorted(world.chain.founders, key=lambda actor: actor.identity)
    liars, unlucky, down, others = by_id[:2], by_id[2:4], by_id[4], by_id[5:]
    honest = [down, *others]
    authority = world.create(threshold=3)
    world.consent(authority)
    world.to_phase(authority, pb.CEREMONY_PHASE_DISPUTE)
    for actor in unlucky:
        world.rotate(actor)
    world.run(authority)
    epoch = EPOCHS.get(world.chain.view, authority, 1)
    assert (epoch.threshold, epoch.members, epoch.agreed) == (3, 5, 7)
    assert world.holders(authority, 1, *honest) == honest
    world.reshare(authority, threshold=3)
    world.behave = only(
        liars[0], DueKind.DEAL_SHARES,
        lambda said: dealt(world, liars[0], said.ceremony, wrong_share_to(2)),  # type: ignore[attr-defined]
    )  # fmt: skip
    under_way = world.to_phase(authority, pb.CEREMONY_PHASE_DISPUTE)
    assert (under_way.kind, under_way.members, under_way.agreed) == (pb.CEREMONY_KIND_REFRESH, 5, 7)
    assert world.party(under_way, down).index == 3
    world.down = [down]
    last = end_of(world, under_way.id)
    assert (last.failure, last.needed, last.confirmed) == (pb.FAILURE_TOO_FEW_CONFIRMED, 5, 4)
    world.down = []
    assert hold_the_key(world, authority, honest)
    assert world.authority(authority).epoch == 1


def test_leaving_out_a_silent_member_makes_no_liar_honest() -> None:
    """(!) Two liars of seven (threshold three) are two of six once a silent member is left out, with consent.

    Reckoned by those six, four confirmations brought the new shares into force: two of the honest, two of the liars,
    while two honest ones that were down had been dealt wrong shares. No three of the honest were left, of either epoch.
    """
    world = consortium(7, ceremony_window_blocks=1, ceremony_consent_blocks=8)
    by_id = sorted(world.chain.founders, key=lambda actor: actor.identity)
    liars, quiet, down, others = by_id[:2], by_id[2], by_id[3:5], by_id[5:]
    honest = [quiet, *down, *others]
    authority = world.make(threshold=3)
    world.reshare(authority, threshold=3)
    world.down = [quiet]
    waiting = world.run(authority)
    assert (waiting.phase, waiting.candidates, waiting.agreed) == (pb.CEREMONY_PHASE_CONSENT, 6, 7)
    world.consent(authority)
    world.behave = only(
        liars[0], DueKind.DEAL_SHARES,
        lambda said: dealt(world, liars[0], said.ceremony, wrong_share_to(2, 3)),  # type: ignore[attr-defined]
    )  # fmt: skip
    under_way = world.to_phase(authority, pb.CEREMONY_PHASE_DISPUTE)
    assert [world.party(under_way, actor).index for actor in down] == [3, 4]
    world.down = [quiet, *down]
    last = end_of(world, under_way.id)
    assert (last.failure, last.needed, last.confirmed) == (pb.FAILURE_TOO_FEW_CONFIRMED, 5, 4)
    world.down = []
    world.step()
    assert world.authority(authority).epoch == 1
    assert world.holders(authority, 1, *honest) == honest


def test_a_proposal_that_leaves_members_out_is_reckoned_by_all_and_one_with_a_newcomer_by_itself() -> None:
    world = consortium(7)
    authority = world.make(*world.chain.founders[:6], threshold=3)
    world.reshare(authority, *world.chain.founders[:3], threshold=2)
    world.consent(authority)
    last = world.run(authority)
    assert (last.phase, last.kind, last.agreed, last.needed) == (
        pb.CEREMONY_PHASE_DONE, pb.CEREMONY_KIND_RESHARE, 6, 3,
    )  # fmt: skip
    assert EPOCHS.get(world.chain.view, authority, 2).agreed == 6
    world.reshare(authority, *world.chain.founders[:2], *world.chain.founders[5:], threshold=2)
    world.consent(authority)
    last = world.run(authority)
    assert (last.phase, last.agreed, last.needed) == (pb.CEREMONY_PHASE_DONE, 4, 3)


def test_a_first_key_made_without_a_silent_member_is_reckoned_by_all_that_were_asked() -> None:
    world = consortium(7, ceremony_window_blocks=1, ceremony_consent_blocks=8)
    authority = world.create(threshold=3)
    world.consent(authority)
    world.down = [world.chain.founders[6]]
    world.run(authority)
    world.consent(authority)
    assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE
    epoch = EPOCHS.get(world.chain.view, authority, 1)
    assert (epoch.members, epoch.agreed) == (6, 7)
    world.reshare(authority, threshold=3)
    assert world.run(authority).needed == 5


@pytest.mark.parametrize("is_first", [True, False], ids=["a first key", "a refresh"])
def test_who_was_silent_in_the_window_confirms_late_and_adds_to_the_margin(is_first: bool) -> None:
    """(!) The hook held a confirmation for not due once the ceremony was done: it was owed, and never sent."""
    world = consortium(7)
    quiet = world.chain.founders[6]
    silent = only(quiet, DueKind.CONFIRM_SHARE, lambda _: None)
    if is_first:
        world.behave = silent
    authority = world.make(threshold=3)
    if not is_first:
        world.behave = silent
        world.reshare(authority, threshold=3)
        world.run(authority)
    number = 1 if is_first else 2
    world.down = [quiet]
    world.behave = honest_messages
    world.step()
    before = EPOCHS.get(world.chain.view, authority, number)
    assert (before.epoch, before.confirmations, world.authority(authority).ceremony) == (number, 6, b"")
    world.down = []
    world.step()
    assert EPOCHS.get(world.chain.view, authority, number).confirmations == 7
    assert world.jobs(quiet) == []


def test_a_late_confirmation_of_an_epoch_that_was_replaced_is_not_due() -> None:
    world = consortium(7)
    quiet = world.chain.founders[6]
    world.behave = only(quiet, DueKind.CONFIRM_SHARE, lambda _: None)
    authority = world.make(threshold=3)
    (job,) = world.jobs(quiet)
    world.answer(quiet, job)
    world.reshare(authority, threshold=3)
    assert world.run(authority).epoch == 2
    with pytest.raises(NotDue):
        world.answer(quiet, job)
