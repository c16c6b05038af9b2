"""From a principal's secret to a beneficiary's, over real proofs; and every node that lies on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from abci_app.codes import Code
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.due import DueKind
from abci_app.state.records import IDENTITIES, VAULT_KEYS
from dta.base.errors import NotVerified, TimedOut, UsageError
from dta.base.secret import SecretBytes
from dta.client.custody import asking, finding, keyfile, orders, receiving, records, vaults
from dta.client.custody.errors import OrderFailed, UploadIncomplete, WouldBeRefused
from dta.client.custody.orders import NewOrder, default_threshold
from dta.client.ledger.ledger import OrderView
from dta.custodians.plugin import PreparedOrder, PrepareInput
from tests.support.custody import single
from tests.support.light_chain import b64
from tests.support.order_flow import REALM, LiveNode, World, make_world
from tests.support.refusals import Because, refused

PEM = b"-----BEGIN PRIVATE KEY-----\n" + b"MIIEvQ" * 678 + b"\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def open_vault(world: World) -> bytes:
    return vaults.open_vault(world.session(world.alice), "hsm-realm", world.founders).record.id


def new_order(world: World, vault: bytes, **changes: Any) -> NewOrder:
    bob = world.bob.identity
    new = NewOrder(vault, SecretBytes(b"the secret"), single(bob), pb.BeneficiaryRule(identity=bob))
    return replace(new, **changes)


def place(world: World, vault: bytes, **changes: Any) -> OrderView:
    return orders.place(world.session(world.alice), REALM, new_order(world, vault, **changes))


def uploaded(world: World) -> int:
    return sum(len(held) for held in world.chain.gateways.blocks.values())


@pytest.mark.parametrize("secret", [bytes(range(32)), PEM, b"9" * 900_000], ids=["32-byte-key", "pem", "900-kb"])
def test_what_a_beneficiary_receives_is_what_the_principal_entrusted(world: World, secret: bytes) -> None:
    view = place(world, open_vault(world), secret=SecretBytes(secret))
    assert (view.record.status, view.record.threshold) == (pb.ORDER_STATUS_ACTIVE, 3)
    bob = world.session(world.bob)
    opened = asking.prepare(bob, view.record.id)
    asking.submit(bob, opened)
    received = receiving.receive(bob, REALM, opened.request)
    assert received.secret == SecretBytes(secret)
    assert received.bad_fiduciaries == ()
    assert keyfile.pending(bob.directory) == [opened.request]
    receiving.done(bob, received)
    assert keyfile.pending(bob.directory) == []


class Watchful:
    """The real custodian, remembering whether it was asked to seal anything."""

    def __init__(self) -> None:
        self.sealed = 0

    def prepare(self, given: PrepareInput) -> PreparedOrder:
        self.sealed += 1
        return REALM.prepare(given)


def lying(world: World, method: str, lie: Any) -> LiveNode:
    return LiveNode(world.chain, lies={method: lie})


def about_key(world: World, vault: bytes, **changes: Any) -> Any:
    """A lie about the first fiduciary's key in the vault."""
    asked = VAULT_KEYS.key(vault, world.founders[0]).hex()

    def lie(params: dict[str, Any], honest: Any) -> Any:
        if params["data"] == asked:
            honest["response"].update(changes)
        return honest

    return lie


def refuses_to_seal(world: World, vault: bytes, node: LiveNode) -> NotVerified:
    watchful, before = Watchful(), uploaded(world)
    alice = world.session(world.alice, node)
    with pytest.raises(NotVerified) as caught:
        orders.place(alice, watchful, new_order(world, vault))  # type: ignore[arg-type]
    assert (watchful.sealed, uploaded(world)) == (0, before)
    assert records.load_all(alice.directory) == []
    assert not world.chain.pending
    return caught.value


def test_a_node_that_lies_about_a_vault_s_key_gets_nothing_and_the_client_says_why(world: World) -> None:
    vault = open_vault(world)
    other = VAULT_KEYS.get(world.chain.replica.view, vault, world.founders[1])
    other.published_tx = bytes(32)
    forged = b64(other.SerializeToString(deterministic=True))
    error = refuses_to_seal(world, vault, lying(world, "abci_query", about_key(world, vault, value=forged)))
    assert error.step == "proof"
    assert "lies" in error.hint


def test_a_node_that_hides_a_vault_s_key_gets_nothing(world: World) -> None:
    vault = open_vault(world)
    liar = lying(world, "abci_query", about_key(world, vault, value=None))
    assert refuses_to_seal(world, vault, liar).step == "proof"


def test_a_node_that_answers_from_an_old_state_gets_nothing(world: World) -> None:
    vault = open_vault(world)
    liar = lying(world, "abci_query", about_key(world, vault, height="2"))
    assert refuses_to_seal(world, vault, liar).step == "answer"


def test_a_node_that_stopped_at_an_old_block_gets_nothing(world: World) -> None:
    vault = open_vault(world)
    alice = world.session(world.alice)
    alice.ledger.rpc.offset_s = 600  # type: ignore[attr-defined]
    with pytest.raises(NotVerified) as caught:
        orders.place(alice, REALM, new_order(world, vault))
    assert caught.value.step == "time"
    assert uploaded(world) == 0


def test_a_header_that_too_few_validators_signed_convinces_nobody(world: World) -> None:
    vault = open_vault(world)

    def too_few(params: dict[str, Any], honest: Any) -> Any:
        for signature in honest["signed_header"]["commit"]["signatures"][1:3]:
            signature.update(block_id_flag=1, validator_address="", signature=None, timestamp="0001-01-01T00:00:00Z")
        return honest

    assert refuses_to_seal(world, vault, lying(world, "commit", too_few)).step == "commit"


def test_a_node_cannot_send_the_envelope_to_a_gateway_of_its_own(world: World) -> None:
    vault = open_vault(world)
    asked = IDENTITIES.key(world.founders[0]).hex()

    def elsewhere(params: dict[str, Any], honest: Any) -> Any:
        if params["data"] == asked:
            honest["response"]["value"] = b64(b"\x62\x10http://evil.test")
        return honest

    assert refuses_to_seal(world, vault, lying(world, "abci_query", elsewhere)).step == "proof"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"threshold": 0}, Because(Code.BAD_THRESHOLD, "client-order")),
        ({"threshold": 5}, Because(Code.BAD_THRESHOLD, "client-order")),
        ({"fiduciaries": [b"\x01" * 32]}, Because(Code.NOT_NAMED, "client-vault")),
        ({"expires_at_time_s": 1_000}, Because(Code.BAD_EXPIRY, "client-over")),
        ({"expires_at_time_s": 2**60}, Because(Code.BAD_EXPIRY, "client-too-far")),
    ],
)
def test_an_order_that_the_ledger_would_refuse_never_leaves_the_machine(
    world: World, changes: dict[str, Any], code: Because
) -> None:
    with pytest.raises(WouldBeRefused) as caught:
        place(world, open_vault(world), **changes)
    refused(caught.value, *code)
    assert caught.value.data["name"] == Code(code.code).name
    assert caught.value.data["reason"] == code.reason
    assert caught.value.hint
    assert uploaded(world) == 0


def test_an_order_in_somebody_else_s_vault_never_leaves_the_machine(world: World) -> None:
    new = new_order(world, open_vault(world))
    with pytest.raises(WouldBeRefused) as caught:
        orders.place(world.session(world.bob), REALM, new)
    refused(caught.value, Code.NOT_PRINCIPAL, "client-order")


def test_an_empty_secret_and_a_bls_key_that_is_not_the_ledger_s_are_refused(world: World) -> None:
    vault = open_vault(world)
    with pytest.raises(UsageError):
        place(world, vault, secret=SecretBytes(b""))
    alice = world.session(world.alice)
    mistaken = replace(alice, party=replace(alice.party, bls=world.bob.bls_key))
    with pytest.raises(UsageError) as caught:
        orders.place(mistaken, REALM, new_order(world, vault))
    assert "BLS" in caught.value.message
    assert uploaded(world) == 0


def test_a_gateway_that_is_down_stops_the_order_and_is_named_unless_it_may_be_missing(world: World) -> None:
    vault = open_vault(world)
    world.chain.gateways.down = {"gateway-2.test"}
    with pytest.raises(UploadIncomplete) as caught:
        place(world, vault)
    missed = caught.value.data["missed"]
    assert [one["fiduciary"] for one in missed] == [world.founders[2].hex()]  # type: ignore[index, union-attr]
    assert "gateway-2.test" in caught.value.message
    assert not world.chain.pending
    assert place(world, vault, allow_missing=1).record.status == pb.ORDER_STATUS_ACTIVE
    with pytest.raises(UsageError):
        place(world, vault, allow_missing=2)  # three of four must act


def test_the_default_threshold_survives_fewer_than_a_third(world: World) -> None:
    assert [default_threshold(count) for count in range(1, 8)] == [1, 2, 3, 3, 4, 5, 5]


class Deceiver:
    """A principal's program that commits to other shares than it seals, for the first ``count`` fiduciaries."""

    def __init__(self, count: int) -> None:
        self.count = count

    def prepare(self, given: PrepareInput) -> PreparedOrder:
        prepared = REALM.prepare(given)
        for index in range(self.count):
            prepared.message.share_commitments[index] = bytes(32)
        return prepared


def test_who_rejects_an_order_is_shown_with_the_reason_and_too_many_fail_it(world: World) -> None:
    vault = open_vault(world)
    alice = world.session(world.alice)
    view = orders.place(alice, Deceiver(1), new_order(world, vault))  # type: ignore[arg-type]
    assert view.record.status == pb.ORDER_STATUS_ACTIVE
    view = alice.ledger.order_view(view.record.id, at_least=world.chain.height)
    assert orders.outcomes(view)[world.founders[0]] == "rejected: share-unreadable"
    with pytest.raises(OrderFailed) as caught:
        orders.place(alice, Deceiver(2), new_order(world, vault))  # type: ignore[arg-type]
    outcomes = [one["outcome"] for one in caught.value.data["fiduciaries"]]  # type: ignore[union-attr, index]
    assert outcomes.count("rejected: share-unreadable") == 2


def test_an_order_that_gathers_too_few_fulfilments_in_time_says_so_and_can_be_watched_on(world: World) -> None:
    vault = open_vault(world)
    for agent in world.chain.agents[:2]:
        agent.silent.add(DueKind.FULFIL_ORDER)
    alice = world.session(world.alice)
    with pytest.raises(TimedOut) as caught:
        orders.place(alice, REALM, new_order(world, vault), wait_s=10)
    assert "2 of 3" in caught.value.message
    shown = [step.done for step in world.steps if step.stage == "fulfil"]
    assert shown == sorted(shown)
    assert shown[-1] == 2
    world.chain.agents[0].silent.clear()
    order = bytes.fromhex(str(caught.value.data["order"]))
    assert orders.wait_until_active(alice, order).record.fulfilled == 3


def test_a_vault_names_who_has_published_no_key_and_serves_with_the_others(world: World) -> None:
    world.chain.agents[3].silent.add(DueKind.PUBLISH_VAULT_KEY)
    alice = world.session(world.alice)
    with pytest.raises(TimedOut) as caught:
        vaults.open_vault(alice, "hsm-realm", world.founders, wait_s=10)
    assert caught.value.data["missing"] == [world.founders[3].hex()]
    vault = bytes.fromhex(str(caught.value.data["vault"]))
    with pytest.raises(WouldBeRefused) as would:
        place(world, vault, fiduciaries=[world.founders[3]])
    refused(would.value, Code.FIDUCIARY_WITHOUT_KEY, "client-named")
    view = place(world, vault)
    assert list(view.record.fiduciaries) == world.founders[:3]


def test_a_vault_closes_after_its_delay_and_its_closing_can_be_cancelled(world: World) -> None:
    vault = open_vault(world)
    alice = world.session(world.alice)
    closing = vaults.close_vault(alice, vault)
    assert closing.status == pb.VAULT_STATUS_CLOSING
    assert closing.closes_at_time_s > 0
    assert vaults.cancel_close(alice, vault).status == pb.VAULT_STATUS_OPEN


def test_a_vault_that_closes_and_one_without_a_key_take_no_order(world: World) -> None:
    alice = world.session(world.alice)
    closing = open_vault(world)
    vaults.close_vault(alice, closing)
    with pytest.raises(WouldBeRefused) as caught:
        place(world, closing)
    refused(caught.value, Code.VAULT_NOT_OPEN, "client-vault")
    for agent in world.chain.agents:
        agent.silent.add(DueKind.PUBLISH_VAULT_KEY)
    with pytest.raises(TimedOut) as late:
        vaults.open_vault(alice, "hsm-realm", world.founders, wait_s=10)
    with pytest.raises(WouldBeRefused) as caught:
        place(world, bytes.fromhex(str(late.value.data["vault"])))
    refused(caught.value, Code.FIDUCIARY_WITHOUT_KEY, "client-nobody")


def test_nothing_is_asked_under_an_order_that_is_not_active(world: World) -> None:
    vault = open_vault(world)
    for agent in world.chain.agents:
        agent.silent.add(DueKind.FULFIL_ORDER)
    with pytest.raises(TimedOut) as late:
        orders.place(world.session(world.alice), REALM, new_order(world, vault), wait_s=5)
    with pytest.raises(WouldBeRefused) as caught:
        asking.prepare(world.session(world.bob), bytes.fromhex(str(late.value.data["order"])))
    refused(caught.value, Code.ORDER_NOT_ACTIVE, "client-not-active")


def test_a_placing_that_was_cut_short_is_finished_and_never_doubled(world: World) -> None:
    vault = open_vault(world)
    alice = world.session(world.alice)
    world.chain.gateways.down = {"gateway-0.test"}
    with pytest.raises(UploadIncomplete):
        orders.place(alice, REALM, new_order(world, vault))
    world.chain.gateways.down = set()
    (record,) = records.load_all(alice.directory)
    first = orders.resume(alice, record.order)
    again = orders.resume(alice, record.order)
    assert first.record.id == again.record.id == record.order
    listed = finding.order_list(alice.ledger.flows, world.alice.identity, "principal")
    found = [record.id for record in alice.ledger.rpc.run(listed).records]
    assert found == [record.order]


def test_a_placing_whose_transaction_expired_is_signed_anew_as_the_same_order(world: World) -> None:
    vault = open_vault(world)
    alice = world.session(world.alice)
    world.chain.gateways.down = {"gateway-0.test"}
    with pytest.raises(UploadIncomplete):
        orders.place(alice, REALM, new_order(world, vault))
    world.chain.gateways.down = set()
    (before,) = records.load_all(alice.directory)
    for _ in range(101):
        world.chain.make_block()
    assert orders.resume(alice, before.order).record.id == before.order
    (after,) = records.load_all(alice.directory)
    assert after.tx != before.tx


def test_a_closed_order_gives_nothing_to_anybody(world: World) -> None:
    order = place(world, open_vault(world)).record.id
    assert orders.close(world.session(world.alice), order).status == pb.ORDER_STATUS_CLOSED
    with pytest.raises(WouldBeRefused) as caught:
        asking.prepare(world.session(world.bob), order)
    refused(caught.value, Code.ORDER_NOT_OPEN, "client-not-open")
