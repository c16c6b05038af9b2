"""What of a record waits for an identity: one function for each kind of entry, each over one proved state.

Who may do what, and until when, is asked of the very functions that the ledger executes (``abci_app``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from google.protobuf.message import Message

from abci_app.custody import policy as rules
from abci_app.custody.releases import is_signing
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, governance_pb2
from abci_app.pb.dta.v1 import concern_pb2 as pb
from abci_app.state import as_of
from abci_app.state.as_of import Moment
from abci_app.state.records import (
    AUTHORITIES,
    CEREMONIES,
    CEREMONY_PARTIES,
    DECISIONS,
    ORDERS,
    PROPOSALS,
    REALM_SERVERS,
    REALMS,
    REQUEST_NUMBERS,
    REQUESTS,
    SIGNINGS,
    VAULTS,
)
from dta.base.errors import NotVerified
from dta.client.inbox.items import Action, Deadline, Item, ItemKind
from dta.client.ledger import leaves
from dta.client.ledger.concerns import Concern
from dta.client.ledger.flow import Flow
from dta.client.ledger.leaves import Leaf
from dta.client.ledger.ledger import LedgerFlows
from dta.client.ledger.reads import Head

M = TypeVar("M", bound=Message)

MAX_STRANGERS_NUMBERS: Final = 16
"""Of a stranger's order so many requests are looked at, the newest: one may have hundreds, and one open among them."""
_LIVING_PROPOSAL: Final = (governance_pb2.PROPOSAL_STATUS_OPEN, governance_pb2.PROPOSAL_STATUS_PASSED)
_DECIDES: Final = frozenset({pb.CONCERN_ROLE_PARTY, pb.CONCERN_ROLE_VETOER})


@dataclass(frozen=True, slots=True)
class Look:
    """What of one record waits. ``is_over``: nothing of it ever will again. ``origin``: as of :class:`Item`.

    ``left``: so many open requests of a stranger's order were not looked at. ``numbers``: so many of its requests were.
    """

    items: tuple[Item, ...] = ()
    is_over: bool = False
    origin: bytes = b""
    left: int = 0
    numbers: int = 0


OVER: Final = Look(is_over=True)


@dataclass(frozen=True, slots=True)
class Sight:
    """The state that is looked at, and for whom. ``known``: whose orders are looked at without a bound.

    ``numbers``: so many requests may still be looked at of others'.
    """

    flows: LedgerFlows
    head: Head
    identity: bytes
    known: frozenset[bytes]
    numbers: int = MAX_STRANGERS_NUMBERS

    @property
    def at(self) -> Moment:
        """What deadlines are held against: the block whose header proves this state."""
        return self.head.moment

    def find(self, leaf: Leaf[M]) -> Flow[M | None]:
        """A record, or None where there is none; each by proof."""
        return self.flows.reader.find_at(self.head, leaf)

    def get(self, leaf: Leaf[M]) -> Flow[M]:
        """A record that another names: the ledger never deletes one. Raises NotVerified where it lacks it."""
        return self._there(leaf.name, leaf.key, (yield from self.find(leaf)))

    def recorded(self, leaf: Leaf[M]) -> Flow[M]:
        """The same as it was written down, whatever ran out since."""
        value = (yield from self.flows.reader.get_at(self.head, leaf.key)).value
        return self._there(leaf.name, leaf.key, leaf.read(value))

    def _there(self, name: str, key: bytes, found: M | None) -> M:
        if found is None:
            raise self.lacks(name, key)
        return found

    def lacks(self, name: str, key: bytes) -> NotVerified:
        """What is raised where the proved state has not what it says that it has."""
        return NotVerified(
            "whole", f"the ledger names the {name}, and has none", hint="the ledger itself is broken: report it",
            data={"key": key.hex(), "height": self.head.height},
        )  # fmt: skip


def may_wait(entry: Concern) -> bool:
    """Whether anything of the entry's record can ever wait for its identity, by what it is in it.

    Whom an order names as its beneficiary is the only one who asks, and decides by asking: of an order to oneself
    nothing waits, however its policy names one.
    """
    if entry.kind == pb.CONCERN_KIND_ORDER:
        if pb.CONCERN_ROLE_BENEFICIARY in entry.roles:
            return pb.CONCERN_ROLE_PRINCIPAL not in entry.roles
        return bool(_DECIDES & set(entry.roles))
    return entry.kind in _LOOKS


def look(sight: Sight, entry: Concern) -> Flow[Look]:
    """What of the entry's record waits for the identity. Raises NotVerified, and what reads raise."""
    return _LOOKS[entry.kind](sight, entry)


# --- orders and what is asked of them ---------------------------------------------------------------------------


def _order(sight: Sight, entry: Concern) -> Flow[Look]:
    order = yield from sight.get(leaves.of(ORDERS, entry.subject))
    if order.status not in as_of.OPEN_ORDER:
        return Look((), True, order.principal)
    if pb.CONCERN_ROLE_BENEFICIARY in entry.roles:
        return _to_ask(sight, entry, order)
    items: list[Item] = []
    living, left, numbers = yield from _open_requests(sight, order)
    for request in living:
        found = yield from _request(sight, entry, order, request)
        items += [found] if found is not None else []
    return Look(tuple(items), False, order.principal, left, numbers)


def _to_ask(sight: Sight, entry: Concern, order: custody_pb2.OrderRecord) -> Look:
    """An order whose secret its beneficiary may ask for, and never has: once it did, all that follows is its own.

    Its own orders it knows of anyway.
    """
    if order.principal == sight.identity or is_signing(order) or order.requests:
        return Look((), True, order.principal)
    active = order.status == custody_pb2.ORDER_STATUS_ACTIVE
    if not active or not rules.in_force(order.policy, sight.at.time_s):
        return Look((), False, order.principal)
    item = Item(
        ItemKind.ORDER, order.id, _name(custody_pb2.OrderStatus.Name(order.status)), (Action.REQUEST,),
        _earlier(Deadline(), order), order.active_height, order.principal, roles=tuple(entry.roles),
        number=entry.number, height=sight.head.height,
    )  # fmt: skip
    return Look((item,), False, order.principal)


def _open_requests(
    sight: Sight, order: custody_pb2.OrderRecord
) -> Flow[tuple[list[custody_pb2.RequestRecord], int, int]]:
    """The order's requests that are PENDING or GRANTED, the oldest first: as many as its record says, or refused.

    The newest are read first, since those are mostly what is open; once all that are counted are found, no more. Of a
    stranger's order so many numbers at most: then also how many open ones were not found, and how many were read.
    """
    ended = order.completed_requests + order.vetoed_requests + order.expired_requests + order.cancelled_requests
    counted = order.requests - ended
    found: list[custody_pb2.RequestRecord] = []
    numbers = range(order.requests, 0, -1)
    is_known = order.principal in sight.known
    looked_at = numbers if is_known else numbers[: min(MAX_STRANGERS_NUMBERS, sight.numbers)]
    read = 0
    for number in looked_at:
        if len(found) == counted:
            break
        key = REQUEST_NUMBERS.key(order.id, number)
        id_ = (yield from sight.flows.reader.get_at(sight.head, key)).value
        if id_ is None:
            raise sight.lacks(f"request number {number} of order {order.id.hex()}", key)
        read += 1
        request = yield from sight.recorded(leaves.of(REQUESTS, id_))
        if request.status in as_of.OPEN_REQUEST:
            found.append(request)
    left = counted - len(found)
    if left and len(looked_at) == len(numbers):
        raise sight.lacks(f"open request number {len(found) + 1} of order {order.id.hex()}", ORDERS.key(order.id))
    living = [as_of.seen_request(request, order, sight.at) for request in reversed(found)]
    still = [request for request in living if request.status in as_of.OPEN_REQUEST]
    return still, left, 0 if is_known else read


def _request(
    sight: Sight, entry: Concern, order: custody_pb2.OrderRecord, request: custody_pb2.RequestRecord
) -> Flow[Item | None]:
    """A request that this identity can still approve or veto, and has not decided. Its own it decided by asking."""
    actions, deadline = _decisions(sight, order, request)
    if not actions or request.beneficiary == sight.identity:
        return None
    if (yield from sight.find(leaves.of(DECISIONS, request.id, sight.identity))) is not None:
        return None
    kind, label = ItemKind.REQUEST, ""
    if is_signing(order):
        kind, label = ItemKind.SIGNING, (yield from sight.get(leaves.of(SIGNINGS, request.id))).kind
    return Item(
        kind, request.id, _name(custody_pb2.RequestStatus.Name(request.status)), actions, deadline,
        request.requested_height, order.principal, order.id, request.beneficiary, tuple(entry.roles),
        request.content_digest, label, entry.number, sight.head.height,
    )  # fmt: skip


def _decisions(
    sight: Sight, order: custody_pb2.OrderRecord, request: custody_pb2.RequestRecord
) -> tuple[tuple[Action, ...], Deadline]:
    """What this identity can do about a living request, and until when."""
    me = sight.identity
    actions: list[Action] = []
    pending = request.status == custody_pb2.REQUEST_STATUS_PENDING
    # Of one that is granted only its veto window matters: both its time and its height.
    window = Deadline(request.release_time_s, request.release_height, is_both=True)
    deadline = _earlier(Deadline(request.deadline_time_s), order) if pending else window
    if pending and me in rules.parties(order.policy) and rules.in_force(order.policy, sight.at.time_s):
        actions.append(Action.APPROVE)
    if me in rules.vetoers(order.policy, order.principal) and (pending or not window.is_past(sight.at)):
        actions.append(Action.VETO)
    return tuple(actions), deadline


def _earlier(deadline: Deadline, order: custody_pb2.OrderRecord) -> Deadline:
    """The first of a deadline by time, the end of the policy and the order's expiry."""
    after = order.policy.not_after_s
    times = [deadline.time_s, order.expires_at_time_s, after + 1 if after else 0]
    height = order.expires_at_height
    return Deadline(min((time_s for time_s in times if time_s), default=0), height + 1 if height else 0)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What of a request whose keys are in this home waits. ``is_ended``: it stays as it is, whatever happens.

    ``is_unsent``: the ledger has it not; ``is_over``: nor ever will.
    """

    item: Item | None = None
    is_ended: bool = False
    is_unsent: bool = False
    is_over: bool = False


def receipt(sight: Sight, request_id: bytes, of: bytes | None = None) -> Flow[Receipt]:
    """A request of this identity whose answers are there: the keys that open them are in this home.

    ``of``: its order, where that is known.
    """
    request = yield from sight.find(leaves.of(REQUESTS, request_id))
    if request is None:  # prepared and not sent: of an order that has ended, in this very state, no other will have it
        asked = None if of is None else (yield from sight.find(leaves.of(ORDERS, of)))
        return Receipt(is_unsent=True, is_over=asked is not None and asked.status not in as_of.OPEN_ORDER)
    if request.beneficiary != sight.identity:
        return Receipt()
    if request.status != custody_pb2.REQUEST_STATUS_COMPLETED:
        return Receipt(None, request.status not in as_of.OPEN_REQUEST)
    order = yield from sight.get(leaves.of(ORDERS, request.order))
    item = Item(
        ItemKind.RECEIPT, request.id, _name(custody_pb2.RequestStatus.Name(request.status)), (Action.RECEIVE,),
        Deadline(), request.ended_height, order.principal, order.id, request.beneficiary,
        content_digest=request.content_digest, height=sight.head.height,
    )  # fmt: skip
    return Receipt(item, True)


# --- the rest ---------------------------------------------------------------------------------------------------


def _vault(sight: Sight, entry: Concern) -> Flow[Look]:
    """A vault that closes: its principal can still keep it, also where it was not the principal who closed it."""
    vault = yield from sight.get(leaves.of(VAULTS, entry.subject))
    if vault.status == custody_pb2.VAULT_STATUS_CLOSED:
        return Look((), True, vault.principal)
    if vault.status != custody_pb2.VAULT_STATUS_CLOSING:
        return Look((), False, vault.principal)
    item = Item(
        ItemKind.VAULT, vault.id, _name(custody_pb2.VaultStatus.Name(vault.status)), (Action.CANCEL_CLOSE,),
        Deadline(vault.closes_at_time_s, vault.closes_at_height, is_both=True), vault.closing_height, vault.principal,
        roles=tuple(entry.roles), number=entry.number, height=sight.head.height,
    )  # fmt: skip
    return Look((item,), False, vault.principal)


def _ceremony(sight: Sight, entry: Concern) -> Flow[Look]:
    """An attempt that waits for this operator's consent. One that does not, or no longer, never will again."""
    record = yield from sight.get(leaves.of(CEREMONIES, entry.subject))
    if record.phase != authority_pb2.CEREMONY_PHASE_CONSENT:
        return OVER
    for position in range(1, record.parties + 1):
        mine = yield from sight.get(leaves.of(CEREMONY_PARTIES, entry.subject, position))
        if mine.fiduciary == sight.identity:
            break
    else:
        name = f"party {sight.identity.hex()} of ceremony {entry.subject.hex()}"
        raise sight.lacks(name, CEREMONIES.key(entry.subject))
    if mine.consent_height or mine.declined:
        return OVER
    authority = yield from sight.get(leaves.of(AUTHORITIES, record.authority))
    item = Item(
        ItemKind.CEREMONY, record.id, "consent", (Action.CONSENT,), Deadline(height=record.deadline_height + 1),
        record.begun_height, parent=record.authority, roles=tuple(entry.roles), label=authority.name,
        number=entry.number, height=sight.head.height,
    )  # fmt: skip
    return Look((item,))


def _proposal(sight: Sight, entry: Concern) -> Flow[Look]:
    """A proposal about this identity that is not decided: the fiduciaries vote, whom it is about should know."""
    record = yield from sight.get(leaves.of(PROPOSALS, entry.subject))
    if record.status not in _LIVING_PROPOSAL:
        return OVER
    is_open = record.status == governance_pb2.PROPOSAL_STATUS_OPEN
    deadline = Deadline(record.deadline_time_s, record.deadline_height + 1, is_both=True) if is_open else Deadline()
    item = Item(
        ItemKind.PROPOSAL, record.id, _name(governance_pb2.ProposalStatus.Name(record.status)), (), deadline,
        record.proposed_height, record.proposer, roles=tuple(entry.roles),
        label=(record.action.WhichOneof("kind") or "").replace("_", "-"), number=entry.number,
        height=sight.head.height,
    )  # fmt: skip
    return Look((item,))


def _server(sight: Sight, entry: Concern) -> Flow[Look]:
    """A realm whose registrar named this identity as a server: until it has asked for its secret."""
    realm = yield from sight.get(leaves.of(REALMS, entry.subject))
    record = yield from sight.get(leaves.of(REALM_SERVERS, realm.id, sight.identity))
    registrar = realm.terms.registrar
    if record.requests:
        return Look((), True, registrar)
    authority = yield from sight.get(leaves.of(AUTHORITIES, realm.authority))
    if record.removed_height or not authority.epoch:
        return Look((), False, registrar)
    item = Item(
        ItemKind.SERVER, realm.id, "registered", (Action.REQUEST_AS_SERVER,), Deadline(), record.registered_height,
        registrar, realm.authority, roles=tuple(entry.roles), label=realm.terms.name, number=entry.number,
        height=sight.head.height,
    )  # fmt: skip
    return Look((item,), False, registrar)


def _name(status: str) -> str:
    """``REQUEST_STATUS_PENDING`` as people and JSON see it: ``pending``."""
    return status.rpartition("_STATUS_")[2].lower().replace("_", "-")


_LOOKS: Final[Mapping[int, Callable[[Sight, Concern], Flow[Look]]]] = {
    pb.CONCERN_KIND_ORDER: _order,
    pb.CONCERN_KIND_VAULT: _vault,
    pb.CONCERN_KIND_REALM_SERVER: _server,
    pb.CONCERN_KIND_CEREMONY: _ceremony,
    pb.CONCERN_KIND_PROPOSAL: _proposal,
}
"""Not here: a request that names its receiver (it made it itself: see :func:`receipt`), and a realm of a registrar."""
