"""Events by what they name, as a door's own index has them (docs/spec/door.md, Search): hints, each to be proved.

A door can leave some out, or make some up. What must be whole is counted by the ledger
(:mod:`dta.client.ledger.concerns`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from dta.client.ledger.flow import Flow, Get, call
from dta.light import decode
from dta.light.decode import member

PATH: Final = "/v1/search"
PAGE_EVENTS: Final = 100
MAX_EVENTS: Final = 10_000
"""So many events are looked at in one search."""
BEHIND_BLOCKS: Final = 3
"""An index that is so far behind the chain is following it."""
_MAX_ATTRIBUTES = 1_000
_MAX_CHARS = 64 << 10
_MAX_ANSWER_BYTES = 8 << 20
_ID = re.compile(r"[0-9a-f]{64}")
_PLACE = re.compile(r"[0-9]{1,19}\.[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """An event as a door says that it stands in a block. ``at``: its place, ``height.index``."""

    at: str
    height: int
    kind: str
    attributes: tuple[tuple[str, str], ...]

    def ids(self, name: str = "id") -> list[bytes]:
        """The ids, 32 bytes each, that stand under this name."""
        return [bytes.fromhex(value) for key, value in self.attributes if key == name and _ID.fullmatch(value)]

    def has(self, name: str, value: str) -> bool:
        """Whether the attribute is there with that value."""
        return (name, value) in self.attributes


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page. ``next``: where the next one goes on, None for the last. Of the blocks from ``from_height`` to
    ``height`` the index has all, as the door says."""

    events: tuple[FoundEvent, ...]
    next: str | None
    from_height: int
    height: int


@dataclass(frozen=True, slots=True)
class Searched:
    """What a door's index found. ``is_cut``: it has more than was looked at, or is without the oldest or the newest
    blocks."""

    ids: list[bytes]
    is_cut: bool


def page(kind: str = "", role: str = "", id_: bytes = b"", after: str = "", limit: int = PAGE_EVENTS) -> Get[EventPage]:
    """Events of ``kind`` in whose attribute ``role`` (``id`` where it is empty) stands this id; empty: whatever."""
    given = {"kind": kind, "role": role, "id": id_.hex(), "after": after}
    query = {name: value for name, value in given.items() if value}
    return Get(PATH, {**query, "limit": str(limit)}, partial(_page, after=after, limit=limit), _MAX_ANSWER_BYTES)


def ids(
    kind: str, actions: Mapping[str, str], role: str = "", id_: bytes = b"", named: str = "id", *, newest: int = 0
) -> Flow[Searched]:
    """The ids that stand as ``named`` in events of ``kind``, each once, in the order of their first. Not verified.

    ``actions``: attributes that the event has to have too. ``newest``: the verified head's height, which a whole index
    is near. Raises Unreachable where no door is known or answers, BadAnswer where every one's pages lead nowhere.
    """
    found: dict[bytes, None] = {}
    after, seen = "", 0
    while True:
        answer = yield from call(page(kind, role, id_, after))
        for event in answer.events:
            if event.kind == kind and all(event.has(name, value) for name, value in actions.items()):
                found.update(dict.fromkeys(event.ids(named)))
        seen += len(answer.events)
        if answer.next is None or not answer.events or seen >= MAX_EVENTS:
            is_behind = answer.height < newest - BEHIND_BLOCKS
            return Searched(list(found), answer.next is not None or answer.from_height > 1 or is_behind)
        after = answer.next


def _page(value: Any, after: str, limit: int) -> EventPage:
    """The page after that place. Raises BadAnswer where it does not lead on: such pages never end."""
    events = tuple(_event(one) for one in decode.items(member(value, "events"), "events", PAGE_EVENTS))
    following = member(value, "next")
    if following is not None:
        if not (isinstance(following, str) and _PLACE.fullmatch(following)):
            raise decode.refuse("next", "a place, height.index")
        if _order(following) <= _order(after or "0.0"):
            raise decode.refuse("next", f"a place after {after or 'the first'}")
        if len(events) < limit:
            raise decode.refuse("events", f"{limit} of a page that is not the last")
    return EventPage(
        events=events,
        next=following,
        from_height=_number(member(value, "from_height"), "from_height"),
        height=_number(member(value, "height"), "height"),
    )


def _order(place: str) -> tuple[int, int]:
    height, _, index = place.partition(".")
    return int(height), int(index)


def _event(value: Any) -> FoundEvent:
    at = decode.text(member(value, "at"), "events.at", 32)
    if not _PLACE.fullmatch(at):
        raise decode.refuse("events.at", "a place, height.index")
    return FoundEvent(
        at=at,
        height=_number(member(value, "height"), "events.height"),
        kind=decode.text(member(value, "kind"), "events.kind", 64),
        attributes=tuple(
            (
                decode.text(member(one, "name"), "events.attributes.name", 64),
                decode.text(member(one, "value"), "events.attributes.value", _MAX_CHARS),
            )
            for one in decode.items(member(value, "attributes"), "events.attributes", _MAX_ATTRIBUTES)
        ),
    )


def _number(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise decode.refuse(where, "a whole number")
    return value

