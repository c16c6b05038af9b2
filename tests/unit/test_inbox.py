"""What waits for somebody: their inbox, item by item, as their orders go their way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from abci_app.pb.dta.v1 import authority_pb2
from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.client.custody import asking, keyfile, orders, receiving, signing, vaults
from dta.client.inbox import looks, reading
from dta.client.inbox.items import Action, ItemKind
from dta.client.inbox.reading import Reader
from dta.client.ledger.ledger import AsyncLedger
from dta.client.ledger.rpc import AsyncRpc
from tests.support.custody import k_of, single
from tests.support.inboxes import ask, decide, inbox, open_vault, place, read, register, seen
from tests.support.order_flow import REALM, World, make_world

APPROVE, VETO = Action.APPROVE, Action.VETO


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def vault(world: World) -> bytes:
    return open_vault(world, world.alice)


def blocks(world: World, count: int) -> None:
    for _ in range(count):
        world.chain.make_block()


def test_a_party_is_asked_until_it_has_decided(world: World, vault: bytes) -> None:
    policy = k_of(2, world.bob.identity, world.carol.identity, world.alice.identity)
    order = place(world, world.alice, vault, policy, world.bob.identity)
    assert seen(inbox(world, world.carol).items) == []
    request = ask(world, world.bob, order)
    [item] = inbox(world, world.carol).items
    record = world.session(world.carol).ledger.request(request)
    assert (item.kind, item.subject, item.parent) == (ItemKind.REQUEST, request, order)
    assert (item.actions, item.status) == ((APPROVE,), "pending")
    assert (item.origin, item.asker) == (world.alice.identity, world.bob.identity)
    assert (item.content_digest, item.deadline.time_s) == (record.content_digest, record.deadline_time_s)
    assert (item.since_height, item.number) == (record.requested_height, 1)
    assert seen(inbox(world, world.alice).items) == [(ItemKind.REQUEST, request, (APPROVE,))]
    assert seen(inbox(world, world.bob).items) == [], "who asks has approved by asking"
    decide(world, world.carol, request, asking.approve)
    assert seen(inbox(world, world.carol).items) == []
    assert seen(inbox(world, world.alice).items) == [], "it is granted: another approval would be refused"


def test_a_vetoer_is_shown_a_request_until_its_window_is_over(world: World, vault: bytes) -> None:
    policy = pb.Policy(nodes=single(world.bob.identity).nodes, veto_window_s=60, vetoers=[world.carol.identity])
    order = place(world, world.alice, vault, policy, world.bob.identity)
    request = ask(world, world.bob, order)
    [item] = inbox(world, world.carol).items
    record = world.session(world.carol).ledger.request(request)
    assert (item.subject, item.actions, item.status) == (request, (VETO,), "granted")
    assert (item.deadline.time_s, item.deadline.height) == (record.release_time_s, record.release_height)
    assert item.deadline.is_both
    assert seen(inbox(world, world.alice).items) == [], "only those who are named may veto"
    while seen(inbox(world, world.carol).items):
        head = world.chain.blocks[world.chain.height].header
        assert head.time.seconds < record.release_time_s or head.height < record.release_height
        blocks(world, 1)
    head = world.chain.blocks[world.chain.height].header
    assert (head.time.seconds >= record.release_time_s, head.height >= record.release_height) == (True, True)


def test_by_default_the_principal_and_all_parties_may_veto_and_a_veto_takes_it_from_every_inbox(
    world: World, vault: bytes
) -> None:
    policy = k_of(1, world.bob.identity, world.carol.identity, veto_window_s=600)
    order = place(world, world.alice, vault, policy, world.bob.identity)
    request = ask(world, world.bob, order)
    for who in (world.alice, world.carol):
        assert seen(inbox(world, who).items) == [(ItemKind.REQUEST, request, (VETO,))]
    decide(world, world.alice, request, asking.veto)
    for who in (world.alice, world.carol):
        assert seen(inbox(world, who).items) == []


def test_a_pending_request_with_a_veto_window_can_be_approved_or_vetoed(world: World, vault: bytes) -> None:
    policy = k_of(2, world.bob.identity, world.carol.identity, veto_window_s=600)
    order = place(world, world.alice, vault, policy, world.bob.identity)
    request = ask(world, world.bob, order)
    assert seen(inbox(world, world.carol).items) == [(ItemKind.REQUEST, request, (APPROVE, VETO))]
    assert seen(inbox(world, world.alice).items) == [(ItemKind.REQUEST, request, (VETO,))]


def test_a_beneficiary_is_told_of_an_order_until_it_asks_and_of_answers_until_it_has_received(
    world: World, vault: bytes
) -> None:
    order = place(world, world.alice, vault, single(world.bob.identity), world.bob.identity)
    [item] = inbox(world, world.bob).items
    assert (item.kind, item.subject, item.actions) == (ItemKind.ORDER, order, (Action.REQUEST,))
    assert seen(inbox(world, world.alice).items) == []
    request = ask(world, world.bob, order)
    bob = world.session(world.bob)

    def held() -> list[bytes]:
        return keyfile.to_receive(bob.directory, world.bob.identity)

    assert held() == [request]
    assert bob.wait_for(
        lambda: bob.ledger.request_view(request),
        lambda view: view.record.status == pb.REQUEST_STATUS_COMPLETED,
        receiving.show_answers,
        60,
    )[1]
    [item] = inbox(world, world.bob, held=held()).items
    assert (item.kind, item.subject, item.parent) == (ItemKind.RECEIPT, request, order)
    assert (item.actions, item.status) == ((Action.RECEIVE,), "completed")
    assert seen(inbox(world, world.bob).items) == [], "without its keys nobody receives it here"
    receiving.done(bob, receiving.receive(bob, REALM, request))
    assert held() == []


def test_a_request_of_which_only_keys_for_reports_are_left_is_received(world: World, vault: bytes) -> None:
    order = place(world, world.alice, vault, single(world.bob.identity), world.bob.identity)
    request = ask(world, world.bob, order)
    bob = world.session(world.bob)
    root = bob.party.need_root()
    opened = keyfile.load(bob.directory, root, bob.gid, request)
    keyfile.keep_only(bob.directory, root, bob.gid, opened, world.founders[:1])
    assert keyfile.pending(bob.directory) == [request]
    assert keyfile.to_receive(bob.directory, world.bob.identity) == []
    assert keyfile.to_receive(bob.directory, world.carol.identity) == []


def test_a_request_that_was_prepared_and_never_sent_is_no_receipt(world: World, vault: bytes) -> None:
    order = place(world, world.alice, vault, single(world.bob.identity), world.bob.identity)
    opened = asking.prepare(world.session(world.bob), order)
    kinds = [item.kind for item in inbox(world, world.bob, held=[opened.request]).items]
    assert kinds == [ItemKind.ORDER]


def test_the_nearest_deadline_comes_first_and_what_has_none_last(world: World, vault: bytes) -> None:
    party = k_of(2, world.bob.identity, world.carol.identity)
    plain = place(world, world.alice, vault, party, world.bob.identity)
    short = world.chain.replica.time_s + 600
    soon = place(world, world.alice, vault, party, world.bob.identity, expires_at_time_s=short)
    by_height = place(
        world, world.alice, vault, party, world.bob.identity, expires_at_height=world.chain.height + 100
    )
    window = k_of(1, world.bob.identity, world.carol.identity, veto_window_s=30)
    vetoed = place(world, world.alice, vault, window, world.bob.identity)
    for_carol = place(world, world.alice, vault, single(world.carol.identity), world.carol.identity)
    for order in (plain, soon, by_height, vetoed):
        ask(world, world.bob, order)
    found = inbox(world, world.carol).items
    assert [item.parent or item.subject for item in found] == [vetoed, by_height, soon, plain, for_carol]


def test_an_order_that_has_ended_waits_for_nothing_and_is_not_looked_at_again(world: World, vault: bytes) -> None:
    policy = k_of(2, world.bob.identity, world.carol.identity)
    closed = place(world, world.alice, vault, policy, world.bob.identity)
    expiring = place(
        world, world.alice, vault, policy, world.bob.identity, expires_at_height=world.chain.height + 60
    )
    for order in (closed, expiring):
        ask(world, world.bob, order)
    found = read(world, world.carol, contacts=[world.alice.identity])
    assert len(found.inbox.items) == len(found.followed.open) == 2
    orders.close(world.session(world.alice), closed)
    last = world.session(world.carol).ledger.order(expiring).expires_at_height
    blocks(world, last + 1 - world.chain.height)
    after = read(world, world.carol, contacts=[world.alice.identity], followed=found.followed)
    assert (after.inbox.items, after.followed.open, after.followed.last) == ((), (), 2)


def test_a_policy_that_is_over_leaves_nothing_to_approve_and_nothing_to_ask_for(world: World, vault: bytes) -> None:
    end = world.chain.replica.time_s + 400
    policy = pb.Policy(nodes=k_of(2, world.bob.identity, world.carol.identity).nodes, not_after_s=end)
    order = place(world, world.alice, vault, policy, world.bob.identity)
    other = place(world, world.alice, vault, policy, world.bob.identity)
    request = ask(world, world.bob, order)
    [item] = inbox(world, world.carol).items
    assert (item.subject, item.deadline.time_s) == (request, end + 1)
    assert seen(inbox(world, world.bob).items) == [(ItemKind.ORDER, other, (Action.REQUEST,))]
    while world.chain.blocks[world.chain.height].header.time.seconds <= end:
        blocks(world, 1)
    assert inbox(world, world.carol).items == inbox(world, world.bob).items == ()


def test_whom_a_signature_needs_is_shown_its_kind_and_what_to_sign(world: World) -> None:
    key = world.chain.deal(authority_pb2.PURPOSE_SIGNING, name="releases").id
    blocks(world, 2)
    alice, founder = world.session(world.alice), world.chain.replica.founders[0]
    found = signing.place(alice, key, "release", b"version 2")
    [item] = inbox(world, founder).items
    request = found.request.record
    assert (item.kind, item.subject, item.label) == (ItemKind.SIGNING, request.id, "release")
    assert (item.actions, item.content_digest) == ((APPROVE,), request.content_digest)
    assert (item.origin, item.asker) == (world.alice.identity, world.alice.identity)
    assert seen(inbox(world, world.alice).items) == []


def test_a_vault_that_closes_is_shown_to_its_principal_while_it_can_be_kept(world: World, vault: bytes) -> None:
    assert seen(inbox(world, world.alice).items) == []
    record = vaults.close_vault(world.session(world.alice), vault)
    [item] = inbox(world, world.alice).items
    assert (item.kind, item.subject, item.actions) == (ItemKind.VAULT, vault, (Action.CANCEL_CLOSE,))
    assert (item.deadline.time_s, item.deadline.height) == (record.closes_at_time_s, record.closes_at_height)
    vaults.cancel_close(world.session(world.alice), vault)
    assert seen(inbox(world, world.alice).items) == []


# --- from others


def test_what_comes_from_nobody_that_one_knows_is_listed_apart(world: World, vault: bytes) -> None:
    policy = k_of(2, world.bob.identity, world.carol.identity)
    order = place(world, world.alice, vault, policy, world.bob.identity)
    request = ask(world, world.bob, order)
    expected = [(ItemKind.REQUEST, request, (APPROVE,))]
    found = inbox(world, world.carol, contacts=[world.bob.identity])
    assert (seen(found.items), seen(found.outside), found.outside_left) == ([], expected, 0)
    found = inbox(world, world.carol, contacts=[world.alice.identity])
    assert (seen(found.items), seen(found.outside)) == (expected, [])


def test_strangers_fill_their_own_list_to_its_bound_and_hide_nothing_of_a_contact_s(
    world: World, vault: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_OUTSIDE", 2)
    policy = k_of(2, world.bob.identity, world.carol.identity)
    wanted = ask(world, world.bob, place(world, world.alice, vault, policy, world.bob.identity))
    theirs = open_vault(world, world.bob)
    strange = [place(world, world.bob, theirs, single(world.carol.identity), world.carol.identity) for _ in range(4)]
    contacts = [world.alice.identity]
    first = read(world, world.carol, contacts=contacts)
    assert [item.subject for item in first.inbox.items] == [wanted]
    assert (len(first.inbox.outside), first.inbox.outside_left) == (2, 2)
    again = read(world, world.carol, contacts=contacts, followed=first.followed)
    assert [item.subject for item in again.inbox.items] == [wanted]
    assert sorted(item.subject for item in again.inbox.outside) == sorted(strange[2:]), "those named last"
    assert (again.inbox.outside_left, len(again.followed.open)) == (2, 5)
    known = [world.alice.identity, world.bob.identity]
    all_of_it = read(world, world.carol, contacts=known, followed=again.followed).inbox
    assert (len(all_of_it.items), all_of_it.outside, all_of_it.outside_left) == (5, (), 0)


def test_of_a_stranger_s_order_the_newest_requests_are_looked_at_and_the_rest_is_counted(
    world: World, vault: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "MAX_STRANGERS_NUMBERS", 2)
    policy = k_of(2, world.bob.identity, world.carol.identity)
    order = place(world, world.alice, vault, policy, world.bob.identity)
    asked = [ask(world, world.bob, order) for _ in range(3)]
    found = inbox(world, world.carol, contacts=[])
    assert ([item.subject for item in found.outside], found.outside_left) == (asked[1:], 1)
    found = inbox(world, world.carol, contacts=[world.alice.identity])
    assert ([item.subject for item in found.items], found.outside_left) == (asked, 0)


# --- going on


def test_a_change_is_waited_for_and_found(world: World, vault: bytes) -> None:
    policy = k_of(2, world.bob.identity, world.carol.identity)
    order = place(world, world.alice, vault, policy, world.bob.identity)
    ledger = world.session(world.carol).ledger
    who = Reader(world.carol.identity, [world.alice.identity])
    now = ledger.rpc.run(reading.read(ledger.flows, who))
    same = ledger.rpc.run(reading.changed(ledger.flows, lambda: who, now, 6))
    assert (same.inbox.items, same.followed.last) == ((), 1)
    request = ask(world, world.bob, order)
    found = ledger.rpc.run(reading.changed(ledger.flows, lambda: who, same, 600))
    assert [item.subject for item in found.inbox.items] == [request]
    assert not found.inbox.is_as(same.inbox)


def test_the_awaited_client_reads_the_same(world: World, vault: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    order = place(world, world.alice, vault, single(world.bob.identity), world.bob.identity)
    monkeypatch.setattr("time.time", lambda: float(world.chain.blocks[world.chain.height].header.time.seconds))

    async def found() -> list[bytes]:
        transport = httpx.MockTransport(world.node.handle)
        async with AsyncRpc("http://node.test", transport=transport) as rpc:
            ledger = AsyncLedger(rpc, world.chain.trust_file(world.chain.replica.gid))
            read_it = await rpc.run(reading.read(ledger.flows, Reader(world.bob.identity, [world.alice.identity])))
            return [item.subject for item in read_it.inbox.items]

    assert asyncio.run(found()) == [order]


def test_nobody_s_inbox_is_empty_and_proved_so(world: World) -> None:
    found = inbox(world, register(world, "dave"))
    assert (found.items, found.outside, found.total) == ((), (), 0)
