"""The proofs of a ceremony, held against its record: what each message is refused with (docs/spec/authority.md)."""

from __future__ import annotations

from typing import Final

from abci_app.authority import rules
from abci_app.codes import Code
from abci_app.crypto import dealing as statements
from abci_app.crypto.curve import G1, G1_BYTES, SCALAR_BYTES, BadPoint
from abci_app.crypto.dealing import DealingFault, Party
from abci_app.errors import Refusal
from abci_app.pb.dta.v1 import authority_pb2 as pb

SCHNORR_BYTES: Final = G1_BYTES + SCALAR_BYTES
EQUAL_LOGS_BYTES: Final = 2 * G1_BYTES + SCALAR_BYTES

_CODE_OF: Final = {
    DealingFault.FORM: Code.DEALING_MALFORMED,
    DealingFault.POINT: Code.BAD_CURVE_POINT,
    DealingFault.PROOF: Code.DEALING_PROOF,
    DealingFault.CONSTANT_G2: Code.DEALING_CONSTANT,
}


def dealing_proof_bytes(commitments: int) -> int:
    """How long the proof of a dealing with so many commitments is: a Schnorr proof for each, and of the ephemeral."""
    return (commitments + 1) * SCHNORR_BYTES


def member(party: pb.CeremonyParty) -> Party:
    """The party as a member of the record."""
    return Party(party.fiduciary, party.index)


def dealer(party: pb.CeremonyParty) -> Party:
    """The party as a dealer."""
    return Party(party.fiduciary, party.dealer_index)


def plain(dealing: pb.Dealing) -> statements.Dealing:
    """The message as the statements have it."""
    return statements.Dealing(
        tuple(dealing.commitments), dealing.ephemeral, tuple(dealing.shares), dealing.constant_g2, dealing.proof
    )


def publishes_g2(ceremony: pb.CeremonyRecord) -> bool:
    """Whether its dealings carry their constant in G2: a first key of a purpose that publishes it."""
    return ceremony.kind == pb.CEREMONY_KIND_KEY and ceremony.purpose in rules.PUBLISHES_G2


def check_accept(ceremony: pb.CeremonyRecord, party: pb.CeremonyParty, message: pb.AcceptCeremony) -> None:
    """Refuse with BAD_CURVE_POINT, ACCEPT_PROOF."""
    _require_point(message.receive_key, "receive_key")
    if not statements.accept_holds(ceremony.known_digest, party.fiduciary, message.receive_key, message.proof):
        raise Refusal(Code.ACCEPT_PROOF)


def check_dealing(ceremony: pb.CeremonyRecord, party: pb.CeremonyParty, dealing: pb.Dealing) -> None:
    """Refuse with DEALING_MALFORMED, BAD_CURVE_POINT, DEALING_CONSTANT, DEALING_PROOF."""
    fault = statements.dealing_fault(
        ceremony.record_digest, dealer(party), ceremony.threshold, ceremony.members, publishes_g2(ceremony),
        plain(dealing),
    )  # fmt: skip
    if fault is not None:
        raise Refusal(_CODE_OF[fault], fault.value, reason=fault.name.lower())
    if ceremony.kind != pb.CEREMONY_KIND_KEY and dealing.commitments[0] != party.old_share:
        raise Refusal(
            Code.DEALING_CONSTANT, "the first commitment is not the dealer's public share", reason="old-share"
        )


def is_upheld(
    ceremony: pb.CeremonyRecord,
    accuser: pb.CeremonyParty,
    accused: pb.CeremonyParty,
    dealing: pb.Dealing,
    accusation: pb.Accusation,
) -> bool:
    """Whether the accused dealt the accuser no share. Refuses with BAD_CURVE_POINT, ACCUSATION_PROOF.

    Indices have no holes while the record stands, so a member's place among the shares is its index less one.
    """
    _require_point(accusation.opened, "opened")
    parties = (ceremony.record_digest, dealer(accused), member(accuser), accuser.receive_key)
    if not statements.accusation_holds(*parties, dealing.ephemeral, accusation.opened, accusation.proof):
        raise Refusal(Code.ACCUSATION_PROOF)
    return statements.accusation_upheld(*parties, plain(dealing), accuser.index - 1, accusation.opened)


def check_confirm(ceremony: pb.CeremonyRecord, party: pb.CeremonyParty, message: pb.ConfirmShare) -> None:
    """Refuse with CONFIRM_PROOF."""
    if not statements.confirm_holds(ceremony.record_digest, member(party), party.public_share, message.proof):
        raise Refusal(Code.CONFIRM_PROOF)


def _require_point(encoded: bytes, field: str) -> None:
    try:
        G1.decode(encoded)
    except BadPoint:
        raise Refusal(Code.BAD_CURVE_POINT, field, reason=field) from None
