"""ConfirmShare: a member's hook proves that it holds a usable share (docs/spec/authority.md)."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.authority import ceremonies, checks, parties
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.records import AUTHORITIES, CEREMONIES, CEREMONY_PARTIES, EPOCHS, MEMBERS


def _validate(message: pb.ConfirmShare) -> None:
    need_bytes(message.ceremony, limits.ID_BYTES, "ceremony")
    need_bytes(message.proof, checks.SCHNORR_BYTES, "proof")


def _execute(context: Context, message: pb.ConfirmShare) -> bytes:
    ceremony = ceremonies.find(context, message.ceremony)
    in_force = AUTHORITIES.get(context.state, ceremony.authority).epoch == ceremony.epoch
    open_ = ceremony.phase == pb.CEREMONY_PHASE_CONFIRM and context.height <= ceremony.deadline_height
    # Late, but of the epoch in force: it adds to the margin.
    late = ceremony.phase in (pb.CEREMONY_PHASE_CONFIRM, pb.CEREMONY_PHASE_DONE) and in_force
    if not open_ and not late:
        raise Refusal(Code.WRONG_PHASE, ceremonies.phase_name(ceremony.phase), reason="confirmation")
    party = parties.get(context, ceremony)
    context.require(party.public_share, Code.NOT_IN_CEREMONY, context.signer.hex(), reason="share")
    context.require(not party.confirmed_height, Code.ALREADY_DONE, reason="confirmed")
    itself = in_force or parties.is_itself(context, party)
    context.require(itself, Code.PARTY_EXCLUDED, context.signer.hex(), reason="confirmation")
    checks.check_confirm(ceremony, party, message)
    party.confirmed_height = context.height
    ceremony.confirmed += 1
    parties.put(context.state, ceremony, party)
    ceremonies.put(context.state, ceremony)
    if in_force:
        _count_in_epoch(context, ceremony, party)
    due.remove(context.state, context.signer, DueKind.CONFIRM_SHARE, ceremony.id)
    ceremonies.emit(context, ceremony, "confirmed", fiduciary=context.signer)
    context.emit("fiduciary", context.signer, "share-confirmed", ceremony=ceremony.id, authority=ceremony.authority)
    return b""


def _count_in_epoch(context: Context, ceremony: pb.CeremonyRecord, party: pb.CeremonyParty) -> None:
    epoch = EPOCHS.get(context.state, ceremony.authority, ceremony.epoch)
    epoch.confirmations += 1
    EPOCHS.put(context.state, epoch, ceremony.authority, ceremony.epoch)
    member = MEMBERS.get(context.state, ceremony.authority, ceremony.epoch, party.index)
    member.confirmed_height = context.height
    MEMBERS.put(context.state, member, ceremony.authority, ceremony.epoch, party.index)


SPEC = MessageSpec(
    field="confirm_share",
    message=pb.ConfirmShare,
    message_class=MessageClass.RESULT,
    cost=lambda _: 700,
    validate=_validate,
    execute=_execute,
    due=lambda message: (DueKind.CONFIRM_SHARE, message.ceremony),
    writes=(CEREMONIES, CEREMONY_PARTIES, EPOCHS, MEMBERS, DUE),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_CEREMONY, Code.WRONG_PHASE, Code.NOT_IN_CEREMONY, Code.ALREADY_DONE,
        Code.PARTY_EXCLUDED, Code.CONFIRM_PROOF,
    ),
    events=(events.CEREMONY_BY, events.CEREMONY),
)  # fmt: skip
