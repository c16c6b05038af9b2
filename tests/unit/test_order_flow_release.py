"""Requests: who may ask, who must agree, who can stop it; bad shares; and the keys that are erased afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from abci_app.codes import Code
from abci_app.crypto import hpke, statements
from abci_app.params import default_params
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.records import REQUESTS
from dta.base.errors import KeystoreFailure, NotFound, NotVerified, RefusedByLedger, TimedOut, UsageError
from dta.base.secret import SecretBytes
from dta.client.custody import asking, keyfile, orders, receiving, vaults
from dta.client.custody.asking import Draft
from dta.client.custody.errors import ContentDiffers, RequestEnded, UploadIncomplete, WouldBeRefused
from dta.client.custody.keyfile import OpenRequest
from dta.client.custody.orders import NewOrder
from dta.client.custody.session import Session
from dta.client.ledger.rpc import Rpc, door_rpc
from dta.crypto.hpke import seal
from dta.custodians.plugin import NotEnoughShares
from dta.hsm import labels
from tests.support.actors import Actor
from tests.support.custody import k_of, single
from tests.support.keystore import MemoryKeystore
from tests.support.light_chain import b64
from tests.support.order_flow import REALM, LiveNode, World, make_world
from tests.support.refusals import refused

SECRET = SecretBytes(b"what nobody else may read")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def placed(world: World, policy: pb.Policy | None = None, beneficiary: bytes | None = None) -> bytes:
    """An active order of alice's. By default bob is its only party and its beneficiary."""
    alice, bob = world.session(world.alice), world.bob.identity
    vault = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    rule = pb.BeneficiaryRule(identity=bob if beneficiary is None else beneficiary)
    return orders.place(alice, REALM, NewOrder(vault, SECRET, policy or single(bob), rule)).record.id


def asked(world: World, order: bytes) -> OpenRequest:
    bob = world.session(world.bob)
    opened = asking.prepare(bob, order)
    asking.submit(bob, opened)
    return opened


def test_somebody_who_is_not_the_beneficiary_makes_no_request(world: World) -> None:
    order = placed(world)
    with pytest.raises(WouldBeRefused) as caught:
        asking.prepare(world.session(world.carol), order)
    refused(caught.value, Code.NOT_BENEFICIARY, "client-rule")


def test_an_open_rule_takes_the_principal_s_authorisation_over_these_very_keys(world: World) -> None:
    order = placed(world, beneficiary=b"")
    alice, bob = world.session(world.alice), world.session(world.bob)
    opened = asking.prepare(bob, order)
    with pytest.raises(WouldBeRefused) as caught:
        asking.submit(bob, opened)
    refused(caught.value, Code.AUTHORISATION_INVALID, "client-authorisation")

    handed_over = Draft(alice.ledger.trust.chain_id, alice.gid, opened.message).to_json().encode()
    with pytest.raises(WouldBeRefused) as caught:
        asking.authorise(bob, Draft.from_json(handed_over))
    refused(caught.value, Code.NOT_PRINCIPAL, "client-authorise")
    signed = asking.authorise(alice, Draft.from_json(handed_over)).to_json().encode()
    ready = asking.load_prepared(bob, Draft.from_json(signed))
    asking.submit(bob, ready)
    assert receiving.receive(bob, REALM, opened.request).secret == SECRET


def test_the_principal_itself_needs_no_authorisation(world: World) -> None:
    order = placed(world, policy=single(world.alice.identity), beneficiary=b"")
    alice = world.session(world.alice)
    opened = asking.prepare(alice, order)
    asking.submit(alice, opened)
    assert receiving.receive(alice, REALM, opened.request).secret == SECRET


def test_a_request_file_that_was_changed_on_the_way_is_refused(world: World) -> None:
    order = placed(world, beneficiary=b"")
    alice, bob = world.session(world.alice), world.session(world.bob)
    opened = asking.prepare(bob, order)
    draft = Draft(alice.ledger.trust.chain_id, alice.gid, opened.message)
    shown = json.loads(draft.to_json())
    for changes in ({"beneficiary": world.carol.identity.hex()}, {"type": "other"}, {"request": "AAAA"}, {"gid": 1}):
        with pytest.raises(UsageError):
            Draft.from_json(json.dumps({**shown, **changes}).encode())
    with pytest.raises(UsageError):
        Draft.from_json(json.dumps([1]).encode())
    with pytest.raises(UsageError):
        asking.authorise(alice, replace(draft, gid=bytes(32)))
    other = tx_pb2.RequestSecret()
    other.CopyFrom(opened.message)
    other.key_digests[0] = bytes(32)
    with pytest.raises(UsageError):
        asking.load_prepared(bob, replace(draft, message=other))


def test_an_order_whose_beneficiary_is_fixed_has_nothing_to_authorise(world: World) -> None:
    order = placed(world)
    alice, bob = world.session(world.alice), world.session(world.bob)
    opened = asking.prepare(bob, order)
    with pytest.raises(UsageError):
        asking.authorise(alice, Draft("dta-test", alice.gid, opened.message))


def test_two_of_three_approve_what_they_were_shown_and_the_secret_is_released(world: World) -> None:
    parties = [world.alice.identity, world.bob.identity, world.carol.identity]
    opened = asked(world, placed(world, policy=k_of(2, *parties)))
    carol = world.session(world.carol)
    shown = asking.content(carol, opened.request)
    assert shown.checked
    assert shown.approved == (world.bob.identity,)  # who asks, and is a party, has thereby approved
    assert (shown.may_approve, shown.may_veto) == (True, False)
    assert shown.view.record.status == pb.REQUEST_STATUS_PENDING
    asking.approve(carol, shown)
    bob = world.session(world.bob)
    assert receiving.receive(bob, REALM, opened.request).secret == SECRET


def test_nobody_but_a_party_approves_and_nobody_vetoes_without_a_window(world: World) -> None:
    opened = asked(world, placed(world, policy=k_of(2, world.alice.identity, world.bob.identity)))
    carol, alice = world.session(world.carol), world.session(world.alice)
    with pytest.raises(WouldBeRefused) as caught:
        asking.approve(carol, asking.content(carol, opened.request))
    refused(caught.value, Code.NOT_A_PARTY, "client-decide")
    with pytest.raises(WouldBeRefused) as caught:
        asking.veto(alice, asking.content(alice, opened.request))
    refused(caught.value, Code.NO_VETO_WINDOW, "client-no-window")


def test_nobody_but_a_vetoer_vetoes(world: World) -> None:
    policy = single(world.bob.identity)
    policy.veto_window_s = 60
    opened = asked(world, placed(world, policy=policy))
    carol = world.session(world.carol)
    with pytest.raises(WouldBeRefused) as caught:
        asking.veto(carol, asking.content(carol, opened.request))
    refused(caught.value, Code.NOT_A_PARTY, "client-veto")


def test_a_veto_in_its_window_stops_a_granted_release_for_good(world: World) -> None:
    policy = single(world.bob.identity)
    policy.veto_window_s = 60
    opened = asked(world, placed(world, policy=policy))
    alice, bob = world.session(world.alice), world.session(world.bob)
    shown = asking.content(alice, opened.request)
    assert shown.view.record.status == pb.REQUEST_STATUS_GRANTED
    carol = world.session(world.carol)
    as_carol = asking.content(carol, opened.request)
    with pytest.raises(WouldBeRefused):
        asking.veto(carol, as_carol)
    asking.veto(alice, shown)
    with pytest.raises(RequestEnded) as caught:
        receiving.receive(bob, REALM, opened.request)
    assert caught.value.data["status"] == "vetoed"
    after = asking.content(alice, opened.request)
    assert after.vetoed == (world.alice.identity,)
    assert after.view.record.answers == 0


def test_a_release_waits_for_its_veto_window_and_then_comes(world: World) -> None:
    policy = single(world.bob.identity)
    policy.veto_window_s = 60
    opened = asked(world, placed(world, policy=policy))
    bob = world.session(world.bob)
    with pytest.raises(TimedOut) as caught:
        receiving.receive(bob, REALM, opened.request, wait_s=1)
    assert caught.value.data["status"] == "granted"
    assert receiving.receive(bob, REALM, opened.request).secret == SECRET


def shows_another(world: World) -> LiveNode:
    """A node that gives, whatever transaction is asked for, that of another request."""
    record = REQUESTS.get(world.chain.replica.view, asked(world, placed_again(world)).request)
    found = LiveNode(world.chain).do_tx({"hash": b64(record.requested_tx)})
    return LiveNode(world.chain, lies={"tx": lambda params, honest: found})


def through(world: World, *nodes: LiveNode) -> Session:
    """Alice, who knows the doors of these nodes, in this order."""
    session = world.session(world.alice, nodes[0])
    by_host = dict(zip("abc", nodes, strict=False))
    first, *others = (door_rpc(f"http://{host}.test") for host in by_host)
    answer = httpx.MockTransport(lambda request: by_host[request.url.host[0]].handle(request))
    Rpc.__init__(session.ledger.rpc, first, others=others, transport=answer)
    return session


def test_a_node_that_shows_other_content_than_the_record_commits_to_gets_no_approval(world: World) -> None:
    opened = asked(world, placed(world, policy=k_of(2, world.alice.identity, world.bob.identity)))
    with pytest.raises(NotVerified, match="another transaction"):
        asking.content(through(world, shows_another(world)), opened.request)


@pytest.mark.parametrize("first", ["another", "no-index"])
def test_a_door_that_shows_other_content_or_none_is_left_for_one_that_shows_it(world: World, first: str) -> None:
    opened = asked(world, placed(world, policy=k_of(2, world.alice.identity, world.bob.identity)))
    liar = shows_another(world) if first == "another" else LiveNode(world.chain, indexing=False)
    honest = LiveNode(world.chain)
    alice = through(world, liar, honest)
    shown = asking.content(alice, opened.request)
    assert shown.checked
    assert (liar.calls.count("tx"), honest.calls.count("tx")) == (1, 1)
    asking.approve(alice, shown)


def test_a_door_that_lies_beside_one_without_an_index_holds_up_no_approval(world: World) -> None:
    opened = asked(world, placed(world, policy=k_of(2, world.alice.identity, world.bob.identity)))
    alice = through(world, shows_another(world), LiveNode(world.chain, indexing=False))
    shown = asking.content(alice, opened.request)
    assert not shown.checked, "the digest that is approved is that of the proved record"


def test_a_transaction_that_is_not_what_the_record_commits_to_is_not_approved(world: World) -> None:
    opened = asked(world, placed(world, policy=k_of(2, world.alice.identity, world.bob.identity)))
    alice = through(world, LiveNode(world.chain))
    view = alice.ledger.request_view(opened.request)
    view.record.content_digest = bytes(32)
    with pytest.raises(ContentDiffers):
        asking.content(alice, opened.request, view)


def placed_again(world: World) -> bytes:
    """A second order, in a vault of its own."""
    return placed(world, policy=k_of(2, world.alice.identity, world.bob.identity))


def test_where_the_node_has_no_index_the_proved_digest_is_still_what_is_approved(world: World) -> None:
    opened = asked(world, placed(world, policy=k_of(2, world.alice.identity, world.bob.identity)))
    alice = world.session(world.alice, LiveNode(world.chain, indexing=False))
    shown = asking.content(alice, opened.request)
    assert not shown.checked
    asking.approve(alice, shown)
    bob = world.session(world.bob)
    assert receiving.receive(bob, REALM, opened.request).secret == SECRET


def bad_share(world: World, fiduciary: int) -> Any:
    """An answer that opens, but to another share than the one committed to."""

    def spoil(request: pb.RequestRecord) -> bytes:
        keys_of = world.session(world.bob)
        opened = keyfile.load(keys_of.directory, keys_of.party.need_root(), keys_of.gid, request.id)
        me = world.founders[fiduciary]
        order = keys_of.ledger.order(request.order)
        commitment = order.share_commitments[fiduciary]
        info = statements.answer_seal_info(keys_of.gid, request.id, me, fiduciary + 1, commitment)
        return seal(opened.keys[me].public, info, SecretBytes(bytes(32)))

    return spoil


def test_a_bad_share_names_its_fiduciary_and_the_secret_comes_all_the_same(world: World) -> None:
    order = placed(world)
    world.chain.agents[1].spoil = bad_share(world, 1)
    opened = asked(world, order)
    bob, liar = world.session(world.bob), world.founders[1]
    for _ in range(3):
        world.chain.make_block()
    received = receiving.receive(bob, REALM, opened.request)
    assert received.secret == SECRET
    assert received.bad_fiduciaries == (liar,)
    receiving.done(bob, received)
    kept = keyfile.load(bob.directory, bob.party.need_root(), bob.gid, opened.request)
    assert list(kept.keys) == [liar]  # what a report still needs, and nothing else
    receiving.report(bob, opened.request, liar)
    assert keyfile.pending(bob.directory) == []
    view = bob.ledger.request_view(opened.request, at_least=world.chain.height)
    assert view.record.bad_answers == 1
    assert view.answers[liar].reported_height  # type: ignore[union-attr]
    with pytest.raises(NotFound):
        receiving.report(bob, opened.request, liar)


def test_a_good_share_can_not_be_reported_and_its_key_is_kept(world: World) -> None:
    opened = asked(world, placed(world))
    bob = world.session(world.bob)
    receiving.receive(bob, REALM, opened.request)
    with pytest.raises(RefusedByLedger) as caught:
        receiving.report(bob, opened.request, world.founders[0])
    refused(caught.value, Code.REPORT_UNFOUNDED)
    assert keyfile.pending(bob.directory) == [opened.request]


def test_too_few_good_shares_wait_for_a_late_answer_and_then_name_the_bad(world: World) -> None:
    order = placed(world)
    world.chain.agents[1].spoil = bad_share(world, 1)
    world.chain.agents[3].silent.add(DueKind.FULFIL_SECRET)
    opened = asked(world, order)
    bob = world.session(world.bob)
    with pytest.raises(NotEnoughShares) as caught:
        receiving.receive(bob, REALM, opened.request, wait_s=10)
    assert caught.value.bad_fiduciaries == [world.founders[1]]
    world.chain.agents[3].silent.clear()
    assert receiving.receive(bob, REALM, opened.request).secret == SECRET


def test_an_unanswered_request_expires_and_releases_nothing(tmp_path: Path) -> None:
    params = default_params()
    params.request_ttl_s = 20
    world = make_world(tmp_path, params=params)
    order = placed(world)
    for agent in world.chain.agents:
        agent.silent.add(DueKind.FULFIL_SECRET)
    opened = asked(world, order)
    with pytest.raises(RequestEnded) as caught:
        receiving.receive(world.session(world.bob), REALM, opened.request)
    assert caught.value.data["status"] == "expired"


def test_a_request_waits_for_every_gateway_only_when_told_to(world: World) -> None:
    order = placed(world)
    world.chain.gateways.down = {"gateway-0.test"}
    bob = world.session(world.bob)
    opened = asking.prepare(bob, order)
    with pytest.raises(UploadIncomplete):
        asking.submit(bob, opened, allow_missing=0)
    assert bob.ledger.order(order, at_least=world.chain.height).open_requests == 0
    asking.submit(bob, opened)
    assert receiving.receive(bob, REALM, opened.request).secret == SECRET
    world.chain.gateways.down = {"gateway-0.test", "gateway-1.test"}
    third = asking.prepare(bob, order)
    with pytest.raises(UploadIncomplete):
        asking.submit(bob, third)


def test_the_envelope_comes_from_any_gateway_that_has_it_and_a_false_one_is_passed_over(world: World) -> None:
    order = placed(world)
    opened = asked(world, order)
    record = world.session(world.bob).ledger.order(order)
    hosts = sorted(world.chain.gateways.blocks)
    for host in hosts[:2]:
        world.chain.gateways.blocks[host][record.envelope_cid] = b"something else"
    world.chain.gateways.down = {hosts[2]}
    for _ in range(3):
        world.chain.make_block()  # agents answer from the last gateway's copy
    bob = world.session(world.bob)
    assert receiving.receive(bob, REALM, opened.request).secret == SECRET


def test_a_request_s_private_keys_are_sealed_in_the_home_and_open_with_its_root_only(world: World) -> None:
    order = placed(world)
    bob = world.session(world.bob)
    opened = asking.prepare(bob, order)
    path = bob.directory / "requests" / f"{opened.request.hex()}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_bytes()
    for key in opened.keys.values():
        seed = key.seed.reveal()
        assert seed[:16] not in content
        assert b64(seed).encode()[:16] not in content
    again = keyfile.load(bob.directory, bob.party.need_root(), bob.gid, opened.request)
    assert {who: key.seed for who, key in again.keys.items()} == {who: key.seed for who, key in opened.keys.items()}
    stranger = MemoryKeystore(Actor("stranger"))
    stranger.ensure_prf_key(labels.root())
    with pytest.raises(KeystoreFailure):
        keyfile.load(bob.directory, stranger, bob.gid, opened.request)
    assert "redacted" in repr(opened.keys)


def test_a_damaged_or_foreign_file_of_keys_is_refused_by_name(world: World) -> None:
    bob = world.session(world.bob)
    opened = asking.prepare(bob, placed(world))
    path = bob.directory / "requests" / f"{opened.request.hex()}.json"
    root = bob.party.need_root()
    value = json.loads(path.read_bytes())
    path.write_text(json.dumps({**value, "sealed_keys": b64(bytes(200))}))
    with pytest.raises(KeystoreFailure):
        keyfile.load(bob.directory, root, bob.gid, opened.request)
    path.write_text("[]")
    with pytest.raises(UsageError):
        keyfile.load(bob.directory, root, bob.gid, opened.request)
    with pytest.raises(NotFound):
        keyfile.load(bob.directory, root, bob.gid, bytes(32))


def test_a_request_is_found_by_its_order_where_there_is_one(world: World) -> None:
    order = placed(world)
    bob = world.session(world.bob)
    first = asked(world, order)
    assert receiving.find_request(bob, first.request) == first.request
    assert receiving.find_request(bob, order) == first.request
    asked(world, order)
    with pytest.raises(UsageError):
        receiving.find_request(bob, order)
    with pytest.raises(NotFound):
        receiving.find_request(bob, bytes(32))


def test_two_identities_of_one_home_do_not_get_in_each_other_s_way(world: World) -> None:
    order = placed(world, policy=k_of(1, world.bob.identity, world.alice.identity), beneficiary=b"")
    bob = world.session(world.bob)
    alice = replace(world.session(world.alice), directory=bob.directory, blocks=bob.blocks)
    first, other = asking.prepare(alice, order), asking.prepare(bob, order)
    assert receiving.find_request(alice, order) == first.request
    assert receiving.find_request(bob, order) == other.request
    with pytest.raises(NotFound):
        receiving.find_request(bob, first.request)
    with pytest.raises(UsageError):
        orders.resume(replace(world.session(world.bob), directory=world.session(world.alice).directory), order)


def test_every_answer_goes_to_a_key_of_its_own(world: World) -> None:
    opened = asked(world, placed(world))
    digests = [statements.hpke_key_digest(key.public) for key in opened.keys.values()]
    assert len(set(digests)) == len(digests) == 4
    assert all(hpke.valid_key(key.public) for key in opened.keys.values())
