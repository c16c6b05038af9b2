"""WithdrawProposal: its proposer takes back what is not decided yet."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.governance import proposals
from abci_app.pb.dta.v1 import governance_pb2
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, OPEN_PROPOSALS
from abci_app.state.records import PROPOSALS


def _execute(context: Context, message: governance_pb2.WithdrawProposal) -> bytes:
    proposal = proposals.get_open(context, message.proposal)
    context.require(proposal.proposer == context.signer, Code.NOT_PROPOSER)
    proposal.ended_tx = context.tx_hash
    proposals.end(context, proposal, governance_pb2.PROPOSAL_STATUS_WITHDRAWN)
    return b""


SPEC = MessageSpec(
    field="withdraw_proposal",
    message=governance_pb2.WithdrawProposal,
    message_class=MessageClass.USER,
    cost=lambda _: 200,
    validate=lambda message: need_bytes(message.proposal, limits.ID_BYTES, "proposal"),
    execute=_execute,
    writes=(PROPOSALS, OPEN_PROPOSALS, DEADLINE_TIME, DEADLINE_HEIGHT),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_PROPOSAL, Code.PROPOSAL_NOT_OPEN, Code.DEADLINE_PASSED, Code.NOT_PROPOSER,
    ),
    events=(events.PROPOSAL,),
)  # fmt: skip
