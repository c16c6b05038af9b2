"""Reading an inbox: the identity's list, proved whole; then the record of each entry that may still wait, proved.

Flows, for both faces of the ledger: ``ledger.rpc.run(reading.read(ledger.flows, ...))``, awaited or not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from abci_app.state.as_of import Moment
from dta.client.inbox import looks
from dta.client.inbox.followed import Followed, OpenEntry
from dta.client.inbox.items import Inbox, Item, by_deadline
from dta.client.inbox.looks import Receipt, Sight
from dta.client.ledger import concerns
from dta.client.ledger.flow import Flow, elapsed_s, sleep
from dta.client.ledger.ledger import LedgerFlows

MAX_OUTSIDE: Final = 100
"""Of others than contacts: so many records are looked at, those named last, and so many items listed."""
ONE_STATE: Final = 100
"""So many records are read of one state, then of a newer one: a node keeps its last states for a while only."""
POLL_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads. ``contacts``: whom it knows (itself need not be among them), by identity id.

    ``held``: the requests whose keys it has and has not received by, so that their receipt can wait for it.
    """

    identity: bytes
    contacts: Collection[bytes] = ()
    held: Collection[bytes] = ()

    def known(self) -> frozenset[bytes]:
        """Whose items are not listed apart."""
        return frozenset((self.identity, *self.contacts))


@dataclass(frozen=True, slots=True)
class Reading:
    """An inbox, and how far the list was read: what the next reading goes on from.

    ``ended``: what was found of the requests whose keys are held, of those that have ended: proved once, it stays so.
    """

    inbox: Inbox
    followed: Followed
    ended: Mapping[bytes, Receipt] = field(default_factory=dict)


def read(
    flows: LedgerFlows, who: Reader, followed: Followed | None = None, ended: Mapping[bytes, Receipt] | None = None
) -> Flow[Reading]:
    """The inbox. ``followed``: of an earlier reading for the same identity; without, all of the list is read.

    ``ended``: of that reading.

    No state before that of ``followed`` is taken. Raises NotVerified where a node leaves anything out or changes it
    (step ``proof``), or where the state itself has not what it counts (``whole``); and what any read raises.
    """
    before = followed or Followed(flows.trust.gid, who.identity)
    listed = yield from concerns.whole(flows.reader, who.identity, before.last, before.height)
    every = (*before.open, *(OpenEntry(entry) for entry in listed.entries))
    entries = [one for one in every if looks.may_wait(one.entry)]  # of what is kept too: an older program kept more
    known = who.known()
    outside = [one for one in entries if one.is_outside(known)]
    unread = outside[: max(0, len(outside) - MAX_OUTSIDE)]
    unread_numbers = {one.entry.number for one in unread}
    chosen = [one for one in entries if one.entry.number not in unread_numbers]
    looked = yield from _look_at(flows, who, chosen, listed.height, ended or {})
    left = len(unread) + looked.left
    of_others = {one.entry.number for one in looked.open if one.is_outside(known)}
    own = [item for item in looked.items if item.number not in of_others]
    foreign = by_deadline([item for item in looked.items if item.number in of_others], looked.at)
    inbox = Inbox(
        who.identity, by_deadline([*own, *looked.receipts()], looked.at), foreign[:MAX_OUTSIDE],
        left + max(0, len(foreign) - MAX_OUTSIDE), listed.total, listed.height, looked.at,
    )  # fmt: skip
    still = sorted([*unread, *looked.open], key=lambda one: one.entry.number)
    return Reading(inbox, Followed(before.gid, who.identity, listed.total, looked.height, tuple(still)), looked.ended())


def changed(flows: LedgerFlows, who: Callable[[], Reader], since: Reading, timeout_s: float) -> Flow[Reading]:
    """The inbox once something else waits than in ``since``, or as it is when ``timeout_s`` seconds are over.

    ``who`` is asked again each time: keys come and go. Raises what :func:`read` does.
    """
    started_s = yield from elapsed_s()
    last = since
    while True:
        now = yield from read(flows, who(), last.followed, last.ended)
        passed_s = (yield from elapsed_s()) - started_s
        if passed_s >= timeout_s or not now.inbox.is_as(since.inbox):
            return now
        last = now
        yield from sleep(min(POLL_S, timeout_s - passed_s))


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was found in the records: the entries that are not over, and what of them waits."""

    open: Sequence[OpenEntry]
    items: Sequence[Item]
    held: Mapping[bytes, Receipt]
    height: int
    at: Moment
    left: int

    def receipts(self) -> list[Item]:
        """What waits to be received."""
        return [one.item for one in self.held.values() if one.item is not None]

    def ended(self) -> dict[bytes, Receipt]:
        """What need not be looked at again."""
        return {request: one for request, one in self.held.items() if one.is_ended}


def _look_at(
    flows: LedgerFlows, who: Reader, entries: Sequence[OpenEntry], at_least: int, ended: Mapping[bytes, Receipt]
) -> Flow[_Looked]:
    head = yield from flows.reader.head(at_least)
    still: list[OpenEntry] = []
    items: list[Item] = []
    left, known = 0, who.known()
    for position, one in enumerate(entries, start=1):
        found = yield from looks.look(Sight(flows, head, who.identity, known), one.entry)
        if not found.is_over:
            still.append(replace(one, origin=found.origin))
            items += found.items
            left += found.left
        if position % ONE_STATE == 0:
            head = yield from flows.reader.head(head.height)
    held: dict[bytes, Receipt] = {}
    for request in sorted(who.held):
        sight = Sight(flows, head, who.identity, known)
        held[request] = ended.get(request) or (yield from looks.receipt(sight, request))
    return _Looked(still, items, held, head.height, head.moment, left)
