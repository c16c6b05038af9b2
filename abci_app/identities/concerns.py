"""What concerns an identity: each record that names it, as a numbered entry of its own (docs/spec/concerns.md).

The numbers of an identity's entries go from 1 to its count, which stands in its counters: so whoever reads by proof has
all of them, or knows that it has not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import concern_pb2 as pb
from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.records import CONCERNS, COUNTERS

NAME_COST: Final = 60
"""About the microseconds of an entry and a count, two leaves: what each identity that a record names is charged for."""


def note(context: Context, kind: pb.ConcernKind, subject: bytes, role: pb.ConcernRole, *named: bytes) -> None:
    """A new record (of this kind, with this id) names these identities, each once, in this role."""
    note_roles(context, kind, subject, dict.fromkeys(named, (role,)))


def note_roles(
    context: Context, kind: pb.ConcernKind, subject: bytes, roles_of: Mapping[bytes, Sequence[pb.ConcernRole]]
) -> None:
    """A new record names these identities, each with its roles, ascending."""
    for identity, roles in roles_of.items():
        counter = COUNTERS.find(context.state, identity) or custody_pb2.CounterRecord(identity=identity)
        counter.concerns += 1
        COUNTERS.put(context.state, counter, identity)
        entry = pb.ConcernRecord(roles=roles, kind=kind, subject=subject, height=context.height)
        CONCERNS.put(context.state, entry, identity, counter.concerns)
