"""What an identity asked for ends with it, from that very block on; what it entrusted does not."""

from __future__ import annotations

from abci_app.codes import Code
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2, governance_pb2, tx_pb2
from abci_app.state.due import DueKind, is_due
from abci_app.state.indexes import RELEASE_QUEUE, REQUESTER_REQUESTS, REVOKED_REQUESTERS, VETO_WINDOWS
from abci_app.state.overlay import Overlay
from abci_app.state.records import EXTRACTIONS, ORDERS
from tests.support import governance
from tests.support.actors import Actor
from tests.support.authority import MFA, context_over, install_new, message_of, open_mfa
from tests.support.chain import Chain
from tests.support.custody import SEALED, k_of, make_custody
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.waiting import World


def revocation(chain: Chain, who: Actor) -> bytes:
    """A transaction by which ``who`` ends itself."""
    next_key = who.key(who.generation + 1)
    return chain.tx(who, tx_pb2.RevokeIdentity(next_key=bytes(next_key.verify_key)), key=next_key)


def test_an_answer_in_the_block_that_revokes_who_asked_is_refused_and_the_next_block_s_sweep_cancels() -> None:
    world = World("alice", "mallory")
    order = world.place("mallory")
    request = world.ask("mallory", order)
    member = world.chain.founders[0]
    partial = message_of(world.chain.view, world.chain.gid, world.dealt, member, request)
    answer = world.chain.tx(member, partial, key=member.node_key)
    made = world.chain.block(revocation(world.chain, world.people["mallory"]), answer)
    assert [because(result) for result in made.tx_results] == [TAKEN, Because(Code.REQUESTER_REVOKED, "request")]
    assert world.record(request).status == pb.REQUEST_STATUS_GRANTED, "recorded later, true already"
    assert not world.is_due(request)
    again = world.chain.tx(member, partial, key=member.node_key)
    refused(world.chain.check(again), Code.NOT_DUE, "not-early")
    queued = world.ask("alice", world.place("alice"))
    assert world.record(request).status == pb.REQUEST_STATUS_CANCELLED
    assert EXTRACTIONS.get(world.chain.view, request).status == extraction_pb2.EXTRACTION_STATUS_CANCELLED
    assert ORDERS.get(world.chain.view, order).status == pb.ORDER_STATUS_ACTIVE, "an order outlives its principal"
    assert world.in_flight() == [queued]


def test_whatever_stage_its_requests_are_in_a_revoked_identity_holds_nothing() -> None:
    world = World("alice", "bob", "mallory")
    mallory = world.people["mallory"].identity
    window = k_of(1, mallory, veto_window_s=1_000)
    pending = k_of(1, world.people["bob"].identity)
    asked = [
        world.ask("mallory", world.place("mallory", tag, policy))
        for tag, policy in enumerate((None, None, window, pending))
    ]
    stages = [pb.ReleaseStage.Name(world.record(request).stage)[14:] for request in asked]
    assert stages == ["RELEASED", "QUEUED", "VETO_TIME", "UNSPECIFIED"]
    approve = tx_pb2.ApproveRequest(request=asked[3], content_digest=world.record(asked[3]).content_digest)
    made = world.chain.block(
        revocation(world.chain, world.people["mallory"]), world.chain.tx(world.people["bob"], approve)
    )
    assert [because(result) for result in made.tx_results] == [TAKEN, Because(Code.REQUESTER_REVOKED, "request")]
    assert world.entries(REVOKED_REQUESTERS) == [(mallory,)]
    world.chain.block()
    assert {world.record(request).status for request in asked} == {pb.REQUEST_STATUS_CANCELLED}
    assert world.waiting("mallory") == 0
    for index in (REVOKED_REQUESTERS, REQUESTER_REQUESTS, RELEASE_QUEUE, VETO_WINDOWS):
        assert world.entries(index) == []
    assert world.in_flight() == []


def test_a_turn_that_comes_in_the_block_of_the_revocation_is_not_given_to_the_revoked() -> None:
    world = World("alice", "mallory")
    held = world.ask("alice", world.place("alice"))
    queued = world.ask("mallory", world.place("mallory"))
    txs = []
    for founder in world.chain.founders[:3]:
        partial = message_of(world.chain.view, world.chain.gid, world.dealt, founder, held)
        txs.append(world.chain.tx(founder, partial, key=founder.node_key))
    made = world.chain.block(revocation(world.chain, world.people["mallory"]), *txs)
    assert {result.code for result in made.tx_results} == {Code.OK}
    assert EXTRACTIONS.find(world.chain.view, queued) is None
    assert world.record(queued).status == pb.REQUEST_STATUS_CANCELLED


def test_a_revocation_by_vote_frees_what_was_held() -> None:
    world = World("alice", "mallory")
    request = world.ask("mallory", world.place("mallory"))
    queued = world.ask("alice", world.place("alice"))
    action = governance_pb2.Action(
        revoke_identity=governance_pb2.RevokeByVote(identity=world.people["mallory"].identity)
    )
    governance.pass_(world.chain, action, "revoke", world.chain.founders[:3])
    world.chain.block()
    assert world.record(request).status == pb.REQUEST_STATUS_CANCELLED
    assert world.in_flight() == [queued]


def test_an_order_outlives_its_principal() -> None:
    custody = make_custody()
    order = custody.place()
    assert custody.chain.block(revocation(custody.chain, custody.principal)).tx_results[0].code == 0
    request = custody.request(order)
    for founder in custody.chain.founders[:3]:
        assert custody.chain.result(founder, tx_pb2.FulfilSecret(request=request, sealed=SEALED)).code == 0
    assert custody.request_record(request).status == pb.REQUEST_STATUS_COMPLETED


def test_sealed_answers_to_a_revoked_beneficiary_are_refused_and_so_are_late_ones() -> None:
    custody = make_custody()
    order = custody.place()
    granted, completed = custody.request(order, bytes(32)), custody.request(order, bytes([1]) * 32)
    for founder in custody.chain.founders[:3]:
        assert custody.chain.result(founder, tx_pb2.FulfilSecret(request=completed, sealed=SEALED)).code == 0
    one, *_, four = custody.chain.founders
    late = custody.chain.tx(four, tx_pb2.FulfilSecret(request=completed, sealed=SEALED), key=four.node_key)
    answer = custody.chain.tx(one, tx_pb2.FulfilSecret(request=granted, sealed=SEALED), key=one.node_key)
    made = custody.chain.block(revocation(custody.chain, custody.beneficiary), late, answer)
    assert [because(result) for result in made.tx_results] == [
        TAKEN, Because(Code.REQUESTER_REVOKED, "request"), Because(Code.REQUESTER_REVOKED, "request"),
    ]
    for request, fiduciary in ((granted, one), (completed, four)):
        view, height = custody.chain.view, custody.chain.height + 1
        assert not is_due(view, fiduciary.identity, DueKind.FULFIL_SECRET, request, custody.chain.time_s, height)
    custody.chain.block()
    assert custody.request_record(granted).status == pb.REQUEST_STATUS_CANCELLED
    assert custody.request_record(completed).status == pb.REQUEST_STATUS_COMPLETED
    assert custody.order(order).open_requests == 0


def test_what_a_revoked_registrar_asked_for_is_owed_no_more() -> None:
    chain, registrar = Chain(4), Actor("registrar")
    chain.register(registrar)
    dealt = install_new(chain, MFA)
    state = Overlay(chain.view)
    context = context_over(state, chain.gid, chain.height, chain.time_s)
    context.signer = registrar.identity
    request, _ = open_mfa(
        context, dealt, extraction_pb2.USE_CLIENT, items=1, deadline_time_s=chain.time_s + 1_000
    )
    chain.view.apply(state.changes())
    member = chain.founders[0]
    partials = message_of(chain.view, chain.gid, dealt, member, request)
    made = chain.block(revocation(chain, registrar), chain.tx(member, partials, key=member.node_key))
    assert [because(result) for result in made.tx_results] == [TAKEN, Because(Code.REQUESTER_REVOKED, "extraction")]
    assert not is_due(chain.view, member.identity, DueKind.SUBMIT_PARTIALS, request, chain.time_s, chain.height + 1)
    chain.block()
    assert EXTRACTIONS.get(chain.view, request).status == extraction_pb2.EXTRACTION_STATUS_CANCELLED
