"""Ceremonies with real hooks: crashes, lost disks, who takes part, many at once, and random misbehaviour."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from google.protobuf.message import Message

from abci_app import transition
from abci_app.authority import finalise, parties
from abci_app.block import Changes, Time
from abci_app.codes import Code
from abci_app.crypto.curve import G1, G2, BadPoint, pairing_check
from abci_app.crypto.dealing import Dealing
from abci_app.execution.context import BlockScratch, Context
from abci_app.governance import create_authority
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2, governance_pb2, tx_pb2
from abci_app.state import records
from abci_app.state.due import DueKind
from abci_app.state.memory_view import MemoryView
from abci_app.state.overlay import Overlay
from abci_app.state.records import AUTHORITIES, CEREMONIES, CEREMONY_PARTIES, DEALINGS, REQUESTS
from dta.node.ceremonies import shares
from dta.node.hooks.errors import CannotAnswer, Obstacle
from dta.node.hooks.plan import Job
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium, consortium, honest
from tests.support.misdealing import (
    dealt,
)
from tests.support.refusals import fault_of, refused

PHASES = [DueKind.ACCEPT_CEREMONY, DueKind.DEAL_SHARES, DueKind.DISPUTE_DEALINGS, DueKind.CONFIRM_SHARE]


@pytest.fixture
def world() -> Consortium:
    return consortium(4, ceremony_consent_blocks=3)


# --- crashes ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", PHASES, ids=lambda kind: kind.name.lower())
def test_killed_in_any_phase_a_node_says_the_same_again(world: Consortium, kind: DueKind) -> None:
    """kill -9: the hook forgets everything and plans again. The same polynomial, for it is derived."""
    authority = world.create()
    world.consent(authority)
    twice: list[tuple[Message, Message]] = []

    def killed(actor: Actor, job: Job, said: Message) -> Message:
        if job.kind is kind:
            twice.append((said, world.answer(actor, job)))
        return said

    world.behave = killed
    assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE
    assert len(twice) == 4
    for first, second in twice:
        if isinstance(first, pb.DealShares) and isinstance(second, pb.DealShares):
            first.dealing.proof = second.dealing.proof = b""  # of fresh randomness; all else is the same
        elif isinstance(first, pb.AcceptCeremony | pb.ConfirmShare):
            first.proof = second.proof = b""  # type: ignore[attr-defined]
        assert first == second
    assert world.opens(authority, *world.chain.founders[:3])


def test_another_attempt_has_an_unrelated_polynomial(world: Consortium) -> None:
    authority = world.create()
    world.consent(authority)
    world.behave = lambda _actor, job, said: None if job.kind is DueKind.DISPUTE_DEALINGS else said
    actor = world.chain.founders[0]
    seen = []
    for _ in range(2):
        ceremony = world.to_phase(authority, pb.CEREMONY_PHASE_DISPUTE)
        dealing_ = parties.dealing_of(world.chain.view, ceremony.id, world.party(ceremony, actor))
        seen.append((ceremony.id, list(dealing_.commitments), dealing_.ephemeral))
        authority = world.create()
        world.consent(authority)
    (_, one, e_one), (_, two, e_two) = seen
    assert not [commitment for commitment in one if commitment in two]
    assert e_one != e_two


def test_a_node_that_lost_its_disk_and_kept_its_token_holds_its_share_again(world: Consortium) -> None:
    """Nothing but the token and the chain's blocks: replayed, they give the share."""
    authority = world.make()
    before = {one.identity: world.share(authority, one) for one in world.chain.founders}
    view = MemoryView()
    view.apply(transition.init_chain(world.chain.genesis))
    for block in world.chain.blocks:
        view.apply(transition.apply_block(view, block).changes)
    for actor in world.chain.founders:
        store = world.keystores[actor.identity]
        again = shares.share_of(store, view, world.chain.gid, actor.identity, authority, 1)
        assert again == before[actor.identity]


# --- who may, and many at once ------------------------------------------------------------------------------------
def test_a_rotation_after_the_record_was_frozen_excludes_and_never_changes_the_record(world: Consortium) -> None:
    authority = world.create()
    world.consent(authority)
    ceremony = world.to_phase(authority, pb.CEREMONY_PHASE_DISPUTE)
    digest = ceremony.record_digest
    rotated = world.chain.founders[3]
    world.rotate(rotated)
    world.down = [rotated]
    last = world.run(authority)
    assert last.record_digest == digest
    assert (last.phase, last.seats) == (pb.CEREMONY_PHASE_DONE, 3)
    assert world.faults(last) == {rotated.name: pb.FAULT_NOT_ACTIVE}
    assert world.opens(authority, *world.chain.founders[:3])


def test_one_ceremonys_failure_touches_no_other(world: Consortium) -> None:
    made = []
    for _ in range(4):
        made.append(world.create())
        world.consent(made[-1])
    doomed = made[1]

    def fail_one(_actor: Actor, job: Job, said: Message) -> Message | None:
        mine = world.ceremony(job.subject).authority == doomed
        return None if mine and job.kind is DueKind.DEAL_SHARES else said

    world.behave = fail_one
    for authority in made:
        world.run(authority, blocks=400)
    status = [world.authority(authority).status for authority in made]
    active, failed = pb.AUTHORITY_STATUS_ACTIVE, pb.AUTHORITY_STATUS_FAILED
    assert status == [active, failed, active, active]
    for authority in (made[0], made[2], made[3]):
        assert world.opens(authority, *world.chain.founders[:3])
    keys = [world.authority(authority).public_key_g1 for authority in made if authority != doomed]
    assert len(dict.fromkeys(keys)) == 3


def test_no_parameter_makes_a_window_so_short_that_one_proposer_censors_a_member_away() -> None:
    world = consortium(4, ceremony_window_blocks=1)
    authority = world.create()
    world.consent(authority)
    quiet = world.chain.founders[3]
    world.down = [quiet]
    ceremony = world.to_phase(authority, pb.CEREMONY_PHASE_ACCEPT)
    for _ in range(2 * 4 + 10 - 1):
        world.step()
    assert world.ceremony(ceremony.id).phase == pb.CEREMONY_PHASE_ACCEPT
    late = world.answer(quiet, Job(DueKind.ACCEPT_CEREMONY, ceremony.id))
    assert world.chain.result(quiet, late).code == 0, "in the last block of the window"
    assert world.ceremony(ceremony.id).phase == pb.CEREMONY_PHASE_DEAL


def test_ceremonies_are_bounded_in_number() -> None:
    world = consortium(4, max_open_ceremonies=2)
    world.create()
    world.create()
    with pytest.raises(AssertionError, match="TOO_MANY_CEREMONIES"):
        world.create()


def test_no_ceremony_that_waits_for_people_keeps_another_keys_refresh_waiting() -> None:
    """(!) An operator that said nothing to as many as may be under way stopped all refreshes, for days."""
    world = consortium(4, max_open_ceremonies=1)
    keys = [world.make(refresh=20) for _ in range(2)]
    waiting = world.authority(world.create()).ceremony
    under_way = []
    for _ in range(40):
        world.step()
        under_way.append(sum(bool(world.authority(key).ceremony) for key in keys))
    assert max(under_way) == 1, "those that run count"
    assert min(world.authority(key).epoch for key in keys) >= 2
    assert world.ceremony(waiting).phase == pb.CEREMONY_PHASE_CONSENT


def test_a_scheduled_refresh_needs_nobodys_consent_and_comes_again(world: Consortium) -> None:
    authority = world.make(refresh=20)
    key = world.authority(authority).public_key_g1
    share = world.share(authority, world.chain.founders[0])
    for _ in range(60):
        world.step()
    record = world.authority(authority)
    assert record.epoch >= 3
    assert record.public_key_g1 == key
    assert world.share(authority, world.chain.founders[0]) != share
    assert world.opens(authority, *world.chain.founders[:3])


def test_a_hook_accepts_nothing_but_a_refresh_without_its_operators_consent(world: Consortium) -> None:
    """Should the ledger ever ask: the hook holds to it by itself."""
    authority = world.create()
    world.consent(authority)
    actor = world.chain.founders[0]
    ceremony = world.ceremony(world.authority(authority).ceremony)
    party = world.party(ceremony, actor)
    party.consent_height = 0
    asked, job = forged(world, ceremony, party), Job(DueKind.ACCEPT_CEREMONY, ceremony.id)
    assert fault_of(lambda: asked.answer(actor, job), CannotAnswer) is Obstacle.NOT_CONSENTED


@pytest.mark.parametrize("what", ["nothing", "consent was to be asked", "another threshold", "without a member"])
def test_a_hook_sees_for_itself_that_a_refresh_changes_nothing(world: Consortium, what: str) -> None:
    authority = world.make()
    world.reshare(authority)
    actor, other = world.chain.founders[:2]
    ceremony = world.ceremony(world.authority(authority).ceremony)
    party = world.party(ceremony, other)
    if what == "consent was to be asked":  # it is what is left of a reshare without one of its candidates
        ceremony.asks_consent = True
    elif what == "another threshold":
        ceremony.threshold = 2
    elif what == "without a member":
        party.candidate = False
    asked = forged(world, ceremony, party)
    job = Job(DueKind.ACCEPT_CEREMONY, ceremony.id)
    if what == "nothing":
        assert isinstance(asked.answer(actor, job), pb.AcceptCeremony)
        return
    assert fault_of(lambda: asked.answer(actor, job), CannotAnswer) is Obstacle.NOT_CONSENTED


def forged(world: Consortium, ceremony: pb.CeremonyRecord, party: pb.CeremonyParty) -> Consortium:
    """The same world with these records in its state."""
    made = copy.deepcopy(world)
    leaves = (
        (CEREMONIES.key(ceremony.id), ceremony.SerializeToString(deterministic=True)),
        (CEREMONY_PARTIES.key(ceremony.id, party.position), party.SerializeToString(deterministic=True)),
    )
    made.chain.view.apply(Changes(leaves=leaves))
    return made


def test_an_open_phase_changes_a_leaf_in_every_block_and_waiting_for_people_does_not() -> None:
    """CometBFT makes the next block at once where the app hash changed: an idle chain goes through its windows."""
    world = consortium(3)
    authority = world.create()
    assert world.chain.block().changes.leaves == ()
    world.consent(authority)
    window = 2 * 3 + 10
    ceremony = world.ceremony(world.authority(authority).ceremony)
    assert ceremony.deadline_height == world.chain.height + max(window, 30)
    for count in range(1, 4):
        changed = world.chain.block().changes.leaves
        assert [key for key, _ in changed] == [CEREMONIES.key(ceremony.id)]
        assert world.ceremony(ceremony.id).blocks == count


def test_a_scheduled_refresh_that_failed_is_tried_again_an_interval_later() -> None:
    world = consortium(2, max_ceremony_attempts=1)
    authority = world.make(refresh=20)
    due_height = world.authority(authority).refresh_height
    world.down = [world.chain.founders[1]]
    while world.chain.height < due_height:
        world.chain.block()
    failed = world.ceremony(world.authority(authority).ceremony)
    assert failed.kind == pb.CEREMONY_KIND_REFRESH
    while world.authority(authority).ceremony:
        world.chain.block()
    assert world.authority(authority).refresh_height == world.chain.height + 20
    assert world.authority(authority).epoch == 1


def test_a_reshare_that_waits_for_consent_gives_way_to_another(world: Consortium) -> None:
    authority = world.make()
    three = world.chain.founders[:3]
    world.reshare(authority, *three)
    waiting = world.authority(authority).ceremony
    proposal = world.reshare(authority)
    assert proposal.status == governance_pb2.PROPOSAL_STATUS_EXECUTED
    assert world.ceremony(waiting).failure == pb.FAILURE_SUPERSEDED
    assert world.run(authority).phase == pb.CEREMONY_PHASE_DONE
    assert world.authority(authority).epoch == 2


def test_a_defect_in_one_ceremony_fails_that_one_alone(world: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should execution itself fail: the same on every node, rolled back, and no other ceremony is touched."""
    made = []
    for _ in range(2):
        made.append(world.create())
        world.consent(made[-1])
    broken = world.authority(made[0]).ceremony
    finalised = finalise.finalise

    def fail(context: Context, authority: object, ceremony: pb.CeremonyRecord, everybody: object) -> bool:
        if ceremony.id == broken:
            raise ZeroDivisionError
        return finalised(context, authority, ceremony, everybody)  # type: ignore[arg-type]

    monkeypatch.setattr(finalise, "finalise", fail)
    for authority in made:
        world.run(authority)
    record = world.ceremony(broken)
    assert (record.phase, record.failure, record.next) == (pb.CEREMONY_PHASE_FAILED, pb.FAILURE_BROKEN, b"")
    assert world.authority(made[0]).status == pb.AUTHORITY_STATUS_FAILED
    assert world.opens(made[1], *world.chain.founders[:3])


def test_an_mfa_keys_ceremony_writes_no_point_of_g2(world: Consortium) -> None:
    """(!) No G2 multiple of the key: not in a record, not in a dealing; a dealing that carries one is refused."""
    state = Overlay(world.chain.view)
    context = Context(
        state=state, params=records.params(world.chain.view), gid=world.chain.gid, height=world.chain.height,
        time=Time(world.chain.time_s), scratch=BlockScratch(),
    )  # fmt: skip
    named = sorted(actor.identity for actor in world.chain.founders)
    new = pb.AuthorityRecord(id=bytes([7]) * 32, purpose=pb.PURPOSE_MFA, name="realm's", realm=bytes([8]) * 32)
    create_authority.create(context, new, named, 0)
    world.chain.view.apply(state.changes())
    world.consent(new.id)
    liar = world.chain.founders[3]
    ceremony = world.to_phase(new.id, pb.CEREMONY_PHASE_DEAL)

    def with_g2(made: Dealing) -> Dealing:
        return replace(made, constant_g2=(G2.generator() * 5).encode())

    refused(world.chain.result(liar, dealt(world, liar, ceremony.id, with_g2)), Code.DEALING_MALFORMED, "form")
    assert world.run(new.id).phase == pb.CEREMONY_PHASE_DONE
    world.reshare(new.id)
    assert world.run(new.id).phase == pb.CEREMONY_PHASE_DONE
    record = world.authority(new.id)
    assert (record.epoch, record.public_key_g2) == (2, b"")
    written = [*world.chain.view.leaves.items()]
    mine = [value for key, value in written if key.startswith((AUTHORITIES.prefix, CEREMONIES.prefix, DEALINGS.prefix))]
    assert mine
    assert not [value for value in mine for at in range(len(value) - 95) if _is_g2(value[at : at + 96])]


def _is_g2(data: bytes) -> bool:
    if data[0] & 0xC0 != 0x80:
        return False
    try:
        G2.decode(data)
    except BadPoint:
        return False
    return True


def test_what_waits_for_a_signature_is_signed_with_the_new_shares(world: Consortium) -> None:
    """A request from before a reshare is answered after it: partials of the old epoch count no more."""
    authority = world.make()
    asker, members = world.chain.founders[0], world.chain.founders
    message = extraction_pb2.PlaceSigningOrder(
        nonce=bytes(32), authority=authority, kind="note", message=b"hello", names=4
    )
    placed = world.chain.run(asker, message)
    assert placed.code == 0, placed
    request = REQUESTS.get(world.chain.view, placed.data)
    for actor in members[1:3]:  # who asks has approved
        decision = tx_pb2.ApproveRequest(request=request.id, content_digest=request.content_digest)
        assert world.chain.run(actor, decision).code == 0
    world.behave = lambda actor, job, said: (
        None if job.kind is DueKind.SUBMIT_UNBLINDED and actor is not members[0] else said
    )
    world.step()
    world.reshare(authority)
    world.run(authority)
    assert world.authority(authority).epoch == 2
    assert not records.SIGNINGS.get(world.chain.view, request.id).signature
    world.behave = honest
    for _ in range(3):
        world.step()
    signed = records.SIGNINGS.get(world.chain.view, request.id)
    base = records.EXTRACTION_ITEMS.get(world.chain.view, request.id, 0).base
    key = G2.decode(world.authority(authority).public_key_g2)
    pairs = [(G1.decode(signed.signature), G2.generator()), (-G1.decode(base), key)]
    assert pairing_check(pairs)
