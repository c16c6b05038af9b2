"""A dealer that waits for the others makes its own share zero: it loses its seat, and nobody else loses anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abci_app.authority import checks, parties
from abci_app.codes import Code
from abci_app.crypto import dealing as statements
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1, G1_BYTES, G2, ORDER, SCALAR_BYTES
from abci_app.pb.dta.v1 import authority_pb2 as pb
from dta.crypto.proofs import prove
from dta.crypto.scalar import SecretScalar
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium, consortium, ids
from tests.support.misdealing import (
    attempt_of,
    dealt,
    message_of,
    on_the_ledger,
    opened_by,
    secret_scalars,
    secrets_of,
)
from tests.support.refusals import refused


@pytest.fixture
def world() -> Consortium:
    return consortium(4, ceremony_consent_blocks=3)


def deal_zero(world: Consortium, liar: Actor, ceremony: pb.CeremonyRecord) -> None:
    """All but ``liar`` deal; then it does, so that what everybody dealt to it adds up to nothing."""
    world.down = [liar]
    world.step()
    me = world.party(world.ceremony(ceremony.id), liar)
    dealers = [party for party in parties.of(world.chain.view, ceremony.id) if party.dealer_index]
    is_first = ceremony.kind == pb.CEREMONY_KIND_KEY
    used = dealers if is_first else sorted(dealers, key=lambda one: one.dealer_index)[: ceremony.previous_threshold]
    weights = [1] * len(used) if is_first else scalars.lagrange_at_zero([party.dealer_index for party in used])
    actor_of = {actor.identity: actor for actor in world.chain.founders}
    others = sum(
        weight * opened_by(world, liar, actor_of[party.fiduciary], ceremony.id)
        for party, weight in zip(used, weights, strict=True)
        if party.fiduciary != liar.identity
    )
    own = next(weight for party, weight in zip(used, weights, strict=True) if party.fiduciary == liar.identity)
    constant = secrets_of(world, liar, ceremony.id)[0][0].reveal()
    wanted = -others * scalars.inverse(own)
    linear = (wanted - constant - 13 * me.index**2) * scalars.inverse(me.index) % ORDER
    polynomial = [SecretScalar(constant), SecretScalar(linear), SecretScalar(13)]
    assert world.chain.result(liar, dealt(world, liar, ceremony.id, coefficients=polynomial)).code == 0
    world.down = []


def test_a_zero_share_of_a_first_key_costs_whoever_made_it_its_seat_and_nobody_the_key(world: Consortium) -> None:
    authority = world.create()
    world.consent(authority)
    liar = world.chain.founders[3]
    honest = world.chain.founders[:3]
    deal_zero(world, liar, world.to_phase(authority, pb.CEREMONY_PHASE_DEAL))
    last = world.run(authority)
    assert (last.phase, last.attempt, last.failure) == (pb.CEREMONY_PHASE_DONE, 1, pb.FAILURE_NONE)
    assert world.faults(last) == {liar.name: pb.FAULT_ZERO_SHARE}
    assert [member.fiduciary for member in world.members(authority)] == sorted(one.identity for one in honest)
    assert world.opens(authority, *honest)
    assert on_the_ledger(world, secret_scalars(world, last.id, honest)) == []


def test_zero_shares_are_found_with_one_sum_a_block_and_nobody_says_anything_meanwhile(world: Consortium) -> None:
    """As many liars as may be could each show its own after the one before is gone: 22 sums of 0.2 s in one block."""
    authority = world.create()
    world.consent(authority)
    liar = world.chain.founders[3]
    attempt = world.to_phase(authority, pb.CEREMONY_PHASE_DEAL)
    deal_zero(world, liar, attempt)
    while not world.party(world.ceremony(attempt.id), liar).fault:
        world.step()
    found = world.ceremony(attempt.id)
    assert (found.phase, found.disputed, found.finalised_height) == (pb.CEREMONY_PHASE_DISPUTE, 4, 0)
    assert [world.jobs(actor) for actor in world.chain.founders] == [[], [], [], []]
    again = world.chain.result(liar, pb.DisputeDealings(ceremony=attempt.id))
    refused(again, Code.ALREADY_DONE, "disputed")
    found = world.ceremony(attempt.id)
    assert (found.phase, found.finalised_height) == (pb.CEREMONY_PHASE_CONFIRM, world.chain.height)


def lowest(world: Consortium, authority: bytes) -> Actor:
    """The member of the lowest index: its dealing is always among those that a reshare uses."""
    first = min(world.members(authority), key=lambda member: member.index).fiduciary
    return next(actor for actor in world.chain.founders if actor.identity == first)


def test_a_zero_share_of_a_refresh_costs_whoever_made_it_its_seat_and_the_old_shares_go_on(world: Consortium) -> None:
    """Three seats of four are fewer than it takes: the attempt fails at once, by name."""
    authority = world.make()
    liar = lowest(world, authority)
    world.reshare(authority)
    deal_zero(world, liar, world.to_phase(authority, pb.CEREMONY_PHASE_DEAL))
    last = world.run(authority)
    assert (last.phase, last.failure, last.next) == (pb.CEREMONY_PHASE_FAILED, pb.FAILURE_TOO_FEW_SEATS, b"")
    assert world.faults(last) == {liar.name: pb.FAULT_ZERO_SHARE}
    assert world.authority(authority).epoch == 1
    assert world.opens(authority, *(actor for actor in world.chain.founders if actor is not liar))


def test_a_zero_share_of_a_refresh_costs_whoever_made_it_its_seat_alone_where_enough_are_left() -> None:
    world = consortium(5, ceremony_consent_blocks=3)
    authority = world.make(threshold=3)
    liar = lowest(world, authority)
    honest = [actor for actor in world.chain.founders if actor is not liar]
    world.reshare(authority, threshold=3)
    deal_zero(world, liar, world.to_phase(authority, pb.CEREMONY_PHASE_DEAL))
    last = world.run(authority)
    assert (last.phase, last.members, last.seats, last.needed) == (pb.CEREMONY_PHASE_DONE, 5, 4, 4)
    assert world.faults(last) == {liar.name: pb.FAULT_ZERO_SHARE}
    assert [member.fiduciary for member in world.members(authority)] == ids(honest)
    assert world.opens(authority, *honest[:3])


def test_a_zero_share_that_leaves_too_few_seats_fails_the_attempt_by_name() -> None:
    world = consortium(4, ceremony_consent_blocks=3)
    authority = world.create(*world.chain.founders[:3], threshold=3)
    world.consent(authority)
    liar = world.chain.founders[2]
    deal_zero(world, liar, world.to_phase(authority, pb.CEREMONY_PHASE_DEAL))
    last = world.run(authority)
    assert (last.phase, last.failure) == (pb.CEREMONY_PHASE_FAILED, pb.FAILURE_TOO_FEW_DEALINGS)
    assert world.faults(last) == {liar.name: pb.FAULT_ZERO_SHARE}


# --- nobody can do that to another --------------------------------------------------------------------------------
def in_the_exponent(world: Consortium, liar: Actor, victim: Actor, friend: Actor, ceremony: bytes) -> list[G1]:
    """Commitments, not all of known coefficients, with which what all dealt to ``victim`` adds up to the identity.

    ``friend`` gets a share that opens, so that it accuses nobody. Thresholds two and three.
    """
    at = world.party(world.ceremony(ceremony), victim).index
    others = G1.identity()
    for party in parties.of(world.chain.view, ceremony):
        if party.dealt_height:
            made = parties.dealing_of(world.chain.view, ceremony, party)
            others = others + statements.public_share([G1.decode(one) for one in made.commitments], at)
    constant = G1.generator() * 11
    wanted = -others - constant
    if world.ceremony(ceremony).threshold == 2:
        return [constant, wanted * scalars.inverse(at)]
    near = world.party(world.ceremony(ceremony), friend).index
    known = G1.generator() * ((GIVEN - 11) % ORDER)
    quadratic = (wanted * scalars.inverse(at) - known * scalars.inverse(near)) * scalars.inverse((at - near) % ORDER)
    linear = (wanted - quadratic * (at * at)) * scalars.inverse(at)
    return [constant, linear, quadratic]


GIVEN = 4_242


@pytest.mark.parametrize(("members", "threshold"), [(2, 2), (4, 3)])
def test_nobody_makes_a_silent_members_share_zero(members: int, threshold: int) -> None:
    """(!) With a_0 alone proved, a dealer blamed an honest member that was down, and took its seat."""
    world = consortium(4, ceremony_consent_blocks=3)
    named = world.chain.founders[:members]
    victim, friend, liar = named[0], named[1], named[-1]
    authority = world.create(*named, threshold=threshold)
    world.consent(authority)
    ceremony = world.to_phase(authority, pb.CEREMONY_PHASE_DEAL)
    world.down = [liar]
    world.step()
    commitments = in_the_exponent(world, liar, victim, friend, ceremony.id)
    # Every coefficient is claimed, wrongly but for the first; and the proof of a_0 and e alone, as it was once taken.
    claimed = [SecretScalar(11), *(SecretScalar(7 + n) for n in range(threshold - 1))]
    whole = in_place_of(world, liar, ceremony.id, commitments, claimed)
    short = pb.DealShares.FromString(whole.SerializeToString())
    size = G1_BYTES + SCALAR_BYTES
    short.dealing.proof = whole.dealing.proof[: 2 * size]
    refused(world.chain.result(liar, whole), Code.DEALING_PROOF, "proof")
    refused(world.chain.result(liar, short), Code.DEALING_MALFORMED, "proof")
    world.down = [victim]
    while world.ceremony(ceremony.id).phase in (pb.CEREMONY_PHASE_DEAL, pb.CEREMONY_PHASE_DISPUTE):
        world.step()
    party = world.party(world.ceremony(ceremony.id), victim)
    assert party.fault == pb.FAULT_NONE
    assert party.public_share


def in_place_of(
    world: Consortium, liar: Actor, ceremony: bytes, commitments: list[G1], claimed: list[SecretScalar]
) -> pb.DealShares:
    """The liar's dealing with these commitments, proved with the coefficients that it claims."""
    found = attempt_of(world, liar, ceremony)
    _, ephemeral = secrets_of(world, liar, ceremony)
    made = statements.Dealing(
        tuple(one.encode() for one in commitments), (G1.generator() * ephemeral.reveal()).encode(),
        tuple(bytes(32) for _ in found.members), (G2.generator() * 11).encode(), b"",
    )  # fmt: skip
    said = statements.dealing_statement(
        found.record.record_digest, checks.dealer(found.me), made, commitments, G1.decode(made.ephemeral)
    )
    return message_of(ceremony, replace(made, proof=prove(said, [*claimed, ephemeral])))
