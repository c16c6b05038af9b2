"""Time permits: asking for a day's, and putting one together. Permits are public."""

from __future__ import annotations

from dataclasses import dataclass

from abci_app.codes import Code
from abci_app.crypto.curve import G1
from abci_app.mfa import points
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import EXTRACTIONS, PERMITS, REALM_CLIENTS, REALMS
from dta.base.errors import NotFound, NotVerified, RefusedByLedger
from dta.client.custody.session import Session, Step
from dta.client.ledger import leaves
from dta.client.ledger.flow import Flow
from dta.client.ledger.ledger import Ledger, LedgerFlows
from dta.client.ledger.submit import Committed
from dta.client.mfa import issued, realms
from dta.client.mfa.credentials import Credential
from dta.client.mfa.login import Permit
from dta.mpin.realm import RealmFacts


@dataclass(frozen=True, slots=True)
class Asked:
    """What a round of asking did. ``clients``: whose permits are on their way by it."""

    transactions: int
    clients: int


def issue(session: Session, realm: bytes, day: int) -> Asked:
    """Ask for the permits of a day for every client that wants one, as the registrar or a server.

    Clients that are revoked, or have theirs, are left out by the ledger: it can be run again at any time. Raises
    RefusedByLedger.
    """
    record = session.ledger.get(leaves.of(REALMS, realm))
    most = session.ledger.params().max_extraction_items
    sent, asked = 0, 0
    for first in range(0, record.clients, most):
        session.progress(Step("permits", "asking for permits", first, record.clients))
        count, suite = min(most, record.clients - first), record.terms.suite
        message = mfa_pb2.IssuePermits(realm=realm, day=day, first=first, count=count, suite=suite)
        try:
            committed = session.send(message)
        except RefusedByLedger as error:
            if error.code != Code.ALREADY_DONE:
                raise
            continue
        sent += 1
        asked += session.ledger.get(leaves.of(EXTRACTIONS, committed.data), at_least=committed.height).items
    return Asked(sent, asked)


def issue_one(session: Session, realm: bytes, client: bytes, day: int) -> Committed | None:
    """Ask for one client's permit; None where it has one, or is revoked. Raises NotFound, RefusedByLedger."""
    record = session.ledger.get(leaves.of(REALM_CLIENTS, realm, client))
    suite = session.ledger.get(leaves.of(REALMS, realm)).terms.suite
    try:
        return session.send(mfa_pb2.IssuePermits(realm=realm, day=day, first=record.number, count=1, suite=suite))
    except RefusedByLedger as error:
        if error.code != Code.ALREADY_DONE:
            raise
        return None


def find(flows: LedgerFlows, facts: RealmFacts, client: bytes, day: int) -> Flow[G1]:
    """The permit s*D, from verified partials. Raises NotFound (proved: none was asked for), NotIssued, NotVerified."""
    head = yield from flows.reader.head()
    leaf = leaves.of(PERMITS, facts.realm, day, client)
    record = yield from flows.reader.find_at(head, leaf)
    if record is None:
        raise NotFound(
            f"no permit was issued to this client for day {day}",
            hint="the registrar or a server asks for permits with `dta mfa permit issue`; revoked clients get none",
            data={"realm": facts.realm.hex(), "client": client.hex(), "day": day, "height": head.height},
        )
    answer = yield from issued.find_at(flows, head, record.request, record.item)
    base = points.permit_point(facts.suite.number, facts.gid, facts.authority, facts.realm, client, day)
    return issued.combine_permit(facts.gid, answer, base)


def take(ledger: Ledger, credential: Credential, day: int) -> Permit:
    """The permit that a login of ``credential`` on ``day`` uses, from verified partials: nobody's word for it.

    Raises as :func:`find`, and NotVerified where the ledger's realm is not the credential's.
    """
    facts = realms.view(ledger, credential.realm).facts(ledger.trust.gid)
    if (facts.gid, facts.authority, facts.suite) != (credential.gid, credential.authority, credential.suite):
        raise NotVerified(
            "realm", "the credential is of another ledger or key", hint="check --home, or be enrolled anew"
        )
    point = ledger.rpc.run(find(ledger.flows, facts, credential.client, day))
    return Permit(credential.client, day, point)
