"""Operators and clients of a consortium that changes: proposals by proof, and trust across admissions and removals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from voting_world import VotingWorld, make_voting_world

from abci_app.codes import Code
from abci_app.pb.dta.v1 import custody_pb2
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.state.records import CHAIN, FIDUCIARIES
from dta.base.errors import NotFound, RefusedByLedger, UsageError
from dta.base.secret import SecretBytes
from dta.client import governance
from dta.client.custody import orders, vaults
from dta.client.custody.orders import NewOrder
from dta.client.ledger import fiduciaries, leaves
from dta.client.ledger.ledger import Ledger
from dta.client.receipt.collect import collect_identity_receipt, collect_state_receipt
from dta.client.receipt.verify import verify_receipt
from dta.light.trust import TrustFile
from tests.support import governance as actions
from tests.support.custody import single
from tests.support.order_flow import REALM
from tests.support.refusals import refused


@pytest.fixture
def world(tmp_path: Path) -> VotingWorld:
    return make_voting_world(tmp_path)


def blocks(world: VotingWorld, count: int) -> None:
    for _ in range(count):
        world.chain.make_block()


# --- operators


def test_operators_propose_look_and_vote(world: VotingWorld) -> None:
    ledger, founders = world.ledger(), world.founders
    action = governance.changed_params(ledger, {"max_upkeep_cost": 7})
    proposed = governance.propose(ledger, world.signer(0), action)
    assert proposed.record.status == pb.PROPOSAL_STATUS_OPEN
    id_ = proposed.record.id
    voted = governance.vote(world.ledger(), world.signer(1), id_, against=True)
    assert voted.height > proposed.height
    view = governance.view(ledger, founders, id_)
    assert (view.power(against=False), view.power(against=True), view.power_total) == (10, 10, 40)
    assert [None if vote is None else vote.against for vote in view.votes.values()] == [False, True, None, None]
    governance.vote(ledger, world.signer(2), id_, against=False)
    done = governance.vote(ledger, world.signer(3), id_, against=False)
    assert done.record.status == pb.PROPOSAL_STATUS_EXECUTED
    assert ledger.params().max_upkeep_cost == 7


def test_what_was_proposed_is_read_by_the_id_that_it_must_have_and_not_by_a_node_s_word(
    world: VotingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = world.ledger()
    send = ledger.send
    first = governance.propose(ledger, world.signer(0), governance.changed_params(ledger, {"max_upkeep_cost": 7}))
    monkeypatch.setattr(Ledger, "send", lambda _, *given: replace(send(*given), data=first.record.id))
    second = governance.propose(ledger, world.signer(0), governance.changed_params(ledger, {"max_upkeep_cost": 8}))
    assert second.record.action.change_params.params.max_upkeep_cost == 8


def test_proposals_are_found_by_the_index_and_read_by_proof_the_newest_first(world: VotingWorld) -> None:
    ledger = world.ledger()
    made = [
        governance.propose(ledger, world.signer(0), governance.changed_params(ledger, change)).record.id
        for change in ({"max_upkeep_cost": 7}, {"max_upkeep_cost": 8})
    ]
    assert [record.id for record in governance.search(ledger).records] == made[::-1]
    assert governance.withdraw(ledger, world.signer(0), made[0]).record.status == pb.PROPOSAL_STATUS_WITHDRAWN


def test_what_can_not_be_is_said_with_its_code(world: VotingWorld) -> None:
    ledger = world.ledger()
    with pytest.raises(NotFound):
        governance.vote(ledger, world.signer(0), bytes(32), against=False)
    with pytest.raises(RefusedByLedger) as caught:
        governance.propose(ledger, world.signer(0), governance.changed_params(ledger, {"max_upkeep_cost": 0}))
    refused(caught.value, Code.PARAMS_REFUSED, "bounds")
    assert "max_upkeep_cost" in caught.value.message
    with pytest.raises(UsageError, match="parameters in force"):
        governance.changed_params(ledger, {"max_upkeep_cost": ledger.params().max_upkeep_cost})
    with pytest.raises(UsageError, match="can't be"):
        governance.changed_params(ledger, {"max_upkeep_cost": 2**64})


def test_a_removal_lists_the_orders_that_it_leaves_below_their_threshold(world: VotingWorld) -> None:
    alice = world.session(world.alice)
    vault = vaults.open_vault(alice, "hsm-realm", world.founders).record.id

    def place(threshold: int) -> bytes:
        rule = custody_pb2.BeneficiaryRule(identity=world.bob.identity)
        new = NewOrder(vault, SecretBytes(b"secret"), single(world.bob.identity), rule, threshold=threshold)
        return orders.place(alice, REALM, new).record.id

    needs_all, needs_two, closed = place(4), place(2), place(4)
    orders.close(alice, closed)
    found = governance.affected_by_removal(world.ledger(), world.founders, world.founders[3]).orders
    assert {one.record.id: (one.left, one.falls_below) for one in found} == {
        needs_all: (3, True), needs_two: (3, False),
    }  # fmt: skip


# --- who is a fiduciary


def test_clients_find_a_fiduciary_of_after_genesis_by_the_validators_and_miss_one_that_was_removed(
    world: VotingWorld,
) -> None:
    ledger = world.ledger()
    assert list(fiduciaries.current(ledger, world.founders)) == world.founders
    fifth = world.admit("fifth")
    blocks(world, 3)
    assert list(fiduciaries.current(ledger, world.founders)) == [*world.founders, fifth.identity]
    blocks(world, 6)
    world.decide(actions.remove(world.fiduciaries[3]), *world.fiduciaries[:3], fifth, tag="remove")
    blocks(world, 8)
    assert list(fiduciaries.current(ledger, world.founders)) == [*world.founders[:3], fifth.identity]
    # One that knows no founder finds them all by the validators.
    assert set(fiduciaries.current(ledger, [])) == {*world.founders[:3], fifth.identity}


# --- trust


def test_belief_in_genesis_leads_through_admissions_and_removals(world: VotingWorld) -> None:
    """Four are replaced one after the other by four others: whoever trusts genesis follows, by steps and leaps."""
    crew = list(world.fiduciaries)
    heights = []
    for number in range(4):
        voters = crew[: 2 * len(crew) // 3 + 1]
        crew.append(world.admit(f"new-{number}", 10, *voters))
        blocks(world, 7)
        gone = crew[0]
        world.decide(actions.remove(gone), *crew[1:5], tag=("remove", number))
        crew = crew[1:]
        blocks(world, 7)
        heights.append(world.chain.height - 2)
        assert FIDUCIARIES.exists(world.chain.replica.view, gone.identity)
    by_key = {actions.validator_key(f"new-{number}").verify_key.encode() for number in range(4)}
    assert {bytes(key.verify_key) for key, _ in world.chain.group} == by_key
    ledger = world.ledger()
    assert ledger.get(leaves.of(FIDUCIARIES, world.founders[0])).power == 10  # proved from genesis at one go
    assert {validator.public_key for validator in ledger.trust.newest.validators.validators} == by_key
    for height in heights[:-1]:  # and from a trust file at each stage
        assert world.ledger(height).params().max_fiduciaries == 64


def test_a_receipt_from_after_the_change_verifies_with_the_genesis_trust_file(world: VotingWorld) -> None:
    fifth = world.admit("fifth")
    blocks(world, 7)
    world.decide(actions.remove(world.fiduciaries[0]), *world.fiduciaries[1:], fifth, tag="remove")
    blocks(world, 7)
    world.decide(actions.revoke(world.alice), *world.fiduciaries[1:], tag="revoke")
    blocks(world, 3)
    trust: TrustFile = world.chain.trust_file(world.chain.replica.gid)
    rpc = world.ledger().rpc
    fiduciary_key = FIDUCIARIES.key(fifth.identity)
    receipt = collect_state_receipt(rpc, trust, [fiduciary_key, CHAIN.key()])
    verified = verify_receipt(receipt.content, trust, trust.trusted_at_s + 10_000)
    assert verified.states[fiduciary_key] == world.chain.replica.view.get(fiduciary_key)
    revoked = collect_identity_receipt(rpc, trust, world.alice.identity)
    assert verify_receipt(revoked.content, trust, trust.trusted_at_s + 10_000).states
