"""What stands in an inbox, as commands, the agent and the SDK see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from abci_app.pb.dta.v1 import concern_pb2
from abci_app.state.as_of import Moment

SECONDS_A_BLOCK = 1
"""For the order of a list alone, where one deadline is a time and another a height: no faster by default."""


class ItemKind(StrEnum):
    """What waits. ``subject`` and ``parent`` of an item are ids of what stands in brackets."""

    ORDER = "order"  # (order, -) a beneficiary may ask for its secret, and has not yet
    REQUEST = "request"  # (request, order) a party or vetoer has not decided
    SIGNING = "signing"  # (request, order) the same of a signing order
    RECEIPT = "receipt"  # (request, order) its answers are there, and the keys to open them in this home
    CEREMONY = "ceremony"  # (ceremony, authority) waits for consent
    PROPOSAL = "proposal"  # (proposal, -) is about this identity, and not decided
    VAULT = "vault"  # (vault, -) closes, and can still be kept
    SERVER = "server"  # (realm, authority) named it as a server that has not asked for its secret


class Action(StrEnum):
    """What can be done about an item."""

    APPROVE = "approve"
    VETO = "veto"
    REQUEST = "request"
    RECEIVE = "receive"
    CONSENT = "consent"
    CANCEL_CLOSE = "cancel-close"
    REQUEST_AS_SERVER = "request-secret"


@dataclass(frozen=True, slots=True)
class Deadline:
    """From when on it is too late: by block time, by height; 0: not by that. ``is_both``: only once both have come.

    Otherwise the first of them that comes. ``Deadline()`` never comes.
    """

    time_s: int = 0
    height: int = 0
    is_both: bool = False

    def comes_at_s(self, at: Moment) -> float:
        """About when, in Unix seconds, for sorting: a height is counted from ``at``. Infinite where it never comes."""
        by_height = at.time_s + (self.height - at.height) * SECONDS_A_BLOCK
        found = [when for when, given in ((self.time_s, self.time_s), (by_height, self.height)) if given]
        if not found:
            return float("inf")
        return max(found) if self.is_both else min(found)

    def is_past(self, at: Moment) -> bool:
        """Whether it is too late for the block of this height and time."""
        past = [now >= end for now, end in ((at.time_s, self.time_s), (at.height, self.height)) if end]
        if not past:
            return False
        return all(past) if self.is_both else any(past)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that waits; every field is of records proved at ``height``, and none is anybody's word.

    ``origin``: the identity that brought it about (an order's principal, a proposal's proposer, a realm's registrar;
    empty: the consortium, by vote). ``asker``: who made the request. ``roles``: what this identity is in it.
    ``content_digest``: of a request, what a decision signs. ``label``: what the ledger calls it (the kind of a
    signature or a proposal, the name of a key or a realm), which proves nothing. ``actions``: empty where there is
    nothing to do but to know. ``number``: of the entry in this identity's list; 0 for a receipt.
    """

    kind: ItemKind
    subject: bytes
    status: str
    actions: tuple[Action, ...]
    deadline: Deadline
    since_height: int
    origin: bytes = b""
    parent: bytes = b""
    asker: bytes = b""
    roles: tuple[concern_pb2.ConcernRole, ...] = ()
    content_digest: bytes = b""
    label: str = ""
    number: int = 0
    height: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Inbox:
    """All that waits for ``identity``: its list has ``total`` entries at ``height``, and none was left out.

    ``items``: from whom it knows, ``outside``: from others; each with the nearest deadline first. ``outside`` has a
    bound; ``outside_left``: how many items and records of others are not in it. ``at``: as of when deadlines were
    looked at.
    """

    identity: bytes
    items: Sequence[Item]
    outside: Sequence[Item]
    outside_left: int
    total: int
    height: int
    at: Moment

    def is_as(self, other: Inbox) -> bool:
        """Whether the same waits, whatever the height."""
        mine, others = (self.items, self.outside), (other.items, other.outside)
        return mine == others and self.outside_left == other.outside_left


def by_deadline(items: Sequence[Item], at: Moment) -> tuple[Item, ...]:
    """The nearest deadline first; without one, the oldest first."""
    return tuple(
        sorted(items, key=lambda one: (one.deadline.comes_at_s(at), one.since_height, one.kind, one.subject))
    )
