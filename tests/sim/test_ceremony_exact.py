"""Ceremonies at the exact block of each window, and what an attempt leaves for the next one and for others to read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from abci_app.authority import parties, phases
from abci_app.block import Changes
from abci_app.codes import Code
from abci_app.crypto.curve import G1
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE, REFRESH
from abci_app.state.records import AUTHORITIES, EPOCHS
from tests.sim.rebuild import differences
from tests.support.ceremonies import Consortium, consortium, ids
from tests.support.misdealing import dealt, wrong_share_to
from tests.support.refusals import TAKEN, Because, because, refused

PHASES = (
    pb.CEREMONY_PHASE_CONSENT, pb.CEREMONY_PHASE_ACCEPT, pb.CEREMONY_PHASE_DEAL, pb.CEREMONY_PHASE_DISPUTE,
    pb.CEREMONY_PHASE_CONFIRM,
)  # fmt: skip


def in_phase(phase: pb.CeremonyPhase) -> tuple[Consortium, bytes, pb.CeremonyRecord]:
    """A first key of three whose attempt has just come to ``phase``."""
    world = consortium(3, ceremony_consent_blocks=20)
    authority = world.create()
    if phase != pb.CEREMONY_PHASE_CONSENT:
        world.consent(authority)
    return world, authority, world.to_phase(authority, phase)


@pytest.mark.parametrize("phase", PHASES, ids=pb.CeremonyPhase.Name)
def test_a_phase_ends_with_the_block_of_its_deadline_and_not_before(phase: pb.CeremonyPhase) -> None:
    world, _, under_way = in_phase(phase)
    while world.chain.height < under_way.deadline_height:
        assert world.ceremony(under_way.id).phase == phase
        world.chain.block()
    assert world.ceremony(under_way.id).phase != phase


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("phase", PHASES[1:], ids=pb.CeremonyPhase.Name)
def test_what_a_hook_says_is_taken_in_the_last_block_of_the_window_and_not_in_the_next(
    monkeypatch: pytest.MonkeyPatch, phase: pb.CeremonyPhase, late: int
) -> None:
    """Though the phase has not been ended yet: as in blocks whose budget others have used up."""
    world, _, under_way = in_phase(phase)
    founder = world.chain.founders[0]
    (job,) = world.jobs(founder)
    message = world.answer(founder, job)
    monkeypatch.setattr(phases, "_step", lambda *_: None)
    while world.chain.height < under_way.deadline_height - 1 + late:
        world.chain.block()
    is_confirming = phase == pb.CEREMONY_PHASE_CONFIRM
    over = Because(Code.WRONG_PHASE, "confirmation") if is_confirming else Because(Code.WRONG_PHASE, "phase")
    assert because(world.chain.result(founder, message)) == (over if late else TAKEN)


@pytest.mark.parametrize(
    ("phase", "why"),
    [
        (pb.CEREMONY_PHASE_DEAL, Because(Code.PARTY_EXCLUDED, "dealing")),
        (pb.CEREMONY_PHASE_DISPUTE, Because(Code.PARTY_EXCLUDED, "dispute")),
        (pb.CEREMONY_PHASE_CONFIRM, Because(Code.PARTY_EXCLUDED, "confirmation")),
    ],
)
def test_who_rotated_since_the_record_was_frozen_says_nothing_more_in_any_phase(
    phase: pb.CeremonyPhase, why: Because
) -> None:
    world, _, _ = in_phase(phase)
    founder = world.chain.founders[0]
    (job,) = world.jobs(founder)
    message = world.answer(founder, job)
    world.rotate(founder)
    refused(world.chain.result(founder, message), *why)


def test_attempts_are_counted_from_one_again_once_a_key_was_made() -> None:
    world = consortium(4, ceremony_window_blocks=1)
    authority = world.create()
    world.consent(authority)
    world.down = world.chain.founders[3:]
    while len(world.attempts(authority)) == 1:
        world.step()
    world.down = []
    made = world.run(authority)
    assert (made.phase, made.attempt) == (pb.CEREMONY_PHASE_DONE, 2)
    assert world.authority(authority).attempts == 0
    world.reshare(authority)
    passed_on = world.run(authority)
    assert (passed_on.phase, passed_on.epoch, passed_on.attempt) == (pb.CEREMONY_PHASE_DONE, 2, 1)


def test_an_epoch_that_is_replaced_says_when_and_nobody_owes_its_confirmation_any_more() -> None:
    world = consortium(4)
    quiet = world.chain.founders[3]
    authority = world.create()
    first = world.authority(authority).ceremony
    world.behave = lambda actor, job, said: None if actor is quiet and _confirms(job, first) else said
    world.consent(authority)
    assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE
    owed = (quiet.identity, DueKind.CONFIRM_SHARE, first)
    assert DUE.exists(world.chain.view, *owed)
    assert not EPOCHS.get(world.chain.view, authority, 1).replaced_height
    world.reshare(authority)
    assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE
    before, after = (EPOCHS.get(world.chain.view, authority, number) for number in (1, 2))
    assert before.replaced_height == after.active_height > 0
    assert not after.replaced_height
    assert not DUE.exists(world.chain.view, *owed)
    assert differences(world.chain.view) == []


def _confirms(job: Any, ceremony: bytes) -> bool:
    return job.kind is DueKind.CONFIRM_SHARE and job.subject == ceremony


def test_consents_to_a_set_are_none_to_a_smaller_one() -> None:
    """A first key, to which everybody had consented: without the one that was silent it is asked for anew."""
    world = consortium(4, ceremony_consent_blocks=4, ceremony_window_blocks=1)
    authority = world.create(threshold=2)
    world.consent(authority)
    world.down = world.chain.founders[3:]
    waiting = world.run(authority)
    assert (waiting.phase, waiting.candidates, waiting.consented) == (pb.CEREMONY_PHASE_CONSENT, 3, 0)
    assert not any(one.consent_height for one in parties.of(world.chain.view, waiting.id))
    world.step()
    assert world.ceremony(waiting.id).phase == pb.CEREMONY_PHASE_CONSENT


def test_missing_consent_is_not_retried_though_enough_would_be_left() -> None:
    """Two of three could make a key of threshold two of four: it is begun by a proposal of its own, or not at all."""
    world = consortium(4, ceremony_consent_blocks=4)
    authority = world.create(threshold=2)
    asked = world.authority(authority).ceremony
    world.consent(authority, *world.chain.founders[:3])
    while not world.ceremony(asked).ended_height:
        world.chain.block()
    failed = world.ceremony(asked)
    assert (failed.failure, failed.next) == (pb.FAILURE_TOO_FEW_CONSENTED, b"")
    assert world.authority(authority).status == pb.AUTHORITY_STATUS_FAILED


def test_where_too_few_are_left_to_pass_a_key_on_no_attempt_is_begun() -> None:
    world = consortium(5)
    old, new = world.chain.founders[:3], world.chain.founders[2:]
    authority = world.make(*old)
    world.behave = lambda actor, job, said: (
        dealt(world, actor, said.ceremony, wrong_share_to(0))
        if actor in old[:2] and isinstance(said, pb.DealShares)
        else said
    )
    world.reshare(authority, *new)
    world.consent(authority)
    failed = world.run(authority)
    assert (failed.failure, failed.next) == (pb.FAILURE_TOO_FEW_DEALINGS, b"")
    assert world.faults(failed) == {one.name: pb.FAULT_WRONG_SHARE for one in old[:2]}
    assert [member.fiduciary for member in world.members(authority)] == ids(old)


def test_a_refresh_that_would_make_another_key_fails() -> None:
    world = consortium(3)
    authority = world.make()
    world.reshare(authority)
    under_way = world.to_phase(authority, pb.CEREMONY_PHASE_DISPUTE)
    record = world.authority(authority)
    record.public_key_g1 = G1.generator().encode()
    leaf = (AUTHORITIES.key(authority), record.SerializeToString(deterministic=True))
    world.chain.view.apply(Changes(leaves=(leaf,)))
    while not world.ceremony(under_way.id).ended_height:
        world.step()
    assert world.ceremony(under_way.id).failure == pb.FAILURE_DEGENERATE
    assert world.authority(authority).epoch == 1


def test_a_refresh_begins_at_its_height_though_another_keys_is_due() -> None:
    world = consortium(3)
    soon, later = world.make(refresh=20), world.make(refresh=100)
    while not world.authority(soon).ceremony:
        world.chain.block()
    assert world.authority(later).ceremony == b""
    assert world.authority(later).refresh_height > world.chain.height


def test_a_ceremony_under_way_leaves_no_refresh_scheduled_and_its_end_one() -> None:
    world = consortium(3)
    authority = world.make(refresh=100)
    assert [key for _, key in REFRESH.entries(world.chain.view)] == [authority]
    world.reshare(authority)
    assert world.authority(authority).ceremony
    assert list(REFRESH.entries(world.chain.view)) == []
    done = world.run(authority)
    assert list(REFRESH.entries(world.chain.view)) == [(done.ended_height + 100, authority)]


def test_what_cost_a_seat_stays_whatever_else_the_party_does() -> None:
    context = cast(Any, SimpleNamespace(height=7))
    party = pb.CeremonyParty(fault=pb.FAULT_WRONG_SHARE, fault_height=5, fault_other=bytes(32))
    parties.blame(context, party, pb.FAULT_NOT_ACTIVE)
    assert (party.fault, party.fault_height, party.fault_other) == (pb.FAULT_WRONG_SHARE, 5, bytes(32))
    silent = pb.CeremonyParty(fault=pb.FAULT_SILENT_DEAL, fault_height=5)
    parties.blame(context, silent, pb.FAULT_WRONG_SHARE)
    assert (silent.fault, silent.fault_height) == (pb.FAULT_WRONG_SHARE, 7)
