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
from dta.client.inbox.progress import Progress
from dta.client.ledger import concerns
from dta.client.ledger.concerns import Concern, Concerns
from dta.client.ledger.flow import Flow, elapsed_s, sleep
from dta.client.ledger.ledger import LedgerFlows
from dta.client.ledger.reads import Head

MAX_OUTSIDE: Final = 100
"""Of others than contacts: so many records are looked at, those named last, and so many items listed."""
MAX_OUTSIDE_NUMBERS: Final = 100
"""Of the orders of others, of all together, so many requests are looked at."""
MAX_UNSENT: Final = 100
"""So many of the requests that the ledger had not when they were looked at last are looked at again."""
ONE_STATE: Final = 100
"""So many records are read of one state, then of a newer one: a node keeps its last states for a while only."""
POLL_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads. ``contacts``: whom it knows (itself need not be among them), by identity id.

    ``held``: the requests whose keys it has and has not received by, so that their receipt can wait for it, each with
    its order's id where that is known.
    """

    identity: bytes
    contacts: Collection[bytes] = ()
    held: Mapping[bytes, bytes | None] = field(default_factory=dict)

    def known(self) -> frozenset[bytes]:
        """Whose items are not listed apart."""
        return frozenset((self.identity, *self.contacts))


@dataclass(frozen=True, slots=True)
class Reading:
    """An inbox, and how far the list was read: what the next reading goes on from.

    ``ended``: what was found of the requests whose keys are held, of those that have ended: proved once, it stays so.
    ``unsent``: those that the ledger has not, who was looked at first first. ``over``: those of them that it never
    will have, since their orders have ended: their keys open nothing.
    """

    inbox: Inbox
    followed: Followed
    ended: Mapping[bytes, Receipt] = field(default_factory=dict)
    unsent: Sequence[bytes] = ()
    over: Sequence[bytes] = ()


def read(
    flows: LedgerFlows, who: Reader, followed: Followed | None = None, ended: Mapping[bytes, Receipt] | None = None,
    unsent: Sequence[bytes] = (), progress: Progress | None = None,
) -> Flow[Reading]:  # fmt: skip
    """The inbox. ``followed``: of an earlier reading for the same identity; without, all of the list is read.

    ``ended``, ``unsent``: of that reading. ``progress`` is told of all that is read as it is: where this is cut, the
    next one goes on from it.

    No state before that of ``followed`` is taken. Raises NotVerified where a node leaves anything out or changes it
    (step ``proof``), or where the state itself has not what it counts (``whole``); and what any read raises.
    """
    got = progress or Progress()
    before = followed or Followed(flows.trust.gid, who.identity)
    waits = tuple(one for one in before.open if looks.may_wait(one.entry))  # an older program kept more
    got.begin(replace(before, open=waits), ended or {}, unsent)

    def listed(entry: Concern, height: int) -> None:
        got.listed(entry, height, may_wait=looks.may_wait(entry))

    every = yield from concerns.whole(flows.reader, who.identity, before.last, before.height, listed)
    concerns.check_distinct(who.identity, [*(one.entry for one in waits), *every.entries])
    entries, known = got.open, who.known()
    outside = [one for one in entries if one.is_outside(known)]
    unread = {one.entry.number for one in outside[: max(0, len(outside) - MAX_OUTSIDE)]}
    looked = yield from _look_at(flows, who, [one for one in entries if one.entry.number not in unread], every, got)
    of_others = {one.entry.number for one in got.open if one.is_outside(known)}
    own = [item for item in looked.items if item.number not in of_others]
    foreign = by_deadline([item for item in looked.items if item.number in of_others], looked.at)
    inbox = Inbox(
        who.identity, by_deadline([*own, *looked.receipts], looked.at), foreign[:MAX_OUTSIDE],
        len(unread) + looked.left + max(0, len(foreign) - MAX_OUTSIDE), every.total, every.height, looked.at,
    )  # fmt: skip
    return Reading(inbox, got.followed, got.ended, tuple(got.unsent), looked.over)


def changed(
    flows: LedgerFlows, who: Callable[[], Reader], since: Reading, timeout_s: float, progress: Progress | None = None
) -> Flow[Reading]:
    """The inbox once something else waits than in ``since``, or as it is when ``timeout_s`` seconds are over.

    ``who`` is asked again each time: keys come and go. ``progress``: as for :func:`read`. Raises what that does.
    """
    started_s = yield from elapsed_s()
    last = since
    while True:
        now = yield from read(flows, who(), last.followed, last.ended, last.unsent, progress)
        passed_s = (yield from elapsed_s()) - started_s
        if passed_s >= timeout_s or not now.inbox.is_as(since.inbox):
            return now
        last = now
        yield from sleep(min(POLL_S, timeout_s - passed_s))


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was found in the records: what of them waits, and what is there to be received."""

    items: Sequence[Item]
    receipts: Sequence[Item]
    over: Sequence[bytes]
    at: Moment
    left: int


def _look_at(
    flows: LedgerFlows, who: Reader, entries: Sequence[OpenEntry], listed: Concerns, got: Progress
) -> Flow[_Looked]:
    """First at what was never looked at, so that each reading gets further, however little time it has for the rest."""
    head = yield from flows.reader.head(listed.height)
    items: list[Item] = []
    left, numbers, known = 0, MAX_OUTSIDE_NUMBERS, who.known()
    in_turn = sorted(entries, key=lambda one: (bool(one.origin), -one.entry.number))
    for position, one in enumerate(in_turn, start=1):
        found = yield from looks.look(Sight(flows, head, who.identity, known, numbers), one.entry)
        got.looked(replace(one, origin=found.origin), is_over=found.is_over, height=head.height)
        numbers -= found.numbers
        if not found.is_over:
            items += found.items
            left += found.left
        if position % ONE_STATE == 0:
            head = yield from flows.reader.head(head.height)
    return (yield from _receipts(flows, who, _Looked(items, (), (), head.moment, left), head, got))


def _receipts(flows: LedgerFlows, who: Reader, looked: _Looked, head: Head, got: Progress) -> Flow[_Looked]:
    """What is there to be received, beside what was found."""
    unsent = [one for one in got.unsent if one in who.held]
    got.ended = {one: found for one, found in got.ended.items() if one in who.held}
    got.unsent = dict.fromkeys(unsent)
    new = [one for one in sorted(who.held) if one not in got.ended and one not in got.unsent]
    over: list[bytes] = []
    waiting: dict[bytes, Receipt] = {}
    for position, request in enumerate([*new, *unsent[:MAX_UNSENT]], start=1):
        sight = Sight(flows, head, who.identity, who.known())
        found = yield from looks.receipt(sight, request, who.held[request])
        got.unsent.pop(request, None)
        if found.is_over:
            over.append(request)
        elif found.is_ended:
            got.ended[request] = found
        elif found.is_unsent:
            got.unsent[request] = None  # behind those that were looked at longer ago
        waiting[request] = found
        if position % ONE_STATE == 0:
            head = yield from flows.reader.head(head.height)
    items = [one.item for one in (waiting | got.ended).values() if one.item is not None]
    return replace(looked, receipts=items, over=over, at=head.moment)
