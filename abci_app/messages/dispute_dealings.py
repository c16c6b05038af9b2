"""DisputeDealings: a member says once which of the shares dealt to it are wrong; the ledger opens those and judges."""

from __future__ import annotations

from typing import Final

from abci_app import events, limits
from abci_app.authority import ceremonies, checks, parties
from abci_app.codes import Code
from abci_app.crypto.curve import G1_BYTES
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.records import CEREMONIES, CEREMONY_PARTIES

# An accusation of a dealing with two commitments takes 1.5 ms, with 64 9 ms; the message does not say how many.
DISPUTE_COST: Final = 250
ACCUSATION_COST: Final = 4_000


def _validate(message: pb.DisputeDealings) -> None:
    need_bytes(message.ceremony, limits.ID_BYTES, "ceremony")
    dealers = [accusation.dealer for accusation in message.accusations]
    if len(dealers) > limits.MAX_AUTHORITY_MEMBERS or dealers != sorted(dict.fromkeys(dealers)):
        raise Refusal(Code.FIELD_INVALID, "accusations: sorted by dealer, each once", reason="accusations")
    for accusation in message.accusations:
        need_bytes(accusation.dealer, limits.ID_BYTES, "accusations.dealer")
        need_bytes(accusation.opened, G1_BYTES, "accusations.opened")
        need_bytes(accusation.proof, checks.EQUAL_LOGS_BYTES, "accusations.proof")


def _execute(context: Context, message: pb.DisputeDealings) -> bytes:
    ceremony = ceremonies.get(context, message.ceremony, pb.CEREMONY_PHASE_DISPUTE)
    accuser = parties.get(context, ceremony)
    context.require(accuser.index, Code.NOT_IN_CEREMONY, context.signer.hex(), reason="accuser")
    context.require(not accuser.disputed_height, Code.ALREADY_DONE, reason="disputed")
    context.require(parties.is_itself(context, accuser), Code.PARTY_EXCLUDED, context.signer.hex(), reason="dispute")
    accuser.disputed_height = context.height
    for accusation in message.accusations:
        _judge(context, ceremony, accuser, accusation)
    ceremony.disputed += 1
    parties.put(context.state, ceremony, accuser)
    ceremonies.put(context.state, ceremony)
    due.remove(context.state, context.signer, DueKind.DISPUTE_DEALINGS, ceremony.id)
    ceremonies.emit(context, ceremony, "disputed", fiduciary=context.signer, accusations=len(message.accusations))
    context.emit("fiduciary", context.signer, "ceremony-disputed", ceremony=ceremony.id)
    return b""


def _judge(context: Context, ceremony: pb.CeremonyRecord, accuser: pb.CeremonyParty, accusation: pb.Accusation) -> None:
    """One accusation: upheld, it costs the dealer its dealing and its seat; a false one costs the accuser the same."""
    own = accusation.dealer == accuser.fiduciary
    dealer = accuser if own else parties.find(context.state, ceremony.id, accusation.dealer)
    if dealer is None or not dealer.dealt_height:
        raise Refusal(Code.NO_DEALING, accusation.dealer.hex())
    dealing = parties.dealing_of(context.state, ceremony.id, dealer)
    if checks.is_upheld(ceremony, accuser, dealer, dealing, accusation):
        parties.blame(context, dealer, pb.FAULT_WRONG_SHARE, other=accuser.fiduciary)
        if not own:
            parties.put(context.state, ceremony, dealer)
        ceremonies.emit(context, ceremony, "upheld", fiduciary=dealer.fiduciary, accuser=accuser.fiduciary)
        context.emit("fiduciary", dealer.fiduciary, "dealing-proved-wrong", ceremony=ceremony.id)
    else:
        parties.blame(context, accuser, pb.FAULT_FALSE_ACCUSATION, other=dealer.fiduciary)
        ceremonies.emit(context, ceremony, "false-accusation", fiduciary=accuser.fiduciary, dealer=dealer.fiduciary)
        context.emit("fiduciary", accuser.fiduciary, "accused-falsely", ceremony=ceremony.id)


SPEC = MessageSpec(
    field="dispute_dealings",
    message=pb.DisputeDealings,
    message_class=MessageClass.RESULT,
    cost=lambda message: DISPUTE_COST + ACCUSATION_COST * len(message.accusations),
    validate=_validate,
    execute=_execute,
    due=lambda message: (DueKind.DISPUTE_DEALINGS, message.ceremony),
    writes=(CEREMONIES, CEREMONY_PARTIES, DUE),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_CEREMONY, Code.WRONG_PHASE, Code.NOT_IN_CEREMONY, Code.ALREADY_DONE,
        Code.PARTY_EXCLUDED, Code.NO_DEALING, Code.BAD_CURVE_POINT, Code.ACCUSATION_PROOF,
    ),
    events=(events.CEREMONY_BY, events.CEREMONY_FAULT, events.CEREMONY, events.CEREMONY_JUDGED),
)  # fmt: skip
