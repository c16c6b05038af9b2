"""Vote: a fiduciary is for or against a proposal, once. It is counted at the end of the block."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.governance import proposals
from abci_app.identities import documents
from abci_app.pb.dta.v1 import governance_pb2, identity_pb2
from abci_app.state.records import FIDUCIARIES, PROPOSALS, VOTES
from abci_app.state.view import StateView


def _validate(message: governance_pb2.Vote) -> None:
    need_bytes(message.proposal, limits.ID_BYTES, "proposal")
    need_bytes(message.content_digest, limits.ID_BYTES, "content_digest")


def _execute(context: Context, message: governance_pb2.Vote) -> bytes:
    active = documents.is_active_fiduciary(context.state, context.signer, context.time_s)
    context.require(active, Code.NOT_FIDUCIARY, reason="vote")
    proposal = proposals.get_open(context, message.proposal)
    context.require(message.content_digest == proposal.content_digest, Code.CONTENT_MISMATCH, reason="vote")
    voted = VOTES.find(context.state, proposal.id, context.signer) is not None
    context.require(not voted, Code.ALREADY_DONE, reason="voted")
    proposals.cast(context, proposal, against=message.against)
    return b""


def _decides(view: StateView, signer: bytes, message: governance_pb2.Vote) -> bytes | None:
    proposal, voter = PROPOSALS.read(view, message.proposal), FIDUCIARIES.read(view, signer)
    if proposal is None or proposal.status != governance_pb2.PROPOSAL_STATUS_OPEN:
        return None
    if voter is None or voter.status != identity_pb2.FIDUCIARY_STATUS_ACTIVE:
        return None
    return None if VOTES.exists(view, proposal.id, signer) else proposal.id


SPEC = MessageSpec(
    field="vote",
    message=governance_pb2.Vote,
    message_class=MessageClass.USER,
    cost=lambda _: 400,
    validate=_validate,
    execute=_execute,
    decides=_decides,
    writes=(PROPOSALS, VOTES),
    codes=(
        Code.FIELD_INVALID, Code.NOT_FIDUCIARY, Code.UNKNOWN_PROPOSAL, Code.PROPOSAL_NOT_OPEN,
        Code.DEADLINE_PASSED, Code.CONTENT_MISMATCH, Code.ALREADY_DONE,
    ),
    events=(events.VOTED, events.PROPOSAL),
)  # fmt: skip
