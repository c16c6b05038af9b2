"""No node shortens an inbox or a list of orders: what it leaves out, or changes, is refused; for every role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.records import CONCERNS, COUNTERS, DECISIONS, ORDERS, REQUEST_NUMBERS, REQUESTS, VAULTS
from dta.base.errors import NotVerified, TimedOut
from dta.client.custody import asking, finding
from dta.client.custody.finding import ROLES
from dta.client.inbox import reading
from dta.client.inbox.reading import Reader
from dta.client.ledger.ledger import Ledger
from tests.support.actors import Actor
from tests.support.custody import k_of, single
from tests.support.inboxes import ask, decide, inbox, left_out, lying, open_vault, place, read, register, seen
from tests.support.light_chain import ClockedRpc, b64
from tests.support.order_flow import LiveNode, World, make_world


@dataclass(frozen=True)
class Made:
    """Alice's vault and orders. ``asked``: of it carol is a party, dave may veto, and bob has asked for it."""

    world: World
    vault: bytes
    asked: bytes
    request: bytes
    unasked: bytes
    dave: Actor


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    world = make_world(tmp_path_factory.mktemp("world"))
    dave, vault = register(world, "dave"), open_vault(world, world.alice)
    policy = k_of(2, world.bob.identity, world.carol.identity, veto_window_s=600)
    policy.vetoers.append(dave.identity)
    asked = place(world, world.alice, vault, policy, world.bob.identity)
    unasked = place(world, world.alice, vault, single(world.bob.identity), world.bob.identity)
    request = ask(world, world.bob, asked)
    return Made(world, vault, asked, request, unasked, dave)


def who_is(made: Made, role: str) -> Actor:
    world = made.world
    return {"beneficiary": world.bob, "party": world.carol, "vetoer": made.dave, "principal": world.alice}[role]


def of_another(key: bytes, made: Made) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The leaf and the proof of another key, under the name that was asked for."""

    def change(response: dict[str, Any]) -> dict[str, Any]:
        params = {"path": "/store", "data": key.hex(), "height": response["height"], "prove": True}
        other = made.world.node.do_abci_query(params)["response"]
        return {**other, "key": response["key"]}

    return change


def keys_read(made: Made, role: str) -> dict[str, bytes]:
    """Every leaf in which what waits for them stands, by name."""
    who = who_is(made, role).identity
    keys = {"the count": COUNTERS.key(who), "the entry": CONCERNS.key(who, 1), "the order": ORDERS.key(made.asked)}
    if role == "beneficiary":
        second = {"its other entry": CONCERNS.key(who, 2), "the order to ask for": ORDERS.key(made.unasked)}
        return {**keys, **second, "the request that was answered": REQUESTS.key(made.request)}
    return {
        **keys, "the request's number": REQUEST_NUMBERS.key(made.asked, 1), "the request": REQUESTS.key(made.request)
    }  # fmt: skip


LEFT_OUT = [
    *(("beneficiary", what) for what in ("the count", "the entry", "its other entry", "the order",
      "the order to ask for", "the request that was answered")),
    *((role, what) for role in ("party", "vetoer")
      for what in ("the count", "the entry", "the order", "the request's number", "the request")),
]  # fmt: skip


def test_an_honest_node_shows_each_what_waits_for_it(made: Made) -> None:
    assert [item.subject for item in inbox(made.world, made.world.bob).items] == [made.unasked]
    for role in ("party", "vetoer"):
        assert [item.subject for item in inbox(made.world, who_is(made, role)).items] == [made.request]


@pytest.mark.parametrize(("role", "what"), LEFT_OUT)
def test_a_node_that_leaves_out_anything_of_an_inbox_is_refused(made: Made, role: str, what: str) -> None:
    key = keys_read(made, role)[what]
    with pytest.raises(NotVerified) as caught:
        inbox(made.world, who_is(made, role), node=lying(made.world, {key: left_out}), held=[made.request])
    assert caught.value.step == "proof"
    assert caught.value.data["key"] == key.hex()


@pytest.mark.parametrize("role", ["beneficiary", "party", "vetoer"])
def test_a_node_that_says_that_there_is_less_or_something_else_is_refused(made: Made, role: str) -> None:
    who = who_is(made, role)
    fewer = pb.CounterRecord(identity=who.identity, concerns=0).SerializeToString(deterministic=True)
    ended = pb.OrderRecord()
    ended.CopyFrom(made.world.session(who).ledger.order(made.asked))
    ended.status, ended.cancelled_requests = pb.ORDER_STATUS_CLOSED, 1
    closed = ended.SerializeToString(deterministic=True)
    decided = pb.DecisionRecord(height=3).SerializeToString(deterministic=True)
    lies: dict[bytes, Callable[[dict[str, Any]], dict[str, Any]]] = {
        COUNTERS.key(who.identity): lambda response: {**response, "value": b64(fewer)},
        CONCERNS.key(who.identity, 1): of_another(CONCERNS.key(made.world.alice.identity, 1), made),
        ORDERS.key(made.asked): lambda response: {**response, "value": b64(closed)},
    }
    if role != "beneficiary":
        lies[DECISIONS.key(made.request, who.identity)] = lambda response: {**response, "value": b64(decided)}
        lies[REQUESTS.key(made.request)] = of_another(ORDERS.key(made.asked), made)
    for key, lie in lies.items():
        with pytest.raises(NotVerified) as caught:
            inbox(made.world, who, node=lying(made.world, {key: lie}))
        assert (caught.value.step, caught.value.data["key"]) == ("proof", key.hex())


def test_a_state_before_the_one_that_was_read_is_not_taken(made: Made) -> None:
    world, who = made.world, Reader(made.world.carol.identity)
    first = read(world, world.carol)

    def behind(params: dict[str, Any], honest: Any) -> Any:
        honest["sync_info"]["latest_block_height"] = str(first.inbox.height)
        return honest

    node = LiveNode(world.chain, lies={"status": behind})
    ledger = Ledger(ClockedRpc(node), world.chain.trust_file(world.chain.replica.gid), wait_s=0)
    assert ledger.rpc.run(reading.read(ledger.flows, who)).inbox.height == first.inbox.height - 1
    with pytest.raises(TimedOut) as caught:
        ledger.rpc.run(reading.read(ledger.flows, who, first.followed))
    assert caught.value.data["needed_height"] == first.inbox.height + 1


@pytest.mark.parametrize(
    ("role", "expected"),
    [("principal", ("asked", "unasked")), ("beneficiary", ("asked", "unasked")), ("party", ("asked",)),
     ("vetoer", ("asked",))],
)  # fmt: skip
def test_a_list_of_orders_by_role_is_whole_or_refused(made: Made, role: str, expected: tuple[str, ...]) -> None:
    who = who_is(made, role).identity
    ledger = made.world.session(made.world.alice).ledger
    listed = ledger.rpc.run(finding.order_list(ledger.flows, who, role))
    wanted = [getattr(made, name) for name in expected]
    assert [record.id for record in listed.records] == wanted
    first = 2 if role == "principal" else 1  # the vault is before it
    for key in (COUNTERS.key(who), CONCERNS.key(who, first), *(ORDERS.key(order) for order in wanted)):
        liar = made.world.session(made.world.alice, lying(made.world, {key: left_out})).ledger
        with pytest.raises(NotVerified) as caught:
            liar.rpc.run(finding.order_list(liar.flows, who, role))
        assert (caught.value.step, caught.value.data["key"]) == ("proof", key.hex())


def test_a_list_of_vaults_is_whole_or_refused(made: Made) -> None:
    who = made.world.alice.identity
    ledger = made.world.session(made.world.alice).ledger
    assert [one.id for one in ledger.rpc.run(finding.vault_list(ledger.flows, who)).records] == [made.vault]
    for key in (COUNTERS.key(who), CONCERNS.key(who, 1), VAULTS.key(made.vault)):
        liar = made.world.session(made.world.alice, lying(made.world, {key: left_out})).ledger
        with pytest.raises(NotVerified) as caught:
            liar.rpc.run(finding.vault_list(liar.flows, who))
        assert caught.value.data["key"] == key.hex()


def test_nothing_of_it_asks_a_node_s_index(made: Made) -> None:
    node = lying(made.world, {})
    for role in ROLES:
        ledger = made.world.session(made.world.alice, node).ledger
        ledger.rpc.run(finding.order_list(ledger.flows, who_is(made, role).identity, role))
        inbox(made.world, who_is(made, role), node=node, held=[made.request])
    assert set(node.calls) <= {"status", "commit", "validators", "abci_query", "header"}, node.calls


def test_who_was_authorised_to_receive_lists_the_order_among_those_for_it(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    vault = open_vault(world, world.alice)
    order = place(world, world.alice, vault, single(world.alice.identity))
    carol, alice = world.session(world.carol), world.session(world.alice)
    opened = asking.prepare(carol, order)
    draft = asking.Draft(carol.ledger.trust.chain_id, carol.gid, opened.message)
    asking.submit(carol, asking.load_prepared(carol, asking.authorise(alice, draft)))
    listed = carol.ledger.rpc.run(finding.order_list(carol.ledger.flows, world.carol.identity, "beneficiary"))
    assert [record.id for record in listed.records] == [order]
    [item] = inbox(world, world.alice).items
    assert item.subject == opened.request


def test_who_has_approved_is_not_asked_again_while_others_are(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    policy = k_of(3, world.bob.identity, world.carol.identity, world.alice.identity)
    order = place(world, world.alice, open_vault(world, world.alice), policy, world.bob.identity)
    request = ask(world, world.bob, order)
    decide(world, world.carol, request, asking.approve)
    assert seen(inbox(world, world.carol).items) == []
    assert [item.subject for item in inbox(world, world.alice).items] == [request]


# --- a state that is broken, though its validators sign it


def broken(made: Made, key: bytes, record: Any) -> NotVerified:
    """What an inbox says of a ledger with another record at that key."""
    chain = made.world.chain
    before = chain.replica.view.leaves[key]
    try:
        chain.write({key: record.SerializeToString(deterministic=True)})
        chain.make_block()
        chain.make_block()
        with pytest.raises(NotVerified) as caught:
            inbox(made.world, made.world.carol)
        return caught.value
    finally:
        chain.write({key: before})
        chain.make_block()
        chain.make_block()


def test_an_order_that_counts_more_open_requests_than_there_are_is_said_to_be_broken(made: Made) -> None:
    record = pb.OrderRecord.FromString(made.world.chain.replica.view.leaves[ORDERS.key(made.asked)])
    record.requests += 1
    error = broken(made, ORDERS.key(made.asked), record)
    assert (error.step, error.data["key"]) == ("whole", REQUEST_NUMBERS.key(made.asked, 2).hex())
    request = pb.RequestRecord.FromString(made.world.chain.replica.view.leaves[REQUESTS.key(made.request)])
    request.status = pb.REQUEST_STATUS_VETOED
    error = broken(made, REQUESTS.key(made.request), request)
    assert (error.step, error.data["key"]) == ("whole", ORDERS.key(made.asked).hex())
    assert seen(inbox(made.world, made.world.carol).items)
