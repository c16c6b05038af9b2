"""Dealings and accusations of dishonest fiduciaries: well proved, but for what a test makes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from abci_app.authority import checks, parties
from abci_app.crypto import dealing as statements
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1
from abci_app.crypto.dealing import Dealing
from abci_app.pb.dta.v1 import authority_pb2 as pb
from dta.crypto import dealing
from dta.crypto.proofs import prove
from dta.crypto.scalar import SecretScalar
from dta.hsm import labels
from dta.node.ceremonies import attempt, jobs, shares
from dta.node.ceremonies.attempt import Attempt
from dta.node.hooks.plan import Job
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium

Change = Callable[[Dealing], Dealing]


def attempt_of(world: Consortium, actor: Actor, ceremony: bytes) -> Attempt:
    """The attempt as ``actor`` sees it."""
    return attempt.load(world.chain.view, world.chain.gid, ceremony, actor.identity)


def secrets_of(world: Consortium, actor: Actor, ceremony: bytes) -> tuple[list[SecretScalar], SecretScalar]:
    """The polynomial and the ephemeral that ``actor``'s deal key gives for this record."""
    found = attempt_of(world, actor, ceremony)
    store, label = world.keystores[actor.identity], labels.deal(world.chain.gid, ceremony)
    store.ensure_prf_key(label)
    record = found.record
    old = None
    if record.kind != pb.CEREMONY_KIND_KEY:
        old = world.share(record.authority, actor, record.previous_epoch)
    coefficients = dealing.polynomial(store, label, record.record_digest, record.threshold, old)
    return coefficients, dealing.ephemeral_scalar(store, label, record.record_digest)


def dealt(
    world: Consortium,
    actor: Actor,
    ceremony: bytes,
    change: Change = lambda made: made,
    coefficients: Sequence[SecretScalar] | None = None,
    ephemeral: SecretScalar | None = None,
) -> pb.DealShares:
    """``actor``'s dealing, its content changed and *then* proved: only what is said is wrong with it."""
    found = attempt_of(world, actor, ceremony)
    own, own_ephemeral = secrets_of(world, actor, ceremony)
    chosen, e = coefficients or own, ephemeral or own_ephemeral
    record = found.record
    members = [(checks.member(member), member.receive_key) for member in found.members]
    dealer = checks.dealer(found.me)
    made = dealing.deal(record.record_digest, dealer, members, chosen, e, checks.publishes_g2(record))
    changed = change(made)
    try:
        points = [G1.decode(one) for one in changed.commitments]
        ephemeral_point = G1.decode(changed.ephemeral)
        statement = statements.dealing_statement(record.record_digest, dealer, changed, points, ephemeral_point)
        changed = replace(changed, proof=prove(statement, [*chosen, e]))
    except ValueError:
        pass  # no point: there is nothing to prove
    return message_of(ceremony, changed)


def message_of(ceremony: bytes, made: Dealing) -> pb.DealShares:
    """The transaction's message."""
    body = pb.Dealing(
        commitments=made.commitments, ephemeral=made.ephemeral, shares=made.shares, constant_g2=made.constant_g2,
        proof=made.proof,
    )  # fmt: skip
    return pb.DealShares(ceremony=ceremony, dealing=body)


def wrong_share_to(*places: int) -> Change:
    """Another scalar than the polynomial's at these members."""

    def change(made: Dealing) -> Dealing:
        changed = [
            share if place not in places else bytes([*share[:-1], share[-1] ^ 1])
            for place, share in enumerate(made.shares)
        ]
        return replace(made, shares=tuple(changed))

    return change


def accusation(world: Consortium, accuser: Actor, accused: Actor, ceremony: bytes) -> pb.Accusation:
    """A well-proved accusation, true or not."""
    found = attempt_of(world, accuser, ceremony)
    dealer = parties.find(world.chain.view, ceremony, accused.identity)
    assert dealer is not None
    made = parties.dealing_of(world.chain.view, ceremony, dealer)
    return jobs.accuse(found, dealer, made, found.receive_scalar(world.keystores[accuser.identity]))


def opened_by(world: Consortium, member: Actor, dealer: Actor, ceremony: bytes) -> int:
    """What ``member`` opens of ``dealer``'s dealing."""
    found = attempt_of(world, member, ceremony)
    party = parties.find(world.chain.view, ceremony, dealer.identity)
    assert party is not None
    made = parties.dealing_of(world.chain.view, ceremony, party)
    key = found.receive_scalar(world.keystores[member.identity])
    return shares.open_dealt(key, found, party, made).reveal()


def secret_scalars(world: Consortium, ceremony: bytes, honest: Sequence[Actor]) -> list[bytes]:
    """All that must stay with the honest: their receive keys and final shares, and what they dealt to each other.

    ``ceremony``'s deal keys are gone by now: their copies say what was derived from them.
    """
    found = []
    record = world.ceremony(ceremony)
    for actor in honest:
        key = attempt_of(world, actor, ceremony).receive_scalar(world.keystores[actor.identity])
        found.append(scalars.encode(key.reveal()))
        for dealer in honest:
            if world.party(record, dealer).dealt_height:
                found.append(scalars.encode(opened_by(world, actor, dealer, ceremony)))
        party = world.party(record, actor)
        if party.public_share:
            view = world.chain.view
            share = shares.share_in(world.keystores[actor.identity], view, attempt_of(world, actor, ceremony))
            found.append(scalars.encode(share.reveal()))
    return found


def on_the_ledger(world: Consortium, secrets: Sequence[bytes]) -> list[bytes]:
    """Which of ``secrets`` stand anywhere in state or in a block."""
    written = [*world.chain.view.leaves.values(), *(tx for block in world.chain.blocks for tx in block.txs)]
    return [secret for secret in secrets if any(secret in value for value in written)]


def job_of(world: Consortium, actor: Actor) -> Job:
    """The one thing that ``actor`` owes."""
    (job,) = world.jobs(actor)
    return job
