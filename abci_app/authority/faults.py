"""What a party's fault costs it, for each kind of fault: one table (docs/spec/authority.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from abci_app.execution.transitions import complete
from abci_app.pb.dta.v1 import authority_pb2 as pb


@dataclass(frozen=True, slots=True)
class Cost:
    """``seat``: its dealing and its seat in the attempt. ``silent``: it may be given another chance where too few
    others are left. ``named_in``: the failures that name it as a culprit, and whose next attempt leaves it out."""

    seat: bool
    silent: bool
    named_in: tuple[int, ...]


_ALL: Final = tuple(pb.Failure.values())

FAULTS: Final[Mapping[int, Cost]] = complete(pb.Fault, {
    pb.FAULT_NONE: Cost(seat=False, silent=False, named_in=()),
    pb.FAULT_NOT_CONSENTED: Cost(seat=False, silent=False, named_in=_ALL),
    pb.FAULT_DECLINED: Cost(seat=False, silent=False, named_in=_ALL),
    pb.FAULT_SILENT_ACCEPT: Cost(seat=False, silent=True, named_in=_ALL),
    # Silence in Deal alone fails no attempt that had enough dealings.
    pb.FAULT_SILENT_DEAL: Cost(seat=False, silent=True, named_in=(pb.FAILURE_TOO_FEW_DEALINGS,)),
    pb.FAULT_WRONG_SHARE: Cost(seat=True, silent=False, named_in=_ALL),
    pb.FAULT_FALSE_ACCUSATION: Cost(seat=True, silent=False, named_in=_ALL),
    pb.FAULT_SILENT_CONFIRM: Cost(seat=False, silent=True, named_in=_ALL),
    pb.FAULT_NOT_ACTIVE: Cost(seat=True, silent=False, named_in=_ALL),
    pb.FAULT_ZERO_SHARE: Cost(seat=True, silent=False, named_in=_ALL),
})  # fmt: skip


def costs_seat(party: pb.CeremonyParty) -> bool:
    """Whether the party has lost its dealing and its seat."""
    return FAULTS[party.fault].seat


def is_culprit(ceremony: pb.CeremonyRecord, party: pb.CeremonyParty) -> bool:
    """Whether a failed attempt names this party."""
    return ceremony.failure in FAULTS[party.fault].named_in


def was_silent(party: pb.CeremonyParty) -> bool:
    """Whether all that it did was to say nothing."""
    return FAULTS[party.fault].silent
