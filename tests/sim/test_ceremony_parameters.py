"""A ceremony, and all that retry it, keep the parameters that they began with: no change strands a living one."""

from __future__ import annotations

import pytest

from abci_app.authority import rules
from abci_app.params import _BOUNDS as BOUNDS
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.due import DueKind
from tests.support.ceremonies import Consortium, consortium, honest, only
from tests.support.world import set_params

# Tests' transactions are valid for 50 blocks, whatever a ceremony does.
CHANGED = [name for name in BOUNDS if name != "max_expiry_blocks"]
PHASES = (
    pb.CEREMONY_PHASE_CONSENT, pb.CEREMONY_PHASE_ACCEPT, pb.CEREMONY_PHASE_DEAL, pb.CEREMONY_PHASE_DISPUTE,
    pb.CEREMONY_PHASE_CONFIRM,
)  # fmt: skip


def changed(world: Consortium, name: str, to: str) -> None:
    _, least, most = BOUNDS[name]
    set_params(world.chain, **{name: least if to == "least" else most})


@pytest.mark.parametrize("to", ["least", "most"])
@pytest.mark.parametrize("name", CHANGED)
def test_no_change_of_a_parameter_stops_a_ceremony_that_is_under_way(name: str, to: str) -> None:
    world = consortium(3)
    authority = world.create()
    world.consent(authority)
    under_way = world.to_phase(authority, pb.CEREMONY_PHASE_ACCEPT)
    changed(world, name, to)
    last = world.run(authority)
    assert (last.id, last.phase, last.confirmed) == (under_way.id, pb.CEREMONY_PHASE_DONE, 3)
    assert (last.window_blocks, last.max_attempts) == (under_way.window_blocks, under_way.max_attempts)


@pytest.mark.parametrize("phase", PHASES, ids=pb.CeremonyPhase.Name)
@pytest.mark.parametrize("to", ["least", "most"])
def test_with_every_parameter_changed_at_once_it_goes_on_from_any_phase(phase: pb.CeremonyPhase, to: str) -> None:
    world = consortium(3)
    authority = world.create()
    if phase != pb.CEREMONY_PHASE_CONSENT:
        world.consent(authority)
        world.to_phase(authority, phase)
    before = world.ceremony(world.authority(authority).ceremony)
    for name in CHANGED:
        changed(world, name, to)
    world.step()
    if phase == pb.CEREMONY_PHASE_CONSENT:
        now = world.ceremony(before.id)
        assert (now.phase, now.deadline_height) == (phase, before.deadline_height)
        world.consent(authority)
    last = world.run(authority)
    assert (last.id, last.phase, last.confirmed) == (before.id, pb.CEREMONY_PHASE_DONE, 3)


def test_what_retries_it_has_the_windows_the_time_for_consent_and_the_attempts_of_the_first() -> None:
    world = consortium(5, ceremony_window_blocks=25, ceremony_consent_blocks=7, max_ceremony_attempts=4)
    authority = world.make(threshold=3)
    quiet = world.chain.founders[4]
    world.behave = only(quiet, DueKind.ACCEPT_CEREMONY, lambda _: None)
    world.reshare(authority, threshold=3)
    set_params(
        world.chain, ceremony_window_blocks=9_000, ceremony_consent_blocks=9_000, max_ceremony_attempts=1,
        max_authority_members=1, max_open_ceremonies=1,
    )  # fmt: skip
    waiting = world.run(authority)
    tried = world.attempts(authority)[1:]
    assert [one.with_terms for one in tried] == [1, 2, rules.MAX_WITH_TERMS, 1]
    assert {(one.window_blocks, one.consent_blocks, one.max_attempts) for one in tried} == {(25, 7, 4)}
    assert waiting.phase == pb.CEREMONY_PHASE_CONSENT
    assert waiting.deadline_height - waiting.phase_height == 7
    world.behave = honest
    world.consent(authority, *world.chain.founders[:4])
    found = world.ceremony(waiting.id)
    assert found.deadline_height - found.phase_height == 25
    assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE
    # The next one reads them anew.
    set_params(world.chain, ceremony_window_blocks=40, max_authority_members=5)
    world.reshare(authority, threshold=3)
    assert world.ceremony(world.authority(authority).ceremony).window_blocks == 40
