"""``import dta`` over a whole ledger in one process: secrets, decisions, signatures and receipts, both faces."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_order_flow_release import bad_share

import dta
from abci_app.codes import Code
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state.records import SIGNING_POLICIES
from dta.client.custody import keyfile
from dta.client.custody.session import Session
from dta.hsm.errors import KeyMissing
from dta.sdk.faces import Awaiting, Pause, Stopped, Worker, action, stream
from tests.support.authority import CUSTODY, SIGNING
from tests.support.custody import k_of
from tests.support.order_flow import World, make_world
from tests.support.refusals import refused
from tests.support.sdk import async_client_of, client_of, names_of

SECRET = b"the treasure is under the oak"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def placed(world: World, **more: Any) -> dta.Order:
    alice = client_of(world, world.alice)
    return alice.orders.place(SECRET, vault=alice.vaults.open().id, beneficiary="bob", **more)


def under_key(world: World, **more: Any) -> dta.Order:
    world.chain.deal(CUSTODY, name="safe")
    world.chain.make_block()
    world.chain.make_block()
    return client_of(world, world.alice).orders.place(SECRET, authority="safe", beneficiary="bob", **more)


def test_what_bob_receives_is_what_alice_placed(world: World) -> None:
    order = placed(world)
    assert (order.status, order.threshold, order.is_open) == ("active", 3, True)
    assert set(order.fiduciaries.values()) == {"fulfilled"}
    bob = client_of(world, world.bob)
    assert [one.id for one in bob.orders.list("beneficiary")] == [order.id]
    request = bob.orders.request(order.id)
    secret = bob.orders.receive(request.id)
    assert secret.reveal() == SECRET
    assert SECRET.decode() not in repr(secret)


def test_a_secret_is_received_again_until_it_is_said_to_be_done(world: World) -> None:
    bob = client_of(world, world.bob)
    order = placed(world)
    bob.orders.request(order.id)
    first = bob.orders.receive(order.id)
    assert bob.orders.receive(first.request[:8]).reveal() == SECRET
    bob.orders.done(first)
    with pytest.raises(dta.NotFound):
        bob.orders.receive(first.request)


def test_a_bad_share_is_named_its_key_kept_and_proved_to_everybody(world: World) -> None:
    order = placed(world)
    world.chain.agents[1].spoil = bad_share(world, 1)
    bob = client_of(world, world.bob)
    request = bob.orders.request(order.id)
    for _ in range(3):
        world.chain.make_block()
    secret = bob.orders.receive(request.id)
    assert (secret.reveal(), secret.bad_fiduciaries) == (SECRET, (world.founders[1].hex(),))
    bob.orders.done(secret)
    proved = bob.orders.report(secret, "fiduciary-1")
    assert proved == world.chain.height - 1  # what came of it is proved by the next block
    with pytest.raises(dta.NotFound):
        bob.orders.report(secret, "fiduciary-1")


def test_an_order_under_a_key_needs_no_vault(world: World) -> None:
    order = under_key(world)
    assert (order.custodian, order.status, order.vault) == ("mpc-bls", "active", "")
    bob = client_of(world, world.bob)
    assert bob.orders.receive(bob.orders.request(order.id).id).reveal() == SECRET
    assert [one.name for one in bob.authorities.list()] == ["safe"]
    assert bob.authorities.get("safe").id == order.authority


def test_a_decision_is_on_what_was_shown_and_on_nothing_else(world: World) -> None:
    order = placed(world, policy="2of:alice,bob,carol", veto_window_s=60)
    bob, carol = client_of(world, world.bob), client_of(world, world.carol)
    asked = bob.orders.request(order.id)
    [shown] = carol.orders.requests(order.id)
    assert (shown.id, shown.status, shown.is_checked, shown.may_approve) == (asked.id, "pending", True, True)
    with pytest.raises(dta.ContentDiffers):
        carol.orders.approve(replace(shown, content_digest="00" * 32))
    assert carol.orders.get_request(asked.id).approved == (bob.identity,), "who asks agrees; nobody else did yet"
    granted = carol.orders.approve(shown)
    assert (granted.status, set(granted.approved)) == ("granted", {bob.identity, carol.identity})
    assert client_of(world, world.alice).orders.veto(granted).status == "vetoed"
    with pytest.raises(dta.RequestEnded):
        bob.orders.receive(asked.id)


def test_the_principal_authorises_the_one_whom_she_names(world: World) -> None:
    alice, bob = client_of(world, world.alice), client_of(world, world.bob)
    order = alice.orders.place(SECRET, vault=alice.vaults.open().id, policy="single:alice")
    assert order.beneficiary == ""
    with pytest.raises(dta.UsageError):
        bob.orders.request(order.id)
    prepared = bob.orders.prepare(order.id)
    with pytest.raises(dta.UsageError):
        alice.orders.authorise(prepared, beneficiary="carol")
    request = bob.orders.request(authorised=alice.orders.authorise(prepared, beneficiary="bob"))
    alice.orders.approve(alice.orders.get_request(request.id))
    assert bob.orders.receive(request.id).reveal() == SECRET


def test_an_order_is_watched_from_change_to_change_until_it_ends(world: World) -> None:
    order = placed(world)
    bob = client_of(world, world.bob)
    seen = []
    for now in client_of(world, world.alice).orders.watch(order.id):
        seen.append((now.status, now.requests, now.answers))
        if len(seen) == 1:
            bob.orders.request(order.id)
        elif now.answers >= 3 and now.status == "active":
            client_of(world, world.alice).orders.close(order.id)
    assert seen[0] == ("active", 0, 0)
    assert seen[-1][0] == "closed"
    assert len(set(seen)) == len(seen)


def test_what_would_be_refused_says_so_and_nothing_is_sent(world: World) -> None:
    alice = client_of(world, world.alice)
    with pytest.raises(dta.WouldBeRefused) as caught:
        placed(world, threshold=9)
    refused(caught.value, Code.BAD_THRESHOLD, "client-order")
    for wrong in ({}, {"vault": "00" * 32, "authority": "safe"}):
        with pytest.raises(dta.UsageError):
            alice.orders.place(SECRET, beneficiary="bob", **wrong)
    with pytest.raises(dta.UsageError):
        alice.orders.list("owner")
    with pytest.raises(dta.NotFound):
        alice.identities.get("nobody")
    assert alice.orders.list() == []


def test_vaults_are_listed_closed_and_kept_open(world: World) -> None:
    alice = client_of(world, world.alice)
    vault = alice.vaults.open(title="first")
    assert (vault.status, set(vault.keys.values())) == ("open", {"published"})
    assert [one.id for one in alice.vaults.list()] == [vault.id]
    closing = alice.vaults.close(vault.id[:8])
    assert (closing.status, closing.closes_at > 0) == ("closing", True)
    assert alice.vaults.cancel_close(vault.id).status == "open"


def test_an_identity_is_read_by_proof_and_so_is_that_there_is_none(world: World) -> None:
    alice = client_of(world, world.alice)
    assert alice.identities.me() == alice.identities.get("alice")
    assert (alice.identities.me().id, alice.identities.me().status) == (alice.identity, "active")
    assert alice.identities.find("00" * 32) is None
    assert alice.identities.suspend().status == "suspended"


def test_a_signature_is_asked_for_approved_and_checked(world: World) -> None:
    dealt = world.chain.deal(SIGNING, name="release")
    policy = extraction_pb2.SigningPolicy(
        authority=dealt.id, policy=k_of(2, world.alice.identity, world.bob.identity), raw_allowed=True
    )
    world.chain.write({SIGNING_POLICIES.key(dealt.id): policy.SerializeToString()})
    world.chain.make_block()
    world.chain.make_block()
    alice, bob = client_of(world, world.alice), client_of(world, world.bob)
    asked = alice.sign.request(b"v1.2.3", authority="release", kind="release")
    assert (asked.status, asked.signature, asked.is_valid) == ("pending", b"", False)
    assert not alice.sign.covers(asked.request, b"v1.2.3"), "there is no signature yet"
    shown = bob.sign.get(asked.request)
    with pytest.raises(dta.ContentDiffers):
        bob.sign.approve(replace(shown, signed=b"v6.6.6"))
    bob.sign.approve(shown)
    signed = alice.sign.wait(asked.request, wait_s=60)
    assert signed.is_valid
    assert alice.sign.covers(asked.request, b"v1.2.3")
    assert not alice.sign.covers(asked.request, b"v1.2.4")
    assert alice.receipts.request(asked.request).kind == "order"


def test_a_receipt_is_checked_by_a_stranger_who_has_no_client(world: World) -> None:
    order = placed(world)
    alice = client_of(world, world.alice)
    receipt = alice.receipts.order(order.id)
    trust = world.chain.trust_file(world.chain.replica.gid)
    now_s = world.session(world.alice).now_s()
    verified = dta.verify_receipt(receipt.content, trust, now_s)
    assert (verified.kind, verified.height) == ("order", receipt.height)
    assert dta.verify_receipt(receipt.content, trust.to_json().encode(), now_s) == verified
    assert alice.receipts.verify(receipt.content).height == receipt.height
    assert alice.receipts.identity("bob").kind == "state"
    damaged = receipt.content.replace(b'"code":0', b'"code":1', 1)
    assert damaged != receipt.content
    with pytest.raises(dta.ReceiptRefused):
        dta.verify_receipt(damaged, trust, now_s)


def test_while_a_watched_order_does_not_change_others_have_their_turn(world: World) -> None:
    order = placed(world)
    session = world.session(world.alice)
    alice = dta.Client.of_session(session, names_of(world))
    rpc = session.ledger.rpc
    honest, locked = rpc._on_sleep, []  # type: ignore[attr-defined]

    def sleeping() -> None:
        locked.append(alice._opened._turn.locked())
        if len(locked) == 3:
            client_of(world, world.alice).orders.close(order.id)
        honest()

    rpc._on_sleep = sleeping  # type: ignore[attr-defined]
    assert [now.status for now in alice.orders.watch(order.id)] == ["active", "closed"]
    assert len(locked) >= 3
    assert not any(locked)


# --- under asyncio
def test_both_faces_do_the_same(world: World) -> None:
    async def entrust() -> bytes:
        async with async_client_of(world, world.alice) as alice, async_client_of(world, world.bob) as bob:
            vault = await alice.vaults.open()
            order = await alice.orders.place(SECRET, vault=vault.id, beneficiary="bob")
            async for now in alice.orders.watch(order.id):
                assert now.status == "active"
                break
            request = await bob.orders.request(order.id)
            return (await bob.orders.receive(request.id)).reveal()

    assert asyncio.run(entrust()) == SECRET


def test_actions_of_one_client_take_turns(world: World) -> None:
    async def ask() -> list[str]:
        async with async_client_of(world, world.alice) as alice:
            found = await asyncio.gather(*(alice.identities.get(name) for name in ("alice", "bob", "carol")))
            return [one.name for one in found]

    assert asyncio.run(ask()) == ["alice", "bob", "carol"]


def test_an_await_that_is_cancelled_stops_its_action_and_no_other(world: World) -> None:
    """The action is over when the await returns: its keys are still there, and the next one runs."""
    order = placed(world)
    request = client_of(world, world.bob).orders.request(order.id).id
    session = world.session(world.bob)
    waiting = asyncio.Event()
    stops_when_told(session, waiting)

    async def give_up() -> tuple[str, bool]:
        bob = dta.AsyncClient.of_session(session, names_of(world))
        session.ledger.rpc.opened = bob._opened  # type: ignore[attr-defined]
        session.ledger.rpc.loop = asyncio.get_running_loop()  # type: ignore[attr-defined]
        async with bob:
            receiving = asyncio.create_task(bob.orders.receive(request))
            await waiting.wait()
            receiving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await receiving
            return (await bob.identities.me()).name, receiving.cancelled()

    assert asyncio.run(give_up()) == ("bob", True)
    assert keyfile.asked_by(session.directory, world.bob.identity)


class _OneThread:
    """What actions run on. A pause here holds the client's thread until its await is cancelled."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def pause(self, seconds: float) -> None:
        self.stop.wait(seconds)

    def perform(self, work: Callable[[], Any]) -> Any:
        return work()


class _Watched(Awaiting):
    paused = 0

    @action
    def now(self) -> str:
        return "now"

    @stream
    def watch(self) -> Iterator[str | Pause]:
        self.paused += 1
        yield Pause(3_600)
        yield "woken"


def test_watches_that_wait_leave_the_client_s_thread_to_its_actions() -> None:
    async def ask() -> list[bool]:
        worker = Worker()
        client = _Watched(_OneThread(), worker)

        async def follow() -> str:
            return await anext(client.watch())

        watches = [asyncio.create_task(follow()) for _ in range(3)]
        try:
            async with asyncio.timeout(30):
                while client.paused < 3:
                    await asyncio.sleep(0.01)
                # What the watches do next was in the queue before the first of these was answered.
                assert [await client.now(), await client.now()] == ["now", "now"]
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
            worker.close()
        return [watch.cancelled() for watch in watches]

    assert asyncio.run(ask()) == [True, True, True]


def stops_when_told(session: Session, waiting: asyncio.Event) -> None:
    """The session's test rpc looks whether to stop as the real one does, and says when it waits."""
    rpc = session.ledger.rpc
    honest: Callable[[Any], Any] = rpc._perform

    def perform(effect: Any) -> Any:
        if type(effect).__name__ == "Sleep":
            rpc.loop.call_soon_threadsafe(waiting.set)  # type: ignore[attr-defined]
            if rpc.opened.stop.wait(30):  # type: ignore[attr-defined]
                raise Stopped
        return honest(effect)

    rpc._perform = perform  # type: ignore[method-assign]


# --- failures
def test_a_keystore_s_failure_is_an_error_of_ours(world: World) -> None:
    session = world.session(world.bob)

    def missing() -> Any:
        raise KeyMissing("there is no such key", label="root")

    broken = replace(session, party=replace(session.party, root=missing))
    order = placed(world)
    with pytest.raises(dta.KeystoreFailure) as caught:
        dta.Client.of_session(broken, names_of(world)).orders.request(order.id)
    assert caught.value.data["what"] == "KeyMissing"


def test_a_client_without_keys_reads_and_says_why_it_can_not_act(world: World) -> None:
    genesis = world.chain.trust_file(world.chain.replica.gid)
    client = dta.Client(trust=genesis, nodes=["http://127.0.0.1:1"])
    with client:
        with pytest.raises(dta.UsageError):
            _ = client.identity
        with pytest.raises(dta.Unreachable):
            client.identities.get("00" * 32)


@pytest.mark.parametrize(
    "wrong",
    [
        {"nodes": ["http://127.0.0.1:1"]}, {"trust": b"{}"}, {"trust": b"{}", "home": "/nowhere"},
        {"home": "/nowhere/at/all"},
    ],
)  # fmt: skip
def test_a_client_that_can_not_be_opened_says_why(wrong: dict[str, Any]) -> None:
    with pytest.raises(dta.UsageError):
        dta.Client(**wrong)


def test_secrets_of_keys_in_memory_do_not_show() -> None:
    keys = dta.Keys("ab" * 32, dta.SecretBytes(b"t" * 32), dta.SecretBytes(b"r" * 32))
    assert "ttt" not in repr(keys)
    assert "rrr" not in repr(keys)
    with pytest.raises(dta.UsageError):
        dta.Keys("ab" * 31, dta.SecretBytes(b"t" * 32), dta.SecretBytes(b"r" * 32))
    with pytest.raises(dta.UsageError):
        dta.Keys("ab" * 32, dta.SecretBytes(b"t"), dta.SecretBytes(b"r" * 32))
