"""What is no order: ceremonies that ask for consent, proposals, realms' servers; as leaves of a proved state."""

from __future__ import annotations

from typing import Any

import pytest

from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, governance_pb2, mfa_pb2
from abci_app.pb.dta.v1 import concern_pb2 as pb
from abci_app.state.as_of import Moment
from abci_app.state.records import (
    AUTHORITIES,
    CEREMONIES,
    CEREMONY_PARTIES,
    CONCERNS,
    COUNTERS,
    PROPOSALS,
    REALM_SERVERS,
    REALMS,
)
from dta.base.errors import NotVerified
from dta.client.inbox import reading
from dta.client.inbox.items import Action, Deadline, ItemKind
from dta.client.inbox.reading import Reader, Reading
from dta.client.ledger.ledger import Ledger
from tests.support.light_chain import START_S, Chain, ClockedRpc, Node, members

ME, OTHER, SUBJECT, KEY, REGISTRAR = (bytes([number]) * 32 for number in range(1, 6))


def encoded(record: Any) -> bytes:
    value: bytes = record.SerializeToString(deterministic=True)
    return value


def read(kind: pb.ConcernKind, role: pb.ConcernRole, *leaves: tuple[bytes, Any], known: bytes = b"") -> Reading:
    """What one entry of this kind makes of an inbox, in a state with these records."""
    entry = pb.ConcernRecord(roles=[role], kind=kind, subject=SUBJECT, height=2)
    count = custody_pb2.CounterRecord(identity=ME, concerns=1)
    chain = Chain(members(4))
    chain.add()
    written = [(COUNTERS.key(ME), count), (CONCERNS.key(ME, 1), entry), *leaves]
    chain.add(sorted((key, encoded(record)) for key, record in written))
    for _ in range(3):
        chain.add()
    ledger = Ledger(ClockedRpc(Node(chain)), chain.trust_file())
    return ledger.rpc.run(reading.read(ledger.flows, Reader(ME, [known] if known else [])))


def ceremony(**party: Any) -> list[tuple[bytes, Any]]:
    """An attempt of two parties, the second of whom is me."""
    record = authority_pb2.CeremonyRecord(
        id=SUBJECT, authority=KEY, phase=authority_pb2.CEREMONY_PHASE_CONSENT, parties=2, deadline_height=90,
        begun_height=2,
    )  # fmt: skip
    return [
        (CEREMONIES.key(SUBJECT), record),
        (CEREMONY_PARTIES.key(SUBJECT, 1), authority_pb2.CeremonyParty(fiduciary=OTHER, position=1)),
        (CEREMONY_PARTIES.key(SUBJECT, 2), authority_pb2.CeremonyParty(fiduciary=ME, position=2, **party)),
        (AUTHORITIES.key(KEY), authority_pb2.AuthorityRecord(id=KEY, name="safe")),
    ]


def read_ceremony(leaves: list[tuple[bytes, Any]]) -> Reading:
    return read(pb.CONCERN_KIND_CEREMONY, pb.CONCERN_ROLE_CEREMONY_PARTY, *leaves)


def test_a_ceremony_waits_for_the_consent_of_each_party_and_is_never_a_stranger_s() -> None:
    [item] = read_ceremony(ceremony()).inbox.items
    assert (item.kind, item.subject, item.parent, item.label) == (ItemKind.CEREMONY, SUBJECT, KEY, "safe")
    assert (item.actions, item.deadline) == ((Action.CONSENT,), Deadline(height=91))
    assert (item.origin, item.since_height) == (b"", 2)


@pytest.mark.parametrize("party", [{"consent_height": 3}, {"declined": True}])
def test_who_has_consented_or_declined_is_not_asked_again(party: dict[str, Any]) -> None:
    found = read_ceremony(ceremony(**party))
    assert (found.inbox.items, found.followed.open) == ((), ())


def test_a_ceremony_that_has_gone_on_or_failed_asks_nobody() -> None:
    for phase in (authority_pb2.CEREMONY_PHASE_ACCEPT, authority_pb2.CEREMONY_PHASE_FAILED):
        leaves = ceremony()
        leaves[0][1].phase = phase
        found = read_ceremony(leaves)
        assert (found.inbox.items, found.followed.open) == ((), ())


def proposal(status: governance_pb2.ProposalStatus, deadline_height: int = 50) -> tuple[bytes, Any]:
    action = governance_pb2.Action(revoke_identity=governance_pb2.RevokeByVote(identity=ME))
    return PROPOSALS.key(SUBJECT), governance_pb2.ProposalRecord(
        id=SUBJECT, proposer=OTHER, action=action, status=status, deadline_time_s=START_S + 10,
        deadline_height=deadline_height, proposed_height=2,
    )  # fmt: skip


def test_whom_a_proposal_is_about_is_told_and_has_nothing_to_decide() -> None:
    found = read(
        pb.CONCERN_KIND_PROPOSAL, pb.CONCERN_ROLE_SUBJECT, proposal(governance_pb2.PROPOSAL_STATUS_OPEN)
    ).inbox
    [item] = found.items
    assert (item.kind, item.subject, item.label) == (ItemKind.PROPOSAL, SUBJECT, "revoke-identity")
    assert (item.actions, item.origin, item.status) == ((), OTHER, "open")
    assert item.deadline == Deadline(START_S + 10, 51, is_both=True)
    assert found.outside == (), "whoever proposes is a fiduciary"


def test_a_proposal_that_is_decided_or_over_is_told_to_nobody() -> None:
    for made in (
        proposal(governance_pb2.PROPOSAL_STATUS_REJECTED),
        proposal(governance_pb2.PROPOSAL_STATUS_OPEN, deadline_height=3),
    ):
        found = read(pb.CONCERN_KIND_PROPOSAL, pb.CONCERN_ROLE_SUBJECT, made)
        assert (found.inbox.items, found.followed.open) == ((), ())


def server(epoch: int = 1, **given: Any) -> list[tuple[bytes, Any]]:
    terms = mfa_pb2.RealmTerms(name="web", registrar=REGISTRAR)
    record = mfa_pb2.MfaServerRecord(realm=SUBJECT, server=ME, registered_height=2, **given)
    return [
        (REALMS.key(SUBJECT), mfa_pb2.RealmRecord(id=SUBJECT, terms=terms, authority=KEY)),
        (REALM_SERVERS.key(SUBJECT, ME), record),
        (AUTHORITIES.key(KEY), authority_pb2.AuthorityRecord(id=KEY, epoch=epoch)),
    ]


def read_server(leaves: list[tuple[bytes, Any]], known: bytes = REGISTRAR) -> Reading:
    return read(pb.CONCERN_KIND_REALM_SERVER, pb.CONCERN_ROLE_SERVER, *leaves, known=known)


def test_a_realm_s_server_is_told_to_ask_for_its_secret_once_there_is_a_key() -> None:
    [item] = read_server(server()).inbox.items
    assert (item.kind, item.subject, item.label) == (ItemKind.SERVER, SUBJECT, "web")
    assert (item.actions, item.origin) == ((Action.REQUEST_AS_SERVER,), REGISTRAR)
    assert [one.subject for one in read_server(server(), known=OTHER).inbox.outside] == [SUBJECT]


def test_a_server_that_asked_is_done_and_one_that_may_be_named_again_is_looked_at_again() -> None:
    asked = read_server(server(requests=1, latest_request=OTHER))
    assert (asked.inbox.items, asked.followed.open) == ((), ())
    for waiting in (server(removed_height=3), server(epoch=0)):
        found = read_server(waiting)
        assert (found.inbox.items, len(found.followed.open)) == ((), 1)


def test_what_can_never_wait_is_not_read() -> None:
    """A realm's registrar, an order's principal: the state need not even have the record."""
    for kind, role in (
        (pb.CONCERN_KIND_REALM, pb.CONCERN_ROLE_REGISTRAR), (pb.CONCERN_KIND_ORDER, pb.CONCERN_ROLE_PRINCIPAL),
        (pb.CONCERN_KIND_REQUEST, pb.CONCERN_ROLE_RECEIVER),
    ):  # fmt: skip
        found = read(kind, role)
        assert (found.inbox.total, found.inbox.items, found.followed.open) == (1, (), ())


@pytest.mark.parametrize("without", range(4))
def test_a_record_that_is_named_and_is_not_there_is_said_to_be_missing(without: int) -> None:
    leaves = ceremony()
    key, _ = leaves.pop(without)
    with pytest.raises(NotVerified) as caught:
        read_ceremony(leaves)
    assert (caught.value.step, caught.value.data["key"]) == ("whole", key.hex())


@pytest.mark.parametrize(
    ("deadline", "at", "past"),
    [
        (Deadline(), (9, 10**9), False),
        (Deadline(100), (1, 99), False), (Deadline(100), (1, 100), True),
        (Deadline(height=7), (6, 10**9), False), (Deadline(height=7), (7, 0), True),
        (Deadline(100, 7), (6, 99), False), (Deadline(100, 7), (7, 0), True), (Deadline(100, 7), (1, 100), True),
        (Deadline(100, 7, is_both=True), (7, 99), False), (Deadline(100, 7, is_both=True), (6, 100), False),
        (Deadline(100, 7, is_both=True), (7, 100), True),
    ],
)  # fmt: skip
def test_a_deadline_is_past_at_its_very_second_and_height(deadline: Deadline, at: tuple[int, int], past: bool) -> None:
    assert deadline.is_past(Moment(*at)) is past
