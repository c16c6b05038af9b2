"""What concerns an identity, as a list that no node can shorten, lengthen or reorder (docs/spec/concerns.md).

The ledger numbers the entries of each identity from 1 and counts them. The count is proved at a height, and then each
number: so either the list is whole at that height, or the node is refused. Entries never change and never go, so pages
that were read at different heights are one list, whole at the height of the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from abci_app.pb.dta.v1 import concern_pb2
from abci_app.state.records import CONCERNS, COUNTERS
from dta.base.errors import NotVerified, UsageError
from dta.client.ledger import leaves
from dta.client.ledger.flow import Flow
from dta.client.ledger.reads import Head, VerifiedReader

PAGE_ENTRIES = 100


@dataclass(frozen=True, slots=True)
class Concern:
    """One record that names the identity. ``subject``: the record's id; of a realm's server, the realm's."""

    number: int
    kind: concern_pb2.ConcernKind
    subject: bytes
    roles: Sequence[concern_pb2.ConcernRole]
    height: int

    @staticmethod
    def of(number: int, record: concern_pb2.ConcernRecord) -> Concern:
        """Entry ``number``, as its leaf says it."""
        return Concern(number, record.kind, record.subject, tuple(record.roles), record.height)

    def record(self) -> concern_pb2.ConcernRecord:
        """What its leaf says."""
        return concern_pb2.ConcernRecord(roles=self.roles, kind=self.kind, subject=self.subject, height=self.height)


@dataclass(frozen=True, slots=True)
class Concerns:
    """The entries after number ``after``, without a gap, of ``total`` that there are at ``height``: all proved."""

    identity: bytes
    after: int
    entries: Sequence[Concern]
    total: int
    height: int

    @property
    def last(self) -> int:
        """The number of the last entry here: where the next page goes on."""
        return self.after + len(self.entries)

    @property
    def is_whole(self) -> bool:
        """Whether there is no entry after the last one here."""
        return self.last == self.total


Each: TypeAlias = Callable[[Concern, int], None]


def _unseen(entry: Concern, height: int) -> None:
    pass


def page(
    reader: VerifiedReader, identity: bytes, after: int, limit: int, at_least: int, each: Each = _unseen
) -> Flow[Concerns]:
    """At most ``limit`` entries after number ``after``, at the newest provable height (not below ``at_least``).

    ``each``: is shown every entry once it is read, with the height of the state that it was read of.

    Raises NotVerified (its step is ``whole`` where the state itself has not what it counts), UsageError for an
    ``after`` that there never was, and what any read raises.
    """
    if after < 0 or limit < 1:
        raise UsageError("a page begins after entry 0 or a later one, and has one entry at least")
    head = yield from reader.head(at_least)
    counter = yield from reader.find_at(head, leaves.of(COUNTERS, identity))
    total = 0 if counter is None else counter.concerns
    if after > total:
        raise UsageError(
            f"{identity.hex()} has {total} entries at height {head.height}, not {after}",
            hint="begin after a number that a page before had, at its height or a later one",
        )
    entries: list[Concern] = []
    for number in range(after + 1, min(total, after + limit) + 1):
        entry = yield from _entry(reader, head, identity, number)
        each(entry, head.height)
        entries.append(entry)
    return Concerns(identity, after, tuple(entries), total, head.height)


def whole(
    reader: VerifiedReader, identity: bytes, after: int, at_least: int, each: Each = _unseen
) -> Flow[Concerns]:
    """Every entry after number ``after``, page by page: whole at the height of the last. Raises what :func:`page` does.

    ``each``: as there. Two entries for one record are refused as well: the ledger makes one a record, so that a count
    says something.
    """
    entries: list[Concern] = []
    height = at_least
    while True:
        found = yield from page(reader, identity, after + len(entries), PAGE_ENTRIES, height, each)
        entries += found.entries
        height = found.height
        if found.is_whole:
            break
    check_distinct(identity, entries)
    return Concerns(identity, after, tuple(entries), found.total, height)


def _entry(reader: VerifiedReader, head: Head, identity: bytes, number: int) -> Flow[Concern]:
    record = yield from reader.find_at(head, leaves.of(CONCERNS, identity, number))
    if record is None:
        raise NotVerified(
            "whole",
            f"the ledger counts an entry {number} of what concerns {identity.hex()}, and has none",
            hint="the ledger itself is broken: report it",
            data={"identity": identity.hex(), "number": number, "height": head.height},
        )
    return Concern.of(number, record)


def check_distinct(identity: bytes, entries: Sequence[Concern]) -> None:
    """Raises NotVerified (``whole``) where two entries are for one record."""
    seen: dict[tuple[int, bytes], int] = {}
    for entry in entries:
        first = seen.setdefault((entry.kind, entry.subject), entry.number)
        if first != entry.number:
            raise NotVerified(
                "whole",
                f"entries {first} and {entry.number} of what concerns {identity.hex()} are for one record",
                hint="the ledger itself is broken: report it",
                data={"identity": identity.hex(), "number": entry.number, "first": first},
            )
