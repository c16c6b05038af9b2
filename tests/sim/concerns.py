"""What concerns whom, worked out again from the records that name people, and compared with the numbered entries.

Written from docs/spec/concerns.md, apart from the code that writes the entries, so that one finds the other's mistakes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from abci_app.pb.dta.v1 import concern_pb2 as pb
from abci_app.pb.dta.v1 import custody_pb2, governance_pb2
from abci_app.state.records import (
    CEREMONIES,
    CEREMONY_PARTIES,
    CONCERNS,
    COUNTERS,
    ORDERS,
    PROPOSALS,
    REALM_SERVERS,
    REALMS,
    REQUESTS,
    VAULTS,
)
from abci_app.state.view import StateView

Entry = tuple[bytes, int, bytes]
"""(identity, kind, subject): there is one such entry at most."""
Fact = tuple[Entry, tuple[int, ...], int]
"""An entry, its roles, and the height at which the record was made; 0 where the record does not tell."""


def named_by_order(order: custody_pb2.OrderRecord) -> dict[bytes, list[int]]:
    """Whom an order names, and as what."""
    parties = [node.identity for node in order.policy.nodes if node.identity]
    vetoers: list[bytes] = list(order.policy.vetoers)
    if order.policy.veto_window_s and not vetoers:
        vetoers = [*parties, order.principal]
    pairs = [(pb.CONCERN_ROLE_PRINCIPAL, order.principal), (pb.CONCERN_ROLE_BENEFICIARY, order.rule.identity)]
    pairs += [(pb.CONCERN_ROLE_PARTY, one) for one in parties] + [(pb.CONCERN_ROLE_VETOER, one) for one in vetoers]
    found: dict[bytes, set[int]] = defaultdict(set)
    for role, identity in pairs:
        if identity:
            found[identity].add(role)
    return {identity: sorted(roles) for identity, roles in found.items()}


def expected(view: StateView) -> Iterator[Fact]:
    """What must be there."""
    yield from _of_custody(view)
    yield from _of_realms(view)
    yield from _of_fiduciaries(view)


def _of_custody(view: StateView) -> Iterator[Fact]:
    orders = {order.id: order for order in ORDERS.all(view)}
    for order in orders.values():
        for identity, roles in named_by_order(order).items():
            yield (identity, pb.CONCERN_KIND_ORDER, order.id), tuple(roles), order.placed_height
    for request in REQUESTS.all(view):
        if request.beneficiary not in named_by_order(orders[request.order]):
            entry = (request.beneficiary, pb.CONCERN_KIND_REQUEST, request.id)
            yield entry, (pb.CONCERN_ROLE_RECEIVER,), request.requested_height
    for vault in VAULTS.all(view):
        yield (vault.principal, pb.CONCERN_KIND_VAULT, vault.id), (pb.CONCERN_ROLE_PRINCIPAL,), vault.opened_height


def _of_realms(view: StateView) -> Iterator[Fact]:
    for realm in REALMS.all(view):
        entry = (realm.terms.registrar, pb.CONCERN_KIND_REALM, realm.id)
        yield entry, (pb.CONCERN_ROLE_REGISTRAR,), realm.created_height
    for server in REALM_SERVERS.all(view):
        yield (server.server, pb.CONCERN_KIND_REALM_SERVER, server.realm), (pb.CONCERN_ROLE_SERVER,), 0


def _of_fiduciaries(view: StateView) -> Iterator[Fact]:
    for proposal in PROPOSALS.all(view):
        for identity in _subjects(proposal.action):
            entry = (identity, pb.CONCERN_KIND_PROPOSAL, proposal.id)
            yield entry, (pb.CONCERN_ROLE_SUBJECT,), proposal.proposed_height
    for ceremony in CEREMONIES.all(view):
        # A retry with the same terms has the consents that were given to them.
        if ceremony.asks_consent and ceremony.with_terms == 1:
            for party in CEREMONY_PARTIES.all(view, ceremony.id):
                entry = (party.fiduciary, pb.CONCERN_KIND_CEREMONY, ceremony.id)
                yield entry, (pb.CONCERN_ROLE_CEREMONY_PARTY,), ceremony.begun_height


def _subjects(action: governance_pb2.Action) -> list[bytes]:
    kind = action.WhichOneof("kind")
    if kind not in ("admit_fiduciary", "remove_fiduciary", "revoke_identity"):
        return []
    subject: bytes = getattr(action, kind).identity
    return [subject]


def wrong(view: StateView) -> list[str]:
    """What the numbered entries lack, or have too much; nothing, if all is well."""
    found: list[str] = []
    said: dict[Entry, tuple[tuple[int, ...], int]] = {}
    numbers: dict[bytes, list[int]] = defaultdict(list)
    for key, value in view.scan(CONCERNS.prefix):
        identity, number = CONCERNS.split(key)
        record = CONCERNS.parse(value)
        entry = (identity, int(record.kind), record.subject)
        if entry in said:
            found.append(f"{entry} is there twice")
        said[entry] = (tuple(record.roles), record.height)
        numbers[identity].append(number)
    for counter in COUNTERS.all(view):
        if numbers[counter.identity] != list(range(1, counter.concerns + 1)):
            found.append(f"{counter.identity.hex()} counts {counter.concerns} and has {numbers[counter.identity]}")
    found += [f"{identity.hex()} has no count" for identity in numbers if not COUNTERS.exists(view, identity)]
    facts = {entry: (roles, height) for entry, roles, height in expected(view)}
    found += [f"nothing says {entry}" for entry in facts.keys() - said.keys()]
    found += [f"{entry} is said for nothing" for entry in said.keys() - facts.keys()]
    for entry in facts.keys() & said.keys():
        roles, height = facts[entry]
        if said[entry][0] != roles or (height and said[entry][1] != height):
            found.append(f"{entry} is said as {said[entry]}, not {facts[entry]}")
    return sorted(found)
