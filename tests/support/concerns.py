"""What concerns somebody, as the state has it."""

from __future__ import annotations

from abci_app.pb.dta.v1 import concern_pb2 as pb
from abci_app.state.records import CONCERNS, COUNTERS
from abci_app.state.view import StateView

Entry = tuple[str, bytes, tuple[str, ...]]
"""(kind, subject, roles), in words."""


def of(view: StateView, identity: bytes) -> list[Entry]:
    """The entries of ``identity`` by their numbers, which its counters count."""
    counter = COUNTERS.find(view, identity)
    total = 0 if counter is None else counter.concerns
    return [_words(CONCERNS.get(view, identity, number)) for number in range(1, total + 1)]


def about(view: StateView, identity: bytes, kind: str) -> list[tuple[bytes, tuple[str, ...]]]:
    """(subject, roles) of those of one kind."""
    return [(subject, roles) for found, subject, roles in of(view, identity) if found == kind]


def _words(record: pb.ConcernRecord) -> Entry:
    kind = pb.ConcernKind.Name(record.kind).removeprefix("CONCERN_KIND_").lower()
    roles = tuple(pb.ConcernRole.Name(role).removeprefix("CONCERN_ROLE_").lower() for role in record.roles)
    return kind, record.subject, roles
