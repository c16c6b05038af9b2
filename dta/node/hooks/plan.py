"""What is due from a fiduciary: a function of committed state and of nothing else (docs/spec/custody.md, The agent)."""

from __future__ import annotations

from dataclasses import dataclass

from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.view import StateView


@dataclass(frozen=True, slots=True, order=True)
class Job:
    """One contribution that is owed. ``subject``: the vault's, order's or request's id, 32 bytes."""

    kind: DueKind
    subject: bytes

    def __str__(self) -> str:
        return f"{self.kind.name.lower()} {self.subject.hex()}"


def plan(view: StateView, fiduciary: bytes, time_s: int, height: int) -> list[Job]:
    """What ``fiduciary`` (32 bytes) owes, by kind, then subject: one prefix scan.

    ``time_s`` is the last block's time and ``height`` that of the next block: the first that could hold the answer.
    Nothing that this block would refuse as too early is in it, and no veto or cancelling that this block would take
    can still stop what is.
    """
    jobs = []
    for key, value in view.index_scan(DUE.under(fiduciary)):
        entry = due.parse(key, value)
        if entry.from_time_s <= time_s and entry.from_height <= height:
            jobs.append(Job(entry.kind, entry.subject))
    return jobs
