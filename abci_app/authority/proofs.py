"""What a partial's proof is about, from records: the ledger, members and receivers all build it here."""

from __future__ import annotations

from collections.abc import Sequence

from abci_app.codes import Code
from abci_app.crypto import extraction
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.extraction import Answerer, Asked, Blinded, Unblinded
from abci_app.errors import Refusal
from abci_app.pb.dta.v1 import authority_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb

Partial = pb.BlindedPartial | pb.UnblindedPartial


def group_of(use: pb.Use) -> type[G1] | type[G2]:
    """The group that a use's points are in: G2 for servers, G1 for all else."""
    return G2 if use == pb.USE_SERVER else G1


def check_transport_form(group: type[G1] | type[G2], transport: bytes, possession: bytes) -> None:
    """Refuse a transport key or its proof of another length: BAD_TRANSPORT_KEY, BAD_POSSESSION. Needs no state."""
    if len(transport) != group.BYTES:
        raise Refusal(Code.BAD_TRANSPORT_KEY, f"{group.BYTES} bytes", reason="length")
    if len(possession) != extraction.possession_bytes(group):
        raise Refusal(Code.BAD_POSSESSION, f"{extraction.possession_bytes(group)} bytes", reason="length")


def check_blinded_form(group: type[G1] | type[G2], partial: pb.BlindedPartial) -> None:
    """Refuse a partial whose parts have other lengths than in ``group``: BAD_PARTIAL. Needs no state."""
    lengths = len(partial.c1), len(partial.c3), len(partial.proof)
    if lengths != (group.BYTES, group.BYTES, extraction.blinded_proof_bytes(group)):
        raise Refusal(Code.BAD_PARTIAL, "c1, c3 or proof has another length", reason="blinded-form")


def check_unblinded_form(partial: pb.UnblindedPartial) -> None:
    """The same of one in clear, which is in G1."""
    if (len(partial.share), len(partial.proof)) != (G1.BYTES, extraction.UNBLINDED_PROOF_BYTES):
        raise Refusal(Code.BAD_PARTIAL, "share or proof has another length", reason="unblinded-form")


def asked(gid: bytes, record: pb.ExtractionRecord, purpose: authority_pb2.Purpose, number: int) -> Asked:
    """Item ``number`` of a request, as the members of its epoch answer it."""
    return Asked(gid, record.suite, purpose, record.use, record.authority, record.epoch, record.id, number)


def answerer(member: authority_pb2.MemberRecord) -> Answerer:
    """A member, as a proof names it."""
    return Answerer(member.index, member.public_share)


def partial_holds(
    what: Asked, member: authority_pb2.MemberRecord, item: pb.ExtractionItem, partial: Partial
) -> bool:
    """Whether the partial is that member's for this item. No pairings."""
    by = answerer(member)
    if isinstance(partial, pb.BlindedPartial):
        return blinded_holds(what, by, item, Blinded(partial.c1, partial.c3, partial.proof))
    return extraction.unblinded_holds(what, by, item.base, Unblinded(partial.share, partial.proof))


def blinded_holds(what: Asked, by: Answerer, item: pb.ExtractionItem, partial: Blinded) -> bool:
    """Whether a blinded partial is ``by``'s for this item. No pairings."""
    return extraction.blinded_holds(what, by, item.base, item.transport, partial)


def combine_signature(shares: Sequence[tuple[int, bytes]]) -> bytes:
    """The signature (48 bytes) out of threshold-many verified shares, by their members' indices."""
    return extraction.combine(G1, [(index, G1.decode(share)) for index, share in shares]).encode()
