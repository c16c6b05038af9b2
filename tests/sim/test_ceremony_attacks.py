"""Attacks on ceremonies that authority.md marks (!), each tried and each failing."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from abci_app.authority import epochs, parties
from abci_app.codes import Code
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1, ORDER
from abci_app.params import default_params
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import params_pb2
from abci_app.state.due import DueKind
from dta.crypto import dealing as provers
from dta.crypto.scalar import SecretScalar
from dta.hsm import labels
from dta.hsm.errors import KeyMissing
from dta.node.ceremonies import shares
from dta.node.hooks.errors import NotAtHead, NotDue
from dta.node.hooks.plan import Job
from tests.support.ceremonies import Consortium, consortium, honest, only
from tests.support.chain import Chain
from tests.support.keystore import MemoryKeystore
from tests.support.misdealing import (
    attempt_of,
    dealt,
    on_the_ledger,
    opened_by,
    secret_scalars,
    secrets_of,
)
from tests.support.refusals import Because, refused


@pytest.fixture
def world() -> Consortium:
    return consortium(4, ceremony_consent_blocks=3)


# --- the decryption oracle ----------------------------------------------------------------------------------------
def test_another_dealers_ephemeral_makes_no_decryption_oracle(world: Consortium) -> None:
    """(!) A dealer that reuses an honest E would have an honest member's accusation open what E encrypts."""
    authority = world.create()
    world.consent(authority)
    ceremony = world.to_phase(authority, pb.CEREMONY_PHASE_DEAL)
    victim, liar = world.chain.founders[0], world.chain.founders[3]
    world.down = [liar]
    world.step()
    party = world.party(ceremony, victim)
    stolen = parties.dealing_of(world.chain.view, ceremony.id, party)
    own = dealt(world, liar, ceremony.id)
    copied = pb.DealShares.FromString(own.SerializeToString())
    copied.dealing.ephemeral = stolen.ephemeral
    # With its own proof, with the victim's, and with the victim's whole dealing under its own name.
    whole = pb.DealShares(ceremony=ceremony.id, dealing=stolen)
    with_proof = pb.DealShares.FromString(copied.SerializeToString())
    with_proof.dealing.proof = stolen.proof
    for attempt in (copied, with_proof, whole):
        refused(world.chain.result(liar, attempt), Code.DEALING_PROOF, "proof")
    world.down = []
    last = world.run(authority)
    assert last.phase == pb.CEREMONY_PHASE_DONE
    assert on_the_ledger(world, secret_scalars(world, last.id, world.chain.founders[:3])) == []


def test_even_a_dealer_that_knows_its_ephemeral_uses_it_once(world: Consortium) -> None:
    """(!) E is unique in state for ever: the same one, well proved, is refused in the next ceremony."""
    first = world.make()
    liar = world.chain.founders[3]
    used = parties.dealing_of(
        world.chain.view, world.authority(first).last_ceremony,
        world.party(world.ceremony(world.authority(first).last_ceremony), liar),
    )  # fmt: skip
    known = SecretScalar(12345)
    second = world.create()
    world.consent(second)
    world.behave = only(
        liar, DueKind.DEAL_SHARES,
        lambda said: dealt(world, liar, said.ceremony, ephemeral=known),  # type: ignore[attr-defined]
    )  # fmt: skip
    world.run(second)
    assert world.ceremony(world.authority(second).last_ceremony).dealt == 4
    third = world.create()
    world.consent(third)
    ceremony = world.to_phase(third, pb.CEREMONY_PHASE_DEAL)
    refused(world.chain.result(liar, dealt(world, liar, ceremony.id, ephemeral=known)), Code.POINT_USED, "point")
    assert used.ephemeral != (G1.generator() * known.reveal()).encode()


def test_a_receive_key_seen_before_is_refused(world: Consortium) -> None:
    """(!) B is unique in state for ever, whoever had it first."""
    secret = SecretScalar(777)
    liar = world.chain.founders[3]

    def again(said: Message) -> Message:
        known = world.ceremony(said.ceremony).known_digest  # type: ignore[attr-defined]
        point, proof = provers.accept(known, liar.identity, secret)
        return pb.AcceptCeremony(ceremony=said.ceremony, receive_key=point, proof=proof)  # type: ignore[attr-defined]

    first = world.create()
    world.consent(first)
    world.behave = only(liar, DueKind.ACCEPT_CEREMONY, again)
    world.to_phase(first, pb.CEREMONY_PHASE_DEAL)
    assert Because(Code.POINT_USED, "point") not in world.answers(pb.AcceptCeremony)
    second = world.create()
    world.consent(second)
    world.step()
    assert world.answers(pb.AcceptCeremony)[-1] == Because(Code.POINT_USED, "point")


# --- erasing ------------------------------------------------------------------------------------------------------
def test_a_node_keeps_its_old_key_until_enough_have_confirmed_and_its_own_new_share_opens(world: Consortium) -> None:
    """(!) Erasing too early would let a few liars lose everything."""
    authority = world.make()
    old = labels.receive(world.chain.gid, world.authority(authority).last_ceremony)
    world.reshare(authority)
    quiet = world.chain.founders[3]
    world.behave = only(quiet, DueKind.CONFIRM_SHARE, lambda _: None)
    ceremony = world.to_phase(authority, pb.CEREMONY_PHASE_CONFIRM)
    for _ in range(3):
        world.step()
    assert world.ceremony(ceremony.id).confirmed == 3, "as many as the threshold, one fewer than it takes"
    assert all(store.has_prf_key(old) for store in world.keystores.values())
    assert world.opens(authority, *world.chain.founders[:3])
    world.behave = honest
    world.step()
    assert world.authority(authority).epoch == 2
    assert not any(store.has_prf_key(old) for store in world.keystores.values())
    assert world.opens(authority, *world.chain.founders[1:])


def test_a_node_whose_new_share_does_not_open_keeps_the_old_key_and_says_so(world: Consortium) -> None:
    """(!) After the node's own self-check only."""
    authority = world.make()
    actor = world.chain.founders[2]
    store = world.keystores[actor.identity]
    old = labels.receive(world.chain.gid, world.authority(authority).last_ceremony)
    world.reshare(authority)
    ceremony = world.to_phase(authority, pb.CEREMONY_PHASE_CONFIRM)
    new = labels.receive(world.chain.gid, ceremony.id)
    world.down = [actor]
    world.step()
    message = world.answer(actor, Job(DueKind.CONFIRM_SHARE, ceremony.id))
    assert world.chain.result(actor, message).code == 0
    assert world.authority(authority).epoch == 2
    store.destroy(new)  # the token loses the new key before the old one is destroyed
    reaper = world.reaper(actor)
    assert reaper.reap(store) == []
    assert store.has_prf_key(old)
    assert "stays" in reaper.trouble


def test_a_reaper_that_is_not_at_the_head_destroys_nothing(world: Consortium) -> None:
    authority = world.create()
    world.consent(authority)
    world.behave = lambda _actor, job, said: None if job.kind is DueKind.DEAL_SHARES else said
    ceremony = world.to_phase(authority, pb.CEREMONY_PHASE_DEAL)
    store = world.keystores[world.chain.founders[0].identity]
    assert store.has_prf_key(labels.receive(world.chain.gid, ceremony.id))
    before = store.labels()
    world.at_head = False
    with pytest.raises(NotAtHead):
        world.reaper(world.chain.founders[0]).reap(store)
    assert store.labels() == before


def test_a_reaper_leaves_what_it_can_not_explain(world: Consortium) -> None:
    """Two ledgers may share a token: labels of the other's attempts are hashes that this one never made."""
    world.make()
    store = world.keystores[world.chain.founders[0].identity]
    other = bytes(32)
    for label in (labels.receive(other, other), labels.deal(other, other), labels.vault(other, other)):
        store.ensure_prf_key(label)
    assert world.reaper(world.chain.founders[0]).reap(store) == []


def test_a_deal_key_is_there_until_the_dealing_is_committed_and_never_after(world: Consortium) -> None:
    authority = world.create()
    world.consent(authority)
    actor = world.chain.founders[1]
    world.down = [actor]
    store = world.keystores[actor.identity]
    world.chain.result(actor, world.answer(actor, Job(DueKind.ACCEPT_CEREMONY, world.authority(authority).ceremony)))
    ceremony = world.to_phase(authority, pb.CEREMONY_PHASE_DEAL)
    job = Job(DueKind.DEAL_SHARES, ceremony.id)
    made = world.answer(actor, job)
    label = labels.deal(world.chain.gid, ceremony.id)
    assert world.reaper(actor).reap(store) == []
    assert store.has_prf_key(label)
    assert world.chain.result(actor, made).code == 0
    assert world.reaper(actor).reap(store) == [label]
    with pytest.raises(NotDue):
        world.answer(actor, job)  # no longer due: so no second key, and no second polynomial
    assert not store.has_prf_key(label)


# --- old shares ---------------------------------------------------------------------------------------------------
def test_a_removed_members_old_share_with_new_shares_opens_nothing() -> None:
    world = consortium(6)
    authority = world.make(*world.chain.founders[:4], threshold=3)
    key = world.authority(authority).public_key_g1
    removed, staying = world.chain.founders[0], world.chain.founders[1:4]
    old = {one.identity: world.share(authority, one).reveal() for one in world.chain.founders[:4]}
    old_index = {member.fiduciary: member.index for member in world.members(authority)}
    world.reshare(authority, *staying, *world.chain.founders[4:], threshold=4)
    world.consent(authority)
    assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE
    record = world.authority(authority)
    assert (record.public_key_g1, record.epoch) == (key, 2)
    new_index = {member.fiduciary: member.index for member in world.members(authority)}
    members = [*staying, *world.chain.founders[4:]]
    assert world.opens(authority, *members[:4])
    assert world.opens(authority, *members[1:])
    assert not world.opens(authority, *members[:3])
    new = {one.identity: world.share(authority, one).reveal() for one in members}
    tried = 0
    for trio in ([0, 1, 2], [0, 1, 3], [2, 3, 4]):
        chosen = [members[n].identity for n in trio]
        for index in range(1, 7):
            if index in [new_index[one] for one in chosen]:
                continue
            weights = scalars.lagrange_at_zero([index, *(new_index[one] for one in chosen)])
            values = [old[removed.identity], *(new[one] for one in chosen)]
            guess = sum(value * weight for value, weight in zip(values, weights, strict=True)) % ORDER
            assert (G1.generator() * guess).encode() != key
            tried += 1
    assert tried
    assert (G1.generator() * old[removed.identity]).encode() in [
        member.public_share for member in epochs.members(world.chain.view, authority, 1)
    ]
    assert old_index[removed.identity]


def test_no_node_can_derive_its_old_share_again_from_the_keys_that_are_left(world: Consortium) -> None:
    """(!) Tried with every key, deal keys included: what a deal key gives would subtract back to the old share."""
    authority = world.make()
    first = world.authority(authority).last_ceremony
    old = {one.identity: world.share(authority, one) for one in world.chain.founders}
    world.reshare(authority)
    assert world.run(authority).kind == pb.CEREMONY_KIND_REFRESH
    second = world.authority(authority).last_ceremony
    for actor in world.chain.founders:
        store = world.keystores[actor.identity]
        assert store.labels() == [labels.receive(world.chain.gid, second)]
        with pytest.raises(shares.ShareUnusable):
            world.share(authority, actor, epoch=1)
        for ceremony in (first, second):
            record = attempt_of(world, actor, ceremony).record
            label = labels.deal(world.chain.gid, ceremony)
            with pytest.raises(KeyMissing):
                provers.polynomial(store, label, record.record_digest, record.threshold)
        # The one sub-dealing of its own that it can still open says nothing of the constant term without the rest.
        assert opened_by(world, actor, actor, second) != old[actor.identity].reveal()


def test_with_the_deal_key_left_the_old_share_would_follow(world: Consortium) -> None:
    """What the rule prevents is real: from a copy of the deal key and the receive key, the old share comes out."""
    authority = world.make()
    actor = world.chain.founders[0]
    old = world.share(authority, actor).reveal()
    world.reshare(authority)
    world.run(authority)
    ceremony = world.authority(authority).last_ceremony
    found = attempt_of(world, actor, ceremony)
    thief = MemoryKeystore(actor)
    thief.ensure_prf_key(labels.deal(world.chain.gid, ceremony))  # a copy: keys here follow from their labels
    record = found.record
    coefficients = provers.polynomial(
        thief, labels.deal(world.chain.gid, ceremony), record.record_digest, record.threshold
    )
    own = opened_by(world, actor, actor, ceremony)
    higher = sum(a.reveal() * pow(found.me.index, k, ORDER) for k, a in enumerate(coefficients) if k)
    assert (own - higher) % ORDER == old


def test_a_failed_reshare_to_a_lower_threshold_leaves_no_keys(world: Consortium) -> None:
    """(!) A failed reshare to a lower threshold whose keys survive gives the key to fewer."""
    authority = world.make()
    kept = labels.receive(world.chain.gid, world.authority(authority).last_ceremony)
    world.reshare(authority, *world.chain.founders, threshold=2)
    world.consent(authority)
    world.behave = lambda _actor, job, said: None if job.kind is DueKind.CONFIRM_SHARE else said
    failed = world.to_phase(authority, pb.CEREMONY_PHASE_CONFIRM)
    while world.ceremony(failed.id).phase == pb.CEREMONY_PHASE_CONFIRM:
        world.step()
    assert world.ceremony(failed.id).failure == pb.FAILURE_TOO_FEW_CONFIRMED
    for store in world.keystores.values():
        assert not store.has_prf_key(labels.receive(world.chain.gid, failed.id))
        assert store.has_prf_key(kept)
    actor = world.chain.founders[0]
    found = attempt_of(world, actor, failed.id)
    with pytest.raises(shares.ShareUnusable):
        shares.share_in(world.keystores[actor.identity], world.chain.view, found)
    assert world.opens(authority, *world.chain.founders[:3])


# --- another chain ------------------------------------------------------------------------------------------------
def test_nothing_of_one_chain_counts_on_another_of_the_same_id(world: Consortium) -> None:
    """(!) A re-genesis under the same chain id: same members, same keys, same messages; another gid."""
    other = Consortium(Chain(4, _other_params()), keystores={})
    assert other.chain.genesis.chain_id == world.chain.genesis.chain_id
    assert other.chain.gid != world.chain.gid
    first, second = world.create(), other.create()
    world.consent(first)
    other.consent(second)
    said = {actor.identity: world.answer(actor, world.jobs(actor)[0]) for actor in world.chain.founders}
    ceremony = other.authority(second).ceremony
    for actor, there in zip(world.chain.founders, other.chain.founders, strict=True):
        message = pb.AcceptCeremony.FromString(said[actor.identity].SerializeToString())
        message.ceremony = ceremony
        refused(other.chain.result(there, message), Code.ACCEPT_PROOF)
    # Keys too: the same token on both chains has another key for each attempt.
    assert labels.receive(world.chain.gid, ceremony) != labels.receive(other.chain.gid, ceremony)


def _other_params() -> params_pb2.Params:
    changed = default_params()
    changed.max_upkeep_cost += 1  # anything in genesis makes another gid
    return changed


# --- a reshare of something else ----------------------------------------------------------------------------------
def test_a_reshare_dealing_of_anything_but_the_dealers_share_is_refused(world: Consortium) -> None:
    authority = world.make()
    liar = world.chain.founders[3]
    world.reshare(authority)

    def other(said: Message) -> Message:
        coefficients, _ = secrets_of(world, liar, said.ceremony)  # type: ignore[attr-defined]
        return dealt(
            world, liar, said.ceremony, coefficients=[SecretScalar(5), *coefficients[1:]]  # type: ignore[attr-defined]
        )

    world.behave = only(liar, DueKind.DEAL_SHARES, other)
    ceremony = world.run(authority)
    assert Because(Code.DEALING_CONSTANT, "old-share") in world.answers(pb.DealShares)
    assert ceremony.phase == pb.CEREMONY_PHASE_DONE, "three of the old are enough"
    assert world.faults(ceremony) == {liar.name: pb.FAULT_SILENT_DEAL}
    assert world.opens(authority, *world.chain.founders[1:])
