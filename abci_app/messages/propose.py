"""Propose: a fiduciary puts something to the vote, and with it votes for it (docs/spec/governance.md)."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.governance import actions, proposals
from abci_app.identities import concerns, documents
from abci_app.pb.dta.v1 import concern_pb2, governance_pb2
from abci_app.state.indexes import DEADLINE_TIME, OPEN_PROPOSALS
from abci_app.state.records import CONCERNS, COUNTERS, PROPOSALS, VOTES


def _validate(message: governance_pb2.Propose) -> None:
    need_bytes(message.nonce, limits.NONCE_BYTES, "nonce")
    if message.action.ByteSize() > limits.MAX_ACTION_BYTES:
        raise Refusal(Code.FIELD_INVALID, f"action: at most {limits.MAX_ACTION_BYTES} bytes", reason="action-size")
    action, proposed = actions.of(message.action)
    action.validate(proposed)


def _execute(context: Context, message: governance_pb2.Propose) -> bytes:
    active = documents.is_active_fiduciary(context.state, context.signer, context.time_s)
    context.require(active, Code.NOT_FIDUCIARY, reason="proposal")
    proposal_id = statements.proposal_id(context.gid, context.signer, message.nonce)
    context.require(
        not PROPOSALS.exists(context.state, proposal_id), Code.DUPLICATE, proposal_id.hex(), reason="proposal"
    )
    most = context.params.max_open_proposals
    open_ones = list(OPEN_PROPOSALS.entries(context.state, context.signer, limit=most))
    context.require(len(open_ones) < most, Code.TOO_MANY_PROPOSALS)
    action, proposed = actions.of(message.action)
    action.check(context, proposed)
    record = governance_pb2.ProposalRecord(
        id=proposal_id, proposer=context.signer, action=message.action,
        content_digest=statements.action_digest(context.gid, proposal_id, message.action),
        status=governance_pb2.PROPOSAL_STATUS_OPEN, deadline_time_s=context.time_s + context.params.proposal_ttl_s,
        deadline_height=proposals.deadline_height(context),
        proposed_height=context.height, proposed_time_s=context.time_s, proposed_tx=context.tx_hash,
    )  # fmt: skip
    action.note(context, proposed, record)
    role = concern_pb2.CONCERN_ROLE_SUBJECT
    concerns.note(context, concern_pb2.CONCERN_KIND_PROPOSAL, proposal_id, role, *action.about(proposed))
    proposals.remember(context, record)
    proposals.emit(context, record, "proposed")
    proposals.cast(context, record, against=False)
    return proposal_id


def _cost(message: governance_pb2.Propose) -> int:
    """It is asked before ``validate``, which refuses an action of no kind."""
    if message.action.WhichOneof("kind") is None:
        return 1
    action, proposed = actions.of(message.action)
    return action.proposing_cost(proposed) + concerns.NAME_COST * len(action.about(proposed))


SPEC = MessageSpec(
    field="propose",
    message=governance_pb2.Propose,
    message_class=MessageClass.USER,
    cost=_cost,
    validate=_validate,
    execute=_execute,
    writes=(PROPOSALS, VOTES, CONCERNS, COUNTERS, OPEN_PROPOSALS, DEADLINE_TIME),
    codes=tuple(
        dict.fromkeys(
            (Code.FIELD_INVALID, Code.NOT_FIDUCIARY, Code.DUPLICATE, Code.TOO_MANY_PROPOSALS, *actions.CODES)
        )
    ),
    events=(events.VOTED, events.PROPOSAL),
)
