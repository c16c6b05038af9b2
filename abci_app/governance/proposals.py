"""The life of a proposal: votes are counted and what passed is executed at the end of a block.

It passes with more than 2/3 of the power of all active fiduciaries; a vote counts while its fiduciary's identity is
active. It is rejected once so much is against it that it can't pass. A change of the validators that has no room yet
waits, PASSED, and goes before any other (docs/spec/governance.md).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Final

from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution import guard, upkeep
from abci_app.execution.context import Context
from abci_app.execution.transitions import Transitions
from abci_app.governance import actions, validators
from abci_app.identities import documents
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.state import as_of
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, OPEN_PROPOSALS, WAITING_PROPOSALS, put_key
from abci_app.state.records import PROPOSALS, VOTES
from abci_app.state.view import StateView

TRANSITIONS: Final = Transitions(pb.ProposalStatus, {
    pb.PROPOSAL_STATUS_OPEN: (
        pb.PROPOSAL_STATUS_PASSED, pb.PROPOSAL_STATUS_REJECTED, pb.PROPOSAL_STATUS_EXPIRED,
        pb.PROPOSAL_STATUS_WITHDRAWN, pb.PROPOSAL_STATUS_FAILED,
    ),
    pb.PROPOSAL_STATUS_PASSED: (pb.PROPOSAL_STATUS_EXECUTED, pb.PROPOSAL_STATUS_FAILED),
    pb.PROPOSAL_STATUS_EXECUTED: (),
    pb.PROPOSAL_STATUS_FAILED: (),
    pb.PROPOSAL_STATUS_REJECTED: (),
    pb.PROPOSAL_STATUS_EXPIRED: (),
    pb.PROPOSAL_STATUS_WITHDRAWN: (),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tally:
    """Voting power for and against, of all active fiduciaries' ``total``."""

    power_for: int
    power_against: int
    total: int

    @property
    def passes(self) -> bool:
        """More than 2/3 of all are for it."""
        return 3 * self.power_for > 2 * self.total

    @property
    def can_not_pass(self) -> bool:
        """Without those against there are not more than 2/3 left."""
        return 3 * self.power_against >= self.total


def tally(view: StateView, proposal: bytes, time_s: int) -> Tally:
    """Count the votes: those of active fiduciaries whose identity is, at this block time, active too."""
    power = {False: 0, True: 0}
    total = 0
    for fiduciary in validators.active_fiduciaries(view):
        total += fiduciary.power
        vote = VOTES.find(view, proposal, fiduciary.id)
        if vote is not None and documents.is_active_fiduciary(view, fiduciary.id, time_s):
            power[vote.against] += fiduciary.power
    return Tally(power[False], power[True], total)


def get_open(context: Context, proposal_id: bytes) -> pb.ProposalRecord:
    """The proposal, if it is known, open and in time; refused otherwise."""
    proposal = PROPOSALS.find(context.state, proposal_id)
    if proposal is None:
        raise Refusal(Code.UNKNOWN_PROPOSAL, proposal_id.hex())
    context.require(proposal.status == pb.PROPOSAL_STATUS_OPEN, Code.PROPOSAL_NOT_OPEN, proposal_id.hex())
    is_open = as_of.proposal(proposal, context.moment) == pb.PROPOSAL_STATUS_OPEN
    context.require(is_open, Code.DEADLINE_PASSED, proposal_id.hex(), reason="proposal")
    return proposal


def deadline_height(context: Context) -> int:
    """The last block in which a proposal of this block is open at least: no few proposers can keep votes out of it."""
    fiduciaries = sum(1 for _ in validators.active_fiduciaries(context.state))
    return context.height + 2 * fiduciaries + 10


def cast(context: Context, proposal: pb.ProposalRecord, *, against: bool) -> None:
    """Record the signer's vote, to be counted at the block's end. Puts the proposal."""
    vote = pb.VoteRecord(against=against, height=context.height, tx_hash=context.tx_hash)
    VOTES.put(context.state, vote, proposal.id, context.signer)
    proposal.votes += 1
    PROPOSALS.put(context.state, proposal, proposal.id)
    context.scratch.voted.append((proposal.id, context.tx_hash))
    emit(context, proposal, "voted", fiduciary=context.signer, vote="against" if against else "for")
    context.emit("fiduciary", context.signer, "voted", proposal=proposal.id)


def end(context: Context, proposal: pb.ProposalRecord, to: pb.ProposalStatus, **attributes: int | str) -> None:
    """The proposal's end, whatever it is. Puts the proposal."""
    _forget(context, proposal)
    _move(proposal, to)
    proposal.ended_height = context.height
    PROPOSALS.put(context.state, proposal, proposal.id)
    emit(context, proposal, _name(to), **attributes)


def remember(context: Context, proposal: pb.ProposalRecord) -> None:
    """The indexes of a new proposal."""
    OPEN_PROPOSALS.put(context.state, proposal.proposer, proposal.id)
    put_key(context.state, deadline(proposal))


def record_expired(context: Context, proposal_id: bytes) -> None:
    """The sweep came to the deadline of a proposal that is still open: its time, or its height."""
    proposal = PROPOSALS.get(context.state, proposal_id)
    if as_of.proposal(proposal, context.moment) == pb.PROPOSAL_STATUS_EXPIRED:
        end(context, proposal, pb.PROPOSAL_STATUS_EXPIRED)
        return
    context.state.index_delete(deadline(proposal))
    proposal.waits_for_height = True
    put_key(context.state, deadline(proposal))
    PROPOSALS.put(context.state, proposal, proposal_id)


def emit(context: Context, proposal: pb.ProposalRecord, action: str, **attributes: bytes | int | str) -> None:
    """An event about the proposal."""
    kind = (proposal.action.WhichOneof("kind") or "").replace("_", "-")
    context.emit(
        "proposal", proposal.id, action, status=_name(proposal.status), proposes=kind, proposer=proposal.proposer,
        **attributes,
    )  # fmt: skip


# --- the end of a block


def decide(context: Context) -> None:
    """Count each proposal on which somebody voted in this block."""
    for proposal_id, tx_hash in dict(context.scratch.voted).items():
        if guard.failure_of(context, partial(_count, context, proposal_id, tx_hash)) is not None:
            _fail(context, proposal_id, Code.FAILED)


def _count(context: Context, proposal_id: bytes, tx_hash: bytes) -> None:
    proposal = PROPOSALS.find(context.state, proposal_id)
    if proposal is None or proposal.status != pb.PROPOSAL_STATUS_OPEN:
        return  # withdrawn in the same block
    counted = tally(context.state, proposal_id, context.time_s)
    proposal.counted_height = context.height
    proposal.power_for, proposal.power_against = counted.power_for, counted.power_against
    proposal.power_total = counted.total
    if counted.passes:
        context.state.index_delete(deadline(proposal))
        _move(proposal, pb.PROPOSAL_STATUS_PASSED)
        proposal.passed_height = context.height
        proposal.deciding_tx = tx_hash
        WAITING_PROPOSALS.put(context.state, context.height, proposal_id)
        PROPOSALS.put(context.state, proposal, proposal_id)
        emit(context, proposal, "passed")
    elif counted.can_not_pass:
        proposal.deciding_tx = tx_hash
        end(context, proposal, pb.PROPOSAL_STATUS_REJECTED)
    else:
        PROPOSALS.put(context.state, proposal, proposal_id)


def execute_urgent(context: Context) -> None:
    """Execute what passed about parameters, validators and upgrades, the first one first.

    Where a change of the validators has no room, later ones wait too.
    """
    blocked = False
    for _, proposal_id in list(WAITING_PROPOSALS.entries(context.state)):
        proposal = PROPOSALS.get(context.state, proposal_id)
        action, _ = actions.of(proposal.action)
        if action.urgent and not (blocked and action.changes_validators):
            blocked = _execute(context, proposal) is Code.VALIDATOR_CHANGE_TOO_SOON or blocked


def execute_passed(context: Context) -> None:
    """Execute what else passed, the first one first, within the budget."""
    spending = upkeep.Spending(context)
    for _, proposal_id in list(WAITING_PROPOSALS.entries(context.state)):
        proposal = PROPOSALS.get(context.state, proposal_id)
        action, message = actions.of(proposal.action)
        if action.urgent:
            continue  # it has no room yet
        if not spending.affords(action.cost(message)):
            return
        _execute(context, proposal)


def _execute(context: Context, proposal: pb.ProposalRecord) -> Code:
    """Execute; what is refused, or fails, leaves nothing behind but its code. Where it has no room, it waits."""
    action, message = actions.of(proposal.action)

    def work() -> None:
        action.execute(dataclasses.replace(context, signer=proposal.proposer, tx_hash=proposal.deciding_tx), message)
        end(context, proposal, pb.PROPOSAL_STATUS_EXECUTED)

    error = guard.failure_of(context, work)
    if error is None:
        return Code.OK
    code = error.code if isinstance(error, Refusal) else Code.FAILED
    if code is not Code.VALIDATOR_CHANGE_TOO_SOON:
        _fail(context, proposal.id, code)
    return code


def _fail(context: Context, proposal_id: bytes, code: Code) -> None:
    """It has failed for good. Where that fails too, its status and its indexes are written and nothing else."""

    def work() -> None:
        failed = PROPOSALS.get(context.state, proposal_id)
        failed.failure_code = code
        end(context, failed, pb.PROPOSAL_STATUS_FAILED, code=int(code))

    if guard.failure_of(context, work) is not None:
        failed = PROPOSALS.get(context.state, proposal_id)
        _forget(context, failed)
        failed.status, failed.failure_code, failed.ended_height = pb.PROPOSAL_STATUS_FAILED, code, context.height
        PROPOSALS.put(context.state, failed, proposal_id)


def is_a_validator_change_waiting(view: StateView) -> bool:
    """Whether one was decided and has no room yet: it goes before any that a single fiduciary asks for."""
    waiting = (PROPOSALS.get(view, proposal) for _, proposal in WAITING_PROPOSALS.entries(view))
    return any(actions.of(proposal.action)[0].changes_validators for proposal in waiting)


def _move(proposal: pb.ProposalRecord, to: pb.ProposalStatus) -> None:
    TRANSITIONS.check(proposal.status, to)
    proposal.status = to


def _forget(context: Context, proposal: pb.ProposalRecord) -> None:
    """Nothing of it is left to count, to execute or to sweep."""
    if proposal.status == pb.PROPOSAL_STATUS_OPEN:
        context.state.index_delete(deadline(proposal))
    else:
        WAITING_PROPOSALS.delete(context.state, proposal.passed_height, proposal.id)
    OPEN_PROPOSALS.delete(context.state, proposal.proposer, proposal.id)


def deadline(proposal: pb.ProposalRecord) -> bytes:
    """The index entry by which the sweep finds when an open proposal expires: by its time first, then by its height."""
    if proposal.waits_for_height:
        return DEADLINE_HEIGHT.key(proposal.deadline_height + 1, DeadlineKind.PROPOSAL, proposal.id)
    return DEADLINE_TIME.key(proposal.deadline_time_s, DeadlineKind.PROPOSAL, proposal.id)


def _name(status: pb.ProposalStatus) -> str:
    return pb.ProposalStatus.Name(status).removeprefix("PROPOSAL_STATUS_").lower()
