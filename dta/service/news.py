"""What is new for an identity: entries of its list, by the ledger's numbers, and what began to wait for it.

A request of an order that is known is no new entry of a list (docs/spec/concerns.md), and is what parties wait for: so
both are looked at. Who follows has a place: the number of the last entry, and which items it was told of.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from abci_app.pb.dta.v1 import concern_pb2
from dta.client.custody.session import Session
from dta.client.inbox.home import HomeInbox, Memory
from dta.client.inbox.items import Action, Inbox, Item, ItemKind
from dta.client.ledger.concerns import Concern
from dta.client.names import NameBook
from dta.service.models import base
from dta.service.models import inbox as models

FRESH_S: Final = 1.0
"""An inbox that was read so lately is not read again: streams and webhooks of one identity share a reading."""

_ID_DIGITS: Final = 16
_CALLS: Final = {
    (ItemKind.ORDER, Action.REQUEST): "POST /v1/order/secret",
    (ItemKind.REQUEST, Action.APPROVE): "POST /v1/request/{subject}/approve",
    (ItemKind.REQUEST, Action.VETO): "POST /v1/request/{subject}/veto",
    (ItemKind.SIGNING, Action.APPROVE): "POST /v1/sign/{subject}/approve",
    (ItemKind.SIGNING, Action.VETO): "POST /v1/sign/{subject}/veto",
    (ItemKind.RECEIPT, Action.RECEIVE): "POST /v1/order/secret/{subject}/receive",
    (ItemKind.CEREMONY, Action.CONSENT): "POST /v1/authority/{parent}/consent",
    (ItemKind.VAULT, Action.CANCEL_CLOSE): "POST /v1/vault/{subject}/cancel-close",
    (ItemKind.SERVER, Action.REQUEST_AS_SERVER): "POST /v1/realm/{subject}/server-secret",
}


def role_names(roles: Sequence[concern_pb2.ConcernRole]) -> list[str]:
    """What an identity is in a record, as words."""
    words = [concern_pb2.ConcernRole.Name(role).removeprefix("CONCERN_ROLE_") for role in roles]
    return [word.lower().replace("_", "-") for word in words]


def item_shown(item: Item) -> models.Item:
    """An item of an inbox, over HTTP."""
    calls = [_CALLS[item.kind, action] for action in item.actions]
    return models.Item(
        kind=item.kind.value, subject=item.subject.hex(), parent=item.parent.hex(), status=item.status,
        actions=[action.value for action in item.actions],
        calls=[call.format(subject=item.subject.hex(), parent=item.parent.hex()) for call in calls],
        deadline=item.deadline.time_s, deadline_height=item.deadline.height, deadline_is_both=item.deadline.is_both,
        since_height=item.since_height, origin=item.origin.hex(), asker=item.asker.hex(),
        roles=role_names(item.roles), content_digest=item.content_digest.hex(), label=item.label, entry=item.number,
        proved_at_height=item.height,
    )  # fmt: skip


def inbox_shown(found: Inbox) -> models.Inbox:
    """An inbox, over HTTP."""
    return models.Inbox(
        identity=found.identity.hex(), items=[item_shown(item) for item in found.items],
        outside=[item_shown(item) for item in found.outside], outside_left=found.outside_left, entries=found.total,
        whole_at_height=found.height, state=state_of(waiting(found)),
    )  # fmt: skip


def concern_shown(entry: Concern) -> models.Concern:
    """An entry, as its number, kind and subject: never more of a record than its id."""
    kind = concern_pb2.ConcernKind.Name(entry.kind).removeprefix("CONCERN_KIND_").lower().replace("_", "-")
    return models.Concern(
        number=entry.number, kind=kind, subject=entry.subject.hex(), roles=role_names(entry.roles), height=entry.height
    )


def item_id(item: Item) -> str:
    """Another one where the same thing waits anew, or for something else."""
    parts = (item.kind.value, item.subject.hex(), item.status, item.content_digest.hex(), str(item.since_height))
    return sha256(" ".join(parts).encode()).hexdigest()[:_ID_DIGITS]


def waiting(found: Inbox) -> frozenset[str]:
    """The ids of all items of an inbox."""
    return frozenset(item_id(item) for item in (*found.items, *found.outside))


def state_of(waits: frozenset[str]) -> str:
    """The same for the same items."""
    return sha256(" ".join(sorted(waits)).encode()).hexdigest()[:_ID_DIGITS]


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody has followed: the number of the last entry, and the ids of the items that were told."""

    number: int
    waits: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class News:
    """One thing that is new. ``id``: of its event. Who goes on after that is told of all that waits again, unless just
    what it had been told of before the event, or by the last of them, is what waits then."""

    type: str
    key: str
    data: models.Concern | models.Waits
    id: str


def reached(place: Place, told: Sequence[News]) -> Place:
    """The place of who stood at ``place``, once these were told as well."""
    numbers = [one.data.number for one in told if isinstance(one.data, models.Concern)]
    items = [one.key for one in told if isinstance(one.data, models.Waits)]
    return Place(max(numbers, default=place.number), place.waits.union(items))


class Waiting:
    """The inboxes of a home's identities, each read by one thread at a time and kept for a moment."""

    def __init__(self, names: Callable[[], NameBook], monotonic_s: Callable[[], float]) -> None:
        self._names = names
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._kept: dict[bytes, _Kept] = {}

    def read(self, session: Session) -> Inbox:
        """What waits for the session's identity. Raises what reading does."""
        identity = session.party.identity
        with self._lock:
            kept = self._kept.setdefault(identity, _Kept())
        with kept.lock:
            now_s = self._monotonic_s()
            if kept.inbox is None or now_s - kept.at_s >= FRESH_S:
                ledger, directory = session.ledger, session.directory
                box = HomeInbox(ledger, identity, directory, lambda: self._names().known(), kept.memory)
                try:
                    kept.inbox, kept.at_s = box.read(), now_s
                finally:  # who looks next goes on from where a look was cut
                    kept.memory = box.memory
            return kept.inbox

    def forget(self) -> None:
        """What was read before a call that changed something is not shown after it, and gone on from all the same."""
        with self._lock:
            self._kept = {identity: _Kept(memory=kept.memory) for identity, kept in self._kept.items()}


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    inbox: Inbox | None = None
    memory: Memory = field(default_factory=Memory)
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """What is new since a place, and where that leaves who follows. ``is_all``: there is no more of it now."""

    news: Sequence[News]
    place: Place
    is_all: bool


def now(session: Session, waiting_for: Waiting) -> Place:
    """The place of who is to be told of what is new from now on."""
    return Place(session.ledger.concerns_page(session.party.identity, 0, 1).total, waiting(waiting_for.read(session)))


def since(session: Session, waiting_for: Waiting, place: Place) -> Told:
    """What is new: entries first, as many as a page has; once there are no more of them, what began to wait, as many.

    Of these too there may be thousands, and what all of them are is worked out once for a page.
    """
    page = session.ledger.concerns_page(session.party.identity, place.number, base.MAX_LIMIT)
    state = state_of(place.waits)
    news = []
    for entry in page.entries:
        shown = concern_shown(entry)
        news.append(News(f"concern.{shown.kind}", str(entry.number), shown, f"{entry.number}.{state}"))
    if not page.is_whole:
        return Told(news, Place(page.last, place.waits), False)
    every = {item_id(item): (item, is_outside) for item, is_outside in _every(waiting_for.read(session))}
    before = place.waits.intersection(every)
    new = [id_ for id_ in every if id_ not in before]
    told = new[: base.MAX_LIMIT]
    place = Place(page.last, before.union(told))
    state, last = state_of(before), state_of(place.waits)
    for id_ in told:
        item, is_outside = every[id_]
        data = models.Waits(
            kind=item.kind.value, subject=item.subject.hex(), parent=item.parent.hex(), status=item.status,
            content_digest=item.content_digest.hex(), is_outside=is_outside,
        )  # fmt: skip
        news.append(News(f"waits.{item.kind.value}", id_, data, f"{page.last}.{last if id_ == told[-1] else state}"))
    return Told(news, place, len(told) == len(new))


def _every(found: Inbox) -> Iterator[tuple[Item, bool]]:
    for item in found.items:
        yield item, False
    for item in found.outside:
        yield item, True
