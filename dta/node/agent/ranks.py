"""What goes first of what is due."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from abci_app.state.due import DueKind


class Rank(IntEnum):
    """What goes first. Each rank has places of its own: however many jobs of one wait, they take none of another's."""

    RELEASE = 0
    """What somebody waits for and a deadline ends."""
    KEY = 1
    """Vaults' keys and ceremonies: few, and by governance or by a principal's vaults."""
    ORDER = 2
    """What anybody who may place orders makes as many of as they are let."""


_RANK: Final = {
    DueKind.FULFIL_SECRET: Rank.RELEASE,
    DueKind.SUBMIT_PARTIALS: Rank.RELEASE,
    DueKind.SUBMIT_UNBLINDED: Rank.RELEASE,
    DueKind.FULFIL_ORDER: Rank.ORDER,
}


def rank_of(kind: DueKind) -> Rank:
    """The rank of a kind of job."""
    return _RANK.get(kind, Rank.KEY)
