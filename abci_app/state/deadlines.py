"""What ends at a block time or a height: the kinds of deadline that the sweep records (docs/spec/state.md)."""

from __future__ import annotations

from enum import IntEnum


class DeadlineKind(IntEnum):
    """What a deadline is of. A number never changes its meaning: it is in the state's keys."""

    ORDER = 1
    REQUEST = 2
    VAULT = 3
    PROPOSAL = 10
    EXTRACTION = 30
