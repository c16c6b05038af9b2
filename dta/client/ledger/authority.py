"""Authorities as their users see them: verified reads of keys, epochs and ceremonies."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from abci_app.authority import record as record_of
from abci_app.limits import MAX_AUTHORITY_MEMBERS, NONCE_BYTES
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import governance_pb2
from abci_app.state.records import AUTHORITIES, AUTHORITY_NUMBERS, CEREMONIES, CEREMONY_PARTIES, EPOCHS, MEMBERS
from dta.base import ids
from dta.base.errors import InternalError, NotFound, NotVerified
from dta.client.ledger import leaves
from dta.client.ledger.flow import Flow
from dta.client.ledger.ledger import Ledger, LedgerFlows
from dta.client.ledger.reads import Head
from dta.client.ledger.tx import Signer

EARLIER_SHOWN = 8


@dataclass(frozen=True, slots=True)
class EpochView:
    """An epoch in force and who holds a share of it."""

    record: pb.EpochRecord
    members: Sequence[pb.MemberRecord]

    @property
    def margin(self) -> int:
        """How many of those who confirmed may be lost before the key can't be used any more."""
        return self.record.confirmations - self.record.threshold


@dataclass(frozen=True, slots=True)
class CeremonyView:
    """An attempt and its parties, by identity id."""

    record: pb.CeremonyRecord
    parties: Sequence[pb.CeremonyParty]


@dataclass(frozen=True, slots=True)
class AuthorityView:
    """An authority, its epoch in force, and the ceremony under way or, without one, the last. Of one proved state.

    ``earlier``: the attempts for the same epoch before that ceremony, the latest first, at most ``EARLIER_SHOWN``.
    """

    record: pb.AuthorityRecord
    epoch: EpochView | None
    ceremony: CeremonyView | None
    earlier: Sequence[CeremonyView]
    height: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a ceremony's operators consent to. Identities by id: ``old_members`` hold the key now, all of them."""

    first: bytes
    kind: pb.CeremonyKind
    threshold: int
    candidates: Sequence[bytes]
    old_members: Sequence[bytes]

    @property
    def digest(self) -> bytes:
        """What a consent signs. 32 bytes."""
        return record_of.terms_digest(self.first, self.kind, self.threshold, self.candidates, self.old_members)


def waits_for(ceremony: pb.CeremonyRecord, party: pb.CeremonyParty) -> bool:
    """Whether the phase that the attempt is in waits for this party."""
    return {
        pb.CEREMONY_PHASE_CONSENT: not party.consent_height and not party.declined,
        pb.CEREMONY_PHASE_ACCEPT: party.candidate and not party.fault and not party.accepted_height,
        pb.CEREMONY_PHASE_DEAL: bool(party.dealer_index) and not party.dealt_height,
        pb.CEREMONY_PHASE_DISPUTE: bool(party.index) and not party.disputed_height,
        pb.CEREMONY_PHASE_CONFIRM: bool(party.public_share) and not party.confirmed_height,
        pb.CEREMONY_PHASE_DONE: bool(party.public_share) and not party.confirmed_height,
    }.get(ceremony.phase, False)


def create_action(
    purpose: pb.Purpose,
    name: str,
    members: Iterable[bytes],
    *,
    threshold: int = 0,
    refresh_interval_blocks: int = 0,
    nonce: bytes | None = None,
) -> tuple[governance_pb2.Action, bytes]:
    """What creates an authority, and its nonce: the id is :func:`abci_app.authority.record.authority_id` of it and
    the proposer.

    ``threshold`` 0: the default for so many members (:func:`abci_app.authority.rules.default_threshold`).
    """
    chosen = secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce
    message = pb.CreateAuthority(
        purpose=purpose, name=name, members=sorted(members), threshold=threshold,
        refresh_interval_blocks=refresh_interval_blocks, nonce=chosen,
    )  # fmt: skip
    return governance_pb2.Action(create_authority=message), chosen


def reshare_action(now: EpochView, members: Iterable[bytes] = (), *, threshold: int = 0) -> governance_pb2.Action:
    """What passes the key of ``now`` on. Without members and threshold, a refresh: those of now.

    ``threshold`` 0: that of now where the members are the same, else the default for so many.
    """
    current = sorted(member.fiduciary for member in now.members)
    named = sorted(members) or current
    chosen = threshold or (now.record.threshold if named == current else 0)
    message = pb.ReshareAuthority(authority=now.record.authority, members=named, threshold=chosen)
    return governance_pb2.Action(reshare_authority=message)


def terms_of(shown: AuthorityView) -> Terms:
    """What the ceremony under way asks its operators to consent to, as everything in ``shown`` says.

    Raises NotVerified where the ledger's digest of it is another: what would be signed is not what is shown.
    """
    if shown.ceremony is None:
        raise InternalError("no ceremony is shown", hint="report it")
    record, parties = shown.ceremony.record, shown.ceremony.parties
    held = () if shown.epoch is None else sorted(member.fiduciary for member in shown.epoch.members)
    terms = Terms(
        record.first, record.kind, record.threshold, [party.fiduciary for party in parties if party.candidate], held
    )
    if terms.digest != record.terms:
        raise NotVerified(
            "terms", "the ledger's digest of the ceremony's terms is not that of what is shown",
            hint="do not consent; this program and the ledger may be of different versions",
        )  # fmt: skip
    return terms


def consent(ledger: Ledger, signer: Signer, shown: AuthorityView, *, decline: bool = False) -> CeremonyView:
    """Say that one's fiduciary takes part in what was ``shown``, or that it does not; the ceremony as proved then.

    It holds for every attempt with the same terms. Raises RefusedByLedger, NotVerified and what reads and submitting
    raise.
    """
    terms = terms_of(shown)
    sent = ledger.send(signer, pb.ConsentCeremony(first=terms.first, terms=terms.digest, decline=decline))
    asked = shown.record.ceremony
    return ceremony_view(ledger, asked, sent.height)


def view(ledger: Ledger, authority: bytes, at_least: int = 0) -> AuthorityView:
    """An authority and where its ceremony stands. Raises NotFound, NotVerified."""
    return ledger.rpc.run(_view(ledger.flows, authority, at_least))


def ceremony_view(ledger: Ledger, ceremony: bytes, at_least: int = 0) -> CeremonyView:
    """An attempt and its parties. Raises NotFound, NotVerified."""

    def read() -> Flow[CeremonyView]:
        head = yield from ledger.flows.reader.head(at_least)
        return (yield from _ceremony(ledger.flows, head, ceremony))

    return ledger.rpc.run(read())


def every(ledger: Ledger) -> list[pb.AuthorityRecord]:
    """All authorities, in the order in which they were created."""

    def read() -> Flow[list[pb.AuthorityRecord]]:
        flows = ledger.flows
        head = yield from flows.reader.head(0)
        counted = (yield from flows.reader.get_at(head, AUTHORITY_NUMBERS.key(0))).value
        found = []
        for number in range(1, 1 + int.from_bytes(counted or b"", "big")):
            id_ = (yield from flows.reader.get_at(head, AUTHORITY_NUMBERS.key(number))).value
            leaf = leaves.of(AUTHORITIES, _there(id_))
            found.append(leaf.found((yield from flows.reader.find_at(head, leaf))))
        return found

    return ledger.rpc.run(read())


def _view(flows: LedgerFlows, authority: bytes, at_least: int) -> Flow[AuthorityView]:
    head = yield from flows.reader.head(at_least)
    leaf = leaves.of(AUTHORITIES, authority)
    record = leaf.found((yield from flows.reader.find_at(head, leaf)))
    epoch = (yield from _epoch(flows, head, record)) if record.epoch else None
    latest = record.ceremony or record.last_ceremony
    ceremony = (yield from _ceremony(flows, head, latest)) if latest else None
    earlier: list[CeremonyView] = []
    if ceremony is not None:
        number = ceremony.record.attempt
        for attempt in range(number - 1, max(0, number - 1 - EARLIER_SHOWN), -1):
            id_ = record_of.ceremony_id(flows.trust.gid, authority, ceremony.record.epoch, attempt)
            earlier.append((yield from _ceremony(flows, head, id_)))
    return AuthorityView(record, epoch, ceremony, earlier, head.height)


def _epoch(flows: LedgerFlows, head: Head, authority: pb.AuthorityRecord) -> Flow[EpochView]:
    leaf = leaves.of(EPOCHS, authority.id, authority.epoch)
    record = leaf.found((yield from flows.reader.find_at(head, leaf)))
    members: list[pb.MemberRecord] = []
    for index in range(1, MAX_AUTHORITY_MEMBERS + 1):
        if len(members) == record.members:
            break
        member = yield from flows.reader.find_at(head, leaves.of(MEMBERS, authority.id, authority.epoch, index))
        if member is not None:
            members.append(member)
    return EpochView(record, members)


def _ceremony(flows: LedgerFlows, head: Head, ceremony: bytes) -> Flow[CeremonyView]:
    leaf = leaves.of(CEREMONIES, ceremony)
    record = leaf.found((yield from flows.reader.find_at(head, leaf)))
    parties = []
    for position in range(1, record.parties + 1):
        party = leaves.of(CEREMONY_PARTIES, ceremony, position)
        parties.append(party.found((yield from flows.reader.find_at(head, party))))
    return CeremonyView(record, parties)


def _there(value: bytes | None) -> bytes:
    if value is None:
        raise InternalError("the ledger counts more authorities than it has", hint="report it")
    return value


def resolve(ledger: Ledger, text: str) -> bytes:
    """The id of the key with this name, or of which these are the first digits: of those the ledger has, by proof.

    Raises NotFound, UsageError (several have the name, or it reads as another's id).
    """
    known = every(ledger)
    found = ids.named(text, "authority key", {record.id: record.name for record in known})
    if found is not None:
        return found
    names = ", ".join(sorted(record.name for record in known)) or "none"
    raise NotFound(f"there is no authority key {text!r}", hint=f"the ledger has: {names}")
