"""A dealer that waits for the others makes its own share zero: it loses its seat, and nobody else loses anything."""

from __future__ import annotations

import pytest

from abci_app.authority import parties
from abci_app.crypto import scalars
from abci_app.crypto.curve import ORDER
from abci_app.pb.dta.v1 import authority_pb2 as pb
from dta.crypto.scalar import SecretScalar
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium, consortium
from tests.support.misdealing import dealt, on_the_ledger, opened_by, secret_scalars, secrets_of


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


def test_a_zero_share_of_a_refresh_costs_whoever_made_it_its_seat(world: Consortium) -> None:
    authority = world.make()
    world.reshare(authority)
    first = min(world.members(authority), key=lambda member: member.index).fiduciary
    liar = next(actor for actor in world.chain.founders if actor.identity == first)
    honest = [actor for actor in world.chain.founders if actor is not liar]
    deal_zero(world, liar, world.to_phase(authority, pb.CEREMONY_PHASE_DEAL))
    last = world.run(authority)
    assert (last.phase, last.failure) == (pb.CEREMONY_PHASE_DONE, pb.FAILURE_NONE)
    assert world.faults(last) == {liar.name: pb.FAULT_ZERO_SHARE}
    assert world.authority(authority).epoch == 2
    assert world.opens(authority, *honest)


def test_a_zero_share_that_leaves_too_few_seats_fails_the_attempt_by_name() -> None:
    world = consortium(4, ceremony_consent_blocks=3)
    authority = world.create(*world.chain.founders[:3], threshold=3)
    world.consent(authority)
    liar = world.chain.founders[2]
    deal_zero(world, liar, world.to_phase(authority, pb.CEREMONY_PHASE_DEAL))
    last = world.run(authority)
    assert (last.phase, last.failure) == (pb.CEREMONY_PHASE_FAILED, pb.FAILURE_TOO_FEW_DEALINGS)
    assert world.faults(last) == {liar.name: pb.FAULT_ZERO_SHARE}
