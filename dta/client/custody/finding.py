"""The orders, requests and vaults that an identity has to do with, by the ledger's proved list (docs/spec/concerns.md).

Each list is whole at a height, or the node is refused; what it lists is read by proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from abci_app.pb.dta.v1 import concern_pb2 as pb
from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.records import ORDERS, REQUEST_NUMBERS, REQUESTS, VAULTS
from dta.base.errors import NotVerified
from dta.client.ledger import concerns, leaves
from dta.client.ledger.concerns import Concern
from dta.client.ledger.flow import Flow
from dta.client.ledger.leaves import Leaf
from dta.client.ledger.ledger import Ledger, LedgerFlows
from dta.client.ledger.reads import Head

M = TypeVar("M", bound=Message)

ROLES: Final[Mapping[str, pb.ConcernRole]] = {
    "principal": pb.CONCERN_ROLE_PRINCIPAL,
    "beneficiary": pb.CONCERN_ROLE_BENEFICIARY,
    "party": pb.CONCERN_ROLE_PARTY,
    "vetoer": pb.CONCERN_ROLE_VETOER,
}
"""What an identity can be in an order, by name."""
_ONE_STATE: Final = 100


@dataclass(frozen=True, slots=True)
class Listed(Generic[M]):
    """The records of one kind in which an identity has a role: all that there are at ``height``, the oldest first.

    Each record is of that state or a later one.
    """

    records: Sequence[M]
    height: int


def order_list(
    flows: LedgerFlows, identity: bytes, role: str, at_least: int = 0
) -> Flow[Listed[custody_pb2.OrderRecord]]:
    """The orders, signing orders too, in which it has the ``role`` (a key of :data:`ROLES`).

    As a beneficiary also those by whose principal it was authorised to receive. Raises NotVerified (step ``proof``
    where a node leaves one out, ``whole`` where the state itself lacks one), and what reads raise.
    """
    listed = yield from concerns.whole(flows.reader, identity, 0, at_least)
    wanted: dict[bytes, None] = {}
    head = yield from flows.reader.head(listed.height)
    for entry in listed.entries:
        if entry.kind == pb.CONCERN_KIND_ORDER and ROLES[role] in entry.roles:
            wanted[entry.subject] = None
        elif entry.kind == pb.CONCERN_KIND_REQUEST and role == "beneficiary":
            request = yield from _named(flows, head, leaves.of(REQUESTS, entry.subject))
            wanted[request.order] = None
    records = yield from _read(flows, head, [leaves.of(ORDERS, id_) for id_ in wanted])
    return Listed(records, listed.height)


def vault_list(flows: LedgerFlows, identity: bytes, at_least: int = 0) -> Flow[Listed[custody_pb2.VaultRecord]]:
    """The vaults whose principal it is. Raises what :func:`order_list` does."""
    listed = yield from concerns.whole(flows.reader, identity, 0, at_least)
    head = yield from flows.reader.head(listed.height)
    wanted = _of_kind(listed.entries, pb.CONCERN_KIND_VAULT)
    records = yield from _read(flows, head, [leaves.of(VAULTS, id_) for id_ in wanted])
    return Listed(records, listed.height)


def _read(flows: LedgerFlows, head: Head, wanted: Sequence[Leaf[M]]) -> Flow[list[M]]:
    """The records, some of each state: a node keeps its last states for a while only."""
    found = []
    for position, leaf in enumerate(wanted, start=1):
        found.append((yield from _named(flows, head, leaf)))
        if position % _ONE_STATE == 0:
            head = yield from flows.reader.head(head.height)
    return found


def _named(flows: LedgerFlows, head: Head, leaf: Leaf[M]) -> Flow[M]:
    record = yield from flows.reader.find_at(head, leaf)
    if record is None:
        raise NotVerified(
            "whole", f"the ledger lists the {leaf.name}, and has none", hint="the ledger itself is broken: report it",
            data={"key": leaf.key.hex(), "height": head.height},
        )  # fmt: skip
    return record


# --- for who knows the first digits of an id alone: what this home made itself is in its files ------------------


def orders(ledger: Ledger, identity: bytes) -> list[bytes]:
    """The orders, signing orders too, whose principal, beneficiary, party or vetoer it is."""
    return _of_kind(ledger.concerns(identity).entries, pb.CONCERN_KIND_ORDER)


def requests(ledger: Ledger, identity: bytes) -> Iterator[bytes]:
    """The requests of those orders, and those that it was authorised to receive by."""
    entries = ledger.concerns(identity).entries
    yield from _of_kind(entries, pb.CONCERN_KIND_REQUEST)
    for order in _of_kind(entries, pb.CONCERN_KIND_ORDER):
        record = ledger.find(leaves.of(ORDERS, order))
        for number in range(1, 1 + (record.requests if record is not None else 0)):
            named = ledger.prove(REQUEST_NUMBERS.key(order, number)).value
            if named is not None:
                yield named


# --- a page of the requests, for who goes through them -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Requests:
    """Some requests. ``following``: after which entry, and which number of the next entry's order, it goes on; None:
    there are no more."""

    ids: Sequence[bytes]
    following: tuple[int, int] | None


def requests_page(ledger: Ledger, identity: bytes, after: tuple[int, int], limit: int) -> Requests:
    """At most ``limit`` of the requests of :func:`requests`, by the entries of the identity's list and their numbers.

    No more than ``limit`` entries are read, however many there are, so a page may have fewer. ``after``: ``following``
    of the page before; (0, 0) at first. Raises what reading a list does.
    """
    entry_number, told = after
    page = ledger.concerns_page(identity, entry_number, limit)
    found: list[bytes] = []
    for entry in page.entries:
        if entry.kind == pb.CONCERN_KIND_REQUEST:
            found.append(entry.subject)
        elif entry.kind == pb.CONCERN_KIND_ORDER:
            more, last = of_order(ledger, entry.subject, told, limit - len(found), page.height)
            found += more
            if last is not None:
                return Requests(found, (entry.number - 1, last))
        told = 0
        if len(found) == limit and entry.number < page.total:
            return Requests(found, (entry.number, 0))
    return Requests(found, None if page.is_whole else (page.last, 0))


def of_order(ledger: Ledger, order: bytes, after: int, limit: int, at_least: int = 0) -> tuple[list[bytes], int | None]:
    """At most ``limit`` requests of the order after number ``after``, and the number to go on after; None: no more."""
    total = ledger.get(leaves.of(ORDERS, order), at_least=at_least).requests
    last = min(total, after + limit)
    named = [ledger.prove(REQUEST_NUMBERS.key(order, number)).value for number in range(after + 1, last + 1)]
    return [one for one in named if one is not None], last if last < total else None


def _of_kind(entries: Iterable[Concern], kind: pb.ConcernKind) -> list[bytes]:
    return [entry.subject for entry in entries if entry.kind == kind]
