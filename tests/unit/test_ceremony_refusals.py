"""A ceremony's messages from those who have no part in it any more, or not yet, or twice: which check refuses each."""

from __future__ import annotations

import pytest

from abci_app.authority import checks
from abci_app.block import Changes
from abci_app.codes import Code
from abci_app.crypto.curve import G1
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import governance_pb2, identity_pb2
from abci_app.state.due import DueKind
from abci_app.state.records import FIDUCIARIES
from dta.node.hooks.plan import Job
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium, consortium, ids
from tests.support.refusals import refused
from tests.support.samples import samples
from tests.support.world import set_params

UNPROVED = bytes(checks.SCHNORR_BYTES)


@pytest.fixture
def world() -> Consortium:
    return consortium(4)


def begun(world: Consortium, phase: pb.CeremonyPhase) -> tuple[bytes, pb.CeremonyRecord]:
    """A new key's ceremony, all have consented, in this phase."""
    authority = world.create()
    world.consent(authority)
    return authority, world.to_phase(authority, phase)


def removed(world: Consortium, actor: Actor) -> None:
    """No fiduciary any more, though its keys and its part in the ceremony are what they were."""
    record = FIDUCIARIES.get(world.chain.view, actor.identity)
    record.status = identity_pb2.FIDUCIARY_STATUS_REMOVED
    leaf = (FIDUCIARIES.key(actor.identity), record.SerializeToString(deterministic=True))
    world.chain.view.apply(Changes(leaves=(leaf,)))


def test_who_is_no_fiduciary_any_more_neither_consents_nor_accepts(world: Consortium) -> None:
    one, other = world.chain.founders[:2]
    authority = world.create()
    asked = world.ceremony(world.authority(authority).ceremony)
    removed(world, one)
    consent = pb.ConsentCeremony(first=asked.first, terms=asked.terms)
    refused(world.chain.run(one, consent), Code.NOT_FIDUCIARY, "consent")
    _, record = begun(world := consortium(4), pb.CEREMONY_PHASE_ACCEPT)
    other = world.chain.founders[1]
    accepted = world.answer(other, Job(DueKind.ACCEPT_CEREMONY, record.id))
    removed(world, other)
    refused(world.chain.result(other, accepted), Code.NOT_FIDUCIARY, "acceptance")


def test_a_confirmation_before_there_are_shares_is_refused(world: Consortium) -> None:
    _, record = begun(world, pb.CEREMONY_PHASE_DEAL)
    early = pb.ConfirmShare(ceremony=record.id, proof=UNPROVED)
    refused(world.chain.result(world.chain.founders[0], early), Code.WRONG_PHASE, "confirmation")


def test_a_share_is_confirmed_once(world: Consortium) -> None:
    authority = world.make()
    ceremony = world.authority(authority).last_ceremony
    again = pb.ConfirmShare(ceremony=ceremony, proof=UNPROVED)
    refused(world.chain.result(world.chain.founders[0], again), Code.ALREADY_DONE, "confirmed")


def test_a_member_disputes_once(world: Consortium) -> None:
    _, record = begun(world, pb.CEREMONY_PHASE_DISPUTE)
    content = pb.DisputeDealings(ceremony=record.id)
    assert world.chain.result(world.chain.founders[0], content).code == Code.OK
    refused(world.chain.result(world.chain.founders[0], content), Code.ALREADY_DONE, "disputed")


def test_who_rotated_since_the_record_was_frozen_disputes_and_confirms_nothing(world: Consortium) -> None:
    one, other = world.chain.founders[:2]
    authority, record = begun(world, pb.CEREMONY_PHASE_DISPUTE)
    world.rotate(one)
    refused(world.chain.result(one, pb.DisputeDealings(ceremony=record.id)), Code.PARTY_EXCLUDED, "dispute")
    world.to_phase(authority, pb.CEREMONY_PHASE_CONFIRM)
    world.rotate(other)
    confirm = pb.ConfirmShare(ceremony=record.id, proof=UNPROVED)
    refused(world.chain.result(other, confirm), Code.PARTY_EXCLUDED, "confirmation")


def test_in_a_reshare_the_old_accept_dispute_and_confirm_nothing_and_the_new_deal_nothing(world: Consortium) -> None:
    """Each is a party, so that it is not enough to be one."""
    old, *stay, new = world.chain.founders
    authority = world.make(old, *stay)
    world.reshare(authority, *stay, new)
    world.consent(authority)
    record = world.to_phase(authority, pb.CEREMONY_PHASE_ACCEPT)
    accepted = pb.AcceptCeremony(ceremony=record.id, receive_key=G1.generator().encode(), proof=UNPROVED)
    refused(world.chain.result(old, accepted), Code.NOT_IN_CEREMONY, "acceptance")
    world.to_phase(authority, pb.CEREMONY_PHASE_DEAL)
    dealing = next(one for one in samples() if isinstance(one, pb.DealShares))
    dealing.ceremony = record.id
    refused(world.chain.result(new, dealing), Code.NOT_IN_CEREMONY, "dealer")
    world.to_phase(authority, pb.CEREMONY_PHASE_DISPUTE)
    refused(world.chain.result(old, pb.DisputeDealings(ceremony=record.id)), Code.NOT_IN_CEREMONY, "accuser")
    world.to_phase(authority, pb.CEREMONY_PHASE_CONFIRM)
    unproved = pb.ConfirmShare(ceremony=record.id, proof=UNPROVED)
    refused(world.chain.result(old, unproved), Code.NOT_IN_CEREMONY, "share")


def test_a_key_has_no_more_members_than_the_parameter_allows(world: Consortium) -> None:
    set_params(world.chain, max_authority_members=3)
    key = pb.CreateAuthority(
        purpose=pb.PURPOSE_SIGNING, name="key", members=ids(world.chain.founders), nonce=bytes([7]) * 32
    )
    message = governance_pb2.Propose(nonce=bytes(32), action=governance_pb2.Action(create_authority=key))
    refused(world.chain.run(world.chain.founders[0], message), Code.BAD_MEMBERS, "too-many")
