"""``mpc-bls`` from a principal's secret to a beneficiary's, over real proofs, across reshares; what must not open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from abci_app.block import TxResult
from abci_app.codes import Code
from abci_app.crypto.curve import G1
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2, tx_pb2
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.due import DueKind
from abci_app.state.records import EXTRACTIONS, ORDERS, REQUESTS
from dta.base.errors import TimedOut, UsageError
from dta.base.secret import SecretBytes
from dta.client.custody import asking, keyfile, orders, receiving
from dta.client.custody.errors import RequestEnded, WouldBeRefused
from dta.client.custody.orders import NewOrder
from dta.client.ledger.ledger import Ledger, OrderView
from dta.client.receipt.collect import collect_order_receipt
from dta.crypto.extraction import make_transport
from dta.crypto.ibe import CannotDecrypt
from dta.custodians.mpc_bls import MpcBls
from dta.custodians.plugin import NotEnoughShares, OrderUnsound, RecoverInput
from tests.support.actors import seeded
from tests.support.authority import CUSTODY, SIGNING, Dealt
from tests.support.custody import k_of, single
from tests.support.order_flow import World, make_world
from tests.support.refusals import refused

CUSTODIAN = MpcBls()
SECRET = b"the treasure is under the oak"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path)
    made.chain.deal(CUSTODY)
    made.chain.make_block()
    made.chain.make_block()
    return made


def key_of(world: World) -> Dealt:
    return next(iter(world.chain.dealt.values()))


def place(world: World, **changes: Any) -> OrderView:
    bob = world.bob.identity
    new = NewOrder(
        b"", SecretBytes(SECRET), single(bob), pb.BeneficiaryRule(identity=bob), authority=key_of(world).id
    )
    return orders.place(world.session(world.alice), CUSTODIAN, replace(new, **changes))


def ask(world: World, order: bytes) -> bytes:
    bob = world.session(world.bob)
    opened = asking.prepare(bob, order)
    asking.submit(bob, opened)
    return opened.request


def receive(world: World, request: bytes, **more: Any) -> bytes:
    return receiving.receive(world.session(world.bob), CUSTODIAN, request, **more).secret.reveal()


def test_an_order_is_active_at_once_and_what_is_received_is_what_was_entrusted(world: World) -> None:
    view = place(world)
    assert (view.record.status, view.record.fiduciaries, view.record.threshold) == (pb.ORDER_STATUS_ACTIVE, [], 0)
    request = ask(world, view.record.id)
    assert receive(world, request) == SECRET
    record = REQUESTS.get(world.chain.replica.view, request)
    assert (record.status, record.answers) == (pb.REQUEST_STATUS_COMPLETED, 3)
    assert record.settled_height


def test_three_of_four_are_enough_and_two_are_not(world: World) -> None:
    world.chain.agents[0].silent.add(DueKind.FULFIL_SECRET)
    assert receive(world, ask(world, place(world).record.id)) == SECRET
    world.chain.agents[1].silent.add(DueKind.FULFIL_SECRET)
    request = ask(world, place(world).record.id)
    with pytest.raises(TimedOut):
        receive(world, request, wait_s=20)
    view = world.session(world.bob).ledger.request_view(request)
    assert (view.answered, view.threshold) == (2, 3)
    with pytest.raises(NotEnoughShares) as caught:
        CUSTODIAN.recover(recover_input(world, request))
    assert (caught.value.data["good"], caught.value.bad_fiduciaries) == (2, [])


def recover_input(world: World, request: bytes) -> RecoverInput:
    session = world.session(world.bob)
    view = session.ledger.request_view(request)
    opened = keyfile.load(session.directory, session.party.need_root(), session.gid, request)
    block = world.chain.gateways.find(view.order.envelope_cid)
    assert block is not None
    return receiving._recover_input(session, view, block, opened)


def test_an_order_from_before_a_reshare_opens_after_it_and_a_granted_request_starts_again(world: World) -> None:
    before = place(world).record.id
    for number in (0, 1):
        world.chain.agents[number].silent.add(DueKind.FULFIL_SECRET)
    waiting = ask(world, before)
    for _ in range(3):
        world.chain.make_block()
    assert EXTRACTIONS.get(world.chain.replica.view, waiting).answers == 2
    for number in (0, 1):
        world.chain.agents[number].silent.clear()
    members = world.founders[:3]
    world.chain.reshare(key_of(world), members, 3)
    assert receive(world, waiting) == SECRET
    assert EXTRACTIONS.get(world.chain.replica.view, waiting).epoch == 2
    assert receive(world, ask(world, before)) == SECRET


def test_a_policy_a_veto_and_closing_hold_for_it_too(world: World) -> None:
    policy = k_of(2, world.alice.identity, world.carol.identity)
    policy.veto_window_s = 60
    order = place(world, policy=policy).record.id
    request = ask(world, order)
    alice, carol = world.session(world.alice), world.session(world.carol)
    asking.approve(alice, asking.content(alice, request))
    assert EXTRACTIONS.find(world.chain.replica.view, request) is None, "nothing is owed before it is granted"
    asking.approve(carol, asking.content(carol, request))
    granted = REQUESTS.get(world.chain.replica.view, request)
    assert granted.status == pb.REQUEST_STATUS_GRANTED
    assert EXTRACTIONS.find(world.chain.replica.view, request) is None, "nothing is owed within the window"
    asking.veto(alice, asking.content(alice, request))
    with pytest.raises(RequestEnded):
        receive(world, request)
    orders.close(alice, order)
    with pytest.raises(WouldBeRefused):
        asking.prepare(world.session(world.bob), order)


def test_the_ledger_refuses_a_request_once_the_order_is_closed(world: World) -> None:
    order = place(world).record.id
    bob = world.session(world.bob)
    opened = asking.prepare(bob, order)
    orders.close(world.session(world.alice), order)
    refused(world.chain.run(world.bob, opened.message), Code.ORDER_NOT_OPEN, "order")


def test_where_the_rule_is_open_the_principal_authorises_the_transport_key(world: World) -> None:
    order = place(world, rule=pb.BeneficiaryRule()).record.id
    bob, alice = world.session(world.bob), world.session(world.alice)
    opened = asking.prepare(bob, order)
    refused(world.chain.run(world.bob, opened.message), Code.AUTHORISATION_INVALID, "signature")
    draft = asking.authorise(alice, asking.Draft(bob.ledger.trust.chain_id, bob.gid, opened.message))
    again = asking.load_prepared(bob, draft)
    asking.submit(bob, again)
    assert receive(world, opened.request) == SECRET


def test_nobody_is_granted_a_victims_key_by_an_order_of_her_own(world: World) -> None:
    """(!) The identity follows from principal and salt: mallory's order of the same fields has another."""
    victim = place(world).record
    message = tx_pb2.PlaceOrder(
        nonce=victim.salt, custodian="mpc-bls", authority=victim.authority, envelope_cid=victim.envelope_cid,
        policy=victim.policy, rule=victim.rule,
    )  # fmt: skip
    made = world.chain.run(world.carol, message)
    assert made.code == Code.OK
    assert ORDERS.get(world.chain.replica.view, made.data).identity != victim.identity
    refused(world.chain.run(world.alice, message), Code.DUPLICATE, "order", why="(!) (principal, salt) once")
    orders.close(world.session(world.alice), victim.id)
    refused(world.chain.run(world.alice, message), Code.DUPLICATE, "order", why="not after closing either")


def test_an_identity_binds_the_policy_and_no_block(world: World) -> None:
    """(!) Weakening the policy under the same salt makes another identity; the ciphertext's CID is not in it."""
    from abci_app.crypto import statements

    record = place(world).record
    gid = world.chain.replica.gid
    weaker = statements.policy_hash(single(world.carol.identity), pb.BeneficiaryRule(identity=world.carol.identity))
    assert statements.custody_identity(gid, record.authority, record.principal, record.salt, weaker) != record.identity
    exact = statements.policy_hash(record.policy, record.rule)
    assert statements.custody_identity(gid, record.authority, record.principal, record.salt, exact) == record.identity
    other_chain = statements.custody_identity(seeded("gid"), record.authority, record.principal, record.salt, exact)
    assert other_chain != record.identity


def test_a_key_of_another_purpose_or_none_takes_no_order(world: World) -> None:
    signing = world.chain.deal(SIGNING)
    world.chain.make_block()
    world.chain.make_block()
    with pytest.raises(WouldBeRefused) as caught:
        place(world, authority=signing.id)
    refused(caught.value, Code.WRONG_PURPOSE, "client-order")
    record = place(world).record
    message = tx_pb2.PlaceOrder(
        nonce=seeded("n"), custodian="mpc-bls", authority=signing.id, envelope_cid=record.envelope_cid,
        policy=record.policy, rule=record.rule,
    )  # fmt: skip
    refused(world.chain.run(world.alice, message), Code.WRONG_PURPOSE, "asked")
    message.authority = bytes(32)
    refused(world.chain.run(world.alice, message), Code.UNKNOWN_AUTHORITY, "asked")
    message.authority, message.custodian = record.authority, "hsm-realm"
    refused(world.chain.run(world.alice, message), Code.UNKNOWN_CUSTODIAN, "order")
    message.custodian, message.threshold = "mpc-bls", 1
    refused(world.chain.run(world.alice, message), Code.FIELD_INVALID, "authority-or-vault")
    message.ClearField("threshold")
    message.key_commitment = bytes(32)
    refused(world.chain.run(world.alice, message), Code.BAD_COMMITMENTS, "under-authority")
    vault = tx_pb2.OpenVault(nonce=seeded("v"), custodian="mpc-bls", fiduciaries=world.founders)
    refused(world.chain.run(world.alice, vault), Code.UNKNOWN_CUSTODIAN, "vault")
    with pytest.raises(UsageError):
        place(world, threshold=2)


def test_a_key_that_is_not_in_force_takes_no_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = world.session(world.alice).ledger.authority_members

    def pending(_: Ledger, authority: bytes, **more: Any) -> Any:
        found = honest(authority, **more)
        found.record.status = authority_pb2.AUTHORITY_STATUS_PENDING
        return found

    monkeypatch.setattr(Ledger, "authority_members", pending)
    with pytest.raises(WouldBeRefused) as caught:
        place(world)
    refused(caught.value, Code.AUTHORITY_NOT_ACTIVE, "client-authority")


def test_what_a_request_is_answered_to_must_fit_its_order(world: World) -> None:
    order = place(world).record.id
    bob = world.session(world.bob)
    good = asking.prepare(bob, order).message

    def ask(**changes: Any) -> TxResult:
        message = tx_pb2.RequestSecret()
        message.CopyFrom(good)
        for name, value in changes.items():
            message.ClearField(name)
            if value:
                setattr(message, name, value)
        return world.chain.run(world.bob, message)

    refused(ask(possession=b""), Code.BAD_POSSESSION, "length")
    refused(ask(transport_key=b"", possession=b""), Code.BAD_REQUEST_KEYS, "digest")
    refused(ask(transport_key=bytes(48)), Code.BAD_TRANSPORT_KEY, "point")
    refused(ask(nonce=seeded("another request")), Code.BAD_POSSESSION, "proof", why="bound to its request")
    assert ask().code == Code.OK
    second = asking.prepare(bob, order).message
    made = make_transport(G1, bob.gid, extraction_pb2.USE_CUSTODY, seeded("x"), order, world.bob.identity)
    second.transport_key, second.possession = good.transport_key, made.proof
    refused(world.chain.run(world.bob, second), Code.BAD_POSSESSION, "proof")


def test_a_transport_key_of_an_earlier_request_is_refused(world: World) -> None:
    """(!) Seen before: even with possession proved for the new request."""
    from abci_app.crypto import statements

    order = place(world).record.id
    bob = world.session(world.bob)
    first = asking.prepare(bob, order)
    assert world.chain.run(world.bob, first.message).code == Code.OK
    nonce = seeded("second")
    request = statements.request_id(bob.gid, order, world.bob.identity, nonce)
    again = make_transport(
        G1, bob.gid, extraction_pb2.USE_CUSTODY, request, order, world.bob.identity, first.transport
    )
    message = tx_pb2.RequestSecret(
        order=order, nonce=nonce, beneficiary=world.bob.identity, transport_key=again.point, possession=again.proof
    )
    refused(world.chain.run(world.bob, message), Code.POINT_USED, "point")


def test_a_ciphertext_that_its_principal_made_wrong_is_the_principals_fault(world: World) -> None:
    request = ask(world, place(world).record.id)
    receive(world, request)
    given = recover_input(world, request)
    other = world.chain.gateways.find(place(world).record.envelope_cid)
    assert other is not None
    from abci_app.cid import cid_of

    order = pb.OrderRecord()
    order.CopyFrom(given.order)
    order.envelope_cid = cid_of(other)
    with pytest.raises(OrderUnsound):
        CUSTODIAN.recover(replace(given, order=order, envelope_block=other))


def test_an_authority_whose_shares_are_of_another_key_opens_nothing(world: World) -> None:
    """The receiver checks e(K, g2) = e(H(ID), s*g2) before K is used."""
    request = ask(world, place(world).record.id)
    receive(world, request)
    given = recover_input(world, request)
    assert given.extracted is not None
    from abci_app.pb.dta.v1 import authority_pb2

    authority = authority_pb2.AuthorityRecord()
    authority.CopyFrom(given.extracted.authority)
    authority.public_key_g2 = world.chain.deal(CUSTODY, seed="another").leaves and G2_of_other(world)
    with pytest.raises(CannotDecrypt):
        CUSTODIAN.recover(replace(given, extracted=replace(given.extracted, authority=authority)))


def G2_of_other(world: World) -> bytes:
    from abci_app.crypto.curve import G2

    return (G2.generator() * list(world.chain.dealt.values())[-1].secret).encode()


def test_a_receipt_of_the_order_proves_its_partials_too(world: World) -> None:
    order = place(world).record.id
    request = ask(world, order)
    receive(world, request)
    orders.close(world.session(world.alice), order)
    for _ in range(3):
        world.chain.make_block()
    rpc = world.session(world.alice).ledger.rpc
    receipt = collect_order_receipt(rpc, world.chain.trust_file(world.chain.replica.gid), order)  # type: ignore[arg-type]
    held = receipt.verified.order
    assert held is not None
    assert held.extractions[request].answers == len(held.partials) == 3
