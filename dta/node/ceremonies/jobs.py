"""What a node's hook does in each phase of a ceremony (docs/spec/authority.md).

Each job reads committed state, proved, and what it answers follows from it and the HSM alone, but for the randomness of
its proofs: a hook that forgot everything answers the same again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final, Protocol

from google.protobuf.message import Message

from abci_app.authority import checks, epochs, parties
from abci_app.authority.ceremonies import DUE_OF
from abci_app.crypto.dealing import BadShare
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.due import DueKind
from abci_app.state.records import AUTHORITIES, EPOCHS, IDENTITIES
from dta.crypto import dealing
from dta.crypto.proofs import RandomBytes
from dta.crypto.scalar import SecretScalar
from dta.hsm import labels
from dta.node.ceremonies import attempt, shares
from dta.node.ceremonies.attempt import Attempt
from dta.node.ceremonies.locks import KEYS
from dta.node.hooks.errors import CannotAnswer, NotDue, Obstacle
from dta.node.hooks.plan import Job
from dta.node.hooks.tools import Pinned, Tools, require_due


def accept(job: Job, tools: Tools, random_bytes: RandomBytes = secrets.token_bytes) -> Message:
    """A key in the HSM for this attempt, and the public key of it that shares are encrypted to."""
    keystore = tools.keystore()
    with KEYS, tools.pin_proven() as now:
        found = load_owed(job, tools, now)
        if not found.me.consent_height and not _changes_nothing(found, now):
            raise CannotAnswer(Obstacle.NOT_CONSENTED)
        keystore.ensure_prf_key(labels.receive(tools.gid, found.record.id))
        key = found.receive_scalar(keystore)
    point, proof = dealing.accept(found.record.known_digest, tools.identity, key, random_bytes)
    return pb.AcceptCeremony(ceremony=found.record.id, receive_key=point, proof=proof)


def deal(job: Job, tools: Tools, random_bytes: RandomBytes = secrets.token_bytes) -> Message:
    """This node's dealing: in a reshare, of its share of the epoch in force."""
    keystore = tools.keystore()
    # The deal key goes once the dealing is committed, and must never be made anew then: state is read, the key made
    # and used under the lock that the reaper takes.
    with KEYS, tools.pin_proven() as now:
        found = load_owed(job, tools, now)
        _require_unchanged(found, now)
        record = found.record
        if found.me.dealt_height:
            raise NotDue(str(job))
        label = labels.deal(tools.gid, record.id)
        old_share = _old_share(tools, found, now)
        keystore.ensure_prf_key(label)
        coefficients = dealing.polynomial(
            keystore, label, record.record_digest, record.threshold, old_share
        )
        ephemeral = dealing.ephemeral_scalar(keystore, label, record.record_digest)
    members = [(checks.member(member), member.receive_key) for member in found.members]
    made = dealing.deal(
        record.record_digest, checks.dealer(found.me), members, coefficients, ephemeral, checks.publishes_g2(record),
        random_bytes,
    )  # fmt: skip
    message = pb.Dealing(
        commitments=made.commitments, ephemeral=made.ephemeral, shares=made.shares, constant_g2=made.constant_g2,
        proof=made.proof,
    )  # fmt: skip
    return pb.DealShares(ceremony=record.id, dealing=message)


def dispute(job: Job, tools: Tools, random_bytes: RandomBytes = secrets.token_bytes) -> Message:
    """Every share dealt to this node, opened; an accusation of each dealer whose share is wrong."""
    with tools.pin_proven() as now:
        found = load_owed(job, tools, now)
        _require_unchanged(found, now)
        dealt = [
            (party, parties.dealing_of(now.view, found.record.id, party))
            for party in found.parties
            if party.dealt_height
        ]
    key = found.receive_scalar(tools.keystore())
    accusations = []
    for dealer, message in dealt:
        try:
            shares.open_dealt(key, found, dealer, message)
        except BadShare:
            accusations.append(accuse(found, dealer, message, key, random_bytes))
    return pb.DisputeDealings(ceremony=found.record.id, accusations=accusations)


def accuse(
    found: Attempt,
    dealer: pb.CeremonyParty,
    dealt: pb.Dealing,
    key: SecretScalar,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> pb.Accusation:
    """What shows everybody what ``dealer`` encrypted to this node."""
    opened, proof = dealing.accuse(
        found.record.record_digest, checks.dealer(dealer), checks.member(found.me), key, checks.plain(dealt),
        random_bytes,
    )  # fmt: skip
    return pb.Accusation(dealer=dealer.fiduciary, opened=opened, proof=proof)


def confirm(job: Job, tools: Tools, random_bytes: RandomBytes = secrets.token_bytes) -> Message:
    """The proof that this node's share opens and is the one that the ledger published."""
    with tools.pin_proven() as now:
        found = load_owed(job, tools, now)
        try:
            share = shares.share_in(tools.keystore(), now.view, found)
        except shares.ShareUnusable as error:
            raise CannotAnswer(Obstacle.NEW_SHARE, str(error)) from None
    proof = dealing.confirm(found.record.record_digest, checks.member(found.me), share, random_bytes)
    return pb.ConfirmShare(ceremony=found.record.id, proof=proof)


def load_owed(job: Job, tools: Tools, now: Pinned) -> Attempt:
    """The attempt, where it is in the phase in which ``job`` is owed: its record says so, not only the index.

    Raises NotDue, and CannotAnswer where state contradicts itself.
    """
    require_due(job, tools, now)
    found = attempt.load(now.view, tools.gid, job.subject, tools.identity)
    if DUE_OF[found.record.phase] is not job.kind and not _confirms_late(job, found, now):
        raise NotDue(str(job))
    return found


def _confirms_late(job: Job, found: Attempt, now: Pinned) -> bool:
    """Whether the attempt has made the epoch that is in force: who was silent in the window adds to its margin."""
    record = found.record
    is_done = job.kind is DueKind.CONFIRM_SHARE and record.phase == pb.CEREMONY_PHASE_DONE
    if not is_done or found.me.confirmed_height:
        return False
    return AUTHORITIES.get(now.view, record.authority).epoch == record.epoch


def _changes_nothing(found: Attempt, now: Pinned) -> bool:
    """Whether the same members get other shares with the same threshold, and nobody was to be asked: seen for oneself.

    A refresh that is left of a reshare without one of its candidates takes consent.
    """
    record = found.record
    if record.kind != pb.CEREMONY_KIND_REFRESH or record.asks_consent:
        return False
    epoch = EPOCHS.get(now.view, record.authority, record.previous_epoch)
    held = sorted(member.fiduciary for member in epochs.members(now.view, record.authority, record.previous_epoch))
    candidates = [party.fiduciary for party in found.parties if party.candidate]
    return (candidates, record.threshold) == (held, epoch.threshold)


def _require_unchanged(found: Attempt, now: Pinned) -> None:
    """Whoever rotated its identity since the record was frozen is out of this attempt: the ledger takes nothing."""
    if IDENTITIES.get(now.view, found.me.fiduciary).history_count != found.me.identity_version:
        raise NotDue("our identity changed since the record was frozen")


def _old_share(tools: Tools, found: Attempt, now: Pinned) -> SecretScalar | None:
    """What a reshare deals: this node's share of the epoch in force. None for a first key."""
    record = found.record
    if record.kind == pb.CEREMONY_KIND_KEY:
        return None
    try:
        return shares.share_of(
            tools.keystore(), now.view, tools.gid, tools.identity, record.authority, record.previous_epoch
        )
    except shares.ShareUnusable as error:
        raise CannotAnswer(Obstacle.OLD_SHARE, str(error)) from None


class Work(Protocol):
    """A job. ``random_bytes`` makes the proofs' nonces."""

    def __call__(self, job: Job, tools: Tools, random_bytes: RandomBytes = secrets.token_bytes) -> Message: ...


PERFORM: Final[Mapping[DueKind, Work]] = {
    DueKind.ACCEPT_CEREMONY: accept,
    DueKind.DEAL_SHARES: deal,
    DueKind.DISPUTE_DEALINGS: dispute,
    DueKind.CONFIRM_SHARE: confirm,
}
