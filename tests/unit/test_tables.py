"""Tables over an enum: each has every value, or the program does not load."""

from __future__ import annotations

import pytest

from abci_app.authority import ceremonies, faults
from abci_app.errors import StateBroken
from abci_app.execution.transitions import Transitions, complete
from abci_app.pb.dta.v1 import authority_pb2 as pb


def test_a_fault_that_a_table_forgets_is_named_when_the_table_is_made() -> None:
    table = dict(faults.FAULTS)
    del table[pb.FAULT_ZERO_SHARE]
    with pytest.raises(ValueError, match="FAULT_ZERO_SHARE"):
        complete(pb.Fault, table)


def test_a_value_that_the_enum_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="99"):
        complete(pb.Fault, {**faults.FAULTS, 99: faults.FAULTS[pb.FAULT_NONE]})


def test_a_table_of_transitions_has_every_phase() -> None:
    table = dict(ceremonies.PHASES)
    del table[pb.CEREMONY_PHASE_DEAL]
    with pytest.raises(ValueError, match="CEREMONY_PHASE_DEAL"):
        Transitions(pb.CeremonyPhase, table)


@pytest.mark.parametrize("at", [0, *ceremonies.PHASES])
def test_an_attempt_goes_where_the_table_says_and_nowhere_else(at: int) -> None:
    first = (pb.CEREMONY_PHASE_CONSENT, pb.CEREMONY_PHASE_ACCEPT)
    allowed = ceremonies.PHASES[at] if at else first
    for to in pb.CeremonyPhase.values():
        ceremony = pb.CeremonyRecord(phase=at)  # type: ignore[arg-type]
        if to in allowed:
            ceremonies._move(ceremony, to)
            assert ceremony.phase == to
        else:
            with pytest.raises(StateBroken):
                ceremonies._move(ceremony, to)


def test_every_phase_is_reached_and_the_last_ones_lead_nowhere() -> None:
    reached = {to for ways in ceremonies.PHASES.values() for to in ways}
    assert reached | {pb.CEREMONY_PHASE_CONSENT} == set(ceremonies.PHASES)
    assert [phase for phase, ways in ceremonies.PHASES.items() if not ways] == [
        pb.CEREMONY_PHASE_DONE, pb.CEREMONY_PHASE_FAILED
    ]  # fmt: skip


def test_who_lost_a_seat_is_always_named_and_silence_never_costs_one() -> None:
    for fault, cost in faults.FAULTS.items():
        assert not (cost.seat and "SILENT" in pb.Fault.Name(fault))
        assert not cost.seat or set(cost.named_in) == set(pb.Failure.values())
