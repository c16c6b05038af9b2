"""Enrolling: the registrar authorises tickets; each client waits for its secret and opens it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from abci_app.crypto.curve import G1
from abci_app.mfa import points
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import EXTRACTION_ITEMS, REALM_CLIENTS, REALMS
from dta.base.errors import UsageError
from dta.client.custody.session import Progress, Session, Step, silent
from dta.client.ledger import leaves
from dta.client.ledger.flow import Flow
from dta.client.ledger.ledger import Ledger, LedgerFlows
from dta.client.ledger.submit import Committed
from dta.client.mfa import issued
from dta.client.mfa.issued import NotIssued, wait_for
from dta.client.mfa.realms import view_flow
from dta.client.mfa.tickets import Enrolment, Ticket
from dta.mpin.realm import RealmFacts
from dta.mpin.secret_point import SecretPoint

DEFAULT_WAIT_S = 60.0


class NotAuthorised(NotIssued):
    """The registrar has not put this ticket on the ledger."""

    kind = "not-authorised"
    waits_for = "waiting for the registrar"


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client's opened secret s*A: make a token of it with a PIN, and keep only that."""

    facts: RealmFacts
    enrolment: Enrolment
    a: G1
    secret: SecretPoint[G1]


def authorise(session: Session, enrolments: Sequence[Enrolment]) -> list[Committed]:
    """Put tickets of one realm on the ledger, as its registrar: as few transactions as the batch limit allows.

    Raises UsageError for none, or for several realms; RefusedByLedger: a batch is enrolled as a whole, or not.
    """
    realms = list(dict.fromkeys(enrolment.realm for enrolment in enrolments))
    if len(realms) != 1:
        raise UsageError("tickets of one realm at a time, and at least one")
    most = session.ledger.params().max_extraction_items
    done: list[Committed] = []
    suite = session.ledger.get(leaves.of(REALMS, realms[0])).terms.suite
    for message in batches(enrolments, suite, most):
        session.progress(Step("authorise", "enrolling", len(done)))
        done.append(session.send(message))
    return done


def batches(enrolments: Sequence[Enrolment], suite: mfa_pb2.MfaSuite, most: int) -> Iterator[Message]:
    """The messages that enrol all of them in a realm of ``suite``; first issues and further ones are apart."""
    for again in (False, True):
        chosen = [enrolment.message for enrolment in enrolments if enrolment.again is again]
        realm = enrolments[0].realm
        for start in range(0, len(chosen), most):
            part = chosen[start : start + most]
            if again:
                yield mfa_pb2.ReenrolClients(realm=realm, clients=part, suite=suite)
            else:
                yield mfa_pb2.EnrolClients(realm=realm, clients=part, suite=suite)


def open_secret(flows: LedgerFlows, ticket: Ticket) -> Flow[ClientSecret]:
    """The client's secret, once the fiduciaries have answered.

    Raises NotAuthorised, NotIssued (wait, or enrol again), NotVerified, RealmNotReady.
    """
    enrolment, gid = ticket.enrolment, flows.trust.gid
    found = yield from view_flow(flows, enrolment.realm)
    facts = found.facts(gid)
    head = yield from flows.reader.head(found.height)
    record = yield from flows.reader.find_at(head, leaves.of(REALM_CLIENTS, enrolment.realm, enrolment.client))
    if record is None:
        raise _not_authorised(enrolment)
    item = yield from flows.reader.find_at(head, leaves.of(EXTRACTION_ITEMS, record.request, record.item))
    if item is None or item.transport != enrolment.message.transport_key:
        raise _not_authorised(enrolment)
    answer = yield from issued.find_at(flows, head, record.request, record.item)
    a = points.client_point(facts.suite.number, gid, facts.authority, facts.realm, enrolment.client)
    return ClientSecret(facts, enrolment, a, issued.open_client(gid, answer, a, ticket.transport))


def _not_authorised(enrolment: Enrolment) -> NotAuthorised:
    return NotAuthorised(
        f"{enrolment.name} is not enrolled by this ticket yet",
        hint="hand the enrolment file to the registrar, who runs `dta mfa authorise FILE`",
        data={"realm": enrolment.realm.hex(), "client": enrolment.client.hex()},
    )


def wait_for_secret(
    ledger: Ledger, ticket: Ticket, wait_s: float = DEFAULT_WAIT_S, progress: Progress = silent
) -> ClientSecret:
    """:func:`open_secret`, tried until it is there or the time is over. Raises what the last try did."""
    return wait_for(ledger, lambda: ledger.rpc.run(open_secret(ledger.flows, ticket)), wait_s, progress)
