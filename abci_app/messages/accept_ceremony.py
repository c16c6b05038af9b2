"""AcceptCeremony: a member's hook made a key for this attempt in its HSM, to which shares are encrypted."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.authority import ceremonies, checks, parties, points
from abci_app.codes import Code
from abci_app.crypto.curve import G1_BYTES
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.identities import documents
from abci_app.pb.dta.v1 import authority_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.records import CEREMONIES, CEREMONY_PARTIES, USED_POINTS


def _validate(message: authority_pb2.AcceptCeremony) -> None:
    need_bytes(message.ceremony, limits.ID_BYTES, "ceremony")
    need_bytes(message.receive_key, G1_BYTES, "receive_key")
    need_bytes(message.proof, checks.SCHNORR_BYTES, "proof")


def _execute(context: Context, message: authority_pb2.AcceptCeremony) -> bytes:
    ceremony = ceremonies.get(context, message.ceremony, authority_pb2.CEREMONY_PHASE_ACCEPT)
    party = parties.get(context, ceremony)
    takes_part = party.candidate and party.fault == authority_pb2.FAULT_NONE
    context.require(takes_part, Code.NOT_IN_CEREMONY, context.signer.hex(), reason="acceptance")
    context.require(not party.accepted_height, Code.ALREADY_DONE, reason="accepted")
    active = documents.is_active_fiduciary(context.state, context.signer, context.time_s)
    context.require(active, Code.NOT_FIDUCIARY, context.signer.hex(), reason="acceptance")
    checks.check_accept(ceremony, party, message)
    points.use(context, message.receive_key, ceremony.id)
    party.accepted_height = context.height
    party.receive_key = message.receive_key
    ceremony.accepted += 1
    parties.put(context.state, ceremony, party)
    ceremonies.put(context.state, ceremony)
    due.remove(context.state, context.signer, DueKind.ACCEPT_CEREMONY, ceremony.id)
    ceremonies.emit(context, ceremony, "accepted", fiduciary=context.signer)
    context.emit("fiduciary", context.signer, "ceremony-accepted", ceremony=ceremony.id)
    return b""


SPEC = MessageSpec(
    field="accept_ceremony",
    message=authority_pb2.AcceptCeremony,
    message_class=MessageClass.RESULT,
    cost=lambda _: 700,
    validate=_validate,
    execute=_execute,
    due=lambda message: (DueKind.ACCEPT_CEREMONY, message.ceremony),
    writes=(CEREMONIES, CEREMONY_PARTIES, USED_POINTS, DUE),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_CEREMONY, Code.WRONG_PHASE, Code.NOT_IN_CEREMONY, Code.ALREADY_DONE,
        Code.NOT_FIDUCIARY, Code.BAD_CURVE_POINT, Code.ACCEPT_PROOF, Code.POINT_USED,
    ),
    events=(events.CEREMONY_BY, events.CEREMONY),
)  # fmt: skip
