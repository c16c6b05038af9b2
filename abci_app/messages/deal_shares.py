"""DealShares: a dealer's commitments, its ephemeral, a share for each member under a pad (docs/spec/authority.md)."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.authority import ceremonies, checks, parties, points
from abci_app.codes import Code
from abci_app.crypto.curve import G1_BYTES, G2_BYTES, SCALAR_BYTES
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import authority_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE
from abci_app.state.records import CEREMONIES, CEREMONY_PARTIES, DEALINGS, USED_POINTS


def _validate(message: authority_pb2.DealShares) -> None:
    need_bytes(message.ceremony, limits.ID_BYTES, "ceremony")
    dealing = message.dealing
    most = limits.MAX_AUTHORITY_MEMBERS
    if not 1 <= len(dealing.commitments) <= most or not 1 <= len(dealing.shares) <= most:
        raise Refusal(Code.DEALING_MALFORMED, f"1 to {most} commitments and shares", reason="count")
    if any(len(commitment) != G1_BYTES for commitment in dealing.commitments):
        raise Refusal(Code.DEALING_MALFORMED, "commitments", reason="commitments")
    if any(len(share) != SCALAR_BYTES for share in dealing.shares):
        raise Refusal(Code.DEALING_MALFORMED, "shares", reason="shares")
    if len(dealing.ephemeral) != G1_BYTES or len(dealing.constant_g2) not in (0, G2_BYTES):
        raise Refusal(Code.DEALING_MALFORMED, "ephemeral, constant_g2", reason="ephemeral")
    if len(dealing.proof) != checks.dealing_proof_bytes(len(dealing.commitments)):
        raise Refusal(Code.DEALING_MALFORMED, "proof", reason="proof")


def _execute(context: Context, message: authority_pb2.DealShares) -> bytes:
    ceremony = ceremonies.get(context, message.ceremony, authority_pb2.CEREMONY_PHASE_DEAL)
    party = parties.get(context, ceremony)
    context.require(party.dealer_index, Code.NOT_IN_CEREMONY, context.signer.hex(), reason="dealer")
    context.require(not party.dealt_height, Code.ALREADY_DONE, reason="dealt")
    context.require(parties.is_itself(context, party), Code.PARTY_EXCLUDED, context.signer.hex(), reason="dealing")
    checks.check_dealing(ceremony, party, message.dealing)
    points.use(context, message.dealing.ephemeral, ceremony.id)
    party.dealt_height = context.height
    parties.put_dealing(context.state, ceremony, party, message.dealing)
    ceremony.dealt += 1
    parties.put(context.state, ceremony, party)
    ceremonies.put(context.state, ceremony)
    due.remove(context.state, context.signer, DueKind.DEAL_SHARES, ceremony.id)
    ceremonies.emit(context, ceremony, "dealt", fiduciary=context.signer)
    context.emit("fiduciary", context.signer, "ceremony-dealt", ceremony=ceremony.id)
    return b""


def _cost(message: authority_pb2.DealShares) -> int:
    """Each commitment is decoded and its proof verified; the constant in G2 takes two pairings."""
    dealing = message.dealing
    return 900 + 300 * len(dealing.commitments) + 10 * len(dealing.shares) + (1_200 if dealing.constant_g2 else 0)


SPEC = MessageSpec(
    field="deal_shares",
    message=authority_pb2.DealShares,
    message_class=MessageClass.RESULT,
    cost=_cost,
    validate=_validate,
    execute=_execute,
    due=lambda message: (DueKind.DEAL_SHARES, message.ceremony),
    writes=(CEREMONIES, CEREMONY_PARTIES, DEALINGS, USED_POINTS, DUE),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_CEREMONY, Code.WRONG_PHASE, Code.NOT_IN_CEREMONY, Code.ALREADY_DONE,
        Code.PARTY_EXCLUDED, Code.DEALING_MALFORMED, Code.BAD_CURVE_POINT, Code.DEALING_CONSTANT, Code.DEALING_PROOF,
        Code.POINT_USED,
    ),
    events=(events.CEREMONY_BY, events.CEREMONY),
)  # fmt: skip
