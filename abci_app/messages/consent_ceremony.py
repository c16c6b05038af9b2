"""ConsentCeremony: an operator says, by command, that its fiduciary takes part in a ceremony, or that it does not."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.authority import ceremonies, parties
from abci_app.codes import Code
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.identities import documents
from abci_app.pb.dta.v1 import authority_pb2
from abci_app.state.records import AUTHORITIES, CEREMONIES, CEREMONY_PARTIES
from abci_app.state.view import StateView


def _validate(message: authority_pb2.ConsentCeremony) -> None:
    need_bytes(message.first, limits.ID_BYTES, "first")
    need_bytes(message.terms, limits.ID_BYTES, "terms")


def _execute(context: Context, message: authority_pb2.ConsentCeremony) -> bytes:
    first = ceremonies.find(context, message.first)
    under_way = AUTHORITIES.get(context.state, first.authority).ceremony
    ceremony = ceremonies.get(context, under_way or first.id, authority_pb2.CEREMONY_PHASE_CONSENT)
    same = ceremony.first == message.first and ceremony.terms == message.terms
    context.require(same, Code.WRONG_TERMS, ceremony.terms.hex())
    party = parties.get(context, ceremony)
    context.require(not party.consent_height and not party.declined, Code.ALREADY_DONE, reason="consented")
    active = documents.is_active_fiduciary(context.state, context.signer, context.time_s)
    context.require(active, Code.NOT_FIDUCIARY, context.signer.hex(), reason="consent")
    if message.decline:
        ceremonies.count_decline(ceremony, party)
    else:
        ceremonies.count_consent(ceremony, party, context.height)
    parties.put(context.state, ceremony, party)
    ceremonies.put(context.state, ceremony)
    action = "declined" if message.decline else "consented"
    ceremonies.emit(context, ceremony, action, fiduciary=context.signer)
    context.emit("fiduciary", context.signer, f"ceremony-{action}", ceremony=ceremony.id)
    return b""


def _decides(view: StateView, signer: bytes, message: authority_pb2.ConsentCeremony) -> bytes | None:
    first = CEREMONIES.read(view, message.first)
    authority = None if first is None else AUTHORITIES.read(view, first.authority)
    ceremony = None if authority is None else CEREMONIES.read(view, authority.ceremony)
    if ceremony is None or ceremony.phase != authority_pb2.CEREMONY_PHASE_CONSENT:
        return None
    if (ceremony.first, ceremony.terms) != (message.first, message.terms):
        return None
    party = parties.find(view, ceremony.id, signer)
    waited_for = party is not None and not party.consent_height and not party.declined
    return ceremony.id if waited_for else None


SPEC = MessageSpec(
    field="consent_ceremony",
    message=authority_pb2.ConsentCeremony,
    message_class=MessageClass.USER,
    cost=lambda _: 150,
    validate=_validate,
    execute=_execute,
    decides=_decides,
    writes=(CEREMONIES, CEREMONY_PARTIES),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_CEREMONY, Code.WRONG_PHASE, Code.WRONG_TERMS, Code.NOT_IN_CEREMONY,
        Code.ALREADY_DONE, Code.NOT_FIDUCIARY,
    ),
    events=(events.CEREMONY_BY, events.CEREMONY),
)  # fmt: skip
