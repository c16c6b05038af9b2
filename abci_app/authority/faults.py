"""What a party's fault costs it, for each kind of fault: one table (docs/spec/authority.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from abci_app.authority import rules
from abci_app.execution.transitions import complete
from abci_app.pb.dta.v1 import authority_pb2 as pb


class Again(Enum):
    """Whether the next attempt takes the party again, as long as its fiduciary is active."""

    NEVER = "never"
    SOMETIMES = "it was only silent: until rules.MAX_WITH_TERMS attempts had the same terms"
    ALWAYS = "it is no culprit"


@dataclass(frozen=True, slots=True)
class Cost:
    """``seat``: its dealing and its seat in the attempt. ``named_in``: the failures that name it."""

    seat: bool
    again: Again
    named_in: tuple[int, ...]


_ALL: Final = tuple(pb.Failure.values())

FAULTS: Final[Mapping[int, Cost]] = complete(pb.Fault, {
    pb.FAULT_NONE: Cost(seat=False, again=Again.ALWAYS, named_in=()),
    pb.FAULT_NOT_CONSENTED: Cost(seat=False, again=Again.NEVER, named_in=_ALL),
    pb.FAULT_DECLINED: Cost(seat=False, again=Again.NEVER, named_in=_ALL),
    pb.FAULT_SILENT_ACCEPT: Cost(seat=False, again=Again.SOMETIMES, named_in=_ALL),
    # Silence in Deal alone fails no attempt that had enough dealings.
    pb.FAULT_SILENT_DEAL: Cost(seat=False, again=Again.SOMETIMES, named_in=(pb.FAILURE_TOO_FEW_DEALINGS,)),
    pb.FAULT_WRONG_SHARE: Cost(seat=True, again=Again.NEVER, named_in=_ALL),
    pb.FAULT_FALSE_ACCUSATION: Cost(seat=True, again=Again.NEVER, named_in=_ALL),
    pb.FAULT_SILENT_CONFIRM: Cost(seat=False, again=Again.SOMETIMES, named_in=_ALL),
    pb.FAULT_NOT_ACTIVE: Cost(seat=True, again=Again.ALWAYS, named_in=_ALL),
    pb.FAULT_ZERO_SHARE: Cost(seat=True, again=Again.NEVER, named_in=_ALL),
})  # fmt: skip


def costs_seat(party: pb.CeremonyParty) -> bool:
    """Whether the party has lost its dealing and its seat."""
    return FAULTS[party.fault].seat


def is_named(ceremony: pb.CeremonyRecord, party: pb.CeremonyParty) -> bool:
    """Whether a failed attempt names this party."""
    return ceremony.failure in FAULTS[party.fault].named_in


def is_culprit(party: pb.CeremonyParty) -> bool:
    """Whether the fault is the party's own doing: who rotated, or is not active any more, does nothing wrong by it."""
    return FAULTS[party.fault].again is not Again.ALWAYS


def is_left_out(ceremony: pb.CeremonyRecord, party: pb.CeremonyParty) -> bool:
    """Whether the attempt after the failed ``ceremony`` is without this party."""
    if not is_named(ceremony, party):
        return False
    again = FAULTS[party.fault].again
    return again is Again.NEVER or (again is Again.SOMETIMES and ceremony.with_terms >= rules.MAX_WITH_TERMS)
