"""Proposals and votes: what passes, what does not, what follows at the end of the block, and what can't be had."""

from __future__ import annotations

import pytest

from abci_app import end_of_block
from abci_app.block import ValidatorUpdate
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.execution.context import Context
from abci_app.governance import actions, proposals, upgrade
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state import records
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, OPEN_PROPOSALS
from abci_app.state.records import FIDUCIARIES, IDENTITIES, UPGRADES, VALIDATOR_CHANGES
from tests.support import governance
from tests.support.actors import Actor
from tests.support.chain import Chain
from tests.support.governance import admit, answer_to, pass_, propose, proposing, record, remove, status, vote
from tests.support.refusals import Because, because, recorded, refused
from tests.support.world import set_params

WINDOW_BLOCKS = 12


@pytest.fixture
def chain() -> Chain:
    made = Chain(4)
    set_params(made, validator_change_window_blocks=WINDOW_BLOCKS)
    return made


@pytest.fixture
def fifth(chain: Chain) -> Actor:
    made = Actor("fifth", fiduciary=True)
    chain.register(made)
    return made


# --- counting


def test_three_of_four_admit_a_fifth_in_the_block_of_the_third_vote(chain: Chain, fifth: Actor) -> None:
    one, two, three = chain.founders[:3]
    proposal = propose(chain, one, admit(chain, fifth))
    vote(chain, two, proposal)
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_OPEN
    result = vote(chain, three, proposal)
    key = bytes(governance.validator_key(0).verify_key)
    assert result.validator_updates == (ValidatorUpdate(key, 10),)
    made = record(chain, proposal)
    assert made.status == pb.PROPOSAL_STATUS_EXECUTED
    assert (made.power_for, made.power_against, made.power_total, made.votes) == (30, 0, 40, 3)
    assert (made.passed_height, made.ended_height, made.failure_code) == (chain.height, chain.height, 0)
    fiduciary = FIDUCIARIES.get(chain.view, fifth.identity)
    assert fiduciary.status == identity_pb2.FIDUCIARY_STATUS_ACTIVE
    assert (fiduciary.validator_key, fiduciary.power, fiduciary.admitted_height) == (key, 10, chain.height)
    change = VALIDATOR_CHANGES.get(chain.view, chain.height)
    assert (change.old_key, change.new_key, change.power, change.tx_hash) == (b"", key, 10, made.deciding_tx)


def test_exactly_two_thirds_do_not_pass() -> None:
    chain = Chain(3)
    one, two, three = chain.founders
    proposal = propose(chain, one, governance.change_params(chain, max_upkeep_cost=7))
    vote(chain, two, proposal)
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_OPEN
    vote(chain, three, proposal)
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_EXECUTED


def test_a_single_fiduciary_decides_by_proposing() -> None:
    chain = Chain(1)
    proposal = propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7))
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_EXECUTED


def test_a_third_against_rejects_at_once(chain: Chain) -> None:
    proposal = propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7))
    vote(chain, chain.founders[1], proposal, against=True)
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_OPEN
    vote(chain, chain.founders[2], proposal, against=True)
    made = record(chain, proposal)
    assert (made.status, made.power_against) == (pb.PROPOSAL_STATUS_REJECTED, 20)
    assert records.params(chain.view).max_upkeep_cost != 7


def test_votes_in_one_block_are_counted_together(chain: Chain) -> None:
    one, two, three, four = chain.founders
    message = proposing(governance.change_params(chain, max_upkeep_cost=7))
    proposal = statements.proposal_id(chain.gid, one.identity, message.nonce)
    digest = statements.action_digest(chain.gid, proposal, message.action)
    result = chain.block(
        chain.tx(one, message),
        *(chain.tx(who, pb.Vote(proposal=proposal, content_digest=digest)) for who in (two, three, four)),
    )
    assert [one_result.code for one_result in result.tx_results] == [Code.OK] * 4
    assert (status(chain, proposal), record(chain, proposal).power_for) == (pb.PROPOSAL_STATUS_EXECUTED, 40)


def test_a_suspended_fiduciary_keeps_its_power_and_its_vote_does_not_count(chain: Chain) -> None:
    proposal = propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7))
    assert chain.run(chain.founders[0], tx_pb2.SuspendIdentity()).code == Code.OK
    for voter in chain.founders[1:3]:
        vote(chain, voter, proposal)
    made = record(chain, proposal)
    assert (made.status, made.power_for, made.power_total) == (pb.PROPOSAL_STATUS_OPEN, 20, 40)
    vote(chain, chain.founders[3], proposal)
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_EXECUTED


def test_a_rotation_makes_a_suspended_ones_vote_count_again(chain: Chain) -> None:
    one, two, three = chain.founders[:3]
    proposal = propose(chain, one, governance.change_params(chain, max_upkeep_cost=7))
    assert chain.run(one, tx_pb2.SuspendIdentity()).code == Code.OK
    vote(chain, two, proposal)
    one.previous_cid = IDENTITIES.get(chain.view, one.identity).document_cid
    rotation = tx_pb2.RotateIdentity(envelope=one.next_document(chain.gid))
    assert chain.run(one, rotation, key=one.key(1)).code == Code.OK
    vote(chain, three, proposal)
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_EXECUTED


def test_a_removed_fiduciarys_vote_does_not_count_and_its_power_is_gone(chain: Chain) -> None:
    one, two, _, four = chain.founders
    proposal = propose(chain, four, governance.change_params(chain, max_upkeep_cost=7))
    pass_(chain, remove(four))
    vote(chain, one, proposal)
    vote(chain, two, proposal)
    made = record(chain, proposal)
    assert (made.status, made.power_for, made.power_total) == (pb.PROPOSAL_STATUS_OPEN, 20, 30)


def test_an_admitted_one_votes_on_what_was_open_before(chain: Chain, fifth: Actor) -> None:
    proposal = propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7))
    pass_(chain, admit(chain, fifth), "admission")
    for voter in (chain.founders[1], chain.founders[2]):
        vote(chain, voter, proposal)
    assert record(chain, proposal).power_total == 50
    vote(chain, fifth, proposal)
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_EXECUTED


# --- deadlines, withdrawal


def test_a_proposal_expires_at_its_deadline_by_the_sweep(chain: Chain) -> None:
    proposal = propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7))
    made = record(chain, proposal)
    assert made.deadline_height == made.proposed_height + 2 * len(chain.founders) + 10
    chain.block(seconds=records.params(chain.view).proposal_ttl_s)
    while chain.height < made.deadline_height:
        assert status(chain, proposal) == pb.PROPOSAL_STATUS_OPEN
        chain.block()
    chain.block()
    made = record(chain, proposal)
    assert (made.status, made.ended_height) == (pb.PROPOSAL_STATUS_EXPIRED, chain.height)
    assert not DEADLINE_HEIGHT.has_any(chain.view)
    assert not OPEN_PROPOSALS.has_any(chain.view)
    assert not DEADLINE_TIME.has_any(chain.view)


def test_a_vote_at_the_deadline_is_too_late_though_nothing_swept_it(chain: Chain) -> None:
    for n in range(3):
        propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7 + n), tag=n)
    for _ in range(30):
        chain.block()
    set_params(chain, max_upkeep_cost=1)
    ids = [id_ for _, id_ in OPEN_PROPOSALS.entries(chain.view)]
    digests = [record(chain, id_).content_digest for id_ in ids]
    votes = [
        chain.tx(chain.founders[1], pb.Vote(proposal=id_, content_digest=digest))
        for id_, digest in zip(ids, digests, strict=True)
    ]
    result = chain.block(*votes, seconds=records.params(chain.view).proposal_ttl_s + 5)
    answers = sorted(because(one) for one in result.tx_results)
    assert answers == [
        Because(Code.DEADLINE_PASSED, "proposal"), Because(Code.DEADLINE_PASSED, "proposal"),
        Because(Code.PROPOSAL_NOT_OPEN),
    ]


def test_its_proposer_withdraws_it_and_no_other(chain: Chain) -> None:
    one, two = chain.founders[:2]
    proposal = propose(chain, one, governance.change_params(chain, max_upkeep_cost=7))
    refused(answer_to(chain, two, pb.WithdrawProposal(proposal=proposal)), Code.NOT_PROPOSER)
    result = chain.run(one, pb.WithdrawProposal(proposal=proposal))
    assert result.code == Code.OK
    made = record(chain, proposal)
    assert made.status == pb.PROPOSAL_STATUS_WITHDRAWN
    assert made.ended_tx
    refused(answer_to(chain, one, pb.WithdrawProposal(proposal=proposal)), Code.PROPOSAL_NOT_OPEN)


def test_what_is_withdrawn_in_the_block_of_the_last_vote_is_not_executed(chain: Chain) -> None:
    one, two, three = chain.founders[:3]
    proposal = propose(chain, one, governance.change_params(chain, max_upkeep_cost=7))
    vote(chain, two, proposal)
    digest = record(chain, proposal).content_digest
    last = chain.tx(three, pb.Vote(proposal=proposal, content_digest=digest))
    result = chain.block(last, chain.tx(one, pb.WithdrawProposal(proposal=proposal)))
    assert [tx.code for tx in result.tx_results] == [Code.OK, Code.OK]
    assert status(chain, proposal) == pb.PROPOSAL_STATUS_WITHDRAWN
    assert records.params(chain.view).max_upkeep_cost != 7


def test_only_so_many_are_open_and_an_ended_one_makes_room(chain: Chain) -> None:
    set_params(chain, max_open_proposals=2)
    one = chain.founders[0]
    first = propose(chain, one, governance.change_params(chain, max_upkeep_cost=7), tag=1)
    propose(chain, one, governance.change_params(chain, max_upkeep_cost=8), tag=2)
    third = proposing(governance.change_params(chain, max_upkeep_cost=9))
    refused(answer_to(chain, one, third), Code.TOO_MANY_PROPOSALS)
    assert chain.run(chain.founders[1], third).code == Code.OK
    assert chain.run(one, pb.WithdrawProposal(proposal=first)).code == Code.OK
    assert chain.run(one, third).code == Code.OK


# --- who may, and what for


def test_only_active_fiduciaries_propose_and_vote_by_their_operators_key(chain: Chain) -> None:
    alice, one = Actor("alice"), chain.founders[0]
    chain.register(alice)
    message = proposing(governance.change_params(chain, max_upkeep_cost=7))
    refused(answer_to(chain, alice, message), Code.NOT_FIDUCIARY, "proposal")
    refused(chain.run(one, message, key=one.node_key), Code.NOT_ALLOWED, "node-key")
    proposal = propose(chain, one, governance.change_params(chain, max_upkeep_cost=8))
    ballot = pb.Vote(proposal=proposal, content_digest=record(chain, proposal).content_digest)
    refused(answer_to(chain, alice, ballot), Code.NOT_FIDUCIARY, "vote")
    two = chain.founders[1]
    refused(chain.run(two, ballot, key=two.node_key), Code.NOT_ALLOWED, "node-key")


def test_a_vote_is_cast_once_for_the_content_that_it_names(chain: Chain) -> None:
    one, two = chain.founders[:2]
    proposal = propose(chain, one, governance.change_params(chain, max_upkeep_cost=7))
    digest = record(chain, proposal).content_digest
    refused(answer_to(chain, one, pb.Vote(proposal=proposal, content_digest=digest)), Code.ALREADY_DONE, "voted")
    refused(answer_to(chain, two, pb.Vote(proposal=proposal, content_digest=bytes(32))), Code.CONTENT_MISMATCH, "vote")
    refused(answer_to(chain, two, pb.Vote(proposal=bytes(32), content_digest=digest)), Code.UNKNOWN_PROPOSAL)
    vote(chain, two, proposal, against=True)
    refused(answer_to(chain, two, pb.Vote(proposal=proposal, content_digest=digest)), Code.ALREADY_DONE, "voted")


def test_the_same_nonce_is_the_same_proposal(chain: Chain) -> None:
    one = chain.founders[0]
    message = proposing(governance.change_params(chain, max_upkeep_cost=7))
    assert chain.run(one, message).code == Code.OK
    refused(answer_to(chain, one, message), Code.DUPLICATE, "proposal")


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (pb.Action(), Because(Code.FIELD_INVALID, "action")),
        (pb.Action(admit_fiduciary=pb.AdmitFiduciary(identity=bytes(31))), Because(Code.FIELD_INVALID, "identity")),
        (
            pb.Action(admit_fiduciary=pb.AdmitFiduciary(identity=bytes(32), validator_key=bytes(32), proof=bytes(64))),
            Because(Code.FIELD_INVALID, "power"),
        ),
        (pb.Action(remove_fiduciary=pb.RemoveFiduciary(identity=bytes(33))), Because(Code.FIELD_INVALID, "identity")),
        (pb.Action(revoke_identity=pb.RevokeByVote()), Because(Code.FIELD_INVALID, "identity")),
        (pb.Action(change_params=pb.ChangeParams(base_digest=b"")), Because(Code.FIELD_INVALID, "base_digest")),
        (pb.Action(upgrade=pb.PlanUpgrade(height=5)), Because(Code.FIELD_INVALID, "upgrade")),
        (pb.Action(upgrade=pb.PlanUpgrade(protocol_version=2)), Because(Code.FIELD_INVALID, "upgrade")),
        (pb.Action(upgrade=pb.PlanUpgrade(height=2**60, protocol_version=2)), Because(Code.FIELD_INVALID, "upgrade")),
        (
            pb.Action(remove_fiduciary=pb.RemoveFiduciary(identity=bytes(4_000))),
            Because(Code.FIELD_INVALID, "action-size"),
        ),
    ],
)
def test_a_malformed_action_is_refused(chain: Chain, action: pb.Action, expected: Because) -> None:
    refused(answer_to(chain, chain.founders[0], proposing(action)), *expected)


# --- execution


def test_an_execution_that_fails_half_way_leaves_nothing_behind(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    row = actions.ACTIONS["change_params"]

    def half(context: Context, _message: pb.ChangeParams) -> None:
        context.state.put(UPGRADES.key(), b"x")
        context.emit("upgrade", bytes(32), "half")
        context.scratch.validator_updates.append(ValidatorUpdate(bytes(32), 1))
        raise KeyError("a defect of ours")

    monkeypatch.setitem(actions.ACTIONS, "change_params", type(row)(
        field=row.field, message=row.message, validate=row.validate, check=row.check, execute=half, codes=row.codes
    ))  # fmt: skip
    proposal = propose(chain, chain.founders[0], governance.change_params(chain, max_upkeep_cost=7))
    vote(chain, chain.founders[1], proposal)
    result = vote(chain, chain.founders[2], proposal)
    recorded(record(chain, proposal).failure_code, Code.FAILED)
    assert result.validator_updates == ()
    assert not UPGRADES.exists(chain.view)
    assert [event for event in result.events if event.kind == "upgrade"] == []


def test_the_steps_at_the_end_of_a_block_keep_their_order() -> None:
    first = (proposals.decide, proposals.execute_urgent, upgrade.begin_if_due, proposals.execute_passed)
    assert end_of_block.STEPS[:4] == first


def test_every_action_is_declared_once_in_the_order_of_the_message() -> None:
    fields = [field.name for field in pb.Action.DESCRIPTOR.oneofs_by_name["kind"].fields]
    assert list(actions.ACTIONS) == fields
    assert [row.message for row in actions.ACTIONS.values()] == [
        type(getattr(pb.Action(), field)) for field in fields
    ]


def test_no_status_has_a_way_out_of_an_end() -> None:
    reached = {to for ways in proposals.TRANSITIONS.values() for to in ways}
    assert set(proposals.TRANSITIONS) == set(pb.ProposalStatus.values()) - {0}
    assert reached | {pb.PROPOSAL_STATUS_OPEN} == set(proposals.TRANSITIONS)
